"""Tables among images that may have been meant to give labels."""

import os
from collections.abc import Sequence
from pathlib import Path

from convergan.data.metadata import METADATA, is_table_of_labels
from convergan.errors import UserError, quoted

_TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xls", ".xlsx", ".ods")
_LABEL_WORDS = ("metadata", "label", "labels", "annotations", "classes")


def look_for_tables(path: Path, names: Sequence[str], *, labelled: bool) -> list[str]:
    """Look among files that are not read for tables that may have been meant to give labels.

    Args:
        path: the folder.
        names: files in it that are not read, relative to it.
        labelled: true if images have labels without them.

    Returns:
        A sentence on each such table.

    Raises:
        UserError: no image has a label, and there is a table of labels under another name or in another place
            than `path/metadata.csv`.
    """
    notes = []
    for name in names:
        stem, suffix = os.path.splitext(os.path.basename(name).lower())
        if suffix not in _TABLES:
            continue
        # Text among images is commonplace; `metadata.csv.txt` is how some systems save a table.
        named_so = suffix != ".txt" or stem.endswith(".csv")
        if (named_so and os.path.splitext(stem)[0] in _LABEL_WORDS) or (
            suffix in (".csv", ".tsv") and is_table_of_labels(path / name)
        ):
            if labelled:
                notes.append(
                    f"{name} looks like a table of labels and is not read: labels come from the names of"
                    f" folders and from {METADATA}"
                )
                continue
            raise UserError(
                f"{path / name}: expected labels in {path / METADATA}, comma-separated with the columns"
                f" file_name and label, or in the names of folders, got {quoted(name)}; rename it, or move"
                " it out to train without labels"
            )
        if suffix in (".csv", ".tsv") and not labelled:
            notes.append(f"{name} is not read: labels come from {METADATA} alone")
    return notes
