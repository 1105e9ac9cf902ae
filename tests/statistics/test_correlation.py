import numpy as np
import pytest
from scipy.stats import permutation_test, rankdata, spearmanr

from convergan.statistics.correlation import rank_correlation


@pytest.mark.parametrize("size", [5, 13, 200, 800])
def test_rho_and_p_agree_with_scipy(size: int) -> None:
    rng = np.random.default_rng(size)
    scores = rng.integers(0, size, size).astype(float)  # with ties
    errors = scores * 0.1 + rng.normal(0, 1 + 0.15 * size, size)
    found = rank_correlation(scores, errors, rng)
    assert found is not None and found.size == size
    assert found.rho == pytest.approx(spearmanr(scores, errors).statistic, abs=1e-12)
    ranks = rankdata(errors) - (size + 1) / 2
    if size == 800:
        expected = spearmanr(scores, errors).pvalue
    else:
        expected = permutation_test(
            (scores,),
            lambda shuffled, axis: (rankdata(shuffled, axis=axis) * ranks).sum(axis),
            vectorized=True,
            permutation_type="pairings",
            n_resamples=2000,
            random_state=0,
        ).pvalue
    assert found.p_value == pytest.approx(expected, abs=1e-9 if size in (5, 800) else 0.03)


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
