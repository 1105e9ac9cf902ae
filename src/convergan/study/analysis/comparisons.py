"""Which arms differ in accuracy."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

from convergan.statistics.multiplicity import holm_of_known
from convergan.study.analysis.estimates import Estimates, Samples


@dataclass(frozen=True)
class Pair:
    """Two arms, compared."""

    first: str
    second: str

    p_value: float | None
    """None where there is no test: fewer than two participants in one, or nothing that varies."""

    p_holm: float | None
    samples: Samples | None


def compare_all(
    estimates: Estimates, arms: list[str], untested: Collection[str] = ()
) -> list[Pair]:
    """Every arm with every later one; p-values corrected over all of them.

    The test is Student's t of the two-way cluster-robust error, or over participants alone Welch's. Its
    p-values have no floor: however many arms there are, a difference can be found.
    """
    pairs = list(combinations(arms, 2))
    tested = [
        None if {first, second} & set(untested) else estimates.tested(first, second)
        for first, second in pairs
    ]
    p_values = [None if each is None else each.estimate.p_value(0) for each in tested]
    return [
        Pair(first, second, p_value, p_holm, None if test is None else test.samples)
        for (first, second), test, p_value, p_holm in zip(
            pairs, tested, p_values, holm_of_known(p_values), strict=True
        )
    ]
