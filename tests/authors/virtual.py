"""Virtual batch normalization as the authors' TensorFlow code computes it."""

import torch
from torch import Tensor


def virtually_normed(
    x: Tensor, reference: Tensor, gain: Tensor, shift: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """The batch and the reference, [samples, channels, ...], normalized.

    The reference by its own statistics; a sample by a mean and a mean square of which 1 / (n + 1) is its own
    and the rest that of the n samples of the reference.
    """
    space = tuple(range(2, x.ndim))
    mean = torch.mean(reference, dim=(0, *space), keepdim=True)
    mean_square = torch.mean(reference**2, dim=(0, *space), keepdim=True)
    own = 1 / (len(reference) + 1)
    own_mean = torch.mean(x, dim=space, keepdim=True) if space else x
    own_square = torch.mean(x**2, dim=space, keepdim=True) if space else x**2
    batch_statistics = own * own_mean + (1 - own) * mean, own * own_square + (1 - own) * mean_square
    shape = [1, -1] + [1] * len(space)

    def normalized(values: Tensor, mean: Tensor, mean_square: Tensor) -> Tensor:
        deviation = torch.sqrt(epsilon + mean_square - mean**2)
        return (values - mean) / deviation * gain.reshape(shape) + shift.reshape(shape)

    return normalized(x, *batch_statistics), normalized(reference, mean, mean_square)
