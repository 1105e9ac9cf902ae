"""Comparisons of the accuracies of arms."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

from convergan.statistics.multiplicity import holm_of_known
from convergan.study.analysis.estimates import Estimates, Samples


@dataclass(frozen=True)
class Pair:
    """The test of two arms for a difference."""

    first: str
    second: str

    p_value: float | None
    """p-value of equal accuracies; None without a test: an arm has fewer than two participants, or nothing
    varies."""

    p_holm: float | None
    """The p-value corrected for the number of comparisons (Holm)."""

    samples: Samples | None
    """Samples of the test; None without a test."""


def compare_all(
    estimates: Estimates, arms: list[str], untested: Collection[str] = ()
) -> list[Pair]:
    """Test every arm against every later one, with p-values corrected for the number of tests.

    The test is Student's t with the two-way cluster-robust standard error, or Welch's over participants
    alone. Its p-values have no lower limit: a difference can be found however many arms there are.

    Args:
        estimates: estimates of all arms.
        arms: names of the arms to compare.
        untested: names of arms whose comparisons have no test.
    """
    pairs = list(combinations(arms, 2))
    tested = [
        None if {first, second} & set(untested) else estimates.tested(first, second)
        for first, second in pairs
    ]
    p_values = [None if test is None else test.estimate.p_value(0) for test in tested]
    return [
        Pair(first, second, p_value, p_holm, None if test is None else test.samples)
        for (first, second), test, p_value, p_holm in zip(
            pairs, tested, p_values, holm_of_known(p_values), strict=True
        )
    ]
