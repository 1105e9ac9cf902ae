"""Images in a folder: one folder for each class, a metadata.csv, or no labels at all."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from convergan.data.decode import SUFFIXES
from convergan.data.folder_names import (
    TEST_FOLDERS,
    TRAIN,
    UNLABELLED_FOLDERS,
    meaning,
    require_distinct,
)
from convergan.data.layout import Layout, count_images, find_layout, meanings_of
from convergan.data.metadata import METADATA, Listed, read_metadata
from convergan.data.passed_over import count_passed_over, require_no_other_table
from convergan.data.read_images import find_in_folder
from convergan.data.undecoded import Label, Part, Source, class_numbers, classes_among
from convergan.data.walk import is_the_systems
from convergan.errors import UserError, printable


class _Entry(NamedTuple):
    """What is known of an image before it is decoded."""

    name: str
    label: Label
    is_test: bool


def open_image_folder(path: Path) -> Source:
    """The images of a folder, with labels as its layout gives them.

    * With `train/<class>/`, and no folders beside it but those of test images and `unlabelled` (or
      `unlabeled`), `train` is read like a folder of classes. Otherwise each folder is a class.
    * The first of `test`, `val`, `valid`, `validation` that holds images holds the test images, in folders of
      the same classes; the others are not used. These names, `train` and `unlabelled` may be in any case.
    * With a `metadata.csv`: labels as that says (see `metadata.read_metadata`). An image that it does not
      name keeps its folder's class, if the folders of those that it does name are their classes; else it is
      unlabelled. Where some are and others are not, that is an error.

    A class takes in the images of all folders below its own. Images in no class's folder are unlabelled: a
    folder of nothing but images has no labels at all. Classes are sorted by name. A class's folder without
    images is an error, and so is a test folder with none at all; among test images a class may be absent.
    Folder names that look like slips, such as `unlabled`, are errors too.

    Raises:
        UserError: no images; a class's folder or a test set without any; a test image outside the classes; a
            folder that cannot be read, or whose meaning cannot be told; two classes of one name but for
            capitals; a file's name that is no UTF-8; or what `read_metadata` raises.
    """
    found = find_in_folder(path)
    names = found.images
    tables = [name for name in found.others if name.lower() == METADATA]
    if len(tables) > 1:
        raise UserError(f"{path}: expected one {METADATA}, got {' and '.join(tables)}")
    others = [name for name in found.others if name not in tables]
    if not names:
        raise _without_images(path, others, advice="")
    if tables:
        entries, notes = _by_metadata(path, tables[0], names)
    else:
        layout = find_layout(path, names)
        _require_images(path, layout, names, others)
        entries, notes = _by_folders(layout, names), list(layout.notes)
    if not any(entry.label is not None for entry in entries):
        notes += require_no_other_table(path, others)
    if passed_over := count_passed_over(others):
        notes.append(passed_over)
    train = [entry for entry in entries if not entry.is_test]
    test = [entry for entry in entries if entry.is_test]
    if not train:
        raise UserError(f"{path}: expected training images, got test images alone")
    classes = classes_among([entry.label for entry in train])
    require_distinct(str(path), map(str, classes))
    return Source(
        str(path),
        _part(path, train, classes),
        _part(path, test, classes) if test else None,
        tuple(map(str, classes)),
        tuple(notes),
    )


def _part(path: Path, entries: list[_Entry], classes: Sequence[str | int]) -> Part:
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


def _by_folders(layout: Layout, names: Iterable[str]) -> list[_Entry]:
    return [
        _Entry(name, layout.label(name), layout.is_test(name))
        for name in names
        if layout.is_used(name)
    ]


def _by_metadata(path: Path, table: str, names: list[str]) -> tuple[list[_Entry], list[str]]:
    """The images as a table says, and as their folders say of those that it does not name."""
    listed = read_metadata(path, table, names)
    rest = [name for name in names if name not in listed]
    layout = _layout_beside_table(path, names, rest)
    by_folder: list[_Entry] = []
    notes: list[str] = []
    if layout is not None and _folders_are_classes(path, layout, listed, rest):
        by_folder = _by_folders(layout, rest)
        notes += layout.notes
        classes = Counter(str(entry.label) for entry in by_folder if entry.label is not None)
        if classes:
            counts = ", ".join(f"{printable(name)} {classes[name]}" for name in sorted(classes))
            notes.append(f"images that {table} does not name have their folder's class: {counts}")
        rest = [entry.name for entry in by_folder if entry.label is None]
        by_folder = [entry for entry in by_folder if entry.label is not None]
    if rest:
        _require_no_test_images(path, table, rest)
        notes.append(
            f"{count_images(len(rest))} that {table} does not name"
            f" {'is' if len(rest) == 1 else 'are'} unlabelled"
        )
    splits = _splits(names, listed)
    unused = [name for name, split in splits.items() if split == "val"]
    if "test" not in splits.values():
        unused = []
    elif unused:
        notes.append(
            f"the split val ({count_images(len(unused))}) is not used: there is a split test"
        )
    left_out = set(unused)
    entries = [
        _Entry(name, listed[name].label, splits[name] not in (None, TRAIN))
        for name in listed
        if name not in left_out
    ]
    entries += by_folder
    entries += [_Entry(name, None, False) for name in rest]
    return sorted(entries), notes


def _layout_beside_table(path: Path, names: Sequence[str], rest: Sequence[str]) -> Layout | None:
    """What the folders are, if any image is in no table; None where they need not be sets or classes."""
    if not rest:
        return None
    try:
        return find_layout(path, names)
    except UserError:
        # Folders of a camera's making, say, whose labels are in the table.
        if _in_test_folders(rest):
            raise
        return None


def _require_no_test_images(path: Path, table: str, names: Sequence[str]) -> None:
    """Refuses to take images without a label for training ones if their folder says that they are not."""
    if tests := _in_test_folders(names):
        raise UserError(
            f"{path / tests[0]}: expected a row in {table}, as all test images need a label, got none"
        )


def _in_test_folders(names: Sequence[str]) -> list[str]:
    tops = meanings_of({name.split("/")[0] for name in names if "/" in name})
    return [name for name in names if tops.get(name.split("/")[0]) in TEST_FOLDERS]


def _splits(names: Iterable[str], listed: dict[str, Listed]) -> dict[str, str | None]:
    """The split of each image in the table; where it says none, that of the folder at the top."""
    tops = meanings_of({name.split("/")[0] for name in names if "/" in name})
    splits = {}
    for name, (_, split) in listed.items():
        folder = tops.get(name.split("/")[0]) if split is None and "/" in name else None
        if folder in TEST_FOLDERS:
            split = "test" if folder == "test" else "val"
        splits[name] = split
    return splits


def _folders_are_classes(
    path: Path, layout: Layout, listed: dict[str, Listed], rest: Sequence[str]
) -> bool:
    """Whether the folders of the images in a table are their classes, so that they are the others' too.

    Raises:
        UserError: some folders are and others are not.
    """
    agreeing = disagreeing = None
    for name, (label, _) in listed.items():
        folder = layout.label(name)
        if label is None or folder is None:
            continue
        if label == folder:
            agreeing = agreeing or name
        else:
            disagreeing = disagreeing or name
    if agreeing and disagreeing:
        raise UserError(
            f"{path / disagreeing}: expected the label {layout.label(disagreeing)!r}, the class of its folder"
            f" as for {agreeing}, got {listed[disagreeing].label!r} in {METADATA}; name all images there, or"
            " move this one"
        )
    if agreeing or disagreeing:
        return agreeing is not None
    labels = {label for label, _ in listed.values() if label is not None}
    folders = {layout.label(name) for name in rest}
    return not labels or not labels.isdisjoint(folders)


def _require_images(
    path: Path, layout: Layout, names: Sequence[str], others: Sequence[str]
) -> None:
    """Refuses an empty folder of a class, or of the test images: they would be missing without a word."""
    for test in _empty_folders(path, "", names):
        known = meaning(test)
        if known in TEST_FOLDERS and (
            layout.test is None
            or TEST_FOLDERS.index(known) < TEST_FOLDERS.index(meaning(layout.test) or "")
        ):
            raise _without_images(path / test, _below(f"{test}/", others))
    parent = f"{layout.train}/" if layout.train else ""
    for folder in _empty_folders(path, parent, names):
        if meaning(folder) not in (*TEST_FOLDERS, *UNLABELLED_FOLDERS):
            raise _without_images(path / parent / folder, _below(f"{parent}{folder}/", others))


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
            f"{path / parent}: expected a folder that can be read, got {error.strerror or error}"
        ) from error


def _below(prefix: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(prefix)]


def _without_images(
    folder: Path,
    others: Sequence[str],
    advice: str = "; remove the folder if none belong there",
) -> UserError:
    passed_over = count_passed_over(others)
    return UserError(
        f"{folder}: expected images ({', '.join(sorted(SUFFIXES))}), got a folder with none"
        f"{f' ({passed_over})' if passed_over else ''}{advice}"
    )
