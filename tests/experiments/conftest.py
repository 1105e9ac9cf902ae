"""A recipe whose cells take a second, and a context that kills the process that trains one."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from convergan.experiments.plan import Plan, plan_of
from convergan.experiments.tables import TABLES
from convergan.recipes.files import recipe_to_yaml
from convergan.recipes.networks import MLPSettings
from convergan.recipes.settings import Recipe


@pytest.fixture(scope="session")
def tiny(quick_recipe: Recipe) -> Recipe:
    return replace(
        quick_recipe,
        name="tiny",
        epochs=6,
        networks=MLPSettings(hidden=(20,), generator_hidden=(20,), latent_size=5),
    )


@pytest.fixture
def tiny_file(tiny: Recipe, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(recipe_to_yaml(tiny))
    return path


@pytest.fixture
def plan(tiny_file: Path) -> Callable[..., Plan]:
    """Plans of Table 1 by the tiny recipe."""

    def make_plan(table: str = "table1", **settings: object) -> Plan:
        defaults = {"recipes": [str(tiny_file)], "labels": [20], "draws": 1, "members": 1}
        return plan_of(TABLES[table], **{**defaults, "threads": 1, **settings})  # type: ignore[arg-type, index]

    return make_plan


@contextmanager
def killing_the_trainer(run: Path) -> Iterator[list[int]]:
    """Kill the first process that trains in a run folder, once an epoch has ended; yield a list that then
    holds its id."""
    killed: list[int] = []
    ends = threading.Event()

    def kill() -> None:
        while not ends.is_set():
            try:
                if (run / "metrics.jsonl").read_text().count("\n") >= 1:
                    words = (run / ".lock").read_text().split()
                    os.kill(int(words[1]), signal.SIGKILL)
                    killed.append(int(words[1]))
                    return
            except (OSError, IndexError, ValueError):
                pass
            time.sleep(0.002)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        ends.set()
        thread.join()
