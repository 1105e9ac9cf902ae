"""Damaged small files of a run: read as they were meant, or refused in one line."""

import json
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from safetensors.torch import load_file, save_file

from convergan.errors import UserError
from convergan.json_files import read_json, write_json
from convergan.runs.folder import RunFolder
from convergan.runs.model import load_classifier, load_generator
from convergan.training.progress import print_verdict
from convergan.training.verdict import verdict_sentence
from support import damaged


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> RunFolder:
    """A copy of a finished run, to be damaged."""
    shutil.copytree(trained_run, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def error_line(task: Callable[[], object]) -> str | None:
    """The one line of error that a task ends with, None if it succeeds."""
    try:
        task()
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 800
        return str(error)
    return None


def show_results(run: RunFolder) -> None:
    results = run.read_results()
    assert results is not None
    print_verdict(Console(quiet=True), results, verdict_sentence(results), "report.html")


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("results.json", show_results),
        ("manifest.json", RunFolder.read_manifest),
        ("model/config.json", lambda run: load_classifier(run.path)),
        ("model/config.json", lambda run: load_generator(run.path)),
        ("model/classifier.safetensors", lambda run: load_classifier(run.path)),
        ("model/generator.safetensors", lambda run: load_generator(run.path)),
    ],
)
def test_any_damage_is_one_line(
    run: RunFolder, name: str, task: Callable[[RunFolder], object]
) -> None:
    path, chance, refused = run.path / name, random.Random(name), 0
    intact = path.read_bytes()
    assert error_line(lambda: task(run)) is None
    for _ in range(150):
        path.write_bytes(damaged(intact, chance))
        message = error_line(lambda: task(run))
        assert message is None or message.startswith(str(run.path))
        refused += message is not None
    assert refused > 75


def test_settings_that_ask_for_more_than_memory_allocate_nothing(run: RunFolder) -> None:
    config = run.model / "config.json"
    values = json.loads(config.read_text())
    values["networks"]["hidden"] = [2**16, 2**16]
    write_json(config, values)
    classifier = run.model / "classifier.safetensors"
    # As convergan 0.1.0 wrote it: no SHA-256 of the settings tells of the change.
    save_file(load_file(classifier), classifier)
    message = error_line(lambda: load_classifier(run.path))
    assert message is not None
    assert (
        "classifier.safetensors: expected the weights of this run's network, got those of"
        in message
    )


def test_a_changed_letter_of_a_class_is_noticed(run: RunFolder) -> None:
    config = run.model / "config.json"
    text = config.read_text(encoding="utf-8")
    assert '"7"' in text
    config.write_text(text.replace('"7"', '"1"'), encoding="utf-8")
    for load, name in ((load_classifier, "classifier"), (load_generator, "generator")):
        message = error_line(partial(load, run.path))
        assert message == (
            f"{config}: expected the settings saved with {name}.safetensors, got changed ones"
        )


@pytest.mark.parametrize("kind", ["recipe", "data set"])
def test_weights_of_another_run_are_noticed(run: RunFolder, kind: str) -> None:
    manifest = read_json(run.manifest)
    if kind == "recipe":
        manifest["recipe_sha256"] = "0" * 64
    else:
        manifest["data"]["fingerprint"] = "0" * 64
    write_json(run.manifest, manifest)
    message = error_line(lambda: load_generator(run.path))
    assert message == (
        f"{run.model / 'generator.safetensors'}: expected weights of this run, got those of another {kind}"
    )
    # A manifest that is damaged or absent is no evidence against them.
    run.manifest.write_text("{")
    assert error_line(lambda: load_generator(run.path)) is None
    run.manifest.unlink()
    assert error_line(lambda: load_generator(run.path)) is None
