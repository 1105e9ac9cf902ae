"""Networks as they are used and left: in evaluation mode for a call, then as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Puts a network into evaluation mode, and afterwards each of its parts into the mode that it was in.

    Without it a network in training mode, where Lightning puts all modules of a module, would drop units out
    and move its running statistics with the images that it is to judge.
    """
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
