"""manifest.json: its keys in their order, what is read from it, and what a process that resumes changes."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.json_files import json_text, json_values, read_json, write_json
from convergan.runs.manifest import Manifest, SkippedFile, note_resumed, read_manifest
from support import manifest_of, process_of

FIXTURES = Path(__file__).parents[1] / "fixtures" / "0.1.0"

KEYS = [
    "started", "command", "accelerator", "device", "processes", "precision", "precision_of_terms",
    "versions", "git_commit", "recipe_sha256", "seed", "split_seed", "epoch_order", "data", "labelled",
    "labelled_of_class", "validation", "held_out", "folds_held_out", "unlabelled_size", "folds",
    "trainings", "steps", "step_seconds", "notes", "resumed",
]  # fmt: skip
"""Keys that users' programs find in the file, in this order."""

DATA_KEYS = [
    "source", "fingerprint", "classes", "image_shape", "train_size", "test_size", "skipped",
]  # fmt: skip


def test_a_run_has_these_keys_in_this_order(trained_run: Path) -> None:
    values = read_json(trained_run / "manifest.json")
    assert list(values) == [field.name for field in fields(Manifest)] == KEYS
    assert list(values["data"]) == DATA_KEYS
    # Nothing is left to a default, which is for manifests of earlier versions.
    assert not [key for key in KEYS if values[key] is None and key != "git_commit"]
    text = (trained_run / "manifest.json").read_text()
    assert text == json_text(read_manifest(trained_run / "manifest.json"))
    assert '"image_shape": [8,8,1],\n' in text and '  "labelled": [' in text


@pytest.mark.parametrize("run", ["digits", "folder", "imagenet", "minibatch"])
@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_a_manifest_of_an_earlier_version_is_read(run: str, state: str) -> None:
    path = FIXTURES / run / state / "manifest.json"
    manifest, values = read_manifest(path), read_json(path)
    assert {key: json_values(getattr(manifest, key)) for key in values} == values
    missing = [key for key in KEYS if key not in values]
    assert missing and all(getattr(manifest, key) in (None, []) for key in missing)


def test_a_process_that_resumes_changes_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    values = {**json_values(manifest_of(None)), "cluster": {"node": 3}}
    write_json(path, values)
    assert read_manifest(path) == manifest_of(None)
    note_resumed(path, process_of(), "a" * 64)
    assert read_json(path) == {
        **values, "recipe_sha256": "a" * 64, "resumed": [json_values(process_of())]
    }  # fmt: skip
    assert read_manifest(path) == manifest_of("a" * 64, resumed=[process_of()])


@pytest.mark.parametrize("key", ["accelerator", "seed", "labelled", "data", "resumed"])
def test_a_missing_value_is_refused_by_name(key: str, tmp_path: Path) -> None:
    path, values = tmp_path / "manifest.json", json_values(manifest_of())
    del values[key]
    write_json(path, values)
    with pytest.raises(
        UserError, match=rf"^{path}: expected the manifest of a run, .* \({key}: Field required\)$"
    ):
        read_manifest(path)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"processes": "1"}, "processes"),
        ({"processes": 0}, "processes"),
        ({"labelled": [1, "2"]}, "labelled.1"),
        ({"data": {}}, "data.source"),
        ({"resumed": [{}]}, "resumed.0.started"),
        ({"resumed": 3}, "resumed"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(
    change: dict[str, object], place: str, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.json"
    write_json(path, {**json_values(manifest_of()), **change})
    with pytest.raises(UserError, match=rf"^{path}: .* \({place}: .+\)$"):
        read_manifest(path)


def test_a_name_that_is_no_utf8_hinders_no_resume(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    skipped = [SkippedFile(name="cats/bad\udcff.png", reason="cut off")]
    write_json(path, manifest_of(data=replace(manifest_of().data, skipped=skipped)))
    assert read_manifest(path).data.skipped[0].name == r"cats/bad\udcff.png"
    note_resumed(path, process_of(), "a" * 64)
    assert read_json(path)["data"]["skipped"][0]["name"] == "cats/bad\udcff.png"
