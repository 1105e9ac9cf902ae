"""The names that folders of images have a meaning by, and names that resemble them."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

from convergan.errors import UserError, quoted

TRAIN = "train"

TEST_FOLDERS = ("test", "val", "valid", "validation")
"""Those of test images: of several, the first is used."""

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")

_KNOWN = (TRAIN, *TEST_FOLDERS, *UNLABELLED_FOLDERS)

_OTHER_WORDS = {
    "training": TRAIN,
    "trainset": TRAIN,
    "labelled": TRAIN,
    "labeled": TRAIN,
    "testing": "test",
    "testset": "test",
    "valset": "val",
}


def meaning(name: str) -> str | None:
    """Which of the known names this is, in whatever case it is written; None for all others."""
    plain = name.strip().casefold()
    return plain if plain in _KNOWN else None


def resembled(name: str) -> str | None:
    """The known name that one like it was perhaps meant as (`tests`, `unlabled`, `train_2`); else None."""
    words = re.findall(r"[^\W\d_]+", name.casefold())
    joined = "".join(words)
    if not words or meaning(name):
        return None
    if words[0] in _KNOWN:
        return words[0]
    if joined in _KNOWN:
        return joined
    if joined in _OTHER_WORDS:
        return _OTHER_WORDS[joined]
    for known in _KNOWN:
        if known[0] == joined[0] and sorted(known) == sorted(joined):
            return known
    close = get_close_matches(joined, _KNOWN, n=1, cutoff=0.8)
    # Slips are rarely of the first letter: `rain`, `brain` and `oval` are words of their own.
    return close[0] if close and close[0][0] == joined[0] else None


def require_distinct(place: str, names: Iterable[str]) -> None:
    """Refuses classes whose names differ in case, outer spaces or Unicode's form alone.

    Single letters may: with letters of an alphabet, the case is the class.

    Raises:
        UserError: there are two such names.
    """
    seen: dict[str, str] = {}
    for name in names:
        plain = unicodedata.normalize("NFC", name.strip())
        plain = plain.casefold() if len(plain) > 1 else plain
        first = seen.setdefault(plain, name)
        if first != name:
            raise UserError(
                f"{place}: expected classes of different names, got {quoted(first)} and"
                f" {quoted(name)}"
                f"{_difference(first, name)}; give both one name"
            )


def _difference(first: str, second: str) -> str:
    one, other = (unicodedata.normalize("NFC", name) for name in (first, second))
    if one == other:
        return ", which are one text in two forms of Unicode"
    differing = [
        what
        for what, differ in (
            (
                "outer spaces",
                one.partition(one.strip())[::2] != other.partition(other.strip())[::2],
            ),
            ("capitals", one.strip() != other.strip()),
        )
        if differ
    ]
    return f", which differ by {' and '.join(differing)} alone"
