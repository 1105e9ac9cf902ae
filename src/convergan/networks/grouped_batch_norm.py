"""Batch normalization with separate statistics for each group of a batch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class BatchGroups(nn.Module):
    """Base of the layers and networks to which `groups_of_batch` tells the groups of a batch."""

    batch_groups: tuple[Sequence[int], Sequence[int]] | None = None
    """The sizes of the groups and the positions of the running ones; None where they are not named."""


class GroupedBatchNorm(BatchGroups):
    """Batch normalization in which each group of a batch is normalized as if it were alone.

    Groups are contiguous rows of one forward pass: labelled, unlabelled and generated images, say, or views
    of different strength. Their activations differ in mean and variance: with common statistics, each group
    would be normalized by the other groups' activations, and the running statistics, which evaluation uses,
    would describe a mixture that no image to be classified comes from.

    In training, for group g with mean m_g and variance v_g over its rows and positions

        y = (x - m_g) / sqrt(v_g + eps) * gain + bias

    with the gain and the bias, if any, of `norm`, which all groups share. Only some of the groups move the
    running statistics, one after the other, as if `norm` had been called with each of them. In evaluation,
    and where no groups are named, this is `norm`.

    Layers within a network learn the groups from `groups_of_batch`:

        network = GroupedBatchNorm.convert(network)
        with groups_of_batch(network, [64, 64], running=[0]):
            logits = network(torch.cat([real, generated]))

    `torch.nn.SyncBatchNorm.convert_sync_batchnorm` converts `norm`: each group then has the statistics of
    that group on all processes, which must have as many groups.

    Args:
        norm: the layer that normalizes: any of torch's batch normalizations, or `BatchNormWithoutGain`.

    Raises:
        ValueError: the sizes of the groups do not add up to the batch, or one of them is not positive; or a
            group that is to move the running statistics does not exist.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.norm = norm

    @classmethod
    def convert(cls, network: nn.Module) -> nn.Module:
        """Wrap every batch normalization of a network, in place, and return the network.

        The names in its `state_dict` change by a `.norm`. A network that is itself such a layer comes back
        wrapped.
        """
        if isinstance(network, _BatchNorm):
            return cls(network)
        # A layer may have several names.
        wrapped: dict[nn.Module, GroupedBatchNorm] = {}
        for module in list(network.modules()):
            if isinstance(module, cls):
                continue
            for name, layer in module._modules.items():
                if isinstance(layer, _BatchNorm):
                    setattr(module, name, wrapped.setdefault(layer, cls(layer)))
        return network

    def forward(
        self,
        inputs: Float[Tensor, "batch channels *positions"],
        group_sizes: Sequence[int] | None = None,
        running: Sequence[int] = (0,),
    ) -> Float[Tensor, "batch channels *positions"]:
        """The normalized inputs, in their shape.

        Args:
            inputs: activations of all groups.
            group_sizes: rows of each group, at least 1, in the order of the rows. None: the groups
                named by `groups_of_batch`; without them the batch is one group.
            running: positions, from 0, of the groups that move the running statistics.
        """
        if group_sizes is None and self.batch_groups is not None:
            group_sizes, running = self.batch_groups
        if group_sizes is None or not self.norm.training:
            return self.norm(inputs)
        _check(group_sizes, running, inputs.shape[0])
        outputs = []
        for position, group in enumerate(inputs.split(list(group_sizes))):
            with _running_statistics(self.norm, moved=position in running):
                outputs.append(self.norm(group))
        return torch.cat(outputs)


@contextmanager
def groups_of_batch(
    network: nn.Module, group_sizes: Sequence[int] | None, running: Sequence[int] = (0,)
) -> Iterator[None]:
    """Tell a network and its layers, such as `GroupedBatchNorm`, the groups of its batches, in the block.

    Args:
        network: any network, with or without such layers.
        group_sizes: rows of each group, in the order of the rows. None: the batch is one group.
        running: positions, from 0, of the groups that move the running statistics.
    """
    _name_groups(network, group_sizes, running)
    try:
        yield
    finally:
        _name_groups(network, None)


def _name_groups(
    network: nn.Module, group_sizes: Sequence[int] | None, running: Sequence[int] = (0,)
) -> None:
    """Set the groups of a network's batches until the next call; see `groups_of_batch`."""
    for layer in network.modules():
        if isinstance(layer, BatchGroups):
            layer.batch_groups = None if group_sizes is None else (group_sizes, running)


def _check(group_sizes: Sequence[int], running: Sequence[int], batch: int) -> None:
    if sum(group_sizes) != batch or any(size < 1 for size in group_sizes):
        raise ValueError(
            f"group_sizes must be >= 1 and add up to the batch of {batch}, got {list(group_sizes)}"
        )
    if not all(0 <= position < len(group_sizes) for position in running):
        raise ValueError(
            f"running must be positions among {len(group_sizes)} groups, from 0, got {list(running)}"
        )


@contextmanager
def _running_statistics(norm: _BatchNorm, *, moved: bool) -> Iterator[None]:
    """Keep the running statistics as they are in the block, unless `moved`."""
    tracked = norm.track_running_stats
    norm.track_running_stats = tracked and moved
    try:
        yield
    finally:
        norm.track_running_stats = tracked
