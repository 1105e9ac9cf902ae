"""What several tests share: a quick recipe, one run that was really trained, a browser."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jaxtyping
import pytest
import torch
from rich.console import Console

from browser import Browser, open_browser
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import MLPSettings, OptimizerSettings, Recipe
from convergan.training.run import train

# Tests run in processes side by side, whose threads would fight over the cores.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)


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


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return open_browser(lambda: tmp_path_factory.mktemp("profile"))


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """Users have no shape checks around the functions: their errors must come from within."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
