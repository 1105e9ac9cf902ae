"""Minibatch discrimination in a discriminator that also classifies images, one at a time."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from convergan.distributed import mean_over_ranks
from convergan.errors import UserError
from convergan.networks.interface import Discriminator
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination

_SLOWEST_RATE = 0.1
"""Lowest rate of the running mean's update: batch normalization's default momentum."""


class ComparingDiscriminator(Discriminator):
    """A discriminator that may append to a sample's features its closeness to others of the minibatch.

    In training these are the closenesses of `minibatch`. In evaluation an image's logits do not depend on
    other images: the closenesses are the running mean over real samples, as batch normalization replaces the
    batch's statistics by running ones. The mean is updated in the passes in which the groups of a batch are
    named: it weighs the first ten equally, later recent passes more. Before the first it is 0, the mean to
    which data-dependent initialization sets the closenesses.

    `running_closeness` [closenesses] and `closeness_batches`, the number of passes, are buffers; None, and
    not in `state_dict`, where there is no `minibatch`.
    """

    minibatch: MinibatchDiscrimination | None
    running_closeness: Tensor | None
    closeness_batches: Tensor | None

    def set_minibatch(self, minibatch: MinibatchDiscrimination | None) -> int:
        """Set `minibatch`; return the number of closenesses that are appended to a sample's features."""
        self.minibatch = minibatch
        closenesses = minibatch.out_features - minibatch.in_features if minibatch else 0
        self.register_buffer("running_closeness", torch.zeros(closenesses) if minibatch else None)
        batches = torch.zeros((), dtype=torch.int64) if minibatch else None
        self.register_buffer("closeness_batches", batches)
        return closenesses

    def groups_and_real(
        self, rows: int, group_sizes: Sequence[int] | None
    ) -> tuple[list[int], int | None]:
        """The groups in which `rows` samples are compared in training, and the number of samples, the first
        ones, that update the running mean; None: it stays.

        If several groups are named, the last is the generated one; a single group is real.
        """
        if not group_sizes:
            return self.groups_of(rows), None
        return list(group_sizes), sum(group_sizes[:-1]) or group_sizes[0]

    def with_closeness(
        self, features: Float[Tensor, "batch features"], group_sizes: Sequence[int] | None
    ) -> Float[Tensor, "batch activations"]:
        """The features and, where there is a `minibatch`, the closenesses."""
        if self.minibatch is None:
            return features
        assert self.running_closeness is not None and self.closeness_batches is not None
        if not self.training:
            means = self.running_closeness.to(features.dtype).expand(features.shape[0], -1)
            return torch.cat([features, means], dim=1)
        sizes, real = self.groups_and_real(features.shape[0], group_sizes)
        activations = self.minibatch(features, sizes)
        if real is not None:
            with torch.no_grad():
                closenesses = activations[:real, features.shape[1] :]
                closenesses = closenesses.to(self.running_closeness.dtype)
                if self.minibatch.gather is not None:
                    closenesses = mean_over_ranks(closenesses)
                real_mean = closenesses.mean(dim=0)
                self.closeness_batches.add_(1)
                rate = self.closeness_batches.reciprocal().clamp(min=_SLOWEST_RATE)
                self.running_closeness.lerp_(real_mean, rate)
        return activations

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        count = f"{prefix}closeness_batches"
        if self.closeness_batches is not None and count not in state_dict:
            if f"{prefix}running_closeness" not in state_dict:
                raise UserError(
                    "expected the running mean of minibatch discrimination's closenesses, got weights of"
                    " an older version, which kept none: its output for an image depends on the other"
                    " images of the batch; train again"
                )
            # Another older version kept the mean without the number of passes: it had long converged.
            state_dict[count] = torch.full_like(self.closeness_batches, round(1 / _SLOWEST_RATE))
        super()._load_from_state_dict(state_dict, prefix, *arguments)
