from itertools import combinations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from convergan.statistics.permutation import permutation_p_value
from simulated_votes import simulated_rates


def all_arrangements(first: np.ndarray, second: np.ndarray) -> float:
    """The share that are at least as far apart by Welch's t as the one at hand, counted one by one."""
    values = np.concatenate([first, second])
    places = set(range(len(values)))

    def distance(chosen: tuple[int, ...]) -> float:
        one, other = values[list(chosen)], values[sorted(places - set(chosen))]
        return abs(np.nan_to_num(ttest_ind(one, other, equal_var=False).statistic, nan=0.0))

    at_hand = distance(tuple(range(len(first))))
    found = [distance(chosen) for chosen in combinations(sorted(places), len(first))]
    return np.mean([each >= at_hand - 1e-9 for each in found])


@pytest.mark.filterwarnings("ignore:Precision loss")
@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (6, 4)])
def test_few_members_are_arranged_in_every_way(sizes: tuple[int, int]) -> None:
    """Shares of 20 trials, of which many are alike: arrangements that are equally far count."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        first, second = rng.binomial(20, 0.8, sizes[0]) / 20, rng.binomial(20, 0.6, sizes[1]) / 20
        assert permutation_p_value(first, second, rng) == pytest.approx(
            all_arrangements(first, second), abs=1e-12
        )


def test_drawn_arrangements_agree_with_all() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.binomial(20, 0.8, 6) / 20, rng.binomial(20, 0.65, 6) / 20
    exact = all_arrangements(first, second)
    # With fewer than all 924 they are drawn, and the one at hand counts once more.
    drawn = [float(permutation_p_value(first, second, rng, 923)) for _ in range(40)]
    assert len(set(drawn)) > 1
    assert np.mean(drawn) == pytest.approx((exact * 923 + 1) / 924, abs=0.005)


def test_the_statistic_is_welchs() -> None:
    """The arrangement with the largest t of all has the smallest p there is: no other is as far."""
    first, second = np.array([0.9, 0.8, 0.85, 0.95]), np.array([0.3, 0.4, 0.35, 0.2])
    p_value = float(permutation_p_value(first, second, np.random.default_rng(0)))
    assert p_value == pytest.approx(2 / 70), "this arrangement, and its mirror"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("share", [0.7, 0.1, 1 / 3])
def test_groups_that_are_equal_or_constant(share: float) -> None:
    rng = np.random.default_rng(0)
    same = np.full(5, share)
    assert permutation_p_value(same, np.full(4, share), rng) == 1
    assert permutation_p_value(same, np.full(5, 0.5), rng) == pytest.approx(2 / 252)


def test_columns_are_separate_tests() -> None:
    first = simulated_rates(np.random.default_rng(0), 0.8, runs=3)
    second = simulated_rates(np.random.default_rng(1), 0.7, runs=3)
    together = permutation_p_value(first, second, np.random.default_rng(2), 500)
    alone = [
        permutation_p_value(first[:, n], second[:, n], np.random.default_rng(2), 500)
        for n in range(3)
    ]
    np.testing.assert_allclose(together, alone)


def p_values(rng: np.random.Generator, first: float, second: float, runs: int) -> np.ndarray:
    """40 participants an arm, 100 trials each; the same permutations for all runs, as the same seed gives."""
    one, other = simulated_rates(rng, first, runs=runs), simulated_rates(rng, second, runs=runs)
    return np.concatenate(
        [
            permutation_p_value(one[:, n : n + 200], other[:, n : n + 200], rng, 2000)
            for n in range(0, runs, 200)
        ]
    )


def test_arms_that_do_not_differ_are_seldom_said_to() -> None:
    found = p_values(np.random.default_rng(7), 0.75, 0.75, 1000) < 0.05
    assert 0.03 <= found.mean() <= 0.06


def test_the_papers_difference_is_found() -> None:
    """78.7 % against 71.4 % (Section 6.2)."""
    found = p_values(np.random.default_rng(8), 0.787, 0.714, 1000) < 0.05
    assert found.mean() >= 0.8
