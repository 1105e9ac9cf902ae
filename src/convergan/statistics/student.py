"""Student's t: intervals and tests of an estimate whose standard error comes from few clusters."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from convergan.statistics.intervals import ANY_NUMBER, Interval
from convergan.statistics.levels import LEVEL

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class Student:
    """An estimate for which (estimate - truth) / standard error follows Student's t."""

    value: float

    error: float
    """Standard error, above 0."""

    freedom: float
    """Degrees of freedom, above 0."""

    def interval(self, level: float = LEVEL, possible: Interval = ANY_NUMBER) -> Interval:
        """Interval value -+ t((1 + level) / 2; freedom) error, limited to possible values."""
        from scipy.stats import t

        reach = float(t.ppf((1 + level) / 2, self.freedom)) * self.error
        return Interval(
            max(possible.low, self.value - reach), min(possible.high, self.value + reach)
        )

    def p_value(self, expected: float, alternative: Alternative = "two-sided") -> float:
        """p-value of the hypothesis that the truth is `expected`.

        Args:
            expected: the value under the hypothesis.
            alternative: "greater": the truth is greater than `expected`; "less"; or "two-sided".
        """
        from scipy.stats import t

        distance = (self.value - expected) / self.error
        if alternative == "two-sided":
            return float(2 * t.sf(abs(distance), self.freedom))
        return float((t.sf if alternative == "greater" else t.cdf)(distance, self.freedom))


def student_mean(values: np.ndarray) -> Student | None:
    """Mean of a sample, with its standard error and degrees of freedom.

    Args:
        values: the sample, [members].

    Returns:
        The mean; None with fewer than two values, or if all are equal: the standard error is unknown then.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    return Student(
        float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1
    )


def satterthwaite(variance: float, parts: list[float], freedoms: list[float]) -> float:
    """Degrees of freedom of a sum of variances: V^2 / sum(V_c^2 / f_c).

    Source: Satterthwaite, Biometrics Bulletin 2 (1946), 110-114.

    Args:
        variance: the sum V.
        parts: the variances V_c.
        freedoms: their degrees of freedom f_c.
    """
    return variance**2 / sum(
        part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True)
    )
