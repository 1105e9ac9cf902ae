"""Evaluation mode of a network for the time of a call."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its modules back into its former mode afterwards.

    In training mode, into which Lightning puts all submodules, a network would drop units out and update its
    running statistics with the images that it is meant to judge.
    """
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
