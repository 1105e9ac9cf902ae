"""The run folder: begun once, resumed with its own recipe alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.files import make_folder
from convergan.json_files import write_json
from convergan.recipes.files import read_recipe, recipe_sha256
from convergan.recipes.presets import PRESETS
from convergan.runs.folder import RunFolder
from support import manifest_of, synced_paths

RECIPE = PRESETS["digits"]


def test_begun_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "b")
    folder.begin(RECIPE, resume=False)
    with pytest.raises(UserError, match=r"expected a new or empty folder, got a run; --resume"):
        folder.begin(RECIPE, resume=False)
    folder.begin(RECIPE, resume=True)


def test_resume_starts_what_is_not_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECIPE, resume=True)
    assert folder.recipe.exists()


def test_a_changed_recipe_is_refused_by_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECIPE, resume=False)
    changed = replace(RECIPE, optimizer=replace(RECIPE.optimizer, learning_rate=0.1))
    with pytest.raises(UserError, match=r"optimizer.learning_rate: expected 0.003 .*got 0.1"):
        folder.begin(changed, resume=True)
    moved = replace(
        RECIPE,
        data=replace(RECIPE.data, cache=tmp_path, resident_mb=1),
        hardware=replace(RECIPE.hardware, threads=3),
    )
    folder.begin(moved, resume=True)


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(
        UserError, match=r"expected a new or empty folder, got one with other content"
    ):
        RunFolder(tmp_path).begin(RECIPE, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_is_in_the_way_of_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("absent")
    for name, kind in (("file", "a file"), ("link", "a link to nothing")):
        for resume in (True, False):
            with pytest.raises(
                UserError, match=rf"{name}: expected a new or empty folder, got {kind}$"
            ):
                RunFolder(tmp_path / name).require_place(resume=resume)


def test_a_finished_run_is_not_said_to_be_continued_by_resuming(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECIPE, resume=False)
    folder.results.write_text("{}")
    with pytest.raises(UserError) as error:
        folder.require_place(resume=False)
    assert str(error.value) == (
        f"{tmp_path}: expected a new or empty folder, got a finished run; --out DIR writes elsewhere"
    )
    folder.require_place(resume=True)


def test_a_recipe_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECIPE, resume=False)
    write_json(folder.manifest, manifest_of(recipe_sha256(RECIPE)))
    folder.begin(RECIPE, resume=True)
    text = folder.recipe.read_text()
    folder.recipe.write_text(text.replace("learning_rate: 0.003", "learning_rate: 0.3"))
    changed = (
        r"recipe.yaml: expected the recipe that this run was begun with, got one that was changed"
    )
    with pytest.raises(UserError, match=rf"{changed} since; a run keeps"):
        folder.begin(read_recipe(folder.recipe), resume=True)
    with pytest.raises(
        UserError, match=rf"{changed} since \(optimizer.learning_rate was 0.003 and is 0.3\)"
    ):
        folder.begin(RECIPE, resume=True)
    # A run of 0.1.0 has no hash.
    write_json(folder.manifest, manifest_of(None))
    folder.begin(read_recipe(folder.recipe), resume=True)


def test_a_new_folder_gives_those_that_are_new(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    inner = tmp_path / "a" / "b" / "c"
    assert make_folder(inner) == [inner, inner.parent]
    assert make_folder(inner) == []


@pytest.mark.parametrize(
    "name", ["file/run", "a\0b", "n" * 300, "c\udcff"], ids=["in a file", "NUL", "long", "bytes"]
)
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^out: expected a folder that can be created, got .+$"):
        RunFolder(tmp_path / name).require_place(resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_new_is_synced_up_to_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure then takes no folder away from under a run."""
    synced = synced_paths(monkeypatch)
    make_folder(tmp_path / "a" / "b")
    assert set(synced) == {tmp_path / "a", tmp_path}


def test_looking_at_a_place_leaves_nothing_there(tmp_path: Path) -> None:
    RunFolder(tmp_path / "deep" / "run").require_place(resume=False)
    (tmp_path / "empty").mkdir()
    RunFolder(tmp_path / "empty").require_place(resume=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="nothing can be made in /proc")
def test_a_place_that_no_one_can_write_to() -> None:
    with pytest.raises(
        UserError, match=r"^out: expected a folder that can be created, got /proc/run"
    ):
        RunFolder(Path("/proc/run")).require_place(resume=True)
