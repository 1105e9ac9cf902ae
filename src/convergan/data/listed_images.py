"""Entries of images in a table, and of further images in the same folder."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from convergan.data.find_layout import find_layout
from convergan.data.folder_names import TEST_FOLDERS, TRAIN
from convergan.data.layout import ImageEntry, Layout, count_images, meanings_of
from convergan.data.metadata import METADATA, MetadataRow, read_metadata
from convergan.errors import UserError, quoted


def entries_of_table(
    path: Path, table: str, names: Sequence[str]
) -> tuple[list[ImageEntry], list[str]]:
    """The entries of images from a table, and from their folders for images that are not in it.

    If the folders of the images in the table are their classes, all other images get their folder's class;
    if none are, the other images are unlabelled. A split that the table does not give is taken from the
    folder.

    Args:
        path: the folder.
        table: name of the table in it.
        names: the images, relative to it.

    Returns:
        The entries of all images that are used, sorted by name; and notes on images that the table does not
        name, or that are not used.

    Raises:
        UserError: some folders are the classes of their images and others are not; a test image that the
            table does not name; or an error of `read_metadata` or `find_layout`.
    """
    rows = read_metadata(path, table, names)
    unlisted = [name for name in names if name not in rows]
    layout = _layout_beside_table(path, names, unlisted)
    by_folder: list[ImageEntry] = []
    notes: list[str] = []
    if layout is not None and _folders_are_classes(path, layout, rows, unlisted):
        by_folder = layout.entries(unlisted)
        notes += layout.notes
        classes = Counter(str(entry.label) for entry in by_folder if entry.label is not None)
        if classes:
            counts = ", ".join(f"{name} {classes[name]}" for name in sorted(classes))
            notes.append(f"images that {table} does not name get their folder's class: {counts}")
        unlisted = [entry.name for entry in by_folder if entry.label is None]
        by_folder = [entry for entry in by_folder if entry.label is not None]
    if unlisted:
        _require_no_test_images(path, table, unlisted)
        notes.append(
            f"{count_images(len(unlisted))} that {table} does not name"
            f" {'is' if len(unlisted) == 1 else 'are'} unlabelled"
        )
    splits = _splits(names, rows)
    unused = [name for name, split in splits.items() if split == "val"]
    if "test" not in splits.values():
        unused = []
    elif unused:
        notes.append(
            f"the split val ({count_images(len(unused))}) is not used: there is a split test"
        )
    left_out = set(unused)
    entries = [
        ImageEntry(name, rows[name].label, splits[name] not in (None, TRAIN))
        for name in rows
        if name not in left_out
    ]
    entries += by_folder
    entries += [ImageEntry(name, None, False) for name in unlisted]
    return sorted(entries), notes


def _layout_beside_table(
    path: Path, names: Sequence[str], unlisted: Sequence[str]
) -> Layout | None:
    """The folders' layout, if an image is in no table; None if folders need not be sets or classes."""
    if not unlisted:
        return None
    try:
        return find_layout(path, names)
    except UserError:
        # Folders as a camera makes them, for images whose labels are in the table.
        if _in_test_folders(unlisted):
            raise
        return None


def _require_no_test_images(path: Path, table: str, names: Sequence[str]) -> None:
    """Refuse unlabelled images that would count as training images, but lie in a folder of test images."""
    if tests := _in_test_folders(names):
        raise UserError(
            f"{path / tests[0]}: expected a row in {table}, as all test images need a label, got none"
        )


def _in_test_folders(names: Sequence[str]) -> list[str]:
    tops = meanings_of({name.split("/")[0] for name in names if "/" in name})
    return [name for name in names if tops.get(name.split("/")[0]) in TEST_FOLDERS]


def _splits(names: Iterable[str], rows: dict[str, MetadataRow]) -> dict[str, str | None]:
    """The split of each image in the table; where it is empty, that of the image's top folder."""
    tops = meanings_of({name.split("/")[0] for name in names if "/" in name})
    splits = {}
    for name, (_, split) in rows.items():
        folder = tops.get(name.split("/")[0]) if split is None and "/" in name else None
        if folder in TEST_FOLDERS:
            split = "test" if folder == "test" else "val"
        splits[name] = split
    return splits


def _folders_are_classes(
    path: Path, layout: Layout, rows: dict[str, MetadataRow], unlisted: Sequence[str]
) -> bool:
    """True if folders give the classes of images in a table, and so those of unlisted images too.

    Raises:
        UserError: that is so for some images and not for others.
    """
    agreeing = disagreeing = None
    for name, (label, _) in rows.items():
        folder = layout.label(name)
        if label is None or folder is None:
            continue
        if label == folder:
            agreeing = agreeing or name
        else:
            disagreeing = disagreeing or name
    if agreeing and disagreeing:
        raise UserError(
            f"{path / disagreeing}: expected the label {quoted(layout.label(disagreeing))}, the class of its"
            f" folder as for {agreeing}, got {quoted(rows[disagreeing].label)} in {METADATA}; name all"
            " images there, or move this one"
        )
    if agreeing or disagreeing:
        return agreeing is not None
    labels = {label for label, _ in rows.values() if label is not None}
    folders = {layout.label(name) for name in unlisted}
    return not labels or not labels.isdisjoint(folders)
