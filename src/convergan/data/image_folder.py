"""Images in a folder: one folder for each class, a metadata.csv, or no labels at all."""

import os
from collections.abc import Sequence
from pathlib import Path

from convergan.data.decode import SUFFIXES
from convergan.data.metadata import read_metadata
from convergan.data.read_images import find_images
from convergan.data.undecoded import Label, Part, Source, class_numbers, classes_among
from convergan.errors import UserError

_UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")
_TEST_FOLDERS = ("test", "val", "validation")


def open_image_folder(path: Path) -> Source:
    """The images of a folder, with labels as its layout gives them.

    * With a `metadata.csv`: as that says (see `metadata.read_metadata`). An image that it does not name
      is an unlabelled training image.
    * With `train/<class>/`, and no folders beside it but `test`, `val`, `validation` and `unlabelled`:
      `train` is read like a folder of classes, and the first of `test`, `val`, `validation` is the test
      set; the others are not used.
    * Otherwise each folder is a class, except `unlabelled` (or `unlabeled`) and `test`, which holds the test
      images in folders of the same classes.

    A class takes in the images of all folders below its own. Images in no class's folder are unlabelled: a
    folder of nothing but images has no labels at all. Classes are sorted by name. A class's folder without
    images is an error, and so is a test folder with none at all; among test images a class may be absent.

    Raises:
        UserError: no images; a class's folder or a test set without any; a test image outside the classes;
            or what `read_metadata` raises.
    """
    names = [each.relative_to(path).as_posix() for each in find_images(path)]
    has_metadata = (path / "metadata.csv").is_file()
    entries = read_metadata(path, names) if has_metadata else _by_folders(path, names)
    train = [(name, label) for name, label, is_test in entries if not is_test]
    test = [(name, label) for name, label, is_test in entries if is_test]
    if not train:
        raise UserError(f"{path}: expected training images, got test images alone")
    classes = classes_among([label for _, label in train])
    return Source(
        str(path),
        _part(path, train, classes),
        _part(path, test, classes) if test else None,
        tuple(map(str, classes)),
    )


def _part(path: Path, entries: list[tuple[str, Label]], classes: Sequence[str | int]) -> Part:
    names = [name for name, _ in entries]
    labels = class_numbers([label for _, label in entries], classes, names=names, place=str(path))
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


def _by_folders(path: Path, names: list[str]) -> list[tuple[str, Label, bool]]:
    """(name, label, whether it is a test image) of each image."""
    with_train = _has_train_folder(names)
    tests = _TEST_FOLDERS if with_train else ("test",)
    tops = {name.split("/")[0] for name in names if "/" in name}
    test_folder = next((folder for folder in tests if folder in tops), None)
    _require_images(path, "train" if with_train else "", names)
    if test_folder is None:
        for folder in tests:
            if (path / folder).is_dir():
                raise _without_images(path / folder)
    entries: list[tuple[str, Label, bool]] = []
    for name in names:
        folders = name.split("/")[:-1]
        top = folders[0] if folders else None
        if top is not None and top == test_folder:
            if len(folders) < 2:
                raise UserError(
                    f"{path / name}: expected test images in {top}/<class>/, got one without a class"
                )
            entries.append((name, folders[1], True))
        elif with_train and top in _TEST_FOLDERS:
            continue
        else:
            classes = folders[1:] if with_train and top == "train" else folders
            label = classes[0] if classes and classes[0] not in _UNLABELLED_FOLDERS else None
            entries.append((name, label, False))
    return entries


def _require_images(path: Path, parent: str, names: list[str]) -> None:
    """Refuses an empty folder of a class: the class would be missing without a word.

    Args:
        parent: the folder of the classes' folders, relative to `path`.
    """
    prefix = f"{parent}/" if parent else ""
    filled = {name.removeprefix(prefix).split("/")[0] for name in names if name.startswith(prefix)}
    no_loss = filled.union(_UNLABELLED_FOLDERS, ("test",))
    with os.scandir(path / parent) as entries:
        empty = sorted(
            entry.name
            for entry in entries
            # Hidden folders, and those of tools such as __MACOSX, are no classes.
            if entry.name not in no_loss
            and not entry.name.startswith((".", "__"))
            # Last, as it may ask the disk.
            and entry.is_dir()
        )
    if empty:
        raise _without_images(path / parent / empty[0])


def _without_images(folder: Path) -> UserError:
    return UserError(
        f"{folder}: expected images ({', '.join(sorted(SUFFIXES))}), got a folder with none;"
        " remove the folder if none belong there"
    )


def _has_train_folder(names: list[str]) -> bool:
    """Whether this is train/<class>/ with its companions, and `train` not just a class of vehicles."""
    known = {"train", *_TEST_FOLDERS, *_UNLABELLED_FOLDERS}
    folders = [name.split("/")[:-1] for name in names]
    return all(each[0] in known for each in folders if each) and any(
        each[0] == "train" and len(each) > 1 for each in folders if each
    )
