"""Images in a folder: one folder for each class, a metadata.csv, or no labels at all."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from convergan.data.encoded_source import Part, Source, class_numbers, classes_among
from convergan.data.find_layout import find_layout
from convergan.data.folder_names import (
    TEST_FOLDERS,
    UNLABELLED_FOLDERS,
    meaning,
    require_distinct,
)
from convergan.data.label_tables import look_for_tables
from convergan.data.layout import ImageEntry, Layout
from convergan.data.listed_images import entries_of_table
from convergan.data.metadata import METADATA
from convergan.errors import UserError, printable, system_problem
from convergan.images.decode import SUFFIXES
from convergan.images.read_images import find_in_folder
from convergan.images.skipped_files import count_skipped
from convergan.images.walk import is_the_systems


def open_image_folder(path: Path) -> Source:
    """Open the images of a folder, with labels according to its layout.

    * With `train/<class>/`, and no folders beside it but those of test images and `unlabelled` (or
      `unlabeled`), `train` is read like a folder of classes. Otherwise each folder is a class.
    * The first of `test`, `val`, `valid`, `validation` that holds images holds the test images, in folders of
      the same classes; the others are not used. These names, `train` and `unlabelled` may be in any case.
    * With a `metadata.csv`: labels from that table (see `metadata.read_metadata`). An image that is not in it
      keeps its folder's class, if the folders of the images in it are their classes; else it is unlabelled.
      If that is so for some of them only, that is an error.

    A class takes in the images of all folders below its own. Images in no class's folder are unlabelled: a
    folder of nothing but images has no labels at all. Classes are sorted by name. A class's folder without
    images is an error, and so is a test folder with none at all; among test images a class may be absent.
    Folder names that look like slips, such as `unlabled`, are errors too.

    Raises:
        UserError: no images; a class's folder or a test set without any; a test image outside the classes; a
            folder that cannot be read, or whose meaning is unclear; two classes whose names differ in case
            alone; a file's name that is not UTF-8; or an error of `read_metadata`.
    """
    files = find_in_folder(path)
    names = files.images
    tables = [name for name in files.other_files if name.lower() == METADATA]
    if len(tables) > 1:
        raise UserError(f"{path}: expected one {METADATA}, got {' and '.join(tables)}")
    other_files = [name for name in files.other_files if name not in tables]
    if not names:
        raise _without_images(path, other_files, advice="")
    if tables:
        entries, notes = entries_of_table(path, tables[0], names)
    else:
        layout = find_layout(path, names)
        _require_images(path, layout, names, other_files)
        entries, notes = layout.entries(names), list(layout.notes)
    labelled = any(entry.label is not None for entry in entries)
    notes += look_for_tables(path, other_files, labelled=labelled)
    if skipped := count_skipped(other_files):
        notes.append(skipped)
    train = [entry for entry in entries if not entry.is_test]
    test = [entry for entry in entries if entry.is_test]
    if not train:
        raise UserError(f"{path}: expected training images, got only test images")
    classes = classes_among([entry.label for entry in train])
    require_distinct(str(path), map(str, classes))
    return Source(
        str(path),
        _part(path, train, classes),
        _part(path, test, classes) if test else None,
        tuple(map(str, classes)),
        tuple(map(printable, notes)),
    )


def _part(path: Path, entries: list[ImageEntry], classes: Sequence[str | int]) -> Part:
    names = [entry.name for entry in entries]
    labels = class_numbers(
        [entry.label for entry in entries], classes, names=names, place=str(path)
    )
    files = _Files(path, names)
    return Part(names, labels, lambda: iter(files), files)


class _Files(Sequence[Path]):
    """The paths of many files, without an object for each."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._folder = folder
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._folder / self._names[index]


def _require_images(
    path: Path, layout: Layout, names: Sequence[str], other_files: Sequence[str]
) -> None:
    """Refuse an empty folder of a class, or of the test images, which would otherwise be missing silently."""
    for test in _empty_folders(path, "", names):
        role = meaning(test)
        if role in TEST_FOLDERS and (
            layout.test is None
            or TEST_FOLDERS.index(role) < TEST_FOLDERS.index(meaning(layout.test) or "")
        ):
            raise _without_images(path / test, _with_prefix(f"{test}/", other_files))
    parent = f"{layout.train}/" if layout.train else ""
    for folder in _empty_folders(path, parent, names):
        if meaning(folder) not in (*TEST_FOLDERS, *UNLABELLED_FOLDERS):
            raise _without_images(
                path / parent / folder, _with_prefix(f"{parent}{folder}/", other_files)
            )


def _empty_folders(path: Path, parent: str, names: Sequence[str]) -> list[str]:
    """Names of the folders in `path/parent`, sorted, that hold no images."""
    filled = {name.removeprefix(parent).split("/")[0] for name in names if name.startswith(parent)}
    try:
        with os.scandir(path / parent) as entries:
            return sorted(
                entry.name
                for entry in entries
                # Hidden folders, and those of tools such as __MACOSX, are no classes.
                if entry.name not in filled
                and not entry.name.startswith("__")
                and not is_the_systems(entry.name)
                # Last, as it may ask the disk.
                and entry.is_dir()
            )
    except OSError as error:
        raise UserError(
            f"{path / parent}: expected a folder that can be read, got {system_problem(error)}"
        ) from error


def _with_prefix(prefix: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(prefix)]


def _without_images(
    folder: Path,
    other_files: Sequence[str],
    advice: str = "; remove the folder if none belong there",
) -> UserError:
    skipped = count_skipped(other_files)
    return UserError(
        f"{folder}: expected images ({', '.join(sorted(SUFFIXES))}), got a folder with none"
        f"{f' ({skipped})' if skipped else ''}{advice}"
    )
