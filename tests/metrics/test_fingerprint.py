"""Numbers with different fingerprints are not compared, and the error names the field that differs."""

import re

import pytest

from convergan.errors import UserError
from convergan.metrics.fingerprint import first_difference, require_same, versions

FIRST = {"network": "inception", "count": 100, "versions": {"torch": "2.13", "numpy": "2.4"}}


def test_the_first_field_that_differs_is_named() -> None:
    assert first_difference(FIRST, dict(FIRST)) is None
    assert first_difference(FIRST, {**FIRST, "count": 200}) == ("count", 100, 200)
    assert first_difference(FIRST, {**FIRST, "splits": 10}) == ("splits", None, 10)
    with pytest.raises(UserError, match="is: expected numbers of the same count, got 100 and 200"):
        require_same("is", FIRST, {**FIRST, "count": 200})


def test_of_the_versions_only_the_one_that_differs_is_named() -> None:
    second = {**FIRST, "versions": {"torch": "2.7", "numpy": "2.4"}}
    message = "is: expected numbers of the same versions.torch, got 2.13 and 2.7"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        require_same("is", FIRST, second)
    partial = {**FIRST, "versions": {"torch": "2.13"}}
    assert first_difference(FIRST, partial) == ("versions.numpy", "2.4", None)


def test_versions_are_of_what_computes() -> None:
    assert set(versions()) == {"convergan", "torch", "numpy", "pillow"}
