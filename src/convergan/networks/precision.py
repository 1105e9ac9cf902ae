"""The precision that a network's fp32 really has."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch

_Value = TypeVar("_Value")


class _Precisions(NamedTuple):
    """What torch's switches say."""

    products: str
    convolutions: bool
    each: list[str]


_lock = threading.Lock()
_inside = 0
_before: _Precisions


@contextmanager
def without_tf32() -> Iterator[None]:
    """Convolutions and matrix products in the precision that their numbers have.

    GPUs round the fp32 numbers of convolutions to 19 bits unless told, those of matrix products, as some CPUs
    do, if told. The switches are the process's: the first to come in sets them, the last to leave sets each
    to the precision that was found.
    """
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = _exact()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set(_before)


def _exact() -> _Precisions:
    """Sets all switches; gives what they had been."""
    before = _Precisions(
        products=_older(torch.get_float32_matmul_precision, "highest"),
        convolutions=_older(lambda: torch.backends.cudnn.allow_tf32, True),
        each=[switch.fp32_precision for switch in _switches()],
    )
    # Older and newer switches have to agree: where they differ torch refuses to tell, and the compiler asks.
    _set(_Precisions("highest", False, ["ieee" for _ in before.each]))
    return before


def _older(switch: Callable[[], _Value], default: _Value) -> _Value:
    """What one of torch's older switches says; its default where only newer ones have been set."""
    try:
        return switch()
    except RuntimeError:
        return default


def _set(precisions: _Precisions) -> None:
    torch.set_float32_matmul_precision(precisions.products)
    torch.backends.cudnn.allow_tf32 = precisions.convolutions
    for switch, precision in zip(_switches(), precisions.each, strict=True):
        switch.fp32_precision = precision


def _switches() -> list[Any]:
    """The newer ones."""
    cudnn: Any = torch.backends.cudnn
    mkldnn: Any = torch.backends.mkldnn
    return [cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul, mkldnn.conv, mkldnn.matmul]
