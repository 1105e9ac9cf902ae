"""Detection of the layout of image folders; folders whose role is ambiguous are refused."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from convergan.data.folder_names import TEST_FOLDERS, TRAIN, UNLABELLED_FOLDERS, meaning, resembled
from convergan.data.layout import Layout, count_images, meanings_of
from convergan.errors import UserError, first_of, quoted


@dataclass
class _Folder:
    """A folder with the number of images directly in it and in each of its subfolders."""

    name: str
    first_image: str
    """The first image directly in it; where there is none, the first one in a subfolder."""
    direct: int = 0
    subfolders: Counter[str] = field(default_factory=Counter)

    @property
    def images(self) -> int:
        return self.direct + self.subfolders.total()

    @property
    def holds_folders(self) -> bool:
        """True if all its images are in subfolders, as in a set of classes."""
        return self.direct == 0


def find_layout(path: Path, names: Sequence[str]) -> Layout:
    """Determine which folders are classes, test images and unlabelled images.

    Where `train` has no folders beside it but those of test and unlabelled images, the classes' folders are
    in it. Otherwise they are in `path` itself, and `train` is a class like others.

    Args:
        path: the folder, for messages.
        names: its images, relative to it.

    Raises:
        UserError: the role of a folder is ambiguous, or its name looks misspelled; names the folder.
    """
    folders = _folders(names)
    meanings = meanings_of(folders)
    trains = [name for name in folders if meanings[name] == TRAIN]
    tests = _test_folders(folders, meanings)
    _require_one(path, trains)
    for role in TEST_FOLDERS:
        _require_one(path, [name for name in tests if meanings[name] == role])
    classes = [
        folder
        for folder in folders.values()
        if meanings[folder.name] is None or meanings[folder.name] == TRAIN
    ]
    with_train = bool(trains) and all(meanings.values())
    notes: list[str] = []
    if not with_train:
        unnamed = [folder for folder in classes if meanings[folder.name] is None]
        _require_no_slip(path, folders, unnamed, bool(trains), notes)
        _require_no_classes_twice(path, classes)
        if trains:
            sets = [folders[name] for name in tests]
            _require_no_neighbour(path, folders[trains[0]], unnamed, sets, notes)
        if len(folders) == len(classes) == 1 and all("/" in name for name in names):
            _require_no_outer_folder(path, names)
        _note_equal_folders(classes, notes)
    else:
        _refuse_unlabelled_slips(path / trains[0], folders[trains[0]].subfolders)
        _require_no_outer_folder(path, names, trains[0])
    test = tests[0] if tests else None
    if test is not None and folders[test].direct:
        raise UserError(
            f"{path / folders[test].first_image}: expected test images in {test}/<class>/, got one without"
            " a class"
        )
    notes += [
        f"{name} ({count_images(folders[name].images)}) is not used: the test images are those in {test}"
        for name in tests[1:]
    ]
    return Layout(trains[0] if with_train else None, test, tuple(tests[1:]), tuple(notes))


def _folders(names: Iterable[str]) -> dict[str, _Folder]:
    folders: dict[str, _Folder] = {}
    for name in names:
        parts = name.split("/", 2)
        if len(parts) == 1:
            continue
        folder = folders.setdefault(parts[0], _Folder(parts[0], name))
        if len(parts) > 2:
            folder.subfolders[parts[1]] += 1
            continue
        if folder.direct == 0:
            folder.first_image = name
        folder.direct += 1
    return folders


def _test_folders(folders: Iterable[str], meanings: dict[str, str | None]) -> list[str]:
    """The folders of test images in order of preference."""
    tests = {name: meanings[name] for name in folders if meanings[name] in TEST_FOLDERS}
    return sorted(tests, key=lambda name: TEST_FOLDERS.index(tests[name] or ""))


def _require_one(path: Path, names: Sequence[str]) -> None:
    if len(names) > 1:
        raise UserError(
            f"{path}: expected one folder {names[0].strip().lower()}, got {' and '.join(names)}"
        )


def _require_no_slip(
    path: Path,
    folders: dict[str, _Folder],
    candidates: Sequence[_Folder],
    has_train: bool,
    notes: list[str],
) -> None:
    """Refuse misspelled names such as `tests`; where they may be classes, add a note instead.

    Args:
        path: the folder of all images, for messages.
        folders: its folders, by name.
        candidates: the folders that are classes or misspelled.
        has_train: true if there is a folder `train`.
        notes: list to which notes are added.
    """
    _refuse_unlabelled_slips(path, [folder.name for folder in candidates])
    slips = {folder.name: role for folder in candidates if (role := resembled(folder.name))}
    everywhere = Counter(name for folder in folders.values() for name in folder.subfolders)
    everywhere.update(folders.keys())
    for name, role in slips.items():
        folder = folders[name]
        holds_classes = folder.holds_folders and any(
            everywhere[subfolder] > 1 for subfolder in folder.subfolders
        )
        beside_train = has_train and _train_holds_folders(folders)
        if holds_classes or beside_train or len(slips) == len(candidates):
            raise _slip(path, name, role)
        notes.append(f"{name} is read as a class, though its name resembles {role}")


def _train_holds_folders(folders: dict[str, _Folder]) -> bool:
    return any(folder.holds_folders for name, folder in folders.items() if meaning(name) == TRAIN)


def _refuse_unlabelled_slips(path: Path, names: Iterable[str]) -> None:
    for name in names:
        role = resembled(name)
        if role in UNLABELLED_FOLDERS:
            raise _slip(path, name, role)


def _slip(path: Path, name: str, role: str) -> UserError:
    return UserError(
        f"{path / name}: expected a class, or {TRAIN}, {', '.join(TEST_FOLDERS)} or"
        f" {UNLABELLED_FOLDERS[0]}, got {quoted(name)}, which looks like {role}; rename it"
    )


def _require_no_classes_twice(path: Path, classes: Sequence[_Folder]) -> None:
    names = {folder.name for folder in classes}
    for folder in classes:
        twice = names.intersection(folder.subfolders) - {folder.name}
        if folder.holds_folders and 2 * len(twice) > len(folder.subfolders):
            raise UserError(
                f"{path / folder.name}: expected the images of a class, got folders of classes that are also"
                f" next to it ({_first_names(twice)}); name it test or unlabelled, or move it out of {path}"
            )


def _require_no_neighbour(
    path: Path,
    train: _Folder,
    neighbours: Sequence[_Folder],
    tests: Sequence[_Folder],
    notes: list[str],
) -> None:
    """Refuse train/<class>/ beside other folders of images; add a note where `train` is read as a class."""
    if not train.holds_folders:
        return
    shared = [
        folder
        for folder in (*neighbours, *tests)
        if folder.subfolders.keys() & train.subfolders.keys()
    ]
    direct = [folder for folder in neighbours if folder.direct]
    if shared or (direct and len(train.subfolders) > 1):
        neighbour = next(
            (folder for folder in (*shared, *direct) if folder in neighbours), neighbours[0]
        )
        raise UserError(
            f"{path / neighbour.name}: expected only {', '.join(TEST_FOLDERS)} and {UNLABELLED_FOLDERS[0]}"
            f" next to {train.name}/<class>/, got {quoted(neighbour.name)}; move it out of {path}, or, if"
            f" {train.name} is a class, put its images directly into {train.name}/"
        )
    notes.append(
        f"{train.name} is read as a class, like {_first_names(folder.name for folder in neighbours)}"
    )


def _require_no_outer_folder(path: Path, names: Sequence[str], train: str = "") -> None:
    """Refuse needless outer folders around those of the classes, or of `train` and test images.

    A single folder of nothing but images is one class.

    Args:
        path: the folder, for messages.
        names: its images, relative to it.
        train: name of the folder in it that holds all classes, if there is one.
    """
    prefix = f"{train}/" if train else ""
    folders = {
        tuple(name.removeprefix(prefix).split("/")[:-1])
        for name in names
        if name.startswith(prefix)
    }
    outer = tuple(
        parts[0]
        for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    )
    sets = next((depth for depth, name in enumerate(outer) if depth and meaning(name)), None)
    if sets is None and (not outer or outer in folders):
        return
    outer = outer[:sets]
    subfolders = {folder[len(outer)] for folder in folders}
    inner = Path(*outer)
    advice = f"use {path / inner}" if not train else f"move them up into {path / train}"
    if not any(map(meaning, subfolders)):
        advice = f"if those are the classes, {advice}"
    raise UserError(
        f"{path / train}: expected folders of two classes or more, got {quoted(inner)} alone, which holds"
        f" {_first_names(subfolders)}; {advice}"
    )


def _note_equal_folders(classes: Sequence[_Folder], notes: list[str]) -> None:
    """Add a note if all classes have the same subfolders."""
    if len(classes) > 1 and all(
        folder.holds_folders
        and len(folder.subfolders) > 1
        and folder.subfolders.keys() == classes[0].subfolders.keys()
        for folder in classes
    ):
        notes.append(
            f"all classes ({_first_names(folder.name for folder in classes)}) hold the same folders"
            f" ({_first_names(classes[0].subfolders)}): check whether those are the classes"
        )


def _first_names(names: Iterable[str]) -> str:
    return first_of(sorted(names))
