"""Making out what the folders of images are, and refusing those of which it cannot be told."""

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
    """Of the images in it, those right in it and those in each folder below."""

    name: str
    first: str
    """The first image right in it, or below where there is none."""
    direct: int = 0
    below: Counter[str] = field(default_factory=Counter)

    @property
    def images(self) -> int:
        return self.direct + self.below.total()

    @property
    def holds_folders(self) -> bool:
        """All its images are in folders below, as in a set of classes."""
        return self.direct == 0


def find_layout(path: Path, names: Sequence[str]) -> Layout:
    """Makes out what the folders of images are.

    Where `train` has no folders beside it but those of test and unlabelled images, the classes' folders are
    in it. Otherwise they are in `path` itself, and `train` is a class like others.

    Args:
        path: the folder, for messages.
        names: its images, relative to it.

    Raises:
        UserError: it cannot be told what a folder is, or its name looks like a slip; names it.
    """
    folders = _folders(names)
    meanings = meanings_of(folders)
    trains = [name for name in folders if meanings[name] == TRAIN]
    tests = _in_order(folders, meanings)
    _require_one(path, trains)
    for known in TEST_FOLDERS:
        _require_one(path, [name for name in tests if meanings[name] == known])
    classes = [
        folder
        for folder in folders.values()
        if meanings[folder.name] is None or meanings[folder.name] == TRAIN
    ]
    with_train = bool(trains) and all(meanings.values())
    notes: list[str] = []
    if not with_train:
        others = [folder for folder in classes if meanings[folder.name] is None]
        _require_no_slip(path, folders, others, bool(trains), notes)
        _require_no_classes_twice(path, classes)
        if trains:
            sets = [folders[name] for name in tests]
            _require_no_neighbour(path, folders[trains[0]], others, sets, notes)
        if len(folders) == len(classes) == 1 and all("/" in name for name in names):
            _require_nothing_around_all(path, names)
        _note_equal_folders(classes, notes)
    else:
        _refuse_unlabelled_slips(path / trains[0], folders[trains[0]].below)
        _require_nothing_around_all(path, names, trains[0])
    test = tests[0] if tests else None
    if test is not None and folders[test].direct:
        raise UserError(
            f"{path / folders[test].first}: expected test images in {test}/<class>/, got one without a class"
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
            folder.below[parts[1]] += 1
            continue
        if folder.direct == 0:
            folder.first = name
        folder.direct += 1
    return folders


def _in_order(folders: Iterable[str], meanings: dict[str, str | None]) -> list[str]:
    """The folders of test images, the one to use first."""
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
    others: Sequence[_Folder],
    has_train: bool,
    notes: list[str],
) -> None:
    """Refuses `tests` and the like where they are not classes; notes them where they may be.

    Args:
        others: the folders that are classes, or slips.
    """
    _refuse_unlabelled_slips(path, [folder.name for folder in others])
    alike = {folder.name: known for folder in others if (known := resembled(folder.name))}
    everywhere = Counter(below for folder in folders.values() for below in folder.below)
    everywhere.update(folders.keys())
    for name, known in alike.items():
        folder = folders[name]
        holds_classes = folder.holds_folders and any(everywhere[each] > 1 for each in folder.below)
        beside_train = has_train and _train_holds_folders(folders)
        if holds_classes or beside_train or len(alike) == len(others):
            raise _slip(path, name, known)
        notes.append(f"{name} is read as a class, though its name resembles {known}")


def _train_holds_folders(folders: dict[str, _Folder]) -> bool:
    return any(folder.holds_folders for name, folder in folders.items() if meaning(name) == TRAIN)


def _refuse_unlabelled_slips(path: Path, names: Iterable[str]) -> None:
    for name in names:
        known = resembled(name)
        if known in UNLABELLED_FOLDERS:
            raise _slip(path, name, known)


def _slip(path: Path, name: str, known: str) -> UserError:
    return UserError(
        f"{path / name}: expected a class, or {TRAIN}, {', '.join(TEST_FOLDERS)} or"
        f" {UNLABELLED_FOLDERS[0]}, got {quoted(name)}, which looks like {known}; rename it"
    )


def _require_no_classes_twice(path: Path, classes: Sequence[_Folder]) -> None:
    names = {folder.name for folder in classes}
    for folder in classes:
        twice = names.intersection(folder.below) - {folder.name}
        if folder.holds_folders and 2 * len(twice) > len(folder.below):
            raise UserError(
                f"{path / folder.name}: expected the images of a class, got folders of classes that stand"
                f" beside it too ({_some(twice)}); name it test or unlabelled, or move it out of {path}"
            )


def _require_no_neighbour(
    path: Path,
    train: _Folder,
    others: Sequence[_Folder],
    tests: Sequence[_Folder],
    notes: list[str],
) -> None:
    """Refuses train/<class>/ with a folder beside it that is no part of it; notes a class called train."""
    if not train.holds_folders:
        return
    shared = [folder for folder in (*others, *tests) if folder.below.keys() & train.below.keys()]
    direct = [folder for folder in others if folder.direct]
    if shared or (direct and len(train.below) > 1):
        neighbour = next((folder for folder in (*shared, *direct) if folder in others), others[0])
        raise UserError(
            f"{path / neighbour.name}: expected beside {train.name}/<class>/ only"
            f" {', '.join(TEST_FOLDERS)} and {UNLABELLED_FOLDERS[0]}, got {quoted(neighbour.name)}; move it"
            f" out of {path}, or, if {train.name} is a class, put its images right into {train.name}/"
        )
    notes.append(f"{train.name} is read as a class, beside {_some(each.name for each in others)}")


def _require_nothing_around_all(path: Path, names: Sequence[str], train: str = "") -> None:
    """Refuses folders, one in the other, around those of the classes, or of `train` and test images.

    A single folder of nothing but images is one class.

    Args:
        path: the folder, for messages.
        names: its images, relative to it.
        train: the folder in it that all classes are in, if there is one.
    """
    prefix = f"{train}/" if train else ""
    folders = {
        tuple(name.removeprefix(prefix).split("/")[:-1])
        for name in names
        if name.startswith(prefix)
    }
    around = tuple(
        parts[0]
        for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    )
    sets = next((place for place, name in enumerate(around) if place and meaning(name)), None)
    if sets is None and (not around or around in folders):
        return
    around = around[:sets]
    below = {folder[len(around)] for folder in folders}
    inner = Path(*around)
    advice = f"name {path / inner}" if not train else f"move these up into {path / train}"
    if not any(map(meaning, below)):
        advice = f"if those are the classes, {advice}"
    raise UserError(
        f"{path / train}: expected folders of two classes or more, got {quoted(inner)} alone, which holds"
        f" {_some(below)}; {advice}"
    )


def _note_equal_folders(classes: Sequence[_Folder], notes: list[str]) -> None:
    """Notes classes that all hold the same folders."""
    if len(classes) > 1 and all(
        folder.holds_folders and len(folder.below) > 1 and folder.below.keys() == first.below.keys()
        for first in classes[:1]
        for folder in classes
    ):
        notes.append(
            f"all classes ({_some(each.name for each in classes)}) hold the same folders"
            f" ({_some(classes[0].below)}): look whether those are the classes"
        )


def _some(names: Iterable[str]) -> str:
    return first_of(sorted(names))
