"""Weights of classes in the cross-entropy of labels that are unbalanced."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def balanced_class_weights(counts: Int64[Tensor, "classes"]) -> Float[Tensor, "classes"]:
    """Weights with which every class has the same share of a loss (King & Zeng, 2001).

        w_k = n / (K n_k),   n = sum_k n_k

    K is the number of classes that have labels. The mean weight of the n labelled samples is 1. In a loss
    they multiply each sample's own: `(w[labels] * cross_entropy(logits, labels, reduction="none")).mean()`;
    `cross_entropy(weight=w)` divides by the weights in the batch instead.

    Args:
        counts: n_k, the number of labelled samples of each class; a class without any gets weight 0.

    Returns:
        w, float32.

    Raises:
        ValueError: there are no counts, one is negative or all are 0.
    """
    if counts.ndim != 1 or counts.numel() == 0 or not (counts >= 0).all() or not counts.any():
        raise ValueError(
            f"counts must be [classes], of numbers >= 0 that are not all 0, got {counts.tolist()}"
        )
    wide = counts.double()
    weights = counts.sum() / ((counts > 0).sum() * wide)
    return torch.where(counts > 0, weights, 0.0).float()
