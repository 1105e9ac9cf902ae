"""The interface between the training loop and a discriminator and a generator."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class DiscriminatorOutput(NamedTuple):
    """Outputs of a discriminator for a batch of images."""

    logits: Float[Tensor, "batch classes"]
    """One logit for each class; the logit of "generated" is 0 and not among them."""

    features: Float[Tensor, "batch features"]
    """The activations that feature matching compares."""


class Discriminator(nn.Module):
    """Base of networks that classify images and tell real from generated ones.

    `pixel_range` is the lowest and the highest value of its input pixels. `forward` takes images
    [batch, channels, height, width] and, for minibatch discrimination, the sizes of the groups
    (labelled, unlabelled, generated) that lie in the batch one after the other.

    A discriminator with `compares_halves` judges generated images by the real ones in the batch: in training
    every pass has both, the generator's step included.
    """

    pixel_range: tuple[float, float]
    channels_last: bool = False
    """True if the channels-last memory format is faster on a CPU too."""
    compares_halves: bool = False
    group_size: int | None = None
    """Number of images of each kind in a training step: minibatch features are sums over a group, and grow
    with its size."""

    def groups_of(self, images: int) -> list[int]:
        """Sizes of the groups in which `images` images of one kind are compared: as in a step, but the last
        may be smaller.
        """
        size = max(1, min(self.group_size or images, images))
        return [size] * (images // size) + ([images % size] if images % size else [])

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        raise NotImplementedError


class Generator(nn.Module):
    """Base of networks that make images [batch, channels, height, width] in `pixel_range` from noise.

    The method `latent` draws the noise: unless a subclass says otherwise, `latent_size` numbers per image,
    uniform in [0, 1).
    """

    pixel_range: tuple[float, float]
    channels_last: bool = False
    """True if the channels-last memory format is faster on a CPU too."""
    latent_size: int
    data_dependent_initialization: bool = True
    """True if the authors initialize this generator from data whenever they do so for the discriminator."""
    sample_batch: int | None = None
    """Number of images generated together in evaluation, which are normalized by each other; None: no image
    depends on others."""

    def latent(
        self, count: int, device: torch.device | str, generator: torch.Generator | None = None
    ) -> Float[Tensor, "count latent"]:
        """Draw the noise of `count` images from `generator`, or from torch's default one."""
        return torch.rand(count, self.latent_size, device=device, generator=generator)

    def made_of(
        self, latent: Float[Tensor, "batch latent"], make: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "images channels height width"]:
        """Images that `make` generates from `latent`: from all rows together, or in evaluation from
        `sample_batch` rows at a time.

        Raises:
            ValueError: a single row is left over, which has no statistics.
        """
        if self.training or self.sample_batch is None:
            return make(latent)
        if latent.shape[0] % self.sample_batch == 1:
            raise ValueError(
                f"latent must not leave one row alone in batches of {self.sample_batch}, whose images are"
                f" normalized by each other, got {latent.shape[0]} rows"
            )
        return torch.cat([make(rows) for rows in latent.split(self.sample_batch)])

    def forward(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch channels height width"]:
        raise NotImplementedError
