import math

import numpy as np
import pytest
from scipy.stats import norm, t

from convergan.statistics.intervals import (
    Interval,
    centred_interval,
    expanded_percentile_interval,
    expanded_percentiles,
    interval_of_difference,
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


def test_intervals_are_around_the_number() -> None:
    replicates = np.random.default_rng(0).normal(5, 2, size=20_000)
    assert centred_interval(1.0, replicates) == pytest.approx((1 - 3.92, 1 + 3.92), abs=0.1)
    few = centred_interval(1.0, replicates[:20])
    assert few.low + few.high == pytest.approx(2)
    assert few.high - 1 == pytest.approx(2.093 * replicates[:20].std(ddof=1), rel=1e-3)
    assert centred_interval(1.0, replicates, Interval(0, 2)) == (0, 2)
    assert centred_interval(1.0, np.array([np.nan, np.nan, 3])) is None
    assert centred_interval(np.nan, np.arange(9.0)) is None


def test_one_cluster_says_nothing_of_others() -> None:
    replicates = np.random.default_rng(0).normal(size=1000)
    assert expanded_percentile_interval(replicates, 1) is None
    low, high = expanded_percentiles(replicates, 9)
    assert expanded_percentile_interval(replicates, 9) == (low, high)


def test_the_interval_of_a_difference_of_normals_is_their_own() -> None:
    """Of symmetric intervals, a root of the sum of squares: that of independent normals."""
    found = interval_of_difference(5.0, Interval(2.0, 8.0), 1.0, Interval(-3.0, 5.0))
    assert found == pytest.approx((4 - 5, 4 + 5))
