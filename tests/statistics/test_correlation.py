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
    found = rank_correlation(scores, errors, np.random.default_rng(0))
    assert found is not None and found.size == size
    ranks, others = rankdata(scores), rankdata(errors)
    assert found.rho == pytest.approx(np.corrcoef(ranks, others)[0, 1], abs=1e-12)
    if size == 800:
        assert found.p_value == pytest.approx(spearmanr(scores, errors).pvalue, abs=1e-12)


@pytest.mark.parametrize("size", [4, 6, 8])
def test_p_is_the_share_of_all_arrangements(size: int) -> None:
    scores, errors = with_ties(size)
    ranks, others = rankdata(scores), rankdata(errors)
    at_hand = abs(np.corrcoef(ranks, others)[0, 1])
    products = np.array(list(permutations(others - others.mean()))) @ (ranks - ranks.mean())
    found = np.abs(products) / (len(ranks) * ranks.std() * others.std())
    exact = np.mean(found > at_hand - 1e-9)
    p_value = rank_correlation(scores, errors, np.random.default_rng(0)).p_value
    # Of 8, 10,000 of the 40,320 arrangements are drawn.
    assert p_value == pytest.approx(exact, abs=1e-12 if size < 8 else 0.02)


def test_the_interval_covers_the_truth() -> None:
    """Of bivariate normals with correlation r Spearman's is 6 / pi asin(r / 2)."""
    rng = np.random.default_rng(0)
    r = 0.6
    truth = 6 / np.pi * np.arcsin(r / 2)
    covered = []
    for _ in range(400):
        x = rng.normal(size=500)
        y = r * x + np.sqrt(1 - r**2) * rng.normal(size=500)
        found = rank_correlation(x, y, rng)
        assert found is not None and found.interval is not None
        covered.append(found.interval[0] <= truth <= found.interval[1])
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_nothing_to_rank() -> None:
    rng = np.random.default_rng(0)
    assert rank_correlation(np.array([1.0, 2]), np.array([1.0, 2]), rng) is None
    assert rank_correlation(np.ones(5), np.arange(5.0), rng) is None
    few = rank_correlation(np.arange(4.0), np.arange(4.0), rng)
    assert few is not None and few.interval is None and few.p_value == pytest.approx(2 / 24)
    all_alike = rank_correlation(np.arange(30.0), np.arange(30.0), rng)
    assert all_alike is not None and all_alike.interval is not None
