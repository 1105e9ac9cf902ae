"""The layers of virtual batch normalization."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad


class Statistics(NamedTuple):
    """Mean and variance of the reference, per channel."""

    mean: Tensor
    variance: Tensor


class _Pass(threading.local):
    """The input of the layers that this thread runs: reference and batch joined, or, when `ReferenceBatch`
    keeps statistics, one of the two alone.
    """

    recorded: list[Statistics] | None = None
    """List to which each layer adds its statistics, when the input is the reference alone."""

    statistics: Iterator[Statistics] | None = None
    """Iterator from which each layer takes its statistics, when the input is the batch alone."""

    @property
    def restricted(self) -> bool:
        """True if a layer's input is the reference alone or the batch alone."""
        return self.recorded is not None or self.statistics is not None


current_pass = _Pass()


@contextmanager
def new_pass(
    recorded: list[Statistics] | None = None, statistics: Iterator[Statistics] | None = None
) -> Iterator[None]:
    """Set the input of the layers in the block; see `_Pass`."""
    previous = current_pass.recorded, current_pass.statistics
    current_pass.recorded, current_pass.statistics = recorded, statistics
    try:
        yield
    finally:
        current_pass.recorded, current_pass.statistics = previous


class VirtualBatchNorm(nn.Module):
    """Base of both layers: their arguments, parameters and statistics."""

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        num_features: int,
        reference_size: int,
        *,
        eps: float = 1e-5,
        gain: bool = True,
        bias: bool = True,
        keep_reference: bool = True,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be at least 1, got {num_features}")
        if reference_size < 2:
            raise ValueError(f"reference_size must be at least 2, got {reference_size}")
        if not eps >= 0:
            raise ValueError(f"eps must be >= 0, got {eps}")
        self.num_features = num_features
        self.reference_size = reference_size
        self.eps = eps
        self.keep_reference = keep_reference
        self.register_parameter("weight", nn.Parameter(torch.ones(num_features)) if gain else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(num_features)) if bias else None)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, reference_size={self.reference_size}, eps={self.eps},"
            f" gain={self.weight is not None}, bias={self.bias is not None},"
            f" keep_reference={self.keep_reference}"
        )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        # The name in version 0.1.
        if f"{prefix}gain" in state_dict:
            state_dict[f"{prefix}weight"] = state_dict.pop(f"{prefix}gain")
        # A batch normalization's weights fit; its running statistics have no use here.
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            state_dict.pop(f"{prefix}{name}", None)
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _kept_statistics(self, rows: int, channels: int) -> tuple[Statistics | None, bool]:
        """The reference's statistics, if they are kept; and whether the input is the reference alone.

        Raises:
            ValueError: there is no row beyond the reference, or the number of channels differs.
        """
        if channels != self.num_features:
            raise ValueError(f"joint must have {self.num_features} channels, got {channels}")
        if not torch.compiler.is_dynamo_compiling():
            if current_pass.statistics is not None:
                return next(current_pass.statistics), False
            if current_pass.recorded is not None:
                return None, True
        if rows <= self.reference_size:
            raise ValueError(
                f"joint must have more rows than the reference's {self.reference_size}: the"
                f" reference, then at least one sample, got {rows}"
            )
        return None, False

    def _normalize_features(self, joint: Float[Tensor, "rows channels"]) -> Tensor:
        statistics, alone = self._kept_statistics(*joint.shape)
        x = _in_single_precision(joint)
        n = self.reference_size
        parts = []
        if statistics is not None:
            shift, variance = x - statistics.mean, statistics.variance
        else:
            mean = x[:n].mean(0)
            shift = x - mean
            reference, shift = shift.split([n, shift.shape[0] - n])
            variance = reference.square().mean(0)
            if self.keep_reference or alone:
                parts.append(reference * torch.rsqrt(variance + self.eps))
            if alone:
                _record(mean, variance)
        if not alone:
            # With v_i = 0 a sample's y = (1 - w) shift / sqrt((1 - w) v_r + w (1 - w) shift^2 + eps);
            # here (1 - w) is taken out of the fraction.
            share = n / (n + 1)
            reference_term = (variance + self.eps / share) / share
            parts.append(
                shift * torch.rsqrt(torch.addcmul(reference_term, shift, shift, value=1 / n))
            )
        y = torch.cat(parts) if len(parts) > 1 else parts[0]
        if self.weight is not None:
            y = y * self.weight
        if self.bias is not None:
            y = y + self.bias
        return y.to(joint.dtype)

    def _normalize_maps(self, joint: Float[Tensor, "rows channels *space"]) -> Tensor:
        statistics, alone = self._kept_statistics(*joint.shape[:2])
        n = self.reference_size
        x = _in_single_precision(joint)
        centred, means, variances = _centred(x.flatten(2) if x.ndim > 2 else x.unsqueeze(2))
        # The weight of a sample in its statistics; 0 for a reference row, which is in them already.
        weight: Tensor | float
        if statistics is not None:
            reference, weight = statistics, 1 / (n + 1)
            shift = means - reference.mean
        else:
            mean = means[:n].mean(0)
            shift = means - mean
            reference = Statistics(mean, (variances[:n] + shift[:n].square()).mean(0))
            weight = 0.0
            if alone:
                _record(*reference)
            else:
                is_sample = torch.arange(joint.shape[0], device=means.device) >= n
                weight = (is_sample.to(means.dtype) / (n + 1)).view(-1, 1, 1)
        mean_shift = (1 - weight) * shift
        variance = (1 - weight) * reference.variance + weight * (variances + mean_shift * shift)
        if statistics is None and not alone and not self.keep_reference:
            centred, mean_shift, variance = centred[n:], mean_shift[n:], variance[n:]
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight.unsqueeze(1)
        offset = mean_shift * scale
        if self.bias is not None:
            offset = offset + self.bias.unsqueeze(1)
        y = centred * scale
        # In place, where nothing forbids it, it is one pass less over memory that is not in the caches yet.
        y = y + offset if under_transform() else y.add_(offset)
        return y.view(y.shape[0], *joint.shape[1:]).to(joint.dtype)


class VirtualBatchNorm1d(VirtualBatchNorm):
    """Virtual batch normalization of features [reference + batch, num_features], or of sequences
    [reference + batch, num_features, length].

    The first `reference_size` rows are the reference, which `ReferenceBatch` puts there. The
    layer does the same in training and in evaluation, and keeps no running statistics. The statistics of
    sequences are taken over their length as well.

    Parameters: `weight` and `bias` [num_features], called as in `nn.BatchNorm1d`, whose `state_dict` can be
    loaded.

    Args:
        num_features: number of features.
        reference_size: n, number of reference rows, at least 2.
        eps: number added to the variance, >= 0.
        gain: learn a gain per feature, `weight`, initialized 1.
        bias: learn a bias per feature, initialized 0.
        keep_reference: return the reference's rows too. False in a network's last such layer: the layers
            after it then do no work for the reference.

    Raises:
        ValueError: an argument is out of its range; in `forward`, when there is no row beyond the
            reference, or the number of features differs.
    """

    def forward(
        self, joint: Float[Tensor, "reference_and_batch num_features *length"]
    ) -> Float[Tensor, "rows num_features *length"]:
        """Normalize all rows: the reference by itself, each other row by the reference and itself."""
        # An exported graph has no name for the rows beside the reference; maps need none.
        if joint.ndim == 3 or (joint.ndim == 2 and torch.compiler.is_exporting()):
            return self._normalize_maps(joint)
        if joint.ndim == 2:
            return self._normalize_features(joint)
        raise ValueError(
            "joint must be [rows, features] or [rows, features, length], got shape"
            f" {tuple(joint.shape)}"
        )


class VirtualBatchNorm2d(VirtualBatchNorm):
    """Virtual batch normalization of images [reference + batch, num_features, height, width].

    As `VirtualBatchNorm1d`, with each channel's statistics taken over space as well.

    Parameters: `weight` and `bias` [num_features], called as in `nn.BatchNorm2d`, whose `state_dict` can be
    loaded.

    Args:
        num_features: number of channels.
        reference_size: n, number of reference rows, at least 2.
        eps: number added to the variance, >= 0.
        gain: learn a gain per channel, `weight`, initialized 1.
        bias: learn a bias per channel, initialized 0.
        keep_reference: return the reference's rows too. False in a network's last such layer: the layers
            after it then do no work for the reference.

    Raises:
        ValueError: an argument is out of its range; in `forward`, when there is no row beyond the
            reference, or the number of features differs.
    """

    def forward(
        self, joint: Float[Tensor, "reference_and_batch num_features height width"]
    ) -> Float[Tensor, "rows num_features height width"]:
        """Normalize all rows: the reference by itself, each other row by the reference and itself."""
        if joint.ndim != 4:
            raise ValueError(
                f"joint must be [rows, channels, height, width], got shape {tuple(joint.shape)}"
            )
        return self._normalize_maps(joint)


def _record(mean: Tensor, variance: Tensor) -> None:
    assert current_pass.recorded is not None
    current_pass.recorded.append(Statistics(mean, variance))


def _centred(
    x: Float[Tensor, "rows channels space"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Samples less their means, these means, and their biased variances."""
    if torch.compiler.is_exporting() or torch.jit.is_tracing() or under_transform():
        means = x.mean(2, keepdim=True)
        centred = x - means
        return centred, means, centred.square().mean(2, keepdim=True)
    return _Centred.apply(x)


class _Centred(torch.autograd.Function):
    """Compute `_centred` with a hand-written backward: autograd's would pass over the samples twice as often,
    and `torch.var_mean` is many times slower on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        means = x.mean(2, keepdim=True)
        centred = x - means
        norms = torch.linalg.vector_norm(centred, dim=2, keepdim=True)
        ctx.save_for_backward(centred)
        return centred, means, norms.square() / x.shape[2]

    @staticmethod
    def backward(
        ctx: Any, grad_centred: Tensor, grad_means: Tensor, grad_variances: Tensor
    ) -> Tensor:
        (centred,) = ctx.saved_tensors
        space = centred.shape[2]
        constant = grad_means / space - grad_centred.mean(2, keepdim=True)
        grad_x = centred * (grad_variances * (2 / space))
        if under_transform():
            return grad_x + grad_centred + constant
        return grad_x.add_(grad_centred).add_(constant)


def under_transform() -> bool:
    """True within a transform of `torch.func` or forward-mode differentiation, which hand-written backwards
    do not support.
    """
    if torch.compiler.is_compiling():
        return False
    # Neither is public; without them the plain operations run, which work everywhere.
    transformed = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)()
    return transformed or getattr(forward_ad, "_current_level", 0) >= 0


def _in_single_precision(x: Tensor) -> Tensor:
    """Convert half precision to single, in which statistics are taken, as in batch normalization."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
