"""The images of one step, in named groups, and where they come from."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from convergan.data.augmentation import Augmentation
from convergan.data.batches import DeviceImages, EpochOrder, epoch_order
from convergan.data.training_data import TrainingData
from convergan.distributed import rank, ranks
from convergan.networks.interface import DiscriminatorOutput
from convergan.networks.pixels import to_network
from convergan.recipes.settings import Recipe
from convergan.whole_batch import batch_of_ranks

LABELLED, UNLABELLED, STRONG, GENERATED = GROUPS = (
    "labelled",
    "unlabelled",
    "strong",
    "generated",
)
"""Names of the groups, in their order in a batch: real images first. `strong` contains strong views of the
images whose weak views are in `unlabelled`."""


class Batch:
    """Images of one step in named groups, for one forward pass of a discriminator.

    Args:
        groups: images [rows, channels, height, width] by the name of their group, one of `GROUPS`.
        labels: classes of the group `labelled`, int64 [rows].

    Raises:
        ValueError: there is no group, or a group has another name.
    """

    def __init__(
        self,
        groups: Mapping[str, Float[Tensor, "rows channels height width"]],
        labels: Int64[Tensor, "labelled"] | None = None,
    ) -> None:
        if not groups or not groups.keys() <= set(GROUPS):
            raise ValueError(f"groups must be some of {', '.join(GROUPS)}, got {list(groups)}")
        self.groups = {name: groups[name] for name in GROUPS if name in groups}
        self.labels = labels

    def __getitem__(self, name: str) -> Float[Tensor, "rows channels height width"]:
        return self.groups[name]

    @property
    def sizes(self) -> list[int]:
        """The number of images in each group, in the order of the groups."""
        return [len(images) for images in self.groups.values()]

    @property
    def running(self) -> str:
        """The group whose statistics are used to classify images: the unlabelled images, which are the most
        numerous, and neither strong views nor generated.
        """
        return UNLABELLED if UNLABELLED in self.groups else next(iter(self.groups))

    @property
    def images(self) -> Float[Tensor, "batch channels height width"]:
        """The images of all groups, one group after the other."""
        return torch.cat([*self.groups.values()])

    def with_group(self, name: str, images: Float[Tensor, "rows channels height width"]) -> "Batch":
        """A batch with one more group."""
        return Batch({**self.groups, name: images}, self.labels)

    def select(self, names: Collection[str]) -> "Batch":
        """A batch of the groups with these names, of which there is at least one."""
        groups = {name: images for name, images in self.groups.items() if name in names}
        return Batch(groups, self.labels)

    def split(self, output: DiscriminatorOutput) -> dict[str, DiscriminatorOutput]:
        """The output of a discriminator for `images` by group, logits in float32 or wider."""
        wide = torch.promote_types(output.logits.dtype, torch.float32)
        logits = output.logits.to(wide).split(self.sizes)
        features = output.features.split(self.sizes)
        parts = map(DiscriminatorOutput, logits, features)
        return dict(zip(self.groups, parts, strict=True))


def batch_sizes(recipe: Recipe) -> dict[str, int]:
    """The number of labelled, unlabelled and generated images in a step, over all processes together."""
    size = recipe.batch_size
    return {
        LABELLED: size,
        UNLABELLED: recipe.unlabelled_batch_size or size,
        GENERATED: recipe.generated_batch_size or size,
    }


class BatchSource:
    """The batches of real images that one process trains on: its share of every batch of the recipe.

    The images of a step depend only on the seed, the epoch and the step.
    """

    def __init__(
        self,
        images: DeviceImages,
        data: TrainingData,
        recipe: Recipe,
        *,
        steps: int,
        pixel_range: tuple[float, float],
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        """Args:
        images: the training images.
        data: division of the images into labelled and unlabelled ones.
        recipe: batch size, seed, generator steps and augmentation.
        steps: number of steps of an epoch.
        pixel_range: lowest and highest value of the networks' input pixels.
        memory_format: memory layout of the batches.
        """
        self._images, self._data, self._recipe, self._steps = images, data, recipe, steps
        self._pixel_range, self._memory_format = pixel_range, memory_format
        self.shares_real = recipe.objective.shared_real_batch
        """True if the labelled images of a step are also its unlabelled ones."""
        self._views = Augmentation(recipe.augmentation, flip=recipe.data.flip)
        self.sizes = {name: size // ranks() for name, size in batch_sizes(recipe).items()}
        """Images of each group in this process's share of a batch."""

    def begin_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch, counted from 0."""
        data, generator_steps = self._data, self._recipe.objective.generator_steps
        turns = self._steps * generator_steps
        self._unlabelled = self._order("unlabelled", data.unlabelled, self._steps, epoch)
        self._matched = self._order("matched", data.unlabelled, turns, epoch, sized_as=GENERATED)
        self._labelled = (
            self._order("labelled", data.labelled, self._steps, epoch)
            if len(data.labelled)
            else None
        )

    def real(self, position: int, groups: Collection[str]) -> Batch:
        """The real images of the discriminator's step at `position` of the epoch, in the given groups.

        The group `labelled` is left out if there are no labels. Views are drawn with torch's default
        generator.
        """
        images: dict[str, Tensor] = {}
        labels = None
        if UNLABELLED in groups or STRONG in groups:
            unlabelled = self._gathered(self._unlabelled[position])
            if UNLABELLED in groups:
                images[UNLABELLED] = self._viewed(self._views.weak, unlabelled)
        if LABELLED in groups and self._labelled is not None:
            indices = self._labelled[position]
            classes = self._data.labels[np.searchsorted(self._data.labelled, indices)]
            labels = torch.from_numpy(classes).to(self._images.device, non_blocking=True)
            images[LABELLED] = self._viewed(self._views.labelled, self._gathered(indices))
        if STRONG in groups:
            images[STRONG] = self._viewed(self._views.strong, unlabelled)
        return Batch(images, labels)

    def matched(self, position: int, turn: int) -> Float[Tensor, "rows channels height width"]:
        """The unlabelled images for the generator's step `turn`, which are not those of the discriminator's
        step.
        """
        turns = self._recipe.objective.generator_steps
        images = self._gathered(self._matched[position * turns + turn])
        return self._viewed(self._views.weak, images)

    def _viewed(
        self, view: Callable[[Tensor, tuple[float, float]], Tensor], images: Tensor
    ) -> Tensor:
        with batch_of_ranks([len(images)]):
            return view(images, self._pixel_range)

    def _order(
        self, stream: str, indices: np.ndarray, steps: int, epoch: int, sized_as: str | None = None
    ) -> EpochOrder:
        """The order of a stream whose batches have the size of the group `stream` or, if given,
        `sized_as`.
        """
        group = sized_as or stream
        order = epoch_order(
            indices,
            steps=steps,
            batch_size=batch_sizes(self._recipe)[group],
            seed=self._recipe.seed,
            epoch=epoch,
            stream=stream,
        )
        size = self.sizes[group]
        return order[:, rank() * size : (rank() + 1) * size]

    def _gathered(self, indices: np.ndarray) -> Float[Tensor, "rows channels height width"]:
        images = to_network(self._images.gather(indices), self._pixel_range)
        return images.contiguous(memory_format=self._memory_format)
