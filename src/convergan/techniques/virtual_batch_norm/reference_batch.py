"""The reference batch of a network's layers, joined to each batch or, in evaluation, kept as statistics."""

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from .layers import Statistics, VirtualBatchNorm, current_pass, new_pass, under_transform

_recording = threading.Lock()


class _Inputs(NamedTuple):
    """The arguments that a network is called with."""

    positional: list[Tensor]
    keywords: dict[str, Tensor]
    options: dict[str, Any]
    """Keyword arguments that are no tensors."""

    def tensors(self) -> list[Tensor]:
        return [*self.positional, *self.keywords.values()]


class _Frozen(NamedTuple):
    """The reference's statistics in every layer, with marks of the tensors that they depend on."""

    statistics: list[Statistics]
    marks: list[Any]
    numbers: Tensor


_NUMBERS_PER_TENSOR = 64
"""Number of entries of each tensor that are compared, to notice a change through `.data`."""


class ReferenceBatch(nn.Module):
    """A network with virtual batch normalization, and the reference batch that it needs.

        generator = ReferenceBatch(network, reference_noise)
        images = generator(noise)        # network(cat([reference, noise]))[n:], in one pass

    A network with several inputs gets a reference for each, by position or by keyword as it takes them;
    keyword arguments that are no tensors are passed on as they are:

        generator = ReferenceBatch(network, reference_noise, labels=reference_labels)
        images = generator(noise, labels=labels, truncation=0.7)

    The references are buffers (`reference`, then `reference_1`, ..., `reference_labels`): they move with
    the module and are in `state_dict`, so that a restored network computes the same. Gradients flow through
    the reference's pass too, as the authors do. `keep_reference=False` in the network's last normalization
    layer spares the layers after it the reference.

    In evaluation mode, when no gradient is needed, the reference's statistics are kept from one call to
    the next: only the first one after `train()` or `eval()`, or after a change of the weights, takes the
    time of the reference's pass. Kept statistics are not in `state_dict`. A change of a few weights
    through `.data` may go unnoticed; `eval()` after it puts that right.

    Args:
        network: a module that takes tensors and returns one, row for row; it holds the normalization layers,
            which run in the same order in every pass.
        reference: n inputs of the network, chosen once.
        references: n values of its second input, and so on.
        keywords: n values of each input that is passed by keyword.

    Raises:
        ValueError: a normalization layer of `network` was made for another number of reference
            rows, or one before the last leaves the reference out; references differ in their rows; in
            `forward`, when an input has other dimensions than its reference, or inputs differ in their rows,
            or the network does not return a row for each of its inputs.
        TypeError: in `forward`, when the inputs do not match the references, or the network
            does not return a tensor.
    """

    reference: Tensor

    def __init__(
        self, network: nn.Module, reference: Tensor, *references: Tensor, **keywords: Tensor
    ) -> None:
        super().__init__()
        size = reference.shape[0]
        self._keeps_reference = True
        for name, layer in network.named_modules():
            if not isinstance(layer, VirtualBatchNorm):
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
        self._positional = ["reference", *(f"reference_{k}" for k in range(1, len(references) + 1))]
        self._by_keyword = {keyword: f"reference_{keyword}" for keyword in keywords}
        for name, tensor in zip(
            [*self._positional, *self._by_keyword.values()],
            [reference, *references, *keywords.values()],
            strict=True,
        ):
            if tensor.shape[0] != size:
                raise ValueError(
                    f"{name} must have the {size} rows of the first, got {tensor.shape[0]}"
                )
            self.register_buffer(name, tensor.detach().clone())
        self._frozen: _Frozen | None = None

    def forward(
        self, batch: Shaped[Tensor, "..."], *batches: Shaped[Tensor, "..."], **keywords: Any
    ) -> Shaped[Tensor, "..."]:
        """The network's output for `batch` alone."""
        inputs = self._checked(batch, batches, keywords)
        references = _Inputs(
            [getattr(self, name) for name in self._positional],
            {keyword: getattr(self, name) for keyword, name in self._by_keyword.items()},
            inputs.options,
        )
        if self._may_keep_statistics(inputs):
            return self._with_kept_statistics(references, inputs)
        joint = _Inputs(
            [
                torch.cat(pair)
                for pair in zip(references.positional, inputs.positional, strict=True)
            ],
            {
                keyword: torch.cat([reference, inputs.keywords[keyword]])
                for keyword, reference in references.keywords.items()
            },
            inputs.options,
        )
        n, rows = self.reference.shape[0], batch.shape[0]
        if torch.compiler.is_dynamo_compiling() or not current_pass.restricted:
            output = self._run(joint)
        else:  # within the network of another ReferenceBatch
            with new_pass():
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
        return self.network(*inputs.positional, **inputs.keywords, **inputs.options)

    def _checked(
        self, batch: Tensor, batches: Sequence[Tensor], keywords: dict[str, Any]
    ) -> _Inputs:
        positional = [batch, *batches]
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
        for index, value in enumerate((*positional, *tensors.values())):
            shape = getattr(self, buffers[index]).shape[1:]
            if value.shape[1:] == shape and value.shape[0] == batch.shape[0]:
                continue
            name = ["batch", *(f"input {k}" for k in range(1, len(batches) + 1)), *tensors][index]
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

    def _may_keep_statistics(self, inputs: _Inputs) -> bool:
        """True if kept statistics give the same output as computing them again."""
        if (
            self.training
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()
            or under_transform()
            or any(module.training for module in self.network.modules())
        ):
            return False
        tensors = [*self._state(), *inputs.tensors()]
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return False
        if any(type(tensor) not in (Tensor, nn.Parameter) or tensor.is_meta for tensor in tensors):
            return False
        # Weights cannot be read while a CUDA graph is captured.
        return not (self.reference.is_cuda and torch.cuda.is_current_stream_capturing())

    def _with_kept_statistics(self, references: _Inputs, inputs: _Inputs) -> Tensor:
        with _recording:
            frozen = self._frozen
            marks, numbers = self._marks(inputs.options)
            if frozen is None or frozen.marks != marks or not torch.equal(frozen.numbers, numbers):
                recorded: list[Statistics] = []
                with new_pass(recorded=recorded):
                    self._run(references)
                self._frozen = frozen = _Frozen(recorded, marks, numbers)
        promoted = [
            value.to(torch.promote_types(value.dtype, reference.dtype))
            for reference, value in zip(references.tensors(), inputs.tensors(), strict=True)
        ]
        count = len(inputs.positional)
        by_keyword = dict(zip(inputs.keywords, promoted[count:], strict=True))
        with new_pass(statistics=iter(frozen.statistics)):
            output = self._run(_Inputs(promoted[:count], by_keyword, inputs.options))
        return self._output(output, inputs.positional[0].shape[0], 0)

    def _state(self) -> list[Tensor]:
        """The tensors that the reference's statistics depend on."""
        return [*self.parameters(), *self.buffers()]

    def _marks(self, options: dict[str, Any]) -> tuple[list[Any], Tensor]:
        """Marks that change whenever the statistics may: identity, address, version and a few entries of each
        tensor, and the other arguments of the call.
        """
        kind = self.reference.device.type
        marks: list[Any] = [
            options,
            torch.is_autocast_enabled(kind),
            torch.get_autocast_dtype(kind),
        ]
        numbers = []
        for tensor in self._state():
            version = None if tensor.is_inference() else tensor._version
            marks.append((id(tensor), tensor.data_ptr(), version))
            entries = tensor.detach()
            if entries.ndim and entries.numel():
                entries = entries.movedim(0, -1)[(0,) * (entries.ndim - 1)][:_NUMBERS_PER_TENSOR]
            numbers.append(entries.reshape(-1).to(self.reference.device, torch.float32))
        return marks, torch.cat(numbers)
