"""The parquet files of a data set of the Hugging Face hub: which configuration and split each belongs to."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from convergan.data.parquet import SPLITS, files_by_split
from convergan.errors import UserError, first_of, printable, quoted, reading

Splits = dict[str, list[str]]
"""The files of each split, sorted: of `train`, `test` and `validation`, those that there are."""

_CARD = "the hub's description of a data set in YAML"


class Declared(NamedTuple):
    """What the README.md of a data set declares."""

    configurations: dict[str, Any]
    """By name; none where the names of files tell all."""

    default: str | None
    """The name of the one that is meant where none is asked for."""


def read_card(place: str, card: str) -> Declared:
    """The configurations that a data set's README.md declares.

    Args:
        place: the data set, for messages.
        card: the text of README.md, which may begin with YAML between lines of three dashes.

    Raises:
        UserError: YAML that cannot be read, or of another structure than the hub documents.
    """
    lines = [line.rstrip() for line in card.removeprefix("\ufeff").splitlines()]
    if lines[:1] != ["---"] or "---" not in lines[1:]:
        return Declared({}, None)
    with reading(f"{place}/README.md", _CARD):
        values = yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)])) or {}
        found = {str(each["config_name"]): each for each in values.get("configs") or []}
        marked = [name for name, each in found.items() if each.get("default") is True]
    return Declared(found, marked[0] if marked else None)


def files_of_declared(place: str, names: Sequence[str], declared: Mapping[str, Any]) -> Splits:
    """The parquet files of a configuration that README.md declares.

    Args:
        place: the data set, for messages.
        names: all files of the data set, relative to its top.
        declared: `data_files`: a pattern, or a list of patterns, of training images, or a list of
            {split: ..., path: pattern or patterns}; `data_dir`: the folder that these are relative to.
            Without `data_files` the names of the files in it name the splits.

    Raises:
        UserError: another structure.
    """
    with reading(f"{place}/README.md", _CARD):
        folder = str(declared.get("data_dir") or "").strip("/")
        within = [name for name in names if not folder or name.startswith(f"{folder}/")]
        files = declared.get("data_files")
        if files is None:
            return files_by_name(place, within)
        patterns: dict[str, list[str]] = {}
        for each in [files] if isinstance(files, str | dict) else files:
            split, paths = (
                ("train", each) if isinstance(each, str) else (each["split"], each["path"])
            )
            patterns.setdefault(split, []).extend([paths] if isinstance(paths, str) else paths)
        return {
            split: matching
            for split in SPLITS
            if (matching := _matching(within, folder, patterns.get(split, [])))
        }


def files_by_name(place: str, names: Iterable[str]) -> Splits:
    """The parquet files among these, by the splits that their names or those of their folders tell.

    Raises:
        UserError: as `parquet.files_by_split`.
    """
    parquet = sorted(Path(name) for name in names if name.endswith(".parquet"))
    splits = files_by_split(place, parquet)
    return {split: [name.as_posix() for name in some] for split, some in splits.items() if some}


def converted_configurations(names: Iterable[str]) -> dict[str, Splits]:
    """The files of each configuration on the branch on which the hub keeps what it converted to parquet.

    They are named <configuration>/<split>/0000.parquet, or <configuration>/partial-<split>/ where the hub
    converted the first 5 GB alone.
    """
    found: dict[str, Splits] = {}
    for name in sorted(names):
        if name.count("/") == 2 and name.endswith(".parquet"):
            configuration, folder, _ = name.split("/")
            splits = found.setdefault(configuration, {})
            if (split := folder.removeprefix("partial-")) in SPLITS:
                splits.setdefault(split, []).append(name)
    return found


def chosen_configuration(
    place: str, names: Iterable[str], asked: str | None, default: str | None = None
) -> str:
    """The configuration that is asked for; else the only one, or the default, or the one named `default`.

    Raises:
        UserError: none of the name that is asked for, or none asked for of several.
    """
    names = list(names)
    if asked is None and len(names) == 1:
        return names[0]
    for name in [asked] if asked is not None else [default, "default"]:
        if name in names:
            return str(name)
    raise UserError(
        f"data.source: expected a configuration of {quoted(place)} ({first_of(names, 10)}), as in"
        f" {place}/{printable(names[0])}, got {'none' if asked is None else quoted(asked)}"
    )


def _matching(names: Iterable[str], folder: str, patterns: Iterable[str]) -> list[str]:
    """The parquet files that match one of the hub's patterns: `data/train-*`, `**/train/*`."""
    top = f"{folder}/" if folder else ""
    whole = [top + pattern.removeprefix("./") for pattern in patterns]
    return sorted(
        name
        for name in names
        if name.endswith(".parquet") and any(_matches(name, pattern) for pattern in whole)
    )


def _matches(name: str, pattern: str) -> bool:
    if "**" in pattern:
        return fnmatchcase(name, pattern.replace("**/", "*"))
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)
