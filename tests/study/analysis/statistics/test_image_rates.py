import numpy as np
import pytest
from scipy.stats import beta, betabinom

from convergan.study.analysis.statistics.image_rates import image_rates


def simulated(
    rng: np.random.Generator, images: int, votes: int, mean: float, concentration: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True rates of images, and the numbers of votes that were fooled and of all votes."""
    truth = rng.beta(mean * concentration, (1 - mean) * concentration, images)
    tries = rng.poisson(votes - 1, images) + 1
    return truth, rng.binomial(tries, truth), tries


def test_it_is_the_posterior_that_another_grid_gives() -> None:
    """The same prior in other coordinates, by scipy's distributions, image by image."""
    rng = np.random.default_rng(0)
    _, fooled, votes = simulated(rng, 60, 5, 0.3, 6)
    estimates = image_rates(fooled, votes, rng)
    assert estimates is not None
    logits, scales = np.meshgrid(np.linspace(-2.5, 0.5, 60), np.linspace(0.01, 1.5, 60))
    mean, k = 1 / (1 + np.exp(-logits)), scales**-2.0
    first, second = mean * k, (1 - mean) * k
    log = sum(betabinom.logpmf(f, v, first, second) for f, v in zip(fooled, votes, strict=True))
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    for place in range(0, 60, 15):
        hits, misses = fooled[place], votes[place] - fooled[place]
        expected = (weight * (hits + first) / (hits + misses + k)).sum()
        assert estimates.rate[place] == pytest.approx(expected, abs=3e-3)
        for bound, level in ((estimates.low[place], 0.025), (estimates.high[place], 0.975)):
            reached = (weight * beta.cdf(bound, hits + first, misses + second)).sum()
            assert reached == pytest.approx(level, abs=0.01)


def test_shrinking_errs_less_and_the_intervals_cover() -> None:
    rng = np.random.default_rng(1)
    truth, fooled, votes = simulated(rng, 1000, 4, 0.3, 8)
    estimates = image_rates(fooled, votes, rng)
    assert estimates is not None
    raw = fooled / votes
    assert ((estimates.rate - truth) ** 2).mean() < 0.5 * ((raw - truth) ** 2).mean()
    assert ((estimates.low <= truth) & (truth <= estimates.high)).mean() == pytest.approx(
        0.95, abs=0.02
    )
    assert estimates.mean == pytest.approx(truth.mean(), abs=0.02)
    assert estimates.stdev == pytest.approx(truth.std(), abs=0.03)


def test_images_that_do_not_differ_get_one_rate_with_a_width() -> None:
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(20):
        votes = np.full(300, 6)
        fooled = rng.binomial(votes, 0.3)
        estimates = image_rates(fooled, votes, rng)
        assert estimates is not None
        assert estimates.rate.std() < 0.35 * (fooled / votes).std()
        covered.append(((estimates.low <= 0.3) & (estimates.high >= 0.3)).mean())
    assert np.mean(covered) >= 0.95


def test_more_votes_move_a_rate_further_from_the_mean() -> None:
    rng = np.random.default_rng(3)
    _, fooled, votes = simulated(rng, 300, 10, 0.3, 6)
    fooled, votes = np.append(fooled, [2, 20]), np.append(votes, [2, 20])
    estimates = image_rates(fooled, votes, rng)
    assert estimates is not None
    assert estimates.mean < estimates.rate[-2] < estimates.rate[-1] < 1


@pytest.mark.parametrize("always", [0, 1])
def test_all_or_nothing_is_no_certainty(always: int) -> None:
    votes = np.full(100, 5)
    estimates = image_rates(votes * always, votes, np.random.default_rng(0))
    assert estimates is not None
    assert np.all(np.abs(estimates.rate - always) < 0.05)
    assert np.all(estimates.high > estimates.low)


def test_one_vote_an_image_tells_nothing_of_images() -> None:
    assert image_rates(np.array([0, 1, 1]), np.array([1, 1, 1]), np.random.default_rng(0)) is None
