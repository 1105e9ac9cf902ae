"""Names that give a folder of images a role (`train`, `test`, ...), and names that resemble them."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

from convergan.errors import UserError, quoted

TRAIN = "train"

TEST_FOLDERS = ("test", "val", "valid", "validation")
"""Names of folders of test images; where several are present, the first in this order is used."""

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")

_ROLES = (TRAIN, *TEST_FOLDERS, *UNLABELLED_FOLDERS)

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
    """The known name that a name equals but for case and outer spaces; None for all others."""
    plain = name.strip().casefold()
    return plain if plain in _ROLES else None


def resembled(name: str) -> str | None:
    """The known name that an unknown one (`tests`, `unlabled`, `train_2`) resembles; None for all others."""
    words = re.findall(r"[^\W\d_]+", name.casefold())
    joined = "".join(words)
    if not words or meaning(name):
        return None
    if words[0] in _ROLES:
        return words[0]
    if joined in _ROLES:
        return joined
    if joined in _OTHER_WORDS:
        return _OTHER_WORDS[joined]
    for role in _ROLES:
        if role[0] == joined[0] and sorted(role) == sorted(joined):
            return role
    close = get_close_matches(joined, _ROLES, n=1, cutoff=0.8)
    # Slips are rarely of the first letter: `rain`, `brain` and `oval` are words of their own.
    return close[0] if close and close[0][0] == joined[0] else None


def require_distinct(place: str, names: Iterable[str]) -> None:
    """Refuse classes whose names differ only in case, outer spaces or Unicode normalization.

    Names of one letter may differ in case: among the letters of an alphabet, the case makes the class.

    Raises:
        UserError: there are two such names.
    """
    names_by_form: dict[str, str] = {}
    for name in names:
        plain = unicodedata.normalize("NFC", name.strip())
        plain = plain.casefold() if len(plain) > 1 else plain
        earlier = names_by_form.setdefault(plain, name)
        if earlier != name:
            raise UserError(
                f"{place}: expected classes of different names, got {quoted(earlier)} and"
                f" {quoted(name)}"
                f"{_difference(earlier, name)}; give both one name"
            )


def _difference(name_a: str, name_b: str) -> str:
    a, b = (unicodedata.normalize("NFC", name) for name in (name_a, name_b))
    if a == b:
        return ", which are one text in two forms of Unicode"
    differing = [
        aspect
        for aspect, differ in (
            (
                "outer spaces",
                a.partition(a.strip())[::2] != b.partition(b.strip())[::2],
            ),
            ("capitals", a.strip() != b.strip()),
        )
        if differ
    ]
    return f", which differ by {' and '.join(differing)} alone"
