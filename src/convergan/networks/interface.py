"""What the training loop expects of a discriminator and of a generator."""

from collections.abc import Callable, Sequence
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
    sample_batch: int | None = None
    """Images that are made at a time in evaluation, each normalized by those beside it; None: each by
    itself."""

    def latent(
        self, count: int, device: torch.device | str, generator: torch.Generator | None = None
    ) -> Float[Tensor, "count latent"]:
        """The noise that `count` images are made from, from `generator` or torch's default one."""
        return torch.rand(count, self.latent_size, device=device, generator=generator)

    def made_of(
        self, latent: Float[Tensor, "batch latent"], make: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "images channels height width"]:
        """What `make` makes of the rows that are normalized together: of all of them, or in evaluation of
        `sample_batch` at a time.

        Raises:
            ValueError: one is left alone, which has no statistics.
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
