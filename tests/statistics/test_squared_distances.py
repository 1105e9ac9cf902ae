"""Intervals of squared distances hold the truth as often as they say, from equality to far."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gamma, norm

from convergan.metrics.second_order import distance_spread
from convergan.statistics.intervals import student_interval
from convergan.statistics.squared_distances import (
    DifferenceSpread,
    DistanceSpread,
    interval_of_difference_of_distances,
    interval_of_squared_distance,
)

DRAWS = 400


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("moved", [0.0, 1.0, 2.2, 5.0, 15.0])
def test_they_hold_the_truth_as_often_as_they_say(moved: float, biased: bool) -> None:
    """Distances are sums of squares of normal numbers, the first of which is moved. Their weights are 1 / k,
    as those of a kernel, or with a bias those of pairs of features, as in FID's covariances."""
    rng = np.random.default_rng(0)
    numbers = np.arange(1, 17)
    weights = 1 / numbers
    if biased:
        weights = 1 / np.add.outer(numbers, numbers)[np.triu_indices(16)]
    normal = rng.normal(size=(DRAWS, len(weights)))
    normal[:, 0] += moved
    sums = normal**2 @ weights
    bias, truth = weights.sum(), moved**2 * weights[0]
    at_zero, third = 2 * (weights**2).sum(), 8 * (weights**3).sum()
    covered = []
    for total, draw in zip(sums, normal, strict=True):
        plug_in = 4 * float(draw**2 @ weights**2)
        spread = distance_spread(total - bias, plug_in, at_zero, third)
        if biased:
            spread = replace(spread, bounded=False)
        low, high = interval_of_squared_distance(total, spread, bias)
        covered.append(low <= truth + bias <= high)
    # Three standard deviations of a share of 95 % of so many draws. Where the mean is moved about as far as
    # chance moves it, in the direction that varies most, intervals are known to hold some 2 % less often.
    slack = 3 * math.sqrt(0.05 * 0.95 / DRAWS)
    shortfall = 0.02 if 0 < moved < 5 else 0.0
    assert 0.95 - slack - shortfall < np.mean(covered) < 0.95 + slack


@pytest.mark.parametrize(
    ("first", "second"), [(0, 0), (1, 1), (3, 3), (10, 10), (3, -3), (2, 0), (4, 0), (2, 4), (8, 0)]
)
def test_differences_hold_the_truth_as_often_as_they_say(first: float, second: float) -> None:
    """The means of two sets are moved along the direction that varies most, in its standard deviations."""
    rng, draws = np.random.default_rng(0), 2000
    weights = 1 / np.arange(1, 17)
    moved = np.zeros((2, 16))
    moved[:, 0] = first, second
    chance = rng.normal(size=(3, draws, 16)) * np.sqrt(weights)
    offsets = moved[:, np.newaxis] + chance[:2] - chance[2]
    u, v = offsets[0] - offsets[1], offsets[0] + offsets[1]
    by_chance = 12 * (weights**2).sum()
    error = 12 * math.sqrt(2 * (weights**4).sum())
    truth = float((moved[0] ** 2).sum() - (moved[1] ** 2).sum())
    covered, lengths = [], []
    for difference, by_u, by_v in zip(
        (u * v).sum(axis=1), v**2 @ weights * 2, u**2 @ weights * 6, strict=True
    ):
        spread = DifferenceSpread(float(by_u), float(by_v), by_chance, error)
        low, high = interval_of_difference_of_distances(float(difference), spread)
        covered.append(low <= truth <= high)
        lengths.append(high - low)
    # Two standard deviations of a share of 95 % of so many draws; where differences are far from 0, and
    # chance is as large, intervals are known to hold some 2 % less often.
    slack = 2 * math.sqrt(0.05 * 0.95 / draws)
    assert 0.93 - slack < np.mean(covered) < 0.975 + slack
    assert np.mean(lengths) < 1.2 * 2 * 1.96 * (u * v).sum(axis=1).std()


def test_a_difference_of_two_of_one_kind_is_as_normal_as_its_sample_says() -> None:
    """Differences of the sets beyond chance make the interval wider; those due to chance do not."""
    equal = DifferenceSpread(4.0, 1.0, 1.0, 0.5)
    low = interval_of_difference_of_distances(9.0, equal).low
    assert low == pytest.approx(9 - 1.96 * 2, rel=1e-4)
    for difference in (-0.5, 0.0, 0.5):
        low, high = interval_of_difference_of_distances(difference, equal)
        assert low < difference - 3.9 and high > difference + 3.9
    unequal = replace(equal, by_second=10.0)
    wider = interval_of_difference_of_distances(-9.0, unequal)
    assert wider.low < -9 - 1.96 * math.sqrt(4 + 9) and wider.high < -9 + 1.96 * math.sqrt(4 + 9)


def test_without_third_cumulant_and_slope_they_are_those_of_a_normal() -> None:
    interval = interval_of_squared_distance(3.0, DistanceSpread(0.5, 0.0, 0.0, bounded=False), 1.0)
    assert interval == pytest.approx(student_interval(3.0, 0.5, math.inf))


def test_a_variance_that_does_not_grow_does_not_let_them_go_far() -> None:
    """A normal estimate of 0 excludes distances beyond two standard deviations, however slowly the variance
    grows."""
    for slope in (0.0, 1e-9, 1e-3):
        assert interval_of_squared_distance(0.0, DistanceSpread(1.0, 0.0, slope)).high < 2.1


def test_bounds_are_those_of_the_gamma_distribution() -> None:
    """The third cumulant of a gamma distribution of shape 2 is 4, its variance 2, and its mean 2."""
    spread = DistanceSpread(2.0, 4.0, 0.0)
    for share in (0.025, 0.5, 0.975):
        assert spread.bound(7.0, share) == pytest.approx(7 - 2 + gamma(2).ppf(share))
    assert DistanceSpread(2.0, 0.0, 0.0).bound(7.0, 0.9) == pytest.approx(
        7 + math.sqrt(2) * norm.ppf(0.9)
    )


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("at_zero", [0.0, 1e-12, 1.0])
@pytest.mark.parametrize("slope", [0.0, 1e-9, 2.0])
@pytest.mark.parametrize("value", [-5.0, 0.0, 1e-9, 40.0])
def test_they_hold_their_own_value(
    value: float, slope: float, at_zero: float, bounded: bool
) -> None:
    interval = interval_of_squared_distance(
        value, DistanceSpread(at_zero, at_zero, slope, bounded), 0.3
    )
    assert interval.low <= value <= interval.high
    assert math.isfinite(interval.low) and math.isfinite(interval.high)


def test_no_distance_is_below_zero() -> None:
    """Estimates below 0 speak for 0; those a little above do not speak against it."""
    spread = DistanceSpread(1.0, 1.0, 1.0)
    for value in (-1.0, -0.1):
        low, high = interval_of_squared_distance(value, spread)
        assert low == value and high > 1
    assert interval_of_squared_distance(1.0, spread).low == 0
    assert interval_of_squared_distance(9.0, spread).low > 0
