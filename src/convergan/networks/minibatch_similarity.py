"""Minibatch discrimination in a discriminator that also classifies images, one at a time."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from convergan.errors import UserError
from convergan.networks.grouped_batch_norm import BatchGroups
from convergan.networks.interface import Discriminator
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination

_FEWEST_REFERENCES = 16
_REFERENCE_PIXELS = 2**18
"""Number of pixels in a set of references of images of which 100 would have more."""


class ComparingDiscriminator(Discriminator, BatchGroups):
    """A discriminator that may append to a sample's features its similarity to others of the minibatch.

    In training these are the similarities of `minibatch`. In evaluation an image's logits do not depend on
    other images of its batch: it is compared with reference images, the last ones of training, as if it had
    taken the place of one of the real images of a training batch (but for the noise and dropout of
    training). The references are images of the running group that `groups_of_batch` names, in training the
    unlabelled one; where halves are compared, of both halves. They are updated with every such batch, and
    their features are computed with every batch in evaluation, unless `freeze_references` has.

    `reference` [sets x images, channels, height, width], `reference_group_sizes` [sets], the number of
    images in the groups of which they were, and `reference_batches`, the number of updates, are buffers;
    None, and not in `state_dict`, where there is no `minibatch`. The sets are the real images and, where
    halves are compared, the generated ones.
    """

    most_references = 100
    """Number of images in each set, the batch size of the authors; large images have fewer."""

    minibatch: MinibatchDiscrimination | None
    reference: Tensor | None
    reference_group_sizes: Tensor | None
    reference_batches: Tensor | None
    reference_features: Tensor | None

    def set_minibatch(
        self, minibatch: MinibatchDiscrimination | None, image_shape: tuple[int, int, int]
    ) -> int:
        """Set `minibatch`; return the number of similarities that are appended to a sample's features."""
        self.minibatch = minibatch
        sets = 1 if minibatch is None or minibatch.compare == "own_group" else 2
        fitting = max(_FEWEST_REFERENCES, _REFERENCE_PIXELS // (image_shape[1] * image_shape[2]))
        self.references = min(fitting, self.most_references)
        buffers = {
            "reference": torch.zeros(sets * self.references, *image_shape),
            "reference_group_sizes": torch.ones(sets),
            "reference_batches": torch.zeros((), dtype=torch.int64),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, None if minibatch is None else buffer)
        self.register_buffer("reference_features", None, persistent=False)
        return minibatch.out_features - minibatch.in_features if minibatch else 0

    def compared_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """Compute, in evaluation, the features by which images are compared."""
        raise NotImplementedError

    def features_of_references(self) -> Float[Tensor, "references features"]:
        """Compute, in evaluation, the features of the references."""
        assert self.reference is not None
        return self.compared_features(self.reference)

    def compared_groups(self, rows: int, group_sizes: Sequence[int] | None) -> list[int]:
        """Return the sizes of the groups in which `rows` samples are compared in training."""
        return list(group_sizes) if group_sizes else self.groups_of(rows)

    def reference_sets(
        self, images: Tensor, group_sizes: Sequence[int], running: int
    ) -> list[list[Tensor]]:
        """Return the images of each set in a batch of training, in one part or several.

        Args:
            images: the batch.
            group_sizes: number of images in each of its groups.
            running: position of the running group.
        """
        return [[images.split([*group_sizes])[running]]]

    def with_similarities(
        self,
        features: Float[Tensor, "batch features"],
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None,
    ) -> Float[Tensor, "batch activations"]:
        """Return the features and, where there is a `minibatch`, the similarities."""
        if self.minibatch is None:
            return features
        assert self.reference is not None and self.reference_group_sizes is not None
        if not self.training:
            references = self.reference_features
            if references is None:
                references = self.features_of_references()
            sets = references.split(self.references)
            return self.minibatch.compare_with(features, sets, self.reference_group_sizes)
        if self.batch_groups is not None and self.batch_groups[1]:
            sizes, running = self.batch_groups
            self._update_reference(self.reference_sets(images.detach(), sizes, running[0]))
        return self.minibatch(features, self.compared_groups(len(features), group_sizes))

    def freeze_references(self) -> None:
        """Compute the features of the references for all later evaluations with the same weights.

        They are computed anew in each evaluation after weights have been loaded, or `train` was called: call
        it before weights are changed.
        """
        if self.reference is not None:
            with torch.no_grad():
                self.reference_features = self.features_of_references()

    def train(self, mode: bool = True) -> "ComparingDiscriminator":
        """Set training mode, in which `freeze_references` no longer holds, or evaluation mode."""
        if mode:
            self.reference_features = None
        return super().train(mode)

    @torch.no_grad()
    def _update_reference(self, sets: list[list[Tensor]]) -> None:
        """Let the images of a batch take the place of the oldest ones; the first batch, of all."""
        assert self.minibatch is not None and self.reference is not None
        assert self.reference_group_sizes is not None and self.reference_batches is not None
        size, gather = self.references, self.minibatch.gather
        for index, parts in enumerate(sets):
            images = torch.cat(parts if gather is None else [gather(part) for part in parts])
            if len(images) == 0:
                continue
            self.reference_group_sizes[index] = len(images)
            reference, images = self.reference[index * size :][:size], images[-size:]
            if len(images) < size:
                repeated = images.repeat(-(-size // len(images)), 1, 1, 1)[-size:]
                shifted = torch.cat([reference, images])[-size:]
                images = torch.where(self.reference_batches == 0, repeated, shifted)
            reference.copy_(images)
        self.reference_batches.add_(1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        self.reference_features = None
        if self.minibatch is not None and f"{prefix}reference" not in state_dict:
            raise UserError(
                "expected the reference images of minibatch discrimination, got weights of an older version"
                " without them, whose output for an image is wrong or depends on the rest of the batch;"
                " train again"
            )
        # Networks without kernels had an empty one.
        state_dict.pop(f"{prefix}running_closeness", None)
        super()._load_from_state_dict(state_dict, prefix, *arguments)
