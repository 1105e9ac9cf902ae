"""The precision that a network's fp32 really has."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_tf32() -> Iterator[None]:
    """Convolutions in the precision that their numbers have: GPUs round fp32 to 19 bits unless told."""
    # Up to torch 2.8 there was one switch for all that cuDNN does.
    convolution = getattr(torch.backends.cudnn, "conv", None)
    place, name, exact = (
        (torch.backends.cudnn, "allow_tf32", False)
        if convolution is None
        else (convolution, "fp32_precision", "ieee")
    )
    before = getattr(place, name)
    setattr(place, name, exact)
    try:
        yield
    finally:
        setattr(place, name, before)
