"""Ranges declared beside settings: whatever lies outside them is refused, in one line that names it."""

import math
from collections.abc import Collection, Mapping, Sized
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Interval, Len, MultipleOf

from convergan.errors import UserError, is_utf8, quoted

Seed = Annotated[int, Interval(ge=0, lt=2**63)]
"""Seed that every random number generator in use accepts."""

BestShare = Annotated[float, Interval(ge=1e-4, le=1)]
"""Share of the samples drawn that is kept, the best ones: all that are drawn have to be looked at."""

_NAMES = {
    bool: "true or false",
    NoneType: "None",
    Path: "a path in UTF-8 without NUL",
    str: "text in UTF-8 without NUL",
}


class Former:
    """Values that a setting had in an earlier version, each with the value that replaces it."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self.words = words


class Checked:
    """Base of dataclasses whose fields have the types and lie in the ranges that are declared.

    Ranges are those of annotated-types: `epochs: Annotated[int, Interval(ge=1, le=1000)] = 100`. They hold
    for every instance, made in Python, by the command line or from a file. A path may be given as text, a
    tuple as a list, a number as one of NumPy's; true and false are no numbers; no number is infinite.

    Raises:
        UserError: `epochs: expected 1 to 1000, got 5000`.
    """

    _group: ClassVar[str] = ""

    def __init_subclass__(cls, group: str | None = None) -> None:
        """Set the prefix, without its dot, that messages put before the names of the fields."""
        if group is not None:
            cls._group = f"{group}."

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, declared in declarations(kind).items():
            value = getattr(self, name)
            try:
                fitting = fit(value, declared)
            except ValueError as problem:
                self._refuse(name, str(problem))
            if fitting is not value:
                object.__setattr__(self, name, fitting)

    def _require(self, holds: bool, name: str, expected: str) -> None:
        """Check a condition that no range expresses."""
        if not holds:
            self._refuse(name, expected)

    def _refuse(self, name: str, expected: str) -> None:
        option = f"{self._group}{name.replace('_', '-')}"
        raise UserError(f"{option}: expected {expected}, got {quoted(getattr(self, name))}")


@cache
def declarations(settings: Any) -> dict[str, Any]:
    """The type of each field of a dataclass, with its range."""
    hints = get_type_hints(settings, include_extras=True)
    return {field.name: hints[field.name] for field in fields(settings)}


def fit(value: Any, declared: Any) -> Any:
    """The value, converted to the declared type.

    Raises:
        ValueError: it is of another type, or outside the range; the message says what is expected.
    """
    try:
        return _fit(value, declared)
    except (ValueError, OverflowError):
        raise ValueError(expected(declared, value)) from None


def number(word: str) -> int | float | str:
    """The number that a word spells, or the word."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def current_value(value: Any, declared: Any) -> Any:
    """The value, or the one that replaces it if it is a value of an earlier version."""
    for limit in get_args(declared)[1:] if get_origin(declared) is Annotated else ():
        if isinstance(limit, Former) and isinstance(value, str):
            return limit.words.get(value, value)
    return value


def expected(declared: Any, value: Any = None) -> str:
    """A description of a declared type, `a whole number, 1 to 1000`; the range alone for a numeric value."""
    origin, members = get_origin(declared), get_args(declared)
    if origin is Annotated and get_origin(members[0]) is tuple:
        return _values_in_words(members[0], members[1:])
    if origin is Annotated:
        words = (_limit_in_words(limit) for limit in members[1:])
        limits = ", ".join(word for word in words if word)
        if limits and _is_number(value) and _takes(members[0], value):
            return limits
        return ", ".join(part for part in (expected(members[0], value), limits) if part)
    if origin in (Union, UnionType):
        # Where a number was given, None is left out.
        described = [m for m in members if m is not NoneType or not _is_number(value)]
        return ", or ".join(expected(member, value) for member in described)
    if origin is Literal:
        choices = ", ".join(map(str, members))
        return choices if len(members) == 1 else f"one of {choices}"
    if origin is tuple:
        return _values_in_words(declared)
    if declared in (int, float):
        return "a whole number" if declared is int else "a number"
    return _NAMES.get(declared) or str(getattr(declared, "__name__", declared))


def range_in_words(declared: Any) -> str | None:
    """The range of a number, or of the numbers in a tuple: `1 to 1000`; None where none is declared."""
    origin, members = get_origin(declared), get_args(declared)
    if origin is Annotated and members[0] in (int, float):
        return expected(declared, 0)
    if origin is Annotated:
        return range_in_words(members[0])
    if origin in (Union, UnionType):
        ranges = [range_in_words(member) for member in members if member is not NoneType]
        if not any(ranges):
            return None
        described = zip(ranges, (m for m in members if m is not NoneType), strict=True)
        return ", or ".join(words or expected(member) for words, member in described)
    if origin is tuple:
        words = range_in_words(members[0])
        return words and f"each {words}"
    return None


def _fit(value: Any, declared: Any, *, bounded: bool = False) -> Any:
    origin, members = get_origin(declared), get_args(declared)
    if origin is Annotated:
        value = _fit(current_value(value, declared), members[0], bounded=True)
        return _require(value, all(_holds(limit, value) for limit in members[1:]))
    if origin in (Union, UnionType):
        for member in members:
            try:
                return _fit(value, member)
            except (ValueError, OverflowError):
                continue
        raise ValueError
    if origin is Literal:
        return _require(
            value, any(type(value) is type(choice) and value == choice for choice in members)
        )
    if origin is tuple:
        _require(value, isinstance(value, tuple | list))
        member_types = [members[0]] * len(value) if members[-1] is ... else members
        return tuple(_fit(item, member) for item, member in zip(value, member_types, strict=True))
    if declared in (int, float):
        _require(value, isinstance(value, Integral if declared is int else Real))
        _require(value, not isinstance(value, bool))
        # A range says more of what it leaves out.
        _require(value, bounded or math.isfinite(value))
        # Declared as a whole: true is no number, and 1 is 1.0.
        return value if type(value) is declared else declared(value)
    if declared is Path and isinstance(value, str):
        value = Path(value)
    if declared in (Path, str):
        _require(value, isinstance(value, declared) and _is_text(str(value)))
    return _require(value, not isinstance(declared, type) or isinstance(value, declared))


def _require(value: Any, holds: bool) -> Any:
    if not holds:
        raise ValueError
    return value


def _takes(declared: Any, value: Any) -> bool:
    try:
        _fit(value, declared, bounded=True)
    except (ValueError, OverflowError):
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_text(value: str) -> bool:
    """True if a text is valid UTF-8 without NUL, as names of files must be."""
    return "\0" not in value and is_utf8(value)


def _holds(limit: Any, value: Any) -> bool:
    if isinstance(limit, Interval):
        return (
            (limit.ge is None or value >= limit.ge)
            and (limit.gt is None or value > limit.gt)
            and (limit.le is None or value <= limit.le)
            and (limit.lt is None or value < limit.lt)
        )
    if isinstance(limit, MultipleOf):
        return value % limit.multiple_of == 0
    if isinstance(limit, Len):
        assert isinstance(value, Sized)
        return limit.min_length <= len(value) and (
            limit.max_length is None or len(value) <= limit.max_length
        )
    return True


def _values_in_words(declared: Any, limits: Collection[Any] = ()) -> str:
    """A description of a tuple type: `2 to 4 values, each 1 to 1000`."""
    members = get_args(declared)
    count = "several" if members[-1] is ... else f"{len(members)}"
    for limit in limits:
        if isinstance(limit, Len):
            shortest, longest = limit.min_length, limit.max_length
            count = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    return f"{count} values, each {expected(members[0], 0)}"


def _limit_in_words(limit: Any) -> str:
    if isinstance(limit, MultipleOf):
        return "an even number" if limit.multiple_of == 2 else f"a multiple of {limit.multiple_of}"
    if isinstance(limit, Len):
        return f"{limit.min_length} to {limit.max_length:,} characters"
    if not isinstance(limit, Interval):
        return ""
    if limit.ge is not None and limit.le is not None:
        return f"{_digits(limit.ge)} to {_digits(limit.le)}"
    if limit.ge is not None and isinstance(limit.lt, int) and limit.lt > 2**31:
        return f"{_digits(limit.ge)} to {_digits(limit.lt - 1)}"
    words = (
        ("{} or more", limit.ge),
        ("above {}", limit.gt),
        ("at most {}", limit.le),
        ("below {}", limit.lt),
    )
    return ", ".join(word.format(_digits(end)) for word, end in words if end is not None)


def _digits(number: Any) -> str:
    if isinstance(number, int) and number >= 2**31 and (number + 1).bit_count() == 1:
        return f"2^{number.bit_length()} - 1"
    if isinstance(number, int) and number <= -(2**31) and number.bit_count() == 1:
        return f"-2^{number.bit_length() - 1}"
    return f"{number:,.0f}" if number >= 10_000 else f"{number:g}"
