"""Numbers of different fingerprints are not compared, and the field is named."""

import pytest

from convergan.errors import UserError
from convergan.metrics.fingerprint import first_difference, require_same


def test_the_first_field_that_differs_is_named() -> None:
    first = {"network": "inception", "count": 100, "versions": {"torch": "2.13"}}
    assert first_difference(first, dict(first)) is None
    assert first_difference(first, {**first, "count": 200}) == "count"
    assert first_difference(first, {**first, "splits": 10}) == "splits"
    assert first_difference(first, {**first, "versions": {"torch": "2.7"}}) == "versions"
    with pytest.raises(UserError, match="is: expected numbers of the same count, got 100 and 200"):
        require_same("is", first, {**first, "count": 200})
