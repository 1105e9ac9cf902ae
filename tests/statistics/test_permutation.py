import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_ind

from convergan.statistics.permutation import permutation_p_value
from simulated_votes import simulated_rates


def test_p_agrees_with_scipys_exact_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.8, 0.1, 7), rng.normal(0.7, 0.05, 6)

    def welch(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(ttest_ind(one, other, equal_var=False, axis=axis).statistic)

    exact = permutation_test(
        (first, second), welch, vectorized=True, n_resamples=np.inf, alternative="greater"
    ).pvalue
    assert float(permutation_p_value(first, second, rng, 40_000)) == pytest.approx(exact, abs=0.005)


def test_the_statistic_is_welchs() -> None:
    """The arrangement with the largest t of all has the smallest p there is: no other is as far."""
    first, second = np.array([0.9, 0.8, 0.85, 0.95]), np.array([0.3, 0.4, 0.35, 0.2])
    p_value = float(permutation_p_value(first, second, np.random.default_rng(0), 20_000))
    assert p_value == pytest.approx(2 / 70, abs=0.004), "this arrangement, and its mirror"


def test_groups_that_are_equal_or_constant() -> None:
    rng = np.random.default_rng(0)
    same = np.full(5, 0.7)
    assert permutation_p_value(same, same, rng, 500) == 1
    constant = float(permutation_p_value(same, np.full(5, 0.5), rng, 50_000))
    assert constant == pytest.approx(2 / 252, abs=0.0015)


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
