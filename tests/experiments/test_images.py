"""The images of a table: found in one folder for each source, and known again by their pixels."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from convergan.errors import UserError
from convergan.experiments.images import fingerprints_of, images_of
from convergan.experiments.plan import Plan, plan_of
from convergan.experiments.reproduce import Resources, reproduce
from convergan.experiments.store import Store
from convergan.experiments.tables import TABLES
from convergan.experiments.work import job_of
from convergan.json_files import read_json, write_json
from convergan.recipes.files import recipe_to_yaml
from convergan.recipes.settings import DataSettings, Recipe
from experiments.scripted import write_results


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))


def images_in(folder: Path, seed: int) -> Path:
    """Make a folder of two classes of three images each."""
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng([seed, number]).integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels, "L").save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def planned(tiny: Recipe, tmp_path: Path) -> Callable[[Path], Plan]:
    file = tmp_path / "own.yaml"
    file.write_text(recipe_to_yaml(replace(tiny, data=DataSettings(source="folder"))))

    def make_plan(data: Path) -> Plan:
        return plan_of(
            TABLES["table1"],
            recipes=[str(file)],
            labels=[20],
            draws=1,
            members=1,
            data=data,
            threads=1,
        )

    return make_plan


def test_the_same_images_are_known_in_another_folder_and_others_are_not(
    planned: Callable[[Path], Plan], tmp_path: Path, quiet: Console
) -> None:
    folder = images_in(tmp_path / "one", seed=0)
    shutil.copytree(folder, tmp_path / "copy")
    images_in(tmp_path / "other", seed=1)

    def fingerprint(name: str) -> str | None:
        cells = planned(tmp_path / name).cells()
        return fingerprints_of(cells, quiet).get(images_of(cells[0].recipe))

    first = fingerprint("one")
    assert first is not None and fingerprint("copy") == first
    assert fingerprint("other") not in (None, first)
    # A command that needs the images says why they cannot be read.
    assert fingerprint("absent") is None


def test_a_table_of_other_images_is_not_said_to_be_done(
    planned: Callable[[Path], Plan], tmp_path: Path, quiet: Console
) -> None:
    first, second = images_in(tmp_path / "one", seed=0), images_in(tmp_path / "other", seed=1)
    store = Store(tmp_path / "out", tmp_path / "kept")
    (cell,) = planned(first).cells()
    write_results(job_of(cell, store.cell_folder(cell), store.log(cell)))
    path = store.cell_folder(cell) / "results.json"
    (fingerprint,) = fingerprints_of([cell], quiet).values()
    write_json(path, {**read_json(path), "data_fingerprint": fingerprint})
    resources = Resources(workers=1, threads=1)
    assert reproduce(planned(first), store, resources, quiet, dry_run=True).failed == {}
    assert store.outcome(cell) is not None
    with pytest.raises(
        UserError, match=r"^data\.path: expected the images that tiny, .* got others"
    ):
        reproduce(planned(second), store, resources, quiet, dry_run=True)


def test_of_several_sources_none_is_taken_for_another(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    plan = plan_of(TABLES["figures"], data=tmp_path)
    paths = {cell.recipe.data.source: cell.recipe.data.path for cell in plan.cells()}
    assert paths == {name: tmp_path / name for name in ("mnist", "cifar10", "svhn", "imagenet")}
    mixed = plan_of(TABLES["table1"], recipes=["mnist", "digits"], data=tmp_path)
    assert {cell.recipe.data.path for cell in mixed.cells()} == {tmp_path / "mnist", None}
