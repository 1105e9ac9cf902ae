"""Conditional entropy: a classifier should be sure of the class of each unlabelled image.

    E_u H(p(y | u)) = -E_u sum_k p(k | u) log p(k | u)

With few labels it keeps the border between classes away from the data (Grandvalet & Bengio, 2004; in a
discriminator: Springenberg, 2015, arXiv 1511.06390; Dai et al., 2017, arXiv 1705.09783). On its own it is
lowest where all images get one class.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def conditional_entropy(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, ""]:
    """The mean entropy of the classes of each image: a loss that makes predictions confident.

        H = -1/n sum_i sum_k p_ik log p_ik,   p_i = softmax(logits_i)

    over the K classes; a logit of "generated" is not among them. 0 where every prediction is certain, log K
    where all classes are equally probable. Finite, with finite gradients, for logits of any finite size;
    computed in float32, or wider if the logits are.

    Args:
        logits: logits of the K classes for each unlabelled image, at least one.

    Returns:
        A scalar in [0, log K], in nats.

    Raises:
        ValueError: the batch is empty or not [batch, classes].
    """
    if logits.ndim != 2 or logits.numel() == 0:
        raise ValueError(
            f"logits must be [batch, classes], neither of them 0, got shape {tuple(logits.shape)}"
        )
    logs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=1)
    return -(logs.exp() * logs).sum(dim=1).mean()
