import itertools

import numpy as np
import pytest
from scipy.stats import bootstrap

from convergan.statistics.bootstrap import (
    draw_counts,
    draw_grouped_counts,
    mean_replicates,
)
from convergan.statistics.intervals import expanded_percentiles
from harness.simulated_votes import simulated_rates


def test_all_are_drawn_alike() -> None:
    counts = draw_counts(5, 20_000, np.random.default_rng(0))
    assert (counts.sum(1) == 5).all()
    np.testing.assert_allclose(counts.mean(0), 1, atol=0.03)
    np.testing.assert_allclose(counts.var(0), 1 - 1 / 5, atol=0.03)


def test_groups_are_drawn_among_themselves() -> None:
    groups = [np.array([0, 3]), np.array([1, 2, 4])]
    counts = draw_grouped_counts(groups, 5, 20_000, np.random.default_rng(0))
    for group in groups:
        assert (counts[:, group].sum(1) == len(group)).all()
    np.testing.assert_allclose(counts.mean(0), 1, atol=0.03)


def test_replicates_spread_as_all_possible_ones_do() -> None:
    """Three participants can be drawn in 27 ways: all of them, by brute force."""
    rates = np.array([0.2, 0.5, 0.6])
    exact = [np.mean(draw) for draw in itertools.product(rates, repeat=3)]
    replicates = mean_replicates(rates, np.random.default_rng(0), 50_000)
    for level in (0.1, 0.3, 0.5, 0.7):
        assert np.mean(replicates <= level) == pytest.approx(
            np.mean(np.array(exact) <= level), abs=0.01
        )


def test_percentiles_agree_with_scipys_bootstrap() -> None:
    rates = simulated_rates(np.random.default_rng(0), 0.75)[:, 0]
    expected = bootstrap(
        (rates,), np.mean, n_resamples=20_000, method="percentile", random_state=1
    ).confidence_interval
    replicates = mean_replicates(rates, np.random.default_rng(0), 20_000)
    low, high = np.quantile(replicates, [0.025, 0.975])
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=5e-4)


def test_unknown_numbers_are_left_out() -> None:
    rates = np.array([[0.2, np.nan], [0.4, 0.5], [0.6, 0.5]])
    replicates = mean_replicates(rates, np.random.default_rng(0), 1000)
    alone = mean_replicates(rates[:, 0], np.random.default_rng(0), 1000)
    np.testing.assert_allclose(replicates[:, 0], alone)
    assert set(replicates[:, 1][~np.isnan(replicates[:, 1])]) == {0.5}


@pytest.mark.parametrize("participants", [25, 40])
def test_the_interval_covers_the_truth_as_often_as_it_says(participants: int) -> None:
    runs, truth = 1000, 0.75
    rates = simulated_rates(np.random.default_rng(5), truth, participants=participants, runs=runs)
    covered = 0
    for start in range(0, runs, 250):
        part = rates[:, start : start + 250]
        replicates = mean_replicates(part, np.random.default_rng(0), 2000)
        low, high = expanded_percentiles(replicates, participants)
        covered += int(((low <= truth) & (truth <= high)).sum())
    assert 0.93 <= covered / runs <= 0.97
