"""Intervals of squared distances hold the truth as often as they say, from equality to far."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gamma, norm

from convergan.metrics.second_order import distance_spread
from convergan.statistics.intervals import student_interval
from convergan.statistics.squared_distances import DistanceSpread, interval_of_squared_distance

DRAWS = 400


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("moved", [0.0, 1.0, 2.2, 5.0, 15.0])
def test_they_hold_the_truth_as_often_as_they_say(moved: float, biased: bool) -> None:
    """Of sums of squares of normal numbers with weights 1 / k, as those of a kernel are, the first of them
    moved; with a bias, as those of FID's covariances are, of pairs of features."""
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
    held = []
    for total, of_draw in zip(sums, normal, strict=True):
        plug_in = 4 * float(of_draw**2 @ weights**2)
        spread = distance_spread(total - bias, plug_in, at_zero, third)
        if biased:
            spread = replace(spread, bounded=False)
        low, high = interval_of_squared_distance(total, spread, bias)
        held.append(low <= truth + bias <= high)
    # Four standard deviations of a share of 95 % of so many draws; where as much is moved as chance moves, in
    # the direction that varies most, intervals without a bound at 0 are known to hold some 3 % less often.
    slack = 4 * math.sqrt(0.05 * 0.95 / DRAWS)
    known = 0.03 if biased and 0 < moved < 5 else 0.0
    assert 0.95 - slack - known < np.mean(held) < 0.95 + slack


def test_without_third_cumulant_and_slope_they_are_those_of_a_normal() -> None:
    found = interval_of_squared_distance(3.0, DistanceSpread(0.5, 0.0, 0.0, bounded=False), 1.0)
    assert found == pytest.approx(student_interval(3.0, 0.5, math.inf))


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
    found = interval_of_squared_distance(
        value, DistanceSpread(at_zero, at_zero, slope, bounded), 0.3
    )
    assert found.low <= value <= found.high
    assert math.isfinite(found.low) and math.isfinite(found.high)


def test_no_distance_is_below_zero() -> None:
    """What is below 0 speaks for 0; what is a little above does not speak against it."""
    spread = DistanceSpread(1.0, 1.0, 1.0)
    for value in (-1.0, -0.1):
        low, high = interval_of_squared_distance(value, spread)
        assert low == value and high > 1
    assert interval_of_squared_distance(1.0, spread).low == 0
    assert interval_of_squared_distance(9.0, spread).low > 0
