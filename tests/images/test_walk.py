import os
import tempfile
from pathlib import Path

import pytest

from convergan.data.parquet import find_parquet
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.images.read_images import find_images
from convergan.images.walk import files_below
from convergan.recipes.settings import DataSettings
from support import without_privileges


@pytest.fixture
def locked():
    """A folder of images with a folder below one class that cannot be read, whoever runs the tests."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "cats" / "more").mkdir(parents=True)
        for file in ("cats/1.png", "cats/more/2.png", "dogs.png"):
            (folder / file).touch()
        (folder / "cats" / "more").chmod(0)
        try:
            with without_privileges():
                with pytest.raises(PermissionError):
                    os.listdir(folder / "cats" / "more")
                yield folder
        finally:
            (folder / "cats" / "more").chmod(0o755)


@pytest.mark.parametrize(
    "reading",
    [find_images, find_parquet, lambda path: open_data_set(DataSettings(path=path))],
    ids=["images", "parquet", "data set"],
)
def test_a_folder_that_cannot_be_read_is_named(locked, reading):
    with pytest.raises(
        UserError, match=r"/cats/more: expected a folder that can be read, got Permission denied"
    ):
        reading(locked)


def test_a_folder_that_fails_while_it_is_read_is_named(folder, monkeypatch):
    (folder / "a").mkdir()
    scandir = os.scandir

    class Failing:
        def __init__(self, path):
            self.path = path

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __iter__(self):
            yield from scandir(self.path)
            if str(self.path).endswith("a/"):
                raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "scandir", Failing)
    with pytest.raises(UserError, match=r"images/a: expected a folder .*, got Input/output error"):
        files_below(folder)


def test_links_are_followed_but_not_in_circles(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.txt").touch()
    (folder / "a").mkdir()
    (folder / "a" / "2.txt").touch()
    (folder / "b").symlink_to(tmp_path / "elsewhere")
    (folder / "a" / "circle").symlink_to(folder)
    (folder / "nothing.png").symlink_to(folder / "absent")
    (folder / "itself.png").symlink_to(folder / "itself.png")
    assert files_below(folder) == ["a/2.txt", "b/1.txt", "itself.png", "nothing.png"]


def test_a_folder_behind_a_link_that_cannot_be_followed_is_named(folder):
    (folder / "cats").symlink_to(folder / "cats")
    with pytest.raises(
        UserError, match=r"images/cats: expected a folder that can be read, got Too"
    ):
        files_below(folder)


def test_folders_of_systems_are_passed_over(folder):
    for name in ("__MACOSX", "@eaDir", "lost+found", ".ipynb_checkpoints", "__pycache"):
        (folder / "cats" / name).mkdir(parents=True)
        (folder / "cats" / name / "1.png").touch()
    assert files_below(folder) == ["cats/__pycache/1.png"]
