"""Conversion of networks so that several ranks train them as one process would."""

import warnings
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from convergan.distributed import gather_rows, moments_over_ranks
from convergan.networks.cross_batch_norm import CrossBatchNorm
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.whole_batch import are_of_others, draw_rows, with_rows


def take_whole_batches(network: nn.Module) -> None:
    """Make a network's layers compute in training what they would for the batch of all ranks.

    Batch normalization takes its statistics, and minibatch discrimination its other samples, from the rows of
    all ranks; dropout draws its masks for all of them (`convergan.whole_batch`). Parameters, buffers, hooks
    and names stay as they are. From then on all ranks must make the same calls of the network.
    """
    for layer in list(network.modules()):
        if isinstance(layer, MinibatchDiscrimination):
            layer.gather = gather_rows
        elif isinstance(layer, _BatchNorm) and not isinstance(layer, nn.SyncBatchNorm):
            _extend(layer, _BatchNormOverRanks)
        elif isinstance(layer, CrossBatchNorm):
            _extend(layer, _CrossBatchNormOverRanks)
        elif isinstance(layer, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
            _extend(layer, _DropoutOfRows)


def _extend(layer: nn.Module, over_ranks: type) -> None:
    """Change the class of a layer to a subclass with `over_ranks` mixed in."""
    kind: Any = type(layer)
    if not issubclass(kind, over_ranks):
        extended: Any = type(kind.__name__, (over_ranks, kind), {})
        layer.__class__ = extended


# The classes that the classes below are mixed into.
if TYPE_CHECKING:
    _Norm = _BatchNorm
    _CrossNorm = CrossBatchNorm
    _Dropout = _DropoutNd
else:
    _Norm = _CrossNorm = _Dropout = object


class _BatchNormOverRanks(_Norm):
    """Batch normalization whose statistics in training, running ones too, are those of all ranks' rows."""

    def forward(
        self, inputs: Float[Tensor, "batch channels *positions"]
    ) -> Float[Tensor, "batch channels *positions"]:
        if not self.training:
            return super().forward(inputs)
        self._check_input_dim(inputs)
        axes = [axis for axis in range(inputs.ndim) if axis != 1]
        mean, variance, count = moments_over_ranks(inputs, axes)
        if self.track_running_stats and self.running_mean is not None:
            self._move_running(mean, variance * (count / (count - 1)))
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight.view(mean.shape)
        shift = -mean * scale
        if self.affine:
            shift = shift + self.bias.view(mean.shape)
        return torch.addcmul(shift, inputs.to(scale.dtype), scale).to(inputs.dtype)

    @torch.no_grad()
    def _move_running(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        rate = self.momentum
        if rate is None:
            # The mean of all batches, as `torch.optim.swa_utils.update_bn` wants it.
            rate = 1 / float(self.num_batches_tracked)
        for running, batch_value in ((self.running_mean, mean), (self.running_var, variance)):
            running.lerp_(batch_value.flatten().to(running.dtype), rate)


class _CrossBatchNormOverRanks(_CrossNorm):
    """`CrossBatchNorm` whose halves are those that all ranks hold together."""

    def _moments(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        axes = [axis for axis in range(rows.ndim) if axis != 1]
        mean, variance, _ = moments_over_ranks(rows, axes)
        return mean.flatten(), variance.flatten()


class _DropoutOfRows(_Dropout):
    """Dropout by the masks of a batch that all ranks hold together.

    Of inputs whose first dimension is not the batch, such as sequences of [time, batch, features], all ranks
    drop the same numbers, with a warning.
    """

    def forward(self, inputs: Float[Tensor, "batch *features"]) -> Float[Tensor, "batch *features"]:
        if not self.training:
            return inputs

        def factors(rows: int) -> Tensor:
            template = torch.ones_like(with_rows(inputs, rows))
            masks: Tensor = super(_DropoutOfRows, self).forward(template)
            return masks

        if are_of_others(inputs.shape[0]):
            warnings.warn(
                "dropout of a network of your own: expected inputs of [batch, ...], got"
                f" {list(inputs.shape)}; every process drops the same numbers of its images, so that the"
                " outcome depends on how many there are",
                stacklevel=2,
            )
        return inputs * draw_rows(factors, inputs.shape[0])
