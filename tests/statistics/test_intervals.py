import math

import numpy as np
import pytest
from scipy.stats import norm, t

from convergan.statistics.intervals import (
    Interval,
    effective_wilson,
    expanded_percentile_interval,
    expanded_percentiles,
    interval_of_difference,
    interval_of_sum,
    p_value_of_interval,
    student_interval,
    wilson,
)


def test_wilson_is_its_formula() -> None:
    z, n, hits = norm.ppf(0.975), 2000, 1048
    share = hits / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert wilson(0, 50).low == 0.0
    assert wilson(hits, n) == pytest.approx((centre - reach, centre + reach), abs=1e-12)


@pytest.mark.parametrize("clusters", [6, 10, 40])
def test_percentiles_of_a_normal_bootstrap_are_students_interval(clusters: int) -> None:
    """A bootstrap of n values with standard deviation s has about N(mean, s^2 (n - 1) / n^2): expanded, its
    percentiles are mean -+ t s / sqrt(n)."""
    spread = 2.0
    grid = norm.ppf((np.arange(1_000_000) + 0.5) / 1_000_000)
    replicates = 5 + grid * spread * math.sqrt((clusters - 1) / clusters / clusters)
    reach = t.ppf(0.975, clusters - 1) * spread / math.sqrt(clusters)
    low, high = expanded_percentiles(replicates, clusters)
    assert (low, high) == pytest.approx((5 - reach, 5 + reach), rel=2e-3)


def test_columns_are_separate_and_nan_is_left_out() -> None:
    columns = np.random.default_rng(0).normal(size=(1000, 2))
    holed = np.vstack([columns, [[np.nan, np.nan]]])
    low, high = expanded_percentiles(holed, 20)
    for column in range(2):
        alone = expanded_percentiles(columns[:, column], 20)
        assert (low[column], high[column]) == pytest.approx(alone)


def test_one_cluster_says_nothing_of_others() -> None:
    replicates = np.random.default_rng(0).normal(size=1000)
    assert expanded_percentile_interval(replicates, 1) is None
    low, high = expanded_percentiles(replicates, 9)
    assert expanded_percentile_interval(replicates, 9) == (low, high)


def test_the_interval_of_a_difference_of_normals_is_their_own() -> None:
    """Half-widths of symmetric intervals add up in quadrature, as those of independent normals do."""
    interval = interval_of_difference(5.0, Interval(2.0, 8.0), 1.0, Interval(-3.0, 5.0))
    assert interval == pytest.approx((4 - 5, 4 + 5))


def test_the_effective_wilson_interval_is_wilsons_of_independent_trials() -> None:
    for hits in (0, 3, 50, 97, 100):
        share = hits / 100
        interval = effective_wilson(share, share * (1 - share) / 100, 100)
        assert interval == pytest.approx(wilson(hits, 100), abs=1e-12)
    # With twice the variance, half as many trials count.
    assert effective_wilson(0.5, 0.005, 100) == pytest.approx(wilson(25, 50), abs=1e-12)


@pytest.mark.parametrize("share", [0.0, 1 / 3, 0.999, 1.0])
@pytest.mark.parametrize("variance", [0.0, 1e-12, 0.01, 5.0])
def test_intervals_hold_their_own_value(share: float, variance: float) -> None:
    for interval in (
        effective_wilson(share, variance, 1000, 20),
        student_interval(share, variance, 20, Interval(0, 1)),
    ):
        assert 0 <= interval.low <= share <= interval.high <= 1


def test_the_interval_of_a_difference_of_correlated_normals_is_their_own() -> None:
    interval = interval_of_difference(5.0, Interval(2.0, 8.0), 1.0, Interval(-3.0, 5.0), 0.5)
    reach = math.sqrt(9 + 16 - 12)
    assert interval == pytest.approx((4 - reach, 4 + reach))
    equal = Interval(0.2, 0.4)
    assert interval_of_difference(0.3, equal, 0.3, equal, 1.0) == (0, 0)


def test_the_interval_of_a_sum_of_normals_is_their_own() -> None:
    interval = interval_of_sum([5.0, 1.0], [Interval(2.0, 8.0), Interval(-3.0, 5.0)], 0.5)
    reach = math.sqrt(9 + 16 + 12)
    assert interval == pytest.approx((6 - reach, 6 + reach))
    # The sum of intervals that are longer above is also longer above.
    low, high = interval_of_sum([1.0, 1.0], [Interval(0.0, 5.0), Interval(0.0, 5.0)], 0.0)
    assert (low, high) == pytest.approx((2 - math.sqrt(2), 2 + math.sqrt(32)))


def test_a_p_value_says_what_its_interval_says() -> None:
    assert p_value_of_interval(1.96, Interval(0.0, 5.0)) == pytest.approx(0.05)
    assert p_value_of_interval(-1.0, Interval(-3.0, -1e-9)) < 0.05
    assert p_value_of_interval(-1.0, Interval(-3.0, 1e-9)) > 0.05
    normal = p_value_of_interval(3.0, Interval(3 - 1.96 * 2, 3 + 1.96 * 2))
    assert normal == pytest.approx(2 * norm.sf(1.5), rel=1e-3)
    assert p_value_of_interval(0.0, Interval(0.0, 0.0)) == 1
    assert p_value_of_interval(1.0, Interval(1.0, 1.0)) == 0
    assert p_value_of_interval(1.0, Interval(math.nan, math.nan)) == 1
