"""Whether a number is what was expected, to within a margin.

That a difference was not shown is no evidence that there is none: "equivalent" takes a test of its own.
"""

from dataclasses import dataclass

from convergan.statistics.intervals import Interval
from convergan.statistics.levels import SIGNIFICANCE
from convergan.statistics.student import Student


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a number against an expected one."""

    margin: float
    p_value: float
    interval: Interval
    """90 %: it lies within the expected number plus and minus the margin exactly where p is below 5 %."""

    @property
    def equivalent(self) -> bool:
        return self.p_value < SIGNIFICANCE


def equivalence(estimate: Student, expected: float, margin: float) -> Equivalence:
    """Whether a number is nearer to an expected one than `margin` (TOST: Schuirmann 1987; Lakens 2017).

    Both "it is `expected` - `margin` or less" and "`expected` + `margin` or more" must be refuted; p is the
    larger of the two.

    Args:
        estimate: of the number.
        expected: the number.
        margin: the largest difference that does not matter; at 0 and below nothing is equivalent.
    """
    p_value = max(
        estimate.p_value(expected - margin, "greater"), estimate.p_value(expected + margin, "less")
    )
    return Equivalence(margin, p_value, estimate.interval(1 - 2 * SIGNIFICANCE))
