"""Configurations and splits of the parquet files of a data set of the Hugging Face hub."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from convergan.data.parquet import SPLITS, files_by_split
from convergan.errors import UserError, first_of, printable, quoted, reading

Splits = dict[str, list[str]]
"""The sorted files of each split that exists: `train`, `test` and `validation`."""

_CARD = "the hub's description of a data set in YAML"


class Declared(NamedTuple):
    """Declarations in the README.md of a data set."""

    configurations: dict[str, Any]
    """Configurations by name; none where the names of files tell all."""

    default: str | None
    """Name of the configuration to use if none is requested."""


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
        configurations = {str(entry["config_name"]): entry for entry in values.get("configs") or []}
        marked = [name for name, entry in configurations.items() if entry.get("default") is True]
    return Declared(configurations, marked[0] if marked else None)


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
        folder_names = [name for name in names if not folder or name.startswith(f"{folder}/")]
        files = declared.get("data_files")
        if files is None:
            return files_by_name(place, folder_names)
        patterns: dict[str, list[str]] = {}
        for entry in [files] if isinstance(files, str | dict) else files:
            split, paths = (
                ("train", entry) if isinstance(entry, str) else (entry["split"], entry["path"])
            )
            patterns.setdefault(split, []).extend([paths] if isinstance(paths, str) else paths)
        return {
            split: matching
            for split in SPLITS
            if (matching := _matching(folder_names, folder, patterns.get(split, [])))
        }


def files_by_name(place: str, names: Iterable[str]) -> Splits:
    """The parquet files among these, by the splits in their names or in those of their folders.

    Raises:
        UserError: as in `parquet.files_by_split`.
    """
    parquet = sorted(Path(name) for name in names if name.endswith(".parquet"))
    splits = files_by_split(place, parquet)
    return {split: [file.as_posix() for file in files] for split, files in splits.items() if files}


def converted_configurations(names: Iterable[str]) -> dict[str, Splits]:
    """The files of each configuration on the branch of files that the hub converted to parquet.

    They are named <configuration>/<split>/0000.parquet, or <configuration>/partial-<split>/ where the hub
    converted the first 5 GB alone.
    """
    configurations: dict[str, Splits] = {}
    for name in sorted(names):
        if name.count("/") == 2 and name.endswith(".parquet"):
            configuration, folder, _ = name.split("/")
            splits = configurations.setdefault(configuration, {})
            if (split := folder.removeprefix("partial-")) in SPLITS:
                splits.setdefault(split, []).append(name)
    return configurations


def chosen_configuration(
    place: str, names: Iterable[str], requested: str | None, default: str | None = None
) -> str:
    """The requested configuration; without a request the only one, the default, or the one named `default`.

    Raises:
        UserError: there is no such configuration, or none is requested of several.
    """
    names = list(names)
    if requested is None and len(names) == 1:
        return names[0]
    for name in [requested] if requested is not None else [default, "default"]:
        if name in names:
            return str(name)
    raise UserError(
        f"data.source: expected a configuration of {quoted(place)} ({first_of(names, 10)}), as in"
        f" {place}/{printable(names[0])}, got {'none' if requested is None else quoted(requested)}"
    )


def _matching(names: Iterable[str], folder: str, patterns: Iterable[str]) -> list[str]:
    """The parquet files that match one of the hub's patterns: `data/train-*`, `**/train/*`."""
    top = f"{folder}/" if folder else ""
    full_patterns = [top + pattern.removeprefix("./") for pattern in patterns]
    return sorted(
        name
        for name in names
        if name.endswith(".parquet") and any(_matches(name, pattern) for pattern in full_patterns)
    )


def _matches(name: str, pattern: str) -> bool:
    if "**" in pattern:
        return fnmatchcase(name, pattern.replace("**/", "*"))
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)
