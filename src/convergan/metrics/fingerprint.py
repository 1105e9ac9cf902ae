"""Fingerprints of numbers: everything but the images that they depend on, which must be equal to compare."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from convergan.errors import UserError, shortened

Fingerprint = Mapping[str, Any]
"""Name and plain value of every choice that a number depends on: network, weights_sha256, resize, pixels,
precision, count, the reference's content, the metric's own settings, versions."""

# Packages that compute the numbers; the versions of all others do not matter.
_PACKAGES = ("convergan", "torch", "numpy", "pillow")


class Difference(NamedTuple):
    """A field in which two fingerprints differ, and its two values; None if it is missing."""

    field: str
    """Name of the field; that of a nested one is joined with dots, such as `versions.torch`."""
    first: Any
    second: Any


def versions() -> dict[str, str]:
    """Versions of the packages that a score depends on."""
    return {name: version(name) for name in _PACKAGES}


def first_difference(first: Fingerprint, second: Fingerprint) -> Difference | None:
    """First field in which two fingerprints differ; None if they are equal."""
    for field in {**first, **second}:
        first_value, second_value = first.get(field), second.get(field)
        if isinstance(first_value, Mapping) and isinstance(second_value, Mapping):
            nested = first_difference(first_value, second_value)
            if nested is not None:
                return nested._replace(field=f"{field}.{nested.field}")
        elif field not in first or field not in second or first_value != second_value:
            return Difference(field, first_value, second_value)
    return None


def require_same(metric: str, first: Fingerprint, second: Fingerprint) -> None:
    """Check that two numbers are comparable.

    Args:
        metric: the metric's title, or the place of a file, for the message.
        first: the fingerprint of one number.
        second: the fingerprint of the other.

    Raises:
        UserError: the fingerprints differ; the message names the field.
    """
    different = first_difference(first, second)
    if different is not None:
        first_text, second_text = (shortened(str(value)) for value in different[1:])
        raise UserError(
            f"{metric}: expected numbers of the same {different.field}, got {first_text} and {second_text}"
        )
