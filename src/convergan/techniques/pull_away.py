"""The pulling-away term: the features of generated samples should point in different directions.

    PT = 1 / (n (n - 1)) sum_{i != j} cos^2(f_i, f_j)

of a batch of generated samples, in the generator's loss (Zhao et al., 2016, arXiv 1609.03126; beside feature
matching: Dai et al., 2017, arXiv 1705.09783). It stands in for the generator's entropy, and keeps it from
producing one sample again and again.
"""

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST_NORM = 1e-8


def pull_away_loss(features: Float[Tensor, "batch features"]) -> Float[Tensor, ""]:
    """The mean squared cosine between the features of two different generated samples.

        PT = 1 / (n (n - 1)) sum_{i != j} (f_i . f_j / (|f_i| |f_j|))^2

    1 where all features lie on one line, 0 where all are orthogonal; of more samples than features, n > d, it
    is at least (n / d - 1) / (n - 1). Norms are taken as sqrt(|f|^2 + 1e-16): a row of zeros counts as
    orthogonal to all. Computed in float32, or wider if the features are, under autocast too.

    Where the ranks of data-parallel training hold a batch together, pass the rows of all, such as
    `convergan.gather_rows(features)`.

    Args:
        features: activations of the discriminator for generated samples, at least two.

    Returns:
        A scalar in [0, 1].

    Raises:
        ValueError: there are no two rows, or they are not [batch, features].
    """
    if features.ndim != 2 or features.shape[0] < 2 or features.shape[1] == 0:
        raise ValueError(
            "features must be [batch, features] with at least two rows,"
            f" got shape {tuple(features.shape)}"
        )
    samples = features.shape[0]
    # Autocast would take the products in half precision.
    with torch.autocast(features.device.type, enabled=False):
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        norms = (wide.square().sum(dim=1, keepdim=True) + _LEAST_NORM**2).sqrt()
        directions = wide / norms
        squares = (directions @ directions.T).square()
        off_diagonal = 1 - torch.eye(samples, dtype=squares.dtype, device=squares.device)
        return (squares * off_diagonal).sum() / (samples * (samples - 1))
