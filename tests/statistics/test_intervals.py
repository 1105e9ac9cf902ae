import math

import numpy as np
import pytest
from scipy.stats import norm, t

from convergan.statistics.intervals import expanded_percentiles, wilson


def test_wilson_is_its_formula() -> None:
    z, n, hits = norm.ppf(0.975), 2000, 1048
    share = hits / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
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
