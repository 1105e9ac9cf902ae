"""Tests of equivalence: evidence that a number equals an expected one to within a margin.

A difference that was not shown may still exist, so equivalence needs a test of its own.
"""

from dataclasses import dataclass

from convergan.statistics.intervals import Interval
from convergan.statistics.levels import SIGNIFICANCE
from convergan.statistics.student import Student


@dataclass(frozen=True)
class Equivalence:
    """Result of two one-sided tests of a number against an expected one (TOST)."""

    margin: float
    """Largest difference that does not matter."""
    p_value: float
    """p-value of a difference of at least the margin: the larger one of the two tests."""
    interval: Interval
    """Interval of 90 %: it lies within the margin around the expected number exactly if p is below 5 %."""

    @property
    def equivalent(self) -> bool:
        """True if the p-value is below 5 %."""
        return self.p_value < SIGNIFICANCE


def equivalence(estimate: Student, expected: float, margin: float) -> Equivalence:
    """Test whether a number is within a margin of an expected one (TOST: Schuirmann 1987; Lakens 2017).

    The tests must reject both "at most `expected` - `margin`" and "at least `expected` + `margin`"; p is the
    larger of their p-values.

    Args:
        estimate: the estimate of the number.
        expected: the expected number.
        margin: the largest difference that does not matter; with 0 or less nothing is equivalent.
    """
    p_value = max(
        estimate.p_value(expected - margin, "greater"), estimate.p_value(expected + margin, "less")
    )
    return Equivalence(margin, p_value, estimate.interval(1 - 2 * SIGNIFICANCE))
