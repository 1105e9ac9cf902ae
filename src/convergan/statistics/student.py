"""Student's t: the intervals and tests of an estimate whose standard error is known from few clusters."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from convergan.statistics.intervals import ANY_NUMBER, Interval
from convergan.statistics.levels import LEVEL

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class Student:
    """An estimate that, less the truth and by its error, follows Student's t."""

    value: float

    error: float
    """The standard error, above 0."""

    freedom: float
    """Degrees of freedom, above 0."""

    def interval(self, level: float = LEVEL, possible: Interval = ANY_NUMBER) -> Interval:
        """value -+ t((1 + level) / 2; freedom) error, within what is possible."""
        from scipy.stats import t

        reach = float(t.ppf((1 + level) / 2, self.freedom)) * self.error
        return Interval(
            max(possible.low, self.value - reach), min(possible.high, self.value + reach)
        )

    def p_value(self, expected: float, alternative: Alternative = "two-sided") -> float:
        """The p-value of an expected value; the alternative is what the truth is to it."""
        from scipy.stats import t

        distance = (self.value - expected) / self.error
        if alternative == "two-sided":
            return float(2 * t.sf(abs(distance), self.freedom))
        return float((t.sf if alternative == "greater" else t.cdf)(distance, self.freedom))


def student_mean(values: np.ndarray) -> Student | None:
    """The mean of a sample.

    Args:
        values: [members].

    Returns:
        None with fewer than two values, or where all are equal: nothing tells how far off they are.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    return Student(
        float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1
    )


def satterthwaite(variance: float, parts: list[float], freedoms: list[float]) -> float:
    """Degrees of freedom of a sum of variances: V^2 / sum(V_c^2 / f_c)
    (Satterthwaite, Biometrics Bulletin 2, 1946, 110-114)."""
    return variance**2 / sum(
        part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True)
    )
