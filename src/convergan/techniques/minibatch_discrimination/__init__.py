"""Minibatch discrimination: the discriminator sees how close samples are (Section 3.2).

    M_i = T f(x_i),  a matrix of B kernels x C dimensions per sample
    c_b(x_i, x_j) = exp(-|| M_{i,b} - M_{j,b} ||_1)
    o_b(x_i) = sum_{j != i} c_b(x_i, x_j) + bias_b

and o(x_i) is concatenated to f(x_i). A generator that collapses to one point gives itself away.

The paper's sum (Eq. 2) includes j = i, the constant 1, which the authors' code leaves out, as is
done here. As in their code each of the B C columns of T is normalized and has a learned log scale:

    T = theta exp(log_scale) / || theta ||_2
"""

from .module import MinibatchDiscrimination

__all__ = ["MinibatchDiscrimination"]
