"""torch-fidelity, the reference for scores, without torchvision, which it imports.

`make test` and `make bench` install it in a folder of its own (`pip install --no-deps --target
.venv/reference`): torchmetrics imports an installed torch-fidelity, and with it torchvision, whose wheel does
not load with a torch for CPUs. The functions used here do not call torchvision.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

FOLDER = Path(sys.prefix) / "reference"


class _Placeholder:
    """Placeholder for the names that are imported from torchvision and never called here."""


def torch_fidelity(name: str) -> Any:
    """A module of torch-fidelity.

    Raises:
        ModuleNotFoundError: it is not installed; the message says how to install it.
    """
    if not (FOLDER / "torch_fidelity").is_dir():
        raise ModuleNotFoundError(
            f"pip install --no-deps --target {FOLDER} torch-fidelity==0.4.0 installs torch-fidelity"
        )
    if "torch_fidelity" not in sys.modules:
        for part in ("", ".transforms", ".transforms.functional", ".datasets"):
            _stand_in(f"torchvision{part}")
    # No longer than it takes: a package named `tests` came with it.
    sys.path.append(str(FOLDER))
    try:
        return import_module(f"torch_fidelity.{name}")
    finally:
        sys.path.remove(str(FOLDER))


def reference_network(state: Mapping[str, Tensor] | None = None) -> Any:
    """torch-fidelity's Inception network with these weights, or untrained ones; gives features and logits."""
    module = torch_fidelity("feature_extractor_inceptionv3")

    class Network(module.FeatureExtractorInceptionV3):  # type: ignore[name-defined,misc]
        # Its constructor downloads weights and loads them.
        def load_state_dict(self, _: Any, *words: Any, **options: Any) -> Any:
            return None if state is None else super().load_state_dict(state, *words, **options)

    original = module.load_state_dict_from_url
    module.load_state_dict_from_url = lambda *_, **__: None
    try:
        return Network("reference", ["2048", "logits_unbiased"])
    finally:
        module.load_state_dict_from_url = original


def random_state(seed: int = 0) -> dict[str, Tensor]:
    """Weights for every entry of the public file, such that activations stay of order 1."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = dict(reference_network().state_dict())

    def uniform(template: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(template.shape, generator=generator) * (high - low) + low

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
    state["fc.weight"] = torch.randn(state["fc.weight"].shape, generator=generator) / 20
    return state


def telling_state(
    state: Mapping[str, Tensor], features: Tensor, stdev: float, seed: int = 0
) -> dict[str, Tensor]:
    """The same weights with a last layer that tells images apart, as a trained one does.

    Features of random weights are nearly the same for all images, and so are random sums of them. These sums
    leave out what the features have in common.

    Args:
        state: weights of `random_state`.
        features: features of the images.
        stdev: standard deviation of the logits, over images and classes.
        seed: seed of the weights.
    """
    common = torch.nn.functional.normalize(features.double().mean(dim=0), dim=0)
    generator = torch.Generator().manual_seed(seed)
    shape = state["fc.weight"].shape
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    weight -= torch.outer(weight @ common, common)
    weight *= stdev / (features.double() @ weight.T).std()
    return {**state, "fc.weight": weight.float()}


def _stand_in(name: str) -> None:
    module = ModuleType(name)
    module.__path__ = []

    def placeholder(attribute: str) -> type:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _Placeholder

    module.__getattr__ = placeholder  # type: ignore[method-assign]
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
