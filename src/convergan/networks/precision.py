"""The actual precision of a network's fp32 computations."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch

_Value = TypeVar("_Value")


class _Precisions(NamedTuple):
    """States of torch's switches."""

    products: str
    convolutions: bool
    by_operation: list[str]
    """States of `_switches`."""


_lock = threading.Lock()
_users = 0
"""Number of blocks of `without_tf32` that are being executed, in all threads."""
_saved: _Precisions
"""States of the switches before the first of these blocks."""


@contextmanager
def without_tf32() -> Iterator[None]:
    """Compute convolutions and matrix products, in the block, in the precision of their inputs.

    GPUs round fp32 inputs to 19 bits, by default in convolutions, on demand in matrix products, as do some
    CPUs. The switches belong to the process: the first thread to enter sets them, the last to leave restores
    them.
    """
    global _users, _saved
    with _lock:
        if _users == 0:
            _saved = _exact()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _set(_saved)


def _exact() -> _Precisions:
    """Set all switches to full precision, and return their previous states."""
    previous = _Precisions(
        products=_older(torch.get_float32_matmul_precision, "highest"),
        convolutions=_older(lambda: torch.backends.cudnn.allow_tf32, True),
        by_operation=[switch.fp32_precision for switch in _switches()],
    )
    # Older and newer switches have to agree: where they differ torch refuses to tell, and the compiler asks.
    _set(_Precisions("highest", False, ["ieee" for _ in previous.by_operation]))
    return previous


def _older(switch: Callable[[], _Value], default: _Value) -> _Value:
    """The state of one of torch's older switches; its default if only newer ones have been set."""
    try:
        return switch()
    except RuntimeError:
        return default


def _set(precisions: _Precisions) -> None:
    torch.set_float32_matmul_precision(precisions.products)
    torch.backends.cudnn.allow_tf32 = precisions.convolutions
    for switch, precision in zip(_switches(), precisions.by_operation, strict=True):
        switch.fp32_precision = precision


def _switches() -> list[Any]:
    """Torch's newer switches, one for each kind of operation."""
    cudnn: Any = torch.backends.cudnn
    mkldnn: Any = torch.backends.mkldnn
    return [cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul, mkldnn.conv, mkldnn.matmul]
