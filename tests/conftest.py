"""Fixtures that several tests share, such as a quick recipe, a run that was really trained, and a browser.

`--bf16-units yes` (or `no`) runs tests as on a CPU that has units for bf16 (or none), whatever this one has.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from markupsafe import Markup
from rich.console import Console

from browser import Browser, open_browser
from convergan.data.source import open_data_set
from convergan.recipes.networks import MLPSettings
from convergan.recipes.objective import TERM_SETTINGS
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import OptimizerSettings, Recipe
from convergan.training.run import train
from convergan.training.terms.registry import TERMS

# Tests run in processes side by side, whose threads would fight over the cores.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

# The terminal of whoever runs the tests decides nothing, nor does where they run.
for variable in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "CI"):
    os.environ.pop(variable, None)
os.environ["TERM"] = "xterm-256color"

# Python runs the sitecustomize.py of this folder at the start of every process.
BF16_UNITS = Path(__file__).parent / "bf16_units"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bf16-units", choices=["yes", "no"], help="as on a CPU that has bf16 units, or has not"
    )


def pytest_configure(config: pytest.Config) -> None:
    option = config.getoption("--bf16-units")
    if option is not None:
        set_bf16_units(pytest.MonkeyPatch(), option == "yes")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that share a slow fixture to one process, as otherwise every process would set it up."""
    for item in items:
        shared = shared_by(item)
        if shared is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(shared))


def shared_by(item: pytest.Item) -> str | None:
    """Name of the session fixture that a test needs, or of its file if that has fixtures of its module."""
    assert isinstance(item, pytest.Function)
    for name in ("chromium", "inception_state"):
        if name in item.fixturenames:
            return name
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    has_module_fixture = any(definitions[-1].scope == "module" for definitions in fixtures)
    return f"{item.path.parent.name}/{item.path.stem}" if has_module_fixture else None


def set_bf16_units(monkeypatch: pytest.MonkeyPatch, units: bool) -> None:
    """Make the probe for bf16 units give this answer in this process and in those that it starts."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: units, raising=False)
    monkeypatch.setenv("CONVERGAN_TESTS_BF16_UNITS", "yes" if units else "no")
    monkeypatch.setenv("PYTHONPATH", str(BF16_UNITS), prepend=os.pathsep)


@pytest.fixture(params=[True, False], ids=["bf16 units", "no bf16 units"])
def bf16_units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Presence of bf16 units in the CPU, for tests that must pass with and without them."""
    set_bf16_units(monkeypatch, request.param)
    units: bool = request.param
    return units


@pytest.fixture(scope="session")
def quick_recipe() -> Recipe:
    """`digits` with small networks and few steps."""
    return replace(
        PRESETS["digits"],
        epochs=3,
        optimizer=OptimizerSettings(),
        networks=MLPSettings(hidden=(60, 40), generator_hidden=(40,), latent_size=20),
    )


@pytest.fixture(scope="session")
def quiet() -> Console:
    """A console that shows nothing."""
    return Console(quiet=True)


@pytest.fixture(scope="session")
def trained_run(
    tmp_path_factory: pytest.TempPathFactory, quick_recipe: Recipe, quiet: Console
) -> Path:
    """The folder of a finished run of `quick_recipe`. Tests must leave it as it is."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    train(quick_recipe, out, console=quiet)
    return out


@pytest.fixture
def empty_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty charts in reports: drawing those of a quick run takes as long as training it."""

    def figure(draw: object, **_: object) -> Markup:
        return Markup('<svg viewBox="0 0 1 1"></svg>')

    monkeypatch.setattr("convergan.page.figures.figure", figure)


@pytest.fixture
def quick_digits(quick_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset `digits` with small networks, one epoch and ten labels."""
    quick = replace(PRESETS["digits"], epochs=1, labels=10, networks=quick_recipe.networks)
    monkeypatch.setitem(PRESETS, "digits", quick)


@pytest.fixture
def registered_terms_are_forgotten() -> Iterator[None]:
    """Forget the terms that the test registers once it ends."""
    contents = [(registry, dict(registry)) for registry in (TERMS, TERM_SETTINGS)]
    yield
    for registry, entries in contents:
        registry.clear()
        registry.update(entries)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user cannot mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return open_browser(lambda: tmp_path_factory.mktemp("profile"))


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """Functions without shape checks around them, as users have: errors must come from the functions."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """Real digits, to score."""
    data = open_data_set(PRESETS["digits"].data)
    assert data.test is not None
    return np.asarray(data.test.images[:120])


@pytest.fixture(scope="session")
def arrays(tmp_path_factory: pytest.TempPathFactory, digits: np.ndarray) -> dict[str, Path]:
    """Files of digits: some, others, the first ones with permuted pixels, and one more than these."""
    folder = tmp_path_factory.mktemp("arrays")
    generator = np.random.default_rng(0)
    permuted = generator.permuted(digits[:60].reshape(60, -1), axis=1).reshape(60, 8, 8, 1)
    paths = {}
    for name, images in (
        ("some", digits[:60]),
        ("others", digits[60:]),
        ("permuted", permuted),
        ("more", digits[:61]),
    ):
        paths[name] = folder / f"{name}.npy"
        np.save(paths[name], images)
    return paths
