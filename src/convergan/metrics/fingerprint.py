"""What a number depends on beside the images: numbers whose fingerprints differ are not comparable."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from convergan.errors import UserError, shortened

Fingerprint = Mapping[str, Any]
"""Name and plain value of everything that was chosen: network, weights_sha256, resize, pixels, precision,
count, the reference's content, the metric's own settings, versions."""

# Those that compute: with others of any other package the numbers are the same.
_PACKAGES = ("convergan", "torch", "numpy", "pillow")


class Difference(NamedTuple):
    """A field in which two fingerprints differ, and its values; None where it is missing."""

    field: str
    """`versions.torch` for one of several versions."""
    first: Any
    second: Any


def versions() -> dict[str, str]:
    """Versions of the packages that decide a score."""
    return {name: version(name) for name in _PACKAGES}


def first_difference(first: Fingerprint, second: Fingerprint) -> Difference | None:
    """The first field in which two fingerprints differ; None where they are the same."""
    for field in {**first, **second}:
        one, other = first.get(field), second.get(field)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            within = first_difference(one, other)
            if within is not None:
                return within._replace(field=f"{field}.{within.field}")
        elif field not in first or field not in second or one != other:
            return Difference(field, one, other)
    return None


def require_same(what: str, first: Fingerprint, second: Fingerprint) -> None:
    """Refuses to compare what is not comparable.

    Args:
        what: the metric.
        first: of one number.
        second: of the other.

    Raises:
        UserError: they differ; names the field.
    """
    different = first_difference(first, second)
    if different is not None:
        one, other = (shortened(str(each)) for each in different[1:])
        raise UserError(
            f"{what}: expected numbers of the same {different.field}, got {one} and {other}"
        )
