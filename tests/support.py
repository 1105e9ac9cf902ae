"""What several tests call."""

from typing import Any

import torch
from torch import Tensor


def equal_states(first: Any, second: Any) -> bool:
    """Whether two nested states hold the same values, tensors bit for bit."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            equal_states(first[key], second[key]) for key in first
        )
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(equal_states, first, second))
    return bool(first == second)
