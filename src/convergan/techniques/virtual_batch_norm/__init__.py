"""Virtual batch normalization: each sample is normalized by a fixed reference batch and itself
(Section 3.5).

Batch normalization makes a sample's output depend on the others of its minibatch. Here it depends
on the sample and on a reference batch, chosen once at the start of training. The reference passes
through the same network in the same forward pass, because its activations change with the weights.

Per channel, with mean m_r and variance v_r of the n reference samples and mean m_i and variance v_i
of sample i (over space; a plain feature has m_i = x_i, v_i = 0):

    reference:  mean = m_r,  variance = v_r
    sample i:   w = 1 / (n + 1)
                mean     = (1 - w) m_r + w m_i
                variance = (1 - w) v_r + w v_i + w (1 - w) (m_i - m_r)^2
    y = weight (x - mean) / sqrt(variance + eps) + bias

which is batch normalization over {reference, sample i}, and equals the authors' mixture of means
and mean squares, but does not cancel when the mean is large. Variances are biased (divided by n).
"""

from .layers import VirtualBatchNorm1d, VirtualBatchNorm2d
from .reference_batch import ReferenceBatch

__all__ = ["ReferenceBatch", "VirtualBatchNorm1d", "VirtualBatchNorm2d"]
