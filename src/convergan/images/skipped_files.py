"""Files among images that are not read, by kind."""

import os
from collections import Counter
from collections.abc import Iterable

_NOT_COUNTED = frozenset({"thumbs.db", "desktop.ini"})
"""Names of files that operating systems keep beside images, in lower case."""

_LONGEST_SUFFIX = 10

_MOST_SUFFIXES = 8
"""Largest number of suffixes that are listed."""


def count_skipped(names: Iterable[str]) -> str | None:
    """Numbers of files by suffix, as `4 files skipped: .heic 3, .txt 1`; None without files."""
    kinds = Counter(
        _kind(name) for name in names if os.path.basename(name).lower() not in _NOT_COUNTED
    )
    if not kinds:
        return None
    total = kinds.total()
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{kind} {count}" for kind, count in ranked[:_MOST_SUFFIXES])
    unlisted = sum(count for _, count in ranked[_MOST_SUFFIXES:])
    return (
        f"{total} file{'' if total == 1 else 's'} skipped: {text}"
        f"{f', others {unlisted}' if unlisted else ''}"
    )


def _kind(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()
    if not suffix:
        return "without suffix"
    return suffix if len(suffix) <= _LONGEST_SUFFIX and suffix.isprintable() else "other"
