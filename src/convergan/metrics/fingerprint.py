"""What a number depends on beside the images: numbers whose fingerprints differ are not comparable."""

from collections.abc import Mapping
from typing import Any

from convergan.errors import UserError

Fingerprint = Mapping[str, Any]
"""Name and plain value of everything that was chosen: network, weights_sha256, resize, pixels, precision,
count, the metric's own settings, versions."""


def first_difference(first: Fingerprint, second: Fingerprint) -> str | None:
    """The first field in which two fingerprints differ; None where they are the same."""
    for field in {**first, **second}:
        if field not in first or field not in second or first[field] != second[field]:
            return field
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
    field = first_difference(first, second)
    if field is not None:
        raise UserError(
            f"{what}: expected numbers of the same {field}, got {first.get(field)} and"
            f" {second.get(field)}"
        )
