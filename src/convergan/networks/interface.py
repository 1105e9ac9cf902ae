"""What the training loop expects of a discriminator and of a generator."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class DiscriminatorOutput(NamedTuple):
    """What a discriminator says of a batch of images."""

    logits: Float[Tensor, "batch classes"]
    """One logit for each class; the logit of "generated" is 0 and not among them."""

    features: Float[Tensor, "batch features"]
    """The activations that feature matching compares."""


class Discriminator(nn.Module):
    """Scores images; subclasses say how.

    `pixel_range` is the lowest and the highest value of the pixels it wants. `forward` takes images
    [batch, channels, height, width] and, for minibatch discrimination, the sizes of the groups
    (labelled, unlabelled, generated) that lie in the batch one after the other.

    One that `compares_halves` judges generated images by the real ones beside them: in training it is
    shown both in every pass, the generator's step included.
    """

    pixel_range: tuple[float, float]
    channels_last: bool = False
    """Whether maps with their channels last are quicker on a CPU too."""
    compares_halves: bool = False
    group_size: int | None = None
    """Images of a kind in a step of training: minibatch features are sums over a group, and would be larger
    in a larger one."""

    def groups_of(self, images: int) -> list[int]:
        """Sizes of the groups in which so many images of a kind are compared: as in a step, the last may be
        smaller."""
        size = max(1, min(self.group_size or images, images))
        return [size] * (images // size) + ([images % size] if images % size else [])

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        raise NotImplementedError


class Generator(nn.Module):
    """Makes images [batch, channels, height, width] in `pixel_range` from the noise that `latent` draws.

    Unless a subclass says otherwise that is uniform in [0, 1), `latent_size` numbers an image.
    """

    pixel_range: tuple[float, float]
    channels_last: bool = False
    """See `Discriminator`."""
    latent_size: int
    data_dependent_initialization: bool = True
    """Whether the authors initialize this generator from data where they so initialize the discriminator."""

    def latent(
        self, count: int, device: torch.device | str, generator: torch.Generator | None = None
    ) -> Float[Tensor, "count latent"]:
        """The noise that `count` images are made from, from `generator` or torch's default one."""
        return torch.rand(count, self.latent_size, device=device, generator=generator)

    def forward(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch channels height width"]:
        raise NotImplementedError
