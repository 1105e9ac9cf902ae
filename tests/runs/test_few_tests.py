"""The warning about a test of few images."""

import pytest
from scipy.stats import binomtest

from convergan.runs.few_tests import ENOUGH, few_tests


def test_the_warning_has_the_width_of_the_interval_and_what_to_do() -> None:
    warning = few_tests(8, held_out=True, folds=0)
    assert warning is not None
    interval = binomtest(4, 8).proportion_ci(method="wilson")
    assert warning.message.endswith(f"±{50 * (interval.high - interval.low):.0f} points")
    assert warning.message.startswith("8 held-out labels measure an error rate only to about")
    assert warning.advice == (
        "--data.folds 4 tests each label once; a labelled test set measures better"
    )


@pytest.mark.parametrize(
    ("held_out", "folds", "subject", "advised"),
    [(True, 0, "held-out labels", True), (True, 4, "held-out labels", False),
     (False, 4, "held-out labels", False), (False, 0, "test images", False)],
)  # fmt: skip
def test_folds_are_advised_where_there_are_none(
    held_out: bool, folds: int, subject: str, advised: bool
) -> None:
    warning = few_tests(40, held_out=held_out, folds=folds)
    assert warning is not None and f"40 {subject} measure" in warning.message
    assert ("--data.folds" in warning.advice) == advised


def test_enough_images_are_not_warned_of() -> None:
    assert few_tests(ENOUGH, held_out=True, folds=0) is None
    assert few_tests(0, held_out=True, folds=0) is None, "a run without tests"
    assert few_tests(ENOUGH - 1, held_out=True, folds=0) is not None
    single = few_tests(1, held_out=True, folds=0)
    assert single is not None and single.message.startswith("1 held-out label measures ")
