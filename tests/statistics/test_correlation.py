from itertools import permutations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from convergan.statistics.correlation import rank_correlation


def with_ties(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(size)
    scores = rng.integers(0, size, size).astype(float)
    return scores, scores * 0.1 + rng.normal(0, 1 + 0.15 * size, size)


@pytest.mark.parametrize("size", [5, 13, 200, 800])
def test_rho_is_spearmans(size: int) -> None:
    scores, errors = with_ties(size)
    result = rank_correlation(scores, errors, np.random.default_rng(0))
    assert result is not None and result.size == size
    ranks, error_ranks = rankdata(scores), rankdata(errors)
    assert result.rho == pytest.approx(np.corrcoef(ranks, error_ranks)[0, 1], abs=1e-12)
    if size == 800:
        assert result.p_value == pytest.approx(spearmanr(scores, errors).pvalue, abs=1e-12)


@pytest.mark.parametrize("size", [4, 6, 8])
def test_p_is_the_share_of_all_arrangements(size: int) -> None:
    scores, errors = with_ties(size)
    ranks, error_ranks = rankdata(scores), rankdata(errors)
    at_hand = abs(np.corrcoef(ranks, error_ranks)[0, 1])
    products = np.array(list(permutations(error_ranks - error_ranks.mean()))) @ (
        ranks - ranks.mean()
    )
    correlations = np.abs(products) / (len(ranks) * ranks.std() * error_ranks.std())
    exact = np.mean(correlations > at_hand - 1e-9)
    p_value = rank_correlation(scores, errors, np.random.default_rng(0)).p_value
    # With 8 values, 10,000 of the 40,320 arrangements are drawn.
    assert p_value == pytest.approx(exact, abs=1e-12 if size < 8 else 0.02)


def test_the_interval_covers_the_truth() -> None:
    """Spearman's correlation of bivariate normals with correlation r is 6 / pi asin(r / 2)."""
    rng = np.random.default_rng(0)
    r = 0.6
    truth = 6 / np.pi * np.arcsin(r / 2)
    covered = []
    for _ in range(400):
        x = rng.normal(size=500)
        y = r * x + np.sqrt(1 - r**2) * rng.normal(size=500)
        result = rank_correlation(x, y, rng)
        assert result is not None and result.interval is not None
        covered.append(result.interval[0] <= truth <= result.interval[1])
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_nothing_to_rank() -> None:
    rng = np.random.default_rng(0)
    assert rank_correlation(np.array([1.0, 2]), np.array([1.0, 2]), rng) is None
    assert rank_correlation(np.ones(5), np.arange(5.0), rng) is None
    small = rank_correlation(np.arange(4.0), np.arange(4.0), rng)
    assert small is not None and small.interval is None and small.p_value == pytest.approx(2 / 24)
    all_alike = rank_correlation(np.arange(30.0), np.arange(30.0), rng)
    assert all_alike is not None and all_alike.interval is not None
