"""Agreement of the labels of several tables on common classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from convergan.data.encoded_source import Label, classes_among
from convergan.errors import UserError, first_of, quoted, shortened


@dataclass(frozen=True)
class LabelColumn:
    """The labels of one table."""

    file: str
    """The table's file, for messages."""

    labels: list[Label]
    """Labels as in the table: integers or text; None for an image without one."""

    names: list[str] | None
    """Names of the classes that integers stand for; None where the table declares none."""

    @property
    def is_labelled(self) -> bool:
        """True if at least one image has a label."""
        return any(label is not None for label in self.labels)

    @property
    def has_numbers(self) -> bool:
        """True if there are integer labels without declared names."""
        return self.names is None and any(isinstance(label, int) for label in self.labels)

    @property
    def has_text(self) -> bool:
        """True if there are labels in text."""
        return any(isinstance(label, str) for label in self.labels)


def declared_names(file: str, column: str, feature: Any) -> list[str] | None:
    """The names of the classes that the hub's library declares for a column; None if it declares none.

    Args:
        file: name of the file, for messages.
        column: name of the column.
        feature: {"_type": "ClassLabel", "names": [...]}, or anything else.

    Raises:
        UserError: the names are no list of distinct text.
    """
    names = feature.get("names") if isinstance(feature, dict) else None
    if not names:
        return None
    expected = (
        f"{file}: expected distinct names of classes as text for the column {shortened(column)}"
    )
    if not isinstance(names, list):
        raise UserError(f"{expected}, got {type(names).__name__}")
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"{expected}, got {type(name).__name__} among them")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise UserError(f"{expected}, got {quoted(name)} {times} times")
    return names


def agreed_labels(
    train: Sequence[LabelColumn], test: Sequence[LabelColumn]
) -> tuple[Sequence[str | int], list[list[Label]]]:
    """The classes, and the labels of each table, training before test, as members of the classes.

    Integers that a table declares names for stand for these names. Beside tables with declared names, bare
    integers are understood if the names are numbers themselves ("0", "1", ...).

    Raises:
        UserError: one line that names both files: integers in one and text in the other; names in one and
            bare integers in the other; a class of a test table that no training table names. Or an integer
            that its table has no name for.
    """
    tables = (*train, *test)
    _require_one_kind(tables)
    table_labels = [_by_name(table) for table in tables]
    train_classes = classes_among(list(chain.from_iterable(table_labels[: len(train)])))
    classes = _names(train) or train_classes
    if any(table.names is not None for table in tables):
        # Numbers beside names that are numbers.
        table_labels = [
            [str(label) if isinstance(label, int) else label for label in labels]
            for labels in table_labels
        ]
        classes = list(map(str, classes))
    _require_known(train, test, classes)
    return classes, table_labels


def _names(tables: Sequence[LabelColumn]) -> list[str | int]:
    """All names that the tables declare, each once, in the order of the tables."""
    return list(dict.fromkeys(chain.from_iterable(table.names or () for table in tables)))


def _by_name(table: LabelColumn) -> list[Label]:
    """A table's labels, in which declared names replace the integers."""
    names = table.names
    if names is None:
        return table.labels
    largest = max((label for label in table.labels if isinstance(label, int)), default=-1)
    if largest >= len(names):
        row = table.labels.index(largest)
        raise UserError(
            f"{table.file} row {row}: expected a label below {len(names)}, as the column names so"
            f" many classes, got {largest}"
        )
    return [names[label] if isinstance(label, int) else label for label in table.labels]


def _require_one_kind(tables: Sequence[LabelColumn]) -> None:
    """Refuse bare integers beside text, and beside names that are no numbers."""
    numbers = next((table for table in tables if table.has_numbers), None)
    if numbers is None:
        return
    text = next((table for table in tables if table.has_text), None)
    if text is not None:
        raise UserError(
            f"{numbers.file}: expected labels as text as in {text.file}, got integers;"
            " write the same kind of labels into all files"
        )
    for table in tables:
        if not all(name.isdecimal() and str(int(name)) == name for name in table.names or ()):
            raise UserError(
                f"{numbers.file}: expected names of classes for its integers, as {table.file} has"
                f" them ({first_of(table.names or ())}), got none; the class that each means is unknown"
            )


def _require_known(
    train: Sequence[LabelColumn], test: Sequence[LabelColumn], classes: Sequence[str | int]
) -> None:
    """Refuse classes that a test table declares and the training tables' declarations lack."""
    source = next((table for table in train if table.names is not None), None)
    if source is None:
        return
    train_classes = set(classes)
    for table in test:
        unknown = [name for name in table.names or () if name not in train_classes]
        if unknown:
            raise UserError(
                f"{table.file}: expected the names of classes in {source.file}"
                f" ({first_of(classes)}), got {first_of(map(quoted, unknown))} as well"
            )
