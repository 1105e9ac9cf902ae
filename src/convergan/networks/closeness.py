"""Minibatch discrimination in a discriminator that also classifies images, one at a time."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from convergan.errors import UserError
from convergan.networks.interface import Discriminator
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination


class ComparingDiscriminator(Discriminator):
    """A discriminator that may append to a sample's features its closeness to others of the minibatch.

    In training these are the closenesses of `minibatch`. In evaluation an image's logits do not depend on
    other images of its batch: it is compared with reference images, the last ones of training, as if it had
    taken the place of one of the real images of a training batch. A constant in place of the closenesses
    would not do: the logits rest on them as much as on the features. The references are updated in the
    passes in which the groups of a batch are named. Their features are computed with every batch in
    evaluation.

    `reference` [sets, images, channels, height, width], the images of each set, `reference_group_sizes`
    [sets], the number of images in their groups, and `reference_batches`, the number of passes, are buffers;
    None, and not in `state_dict`, where there is no `minibatch`. The sets are the real images and,
    where halves are compared, the generated ones.
    """

    reference_size = 100
    """Number of images in each set, the batch size of the authors."""

    minibatch: MinibatchDiscrimination | None
    reference: Tensor | None
    reference_group_sizes: Tensor | None
    reference_batches: Tensor | None

    def set_minibatch(
        self, minibatch: MinibatchDiscrimination | None, image_shape: tuple[int, int, int]
    ) -> int:
        """Set `minibatch`; return the number of closenesses that are appended to a sample's features."""
        self.minibatch = minibatch
        sets = 1 if minibatch is None or minibatch.compare == "own_group" else 2
        buffers = {
            "reference": torch.zeros(sets, self.reference_size, *image_shape),
            "reference_group_sizes": torch.ones(sets),
            "reference_batches": torch.zeros((), dtype=torch.int64),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, None if minibatch is None else buffer)
        return minibatch.out_features - minibatch.in_features if minibatch else 0

    def compared_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """Compute, in evaluation, the features by which images are compared."""
        raise NotImplementedError

    def compared_groups(self, rows: int, group_sizes: Sequence[int] | None) -> list[int]:
        """Return the sizes of the groups in which `rows` samples are compared in training."""
        return list(group_sizes) if group_sizes else self.groups_of(rows)

    def reference_sets(self, images: Tensor, group_sizes: Sequence[int]) -> list[Tensor]:
        """Return the images of each set in a batch of training whose groups are named.

        If several groups are named, the last is the generated one, and those before it are real; a single
        group is real. The set is the last real group that has images, in a recipe the unlabelled one.
        """
        real = [*group_sizes[:-1]] or [*group_sizes]
        return [[group for group in images.split([*group_sizes])[: len(real)] if len(group)][-1]]

    def with_closeness(
        self,
        features: Float[Tensor, "batch features"],
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None,
    ) -> Float[Tensor, "batch activations"]:
        """Return the features and, where there is a `minibatch`, the closenesses."""
        if self.minibatch is None:
            return features
        assert self.reference is not None and self.reference_group_sizes is not None
        if not self.training:
            references = self.compared_features(self.reference.flatten(0, 1))
            return self.minibatch.compare_with(
                features, references.chunk(len(self.reference)), self.reference_group_sizes
            )
        if group_sizes:
            self._update_reference(self.reference_sets(images.detach(), group_sizes))
        return self.minibatch(features, self.compared_groups(len(features), group_sizes))

    @torch.no_grad()
    def _update_reference(self, sets: list[Tensor]) -> None:
        """Let the images of a batch take the place of the oldest ones; the first batch, of all."""
        assert self.minibatch is not None and self.reference is not None
        assert self.reference_group_sizes is not None and self.reference_batches is not None
        for place, own_images in enumerate(sets):
            images = (
                own_images if self.minibatch.gather is None else self.minibatch.gather(own_images)
            )
            self.reference_group_sizes[place] = len(images)
            images, size = images[-self.reference_size :], self.reference_size
            if len(images) < size:
                repeated = images.repeat(-(-size // len(images)), 1, 1, 1)[-size:]
                shifted = torch.cat([self.reference[place], images])[-size:]
                images = torch.where(self.reference_batches == 0, repeated, shifted)
            self.reference[place].copy_(images)
        self.reference_batches.add_(1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        if self.minibatch is not None and f"{prefix}reference" not in state_dict:
            raise UserError(
                "expected the reference images of minibatch discrimination, got weights of an older version"
                " without them, whose output for an image is wrong or depends on the rest of the batch;"
                " train again"
            )
        # Networks without kernels had an empty one.
        state_dict.pop(f"{prefix}running_closeness", None)
        super()._load_from_state_dict(state_dict, prefix, *arguments)
