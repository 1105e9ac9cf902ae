"""torch-fidelity, which others' numbers come from: it imports torchvision, which need not load here."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

REFERENCE = Path(sys.prefix) / "reference"
"""Where `make test` installs torch-fidelity, apart: torchmetrics would import it, and torchvision with it."""


class _Anything:
    """Stands for whatever a module takes from torchvision and never calls here."""


@pytest.fixture(scope="session")
def torch_fidelity() -> Iterator[Any]:
    """Imports a module of torch-fidelity by its name."""
    if not (REFERENCE / "torch_fidelity").is_dir():
        pytest.fail(
            f"install torch-fidelity as `make test` does: pip install --no-deps --target {REFERENCE}"
            " torch-fidelity==0.4.0"
        )
    before = set(sys.modules)
    for name in ("", ".transforms", ".transforms.functional", ".datasets"):
        sys.modules[f"torchvision{name}"] = module = _stub(f"torchvision{name}")
        parent, _, child = module.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    sys.path.append(str(REFERENCE))
    yield lambda name: import_module(f"torch_fidelity.{name}")
    sys.path.remove(str(REFERENCE))
    for name in set(sys.modules) - before:
        if name.startswith(("torchvision", "torch_fidelity")):
            del sys.modules[name]


def _stub(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = []

    def anything(attribute: str) -> type:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _Anything

    module.__getattr__ = anything  # type: ignore[method-assign]
    return module


@pytest.fixture(scope="session")
def inception_state(torch_fidelity: Any) -> dict[str, torch.Tensor]:
    """Random weights for every entry of the public file, such that activations stay of order 1."""
    module = torch_fidelity("feature_extractor_inceptionv3")
    network = reference_network(module, None)
    generator = torch.Generator().manual_seed(0)

    def uniform(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    state = network.state_dict()
    for name, value in state.items():
        if name.endswith("conv.weight"):
            fan_in = value[0].numel()
            state[name] = torch.randn(value.shape, generator=generator) * (2 / fan_in) ** 0.5
        elif name.endswith("running_var"):
            state[name] = uniform(value, 0.8, 1.2)
        elif name.endswith(("running_mean", "bn.bias")):
            state[name] = uniform(value, -0.1, 0.1)
        elif name.endswith("bn.weight"):
            state[name] = uniform(value, 1.0, 1.3)
    return state


def reference_network(module: Any, state: dict[str, torch.Tensor] | None) -> Any:
    """torch-fidelity's network with these weights, or untrained ones."""

    class Network(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, given: Any, *rest: Any, **options: Any) -> Any:
            # Its constructor downloads weights and loads them.
            return super().load_state_dict(state, *rest, **options) if state is not None else None

    original = module.load_state_dict_from_url
    module.load_state_dict_from_url = lambda *_, **__: None
    try:
        return Network("reference", ["2048", "logits_unbiased"])
    finally:
        module.load_state_dict_from_url = original
