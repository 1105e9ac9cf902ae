"""Feature matching: the generator matches the mean features of real samples (Section 3.1, Eq. 1).

    || E_{x ~ data} f(x)  -  E_{z ~ noise} f(G(z)) ||^2

f(x) are the activations of an intermediate layer of the discriminator. The loss compares *batch
means*, never pairs of samples.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


def feature_matching_loss(
    real_features: Float[Tensor, "real_batch features"],
    generated_features: Float[Tensor, "generated_batch features"],
    *,
    distance: Literal["squared", "absolute"] = "squared",
    reduction: Literal["sum", "mean"] = "sum",
) -> Float[Tensor, ""]:
    """The distance between the batch means of real and generated features: the generator's loss.

        d = mean_i real_features[i] - mean_j generated_features[j]
        squared:  sum_k d_k^2        absolute:  sum_k |d_k|

    The defaults are Eq. 1. The authors' code takes the *mean* over the features k instead: of
    squares for MNIST, of absolute values for CIFAR-10 and SVHN. The scale matters with Adam: it
    meets the optimizer's epsilon.

    Means and distances are taken in float32, or wider if the features are, whatever precision the
    features come in and under autocast too: the means of a batch differ in digits that half
    precision does not have.

    Where the ranks of data-parallel training hold a batch together, Eq. 1 compares the means over
    all of them: pass those, [1, features], such as `convergan.mean_over_ranks(features)`.

    Gradients flow into both arguments. In the generator's step detach `real_features`, or compute
    them under `torch.no_grad()`, if the discriminator must not be differentiated through them.

    Args:
        real_features: features of real samples, any range.
        generated_features: features of generated samples; their number may differ.
        distance: "squared" or "absolute".
        reduction: "sum" or "mean" over the features.

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: a batch is empty or not [batch, features], the numbers of features differ, or
            `distance` or `reduction` is neither of its values.
    """
    for name, features in (
        ("real_features", real_features),
        ("generated_features", generated_features),
    ):
        if features.ndim != 2 or features.shape[0] == 0:
            raise ValueError(
                f"{name} must be [batch, features] with at least one row,"
                f" got shape {tuple(features.shape)}"
            )
    if real_features.shape[1] != generated_features.shape[1]:
        raise ValueError(
            "generated_features must have as many features as real_features,"
            f" {real_features.shape[1]}, got {generated_features.shape[1]}"
        )
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction must be 'sum' or 'mean', got {reduction!r}")

    dtype = torch.promote_types(
        torch.promote_types(real_features.dtype, generated_features.dtype), torch.float32
    )
    difference = real_features.mean(0, dtype=dtype) - generated_features.mean(0, dtype=dtype)
    if distance == "squared":
        per_feature = torch.square(difference)
    elif distance == "absolute":
        per_feature = torch.abs(difference)
    else:
        raise ValueError(f"distance must be 'squared' or 'absolute', got {distance!r}")
    return per_feature.sum() if reduction == "sum" else per_feature.mean()
