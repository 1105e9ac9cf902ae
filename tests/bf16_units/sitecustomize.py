"""Start of Python in test processes whose CPU is to have bf16 units, or none; see conftest.py.

This does not import torch: the probe is replaced once something else imports it.
"""

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

MODULE, PROBE = "torch.cpu", "_is_amx_tile_supported"


def answer(module: Any, units: bool) -> None:
    setattr(module, PROBE, lambda: units)


class ProbeReplaced(MetaPathFinder):
    """Finds `torch.cpu` where it is, and replaces its probe once it is loaded."""

    def __init__(self, units: bool) -> None:
        self._units = units

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != MODULE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load, units = spec.loader.exec_module, self._units

            def loaded(module: ModuleType) -> None:
                load(module)
                answer(module, units)

            spec.loader.exec_module = loaded  # type: ignore[method-assign]
        return spec


if "CONVERGAN_TESTS_BF16_UNITS" in os.environ:
    sys.meta_path.insert(0, ProbeReplaced(os.environ["CONVERGAN_TESTS_BF16_UNITS"] == "yes"))
