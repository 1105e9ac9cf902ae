"""Each technique can be copied into somebody else's code, as one file or one folder."""

import ast
import importlib
import shutil
import sys
from pathlib import Path

import pytest
import torch

import convergan.techniques

FOLDER = Path(convergan.techniques.__file__).parent
TECHNIQUES = sorted(path for path in FOLDER.iterdir() if not path.name.startswith("__"))


def test_all_are_here():
    assert len(TECHNIQUES) == 12


@pytest.mark.parametrize("technique", TECHNIQUES, ids=lambda path: path.stem)
def test_it_needs_nothing_but_torch_and_jaxtyping(technique):
    for path in [technique] if technique.is_file() else technique.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                packages = {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                # Relative only within a technique's own folder.
                assert node.level == 0 or (node.level == 1 and technique.is_dir())
                packages = {(node.module or "").split(".")[0]} if node.level == 0 else set()
            else:
                continue
            assert packages <= {"torch", "jaxtyping"} | sys.stdlib_module_names, path


@pytest.fixture
def copied(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "somebody"
    package.mkdir()

    def copy(technique):
        copying = shutil.copytree if technique.is_dir() else shutil.copy
        copying(technique, package / technique.name)
        return importlib.import_module(f"somebody.{technique.stem}")

    yield copy
    for name in [name for name in sys.modules if name.split(".")[0] == "somebody"]:
        del sys.modules[name]


def test_copies_compute_the_same(copied):
    torch.manual_seed(0)
    copies = {technique.stem: copied(technique) for technique in TECHNIQUES}
    features = torch.randn(9, 6)
    for name in ("MinibatchDiscrimination", "VirtualBatchNorm1d"):
        layer = getattr(convergan, name)(6, 5)
        module = copies[type(layer).__module__.split(".")[2]]
        clone = getattr(module, name)(6, 5)
        assert type(clone).__module__.startswith("somebody.") and type(clone) is not type(layer)
        clone.load_state_dict(layer.state_dict())
        assert torch.equal(clone(features), layer(features))
