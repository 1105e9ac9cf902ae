"""torch-fidelity, which published scores come from, and weights for its Inception network."""

from typing import Any

import pytest
from torch import Tensor

from harness import torch_fidelity_reference


@pytest.fixture(scope="session")
def torch_fidelity() -> Any:
    """Imports a module of torch-fidelity by its name."""
    return torch_fidelity_reference.torch_fidelity


@pytest.fixture(scope="session")
def inception_state() -> dict[str, Tensor]:
    """Random weights in the public file's format."""
    return torch_fidelity_reference.random_state()
