"""The normalization layers."""

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


class _UnderWay(threading.local):
    """The input of the layers that this thread runs: reference and batch joined, or, when `ReferenceBatch`
    keeps statistics, one of the two alone."""

    recorded: list[Statistics] | None = None
    """Statistics that each layer adds, when its input is the reference alone."""

    known: Iterator[Statistics] | None = None
    """Statistics of which each layer takes the next, when its input is the batch alone."""

    @property
    def restricted(self) -> bool:
        """True if a layer's input is the reference alone or the batch alone."""
        return self.recorded is not None or self.known is not None


under_way = _UnderWay()


@contextmanager
def given_input(
    recorded: list[Statistics] | None = None, known: Iterator[Statistics] | None = None
) -> Iterator[None]:
    """Sets the input of the layers in the block; see `_UnderWay`."""
    previous = under_way.recorded, under_way.known
    under_way.recorded, under_way.known = recorded, known
    try:
        yield
    finally:
        under_way.recorded, under_way.known = previous


class VirtualBatchNorm(nn.Module):
    """The arguments, parameters and statistics of both layers."""

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

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # As it was called in version 0.1.
        if f"{prefix}gain" in state_dict:
            state_dict[f"{prefix}weight"] = state_dict.pop(f"{prefix}gain")
        # A batch normalization's weights fit; its running statistics have no use here.
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            state_dict.pop(f"{prefix}{name}", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _known(self, rows: int, channels: int) -> tuple[Statistics | None, bool]:
        """The reference's statistics, where they are known; and whether the input is the reference alone.

        Raises:
            ValueError: there should be more, or the channels are not as many as they should be.
        """
        if channels != self.num_features:
            raise ValueError(f"joint must have {self.num_features} channels, got {channels}")
        if not torch.compiler.is_dynamo_compiling():
            if under_way.known is not None:
                return next(under_way.known), False
            if under_way.recorded is not None:
                return None, True
        if rows <= self.reference_size:
            raise ValueError(
                f"joint must have more rows than the reference's {self.reference_size}: the"
                f" reference, then at least one sample, got {rows}"
            )
        return None, False

    def _normalize_features(self, joint: Float[Tensor, "rows channels"]) -> Tensor:
        known, alone = self._known(*joint.shape)
        x = _in_single_precision(joint)
        n = self.reference_size
        parts = []
        if known is not None:
            shift, variance = x - known.mean, known.variance
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
            of_reference = (variance + self.eps / share) / share
            parts.append(
                shift * torch.rsqrt(torch.addcmul(of_reference, shift, shift, value=1 / n))
            )
        y = torch.cat(parts) if len(parts) > 1 else parts[0]
        if self.weight is not None:
            y = y * self.weight
        if self.bias is not None:
            y = y + self.bias
        return y.to(joint.dtype)

    def _normalize_maps(self, joint: Float[Tensor, "rows channels *space"]) -> Tensor:
        known, alone = self._known(*joint.shape[:2])
        n = self.reference_size
        x = _in_single_precision(joint)
        centred, means, variances = _centred(x.flatten(2) if x.ndim > 2 else x.unsqueeze(2))
        # A sample's own weight in its statistics; none for one of the reference, which is in them already.
        weight: Tensor | float
        if known is not None:
            reference, weight = known, 1 / (n + 1)
            shift = means - reference.mean
        else:
            mean = means[:n].mean(0)
            shift = means - mean
            reference = Statistics(mean, (variances[:n] + shift[:n].square()).mean(0))
            weight = 0.0
            if alone:
                _record(*reference)
            else:
                of_batch = torch.arange(joint.shape[0], device=means.device) >= n
                weight = (of_batch.to(means.dtype) / (n + 1)).view(-1, 1, 1)
        mean_shift = (1 - weight) * shift
        variance = (1 - weight) * reference.variance + weight * (variances + mean_shift * shift)
        if known is None and not alone and not self.keep_reference:
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

    The first `reference_size` rows are the reference, which `ReferenceBatch` puts there. Trains and
    evaluates alike, and keeps no running statistics. Of sequences each feature's statistics are taken over
    their length as well.

    Parameters: `weight` and `bias` [num_features], called as in `nn.BatchNorm1d`, whose `state_dict` can be
    loaded.

    Args:
        num_features: number of features.
        reference_size: n, number of reference rows, at least 2.
        eps: added to the variance, >= 0.
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
        """Normalize all rows: the reference by itself, each other by the reference and itself."""
        # What is exported has no name for the rows beside the reference; maps do without one.
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
        eps: added to the variance, >= 0.
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
        """Normalize all rows: the reference by itself, each other by the reference and itself."""
        if joint.ndim != 4:
            raise ValueError(
                f"joint must be [rows, channels, height, width], got shape {tuple(joint.shape)}"
            )
        return self._normalize_maps(joint)


def _record(mean: Tensor, variance: Tensor) -> None:
    assert under_way.recorded is not None
    under_way.recorded.append(Statistics(mean, variance))


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
    """Computes `_centred` with a backward of its own: autograd's would pass over the samples twice as often,
    and `torch.var_mean` is many times slower on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        means = x.mean(2, keepdim=True)
        centred = x - means
        norms = torch.linalg.vector_norm(centred, dim=2, keepdim=True)
        ctx.save_for_backward(centred)
        return centred, means, norms.square() / x.shape[2]

    @staticmethod
    def backward(ctx: Any, of_centred: Tensor, of_means: Tensor, of_variances: Tensor) -> Tensor:
        (centred,) = ctx.saved_tensors
        space = centred.shape[2]
        constant = of_means / space - of_centred.mean(2, keepdim=True)
        of_x = centred * (of_variances * (2 / space))
        if under_transform():
            return of_x + of_centred + constant
        return of_x.add_(of_centred).add_(constant)


def under_transform() -> bool:
    """True within a transform of `torch.func` or forward-mode differentiation, which hand-written backwards
    do not support."""
    if torch.compiler.is_compiling():
        return False
    # Neither is public; without them the plain operations are taken, which are right everywhere.
    transformed = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)()
    return transformed or getattr(forward_ad, "_current_level", 0) >= 0


def _in_single_precision(x: Tensor) -> Tensor:
    """Statistics of half precision are taken in single precision, as batch normalization does."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
