"""Virtual batch normalization: each sample is normalized by a fixed reference batch and itself
(Section 3.5).

Batch normalization makes a sample's output depend on the others of its minibatch. Here it depends
on the sample and on a reference batch, chosen once at the start of training. The reference passes
through the same network in the same forward pass, because its activations change with the weights.

Per channel, with mean m_r and variance v_r of the n reference samples and mean m_i and variance v_i
of sample i (over space; a plain feature has m_i = x_i, v_i = 0):

    reference:  mean = m_r,  variance = v_r
    sample i:   w = 1 / (n + 1)
                mean     = (1 - w) m_r + w m_i
                variance = (1 - w) v_r + w v_i + w (1 - w) (m_i - m_r)^2
    y = weight (x - mean) / sqrt(variance + eps) + bias

which is batch normalization over {reference, sample i}, and equals the authors' mixture of means
and mean squares, but does not cancel when the mean is large. Variances are biased (divided by n).
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.autograd import forward_ad


class _Statistics(NamedTuple):
    """Mean and variance of the reference, per channel."""

    mean: Tensor
    variance: Tensor


class _UnderWay(threading.local):
    """The input of the layers that this thread runs: reference and batch joined, or, when `ReferenceBatch`
    keeps statistics, one of the two alone."""

    recorded: list[_Statistics] | None = None
    """Statistics that each layer adds, when its input is the reference alone."""

    known: Iterator[_Statistics] | None = None
    """Statistics of which each layer takes the next, when its input is the batch alone."""

    @property
    def restricted(self) -> bool:
        """True if a layer's input is the reference alone or the batch alone."""
        return self.recorded is not None or self.known is not None


_under_way = _UnderWay()
_recording = threading.Lock()


class _VirtualBatchNorm(nn.Module):
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

    def _known(self, rows: int, channels: int) -> tuple[_Statistics | None, bool]:
        """The reference's statistics, where they are known; and whether the input is the reference alone.

        Raises:
            ValueError: there should be more, or the channels are not as many as they should be.
        """
        if channels != self.num_features:
            raise ValueError(f"joint must have {self.num_features} channels, got {channels}")
        if not torch.compiler.is_dynamo_compiling():
            if _under_way.known is not None:
                return next(_under_way.known), False
            if _under_way.recorded is not None:
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
            reference = _Statistics(mean, (variances[:n] + shift[:n].square()).mean(0))
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
        y = y + offset if _under_transform() else y.add_(offset)
        return y.view(y.shape[0], *joint.shape[1:]).to(joint.dtype)


class VirtualBatchNorm1d(_VirtualBatchNorm):
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


class VirtualBatchNorm2d(_VirtualBatchNorm):
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
    assert _under_way.recorded is not None
    _under_way.recorded.append(_Statistics(mean, variance))


def _centred(
    x: Float[Tensor, "rows channels space"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Samples less their means, these means, and their biased variances."""
    if torch.compiler.is_exporting() or torch.jit.is_tracing() or _under_transform():
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
        if _under_transform():
            return of_x + of_centred + constant
        return of_x.add_(of_centred).add_(constant)


def _under_transform() -> bool:
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


class _Inputs(NamedTuple):
    """The arguments that a network is called with."""

    positional: list[Tensor]
    keywords: dict[str, Tensor]
    others: dict[str, Any]
    """Arguments by keyword that are no tensors."""

    def tensors(self) -> list[Tensor]:
        return [*self.positional, *self.keywords.values()]


class _Frozen(NamedTuple):
    """The reference's statistics in every layer, with marks of the tensors that they depend on."""

    statistics: list[_Statistics]
    marks: list[Any]
    numbers: Tensor


_NUMBERS_PER_TENSOR = 64
"""Entries of each tensor that are compared, to notice a change through `.data`."""


class ReferenceBatch(nn.Module):
    """A network with virtual batch normalization, and the reference batch that it needs.

        generator = ReferenceBatch(network, reference_noise)
        images = generator(noise)        # network(cat([reference, noise]))[n:], in one pass

    A network of several inputs gets a reference of each, by position or by keyword as it takes them;
    keywords that are no tensors are passed on as they are:

        generator = ReferenceBatch(network, reference_noise, labels=reference_labels)
        images = generator(noise, labels=labels, truncation=0.7)

    The references are buffers (`reference`, then `reference_1`, ..., `reference_labels`): they move with
    the module and are in `state_dict`, so that a restored network computes the same. Gradients flow through
    the reference's pass too, as the authors do. `keep_reference=False` in the network's last normalization
    layer spares the layers after it the reference.

    In evaluation mode, where no gradient is asked for, the reference's statistics are kept from one call to
    the next: only the first one after `train()` or `eval()`, or after a change of the weights, takes the
    time of the reference's pass. Statistics that are kept are in no `state_dict`. A change of a few weights
    through `.data` may go unnoticed; `eval()` after it puts that right.

    Args:
        network: takes tensors and returns one, row for row; holds the normalization layers, which run in the
            same order in every pass.
        reference: n inputs of the network, chosen once.
        others: n of its second input, and so on.
        keywords: n of each input that is passed by keyword.

    Raises:
        ValueError: a normalization layer of `network` was made for another number of reference
            rows, or one before the last leaves the reference out; references differ in their rows; in
            `forward`, when an input has other dimensions than its reference, or inputs differ in their rows,
            or the network does not return a row for each of its inputs.
        TypeError: in `forward`, when the inputs are not those that there are references of, or the network
            does not return a tensor.
    """

    reference: Tensor

    def __init__(
        self, network: nn.Module, reference: Tensor, *others: Tensor, **keywords: Tensor
    ) -> None:
        super().__init__()
        size = reference.shape[0]
        self._keeps_reference = True
        for name, layer in network.named_modules():
            if not isinstance(layer, _VirtualBatchNorm):
                continue
            if layer.reference_size != size:
                raise ValueError(
                    f"reference must have the {layer.reference_size} rows that layer {name!r} of"
                    f" the network was made for, got {size}"
                )
            if not self._keeps_reference:
                raise ValueError(
                    f"keep_reference must be True in all such layers before the last, {name!r} here"
                )
            self._keeps_reference = layer.keep_reference
        self.network = network
        self._positional = ["reference", *(f"reference_{k}" for k in range(1, len(others) + 1))]
        self._by_keyword = {keyword: f"reference_{keyword}" for keyword in keywords}
        for name, tensor in zip(
            [*self._positional, *self._by_keyword.values()],
            [reference, *others, *keywords.values()],
            strict=True,
        ):
            if tensor.shape[0] != size:
                raise ValueError(
                    f"{name} must have the {size} rows of the first, got {tensor.shape[0]}"
                )
            self.register_buffer(name, tensor.detach().clone())
        self._frozen: _Frozen | None = None

    def forward(
        self, batch: Shaped[Tensor, "..."], *others: Shaped[Tensor, "..."], **keywords: Any
    ) -> Shaped[Tensor, "..."]:
        """The network's output for `batch` alone."""
        given = self._checked(batch, others, keywords)
        references = _Inputs(
            [getattr(self, name) for name in self._positional],
            {keyword: getattr(self, name) for keyword, name in self._by_keyword.items()},
            given.others,
        )
        if self._may_keep_statistics(given):
            return self._with_kept_statistics(references, given)
        joint = _Inputs(
            [torch.cat(both) for both in zip(references.positional, given.positional, strict=True)],
            {
                keyword: torch.cat([reference, given.keywords[keyword]])
                for keyword, reference in references.keywords.items()
            },
            given.others,
        )
        n, rows = self.reference.shape[0], batch.shape[0]
        if torch.compiler.is_dynamo_compiling() or not _under_way.restricted:
            output = self._run(joint)
        else:  # within another one's network
            with _given():
                output = self._run(joint)
        return self._output(output, rows, n if self._keeps_reference else 0)

    def train(self, mode: bool = True) -> "ReferenceBatch":
        """Set the mode, as in every module, and forget the statistics that were kept in evaluation."""
        self._frozen = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        # A copy has weights of its own.
        return {**self.__dict__, "_frozen": None}

    def _run(self, inputs: _Inputs) -> Any:
        return self.network(*inputs.positional, **inputs.keywords, **inputs.others)

    def _checked(
        self, batch: Tensor, others: Sequence[Tensor], keywords: dict[str, Any]
    ) -> _Inputs:
        positional = [batch, *others]
        if len(positional) != len(self._positional):
            raise TypeError(
                f"forward must get {len(self._positional)} inputs by position, of which there are"
                f" references, got {len(positional)}"
            )
        missing = [name for name in self._by_keyword if name not in keywords]
        if missing:
            raise TypeError(f"{missing[0]} must be given: there is a reference of it")
        options = {name: value for name, value in keywords.items() if name not in self._by_keyword}
        for name, value in options.items():
            if isinstance(value, Tensor):
                raise TypeError(
                    f"{name} must be no tensor, or have a reference: {name}=... of the"
                    " reference's samples when ReferenceBatch is made"
                )
        tensors = {name: keywords[name] for name in self._by_keyword}
        buffers = [*self._positional, *self._by_keyword.values()]
        for place, value in enumerate((*positional, *tensors.values())):
            shape = getattr(self, buffers[place]).shape[1:]
            if value.shape[1:] == shape and value.shape[0] == batch.shape[0]:
                continue
            name = ["batch", *(f"input {k}" for k in range(1, len(others) + 1)), *tensors][place]
            if value.shape[1:] != shape:
                raise ValueError(
                    f"{name} must be [{', '.join(map(str, ['batch', *shape]))}] like the"
                    f" reference, got shape {tuple(value.shape)}"
                )
            raise ValueError(
                f"{name} must have the {batch.shape[0]} rows of the first input, got"
                f" {value.shape[0]}"
            )
        return _Inputs(positional, tensors, options)

    def _output(self, output: Any, rows: int, reference_rows: int) -> Tensor:
        if not isinstance(output, Tensor):
            raise TypeError(f"network must return a tensor, got {type(output).__name__}")
        if output.shape[0] != reference_rows + rows:
            inputs = "inputs" if self._keeps_reference else "samples beside the reference"
            raise ValueError(
                f"network must return a row for each of its {reference_rows + rows} {inputs}, got"
                f" {output.shape[0]}"
            )
        return output[reference_rows:]

    def _may_keep_statistics(self, given: _Inputs) -> bool:
        """True if kept statistics give the same output as computing them again."""
        if (
            self.training
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()
            or _under_transform()
            or any(module.training for module in self.network.modules())
        ):
            return False
        tensors = [*self._state(), *given.tensors()]
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return False
        if any(type(tensor) not in (Tensor, nn.Parameter) or tensor.is_meta for tensor in tensors):
            return False
        # Weights cannot be read while a CUDA graph is captured.
        return not (self.reference.is_cuda and torch.cuda.is_current_stream_capturing())

    def _with_kept_statistics(self, references: _Inputs, given: _Inputs) -> Tensor:
        with _recording:
            frozen = self._frozen
            marks, numbers = self._marks(given.others)
            if frozen is None or frozen.marks != marks or not torch.equal(frozen.numbers, numbers):
                recorded: list[_Statistics] = []
                with _given(recorded=recorded):
                    self._run(references)
                self._frozen = frozen = _Frozen(recorded, marks, numbers)
        promoted = [
            value.to(torch.promote_types(value.dtype, reference.dtype))
            for reference, value in zip(references.tensors(), given.tensors(), strict=True)
        ]
        count = len(given.positional)
        by_keyword = dict(zip(given.keywords, promoted[count:], strict=True))
        with _given(known=iter(frozen.statistics)):
            output = self._run(_Inputs(promoted[:count], by_keyword, given.others))
        return self._output(output, given.positional[0].shape[0], 0)

    def _state(self) -> list[Tensor]:
        """The tensors that the reference's statistics depend on."""
        return [*self.parameters(), *self.buffers()]

    def _marks(self, others: dict[str, Any]) -> tuple[list[Any], Tensor]:
        """Marks that change whenever the statistics may: identity, address, version and a few entries of each
        tensor, and the other arguments of the call."""
        kind = self.reference.device.type
        marks: list[Any] = [others, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)]
        numbers = []
        for tensor in self._state():
            version = None if tensor.is_inference() else tensor._version
            marks.append((id(tensor), tensor.data_ptr(), version))
            entries = tensor.detach()
            if entries.ndim and entries.numel():
                entries = entries.movedim(0, -1)[(0,) * (entries.ndim - 1)][:_NUMBERS_PER_TENSOR]
            numbers.append(entries.reshape(-1).to(self.reference.device, torch.float32))
        return marks, torch.cat(numbers)


@contextmanager
def _given(
    recorded: list[_Statistics] | None = None, known: Iterator[_Statistics] | None = None
) -> Iterator[None]:
    """Sets the input of the layers in the block; see `_UnderWay`."""
    previous = _under_way.recorded, _under_way.known
    _under_way.recorded, _under_way.known = recorded, known
    try:
        yield
    finally:
        _under_way.recorded, _under_way.known = previous
