"""The fooling rate of each generated image, estimated from few votes: shrunk towards the mean of its set."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, expit, logit

from convergan.statistics.levels import LEVEL

_DRAWS = 4_000
_GRID_ERRORS = 6  # standard errors of the mean on either side of the grid


@dataclass(frozen=True)
class ImageRates:
    """Fooling rates of n images of one set, and their distribution."""

    rate: np.ndarray
    """float64 [n]: the posterior mean."""

    low: np.ndarray
    """float64 [n]: lower end of the 95 % posterior interval."""

    high: np.ndarray
    """float64 [n]: upper end of that interval."""

    mean: float
    """Estimated mean of the images' true rates."""

    stdev: float
    """Estimated standard deviation of the images' true rates, without the chance in the votes."""


def image_rates(
    fooled: np.ndarray, votes: np.ndarray, rng: np.random.Generator
) -> ImageRates | None:
    """Estimate fooling rates by beta-binomial empirical Bayes.

    An image's true rate is draws from Beta(m k, (1 - m) k), where the mean m and the concentration k belong
    to the set. For an image that fooled f of v people the posterior mean is (f + m k) / (v + k): the fewer
    the votes, the nearer to m. Estimates are averaged over all m and k, weighted by the likelihood of the
    votes (Deely and Lindley, JASA 76, 1981, 833-841), on a grid that is even in logit m and in 1 / sqrt(k).
    With the single best pair, images that differ only by chance would get intervals of width zero.

    Args:
        fooled: int [n], numbers of people who took each image for real, 0 to `votes`.
        votes: int [n], numbers of votes on each image, at least 1.
        rng: for the draws from the posterior.

    Returns:
        The rates; None where fewer than two images have two votes: then images cannot be told from chance.
    """
    if (votes >= 2).sum() < 2:
        return None
    pairs, row, images = np.unique(
        np.stack([fooled, votes], 1), axis=0, return_inverse=True, return_counts=True
    )
    mean, concentration = _grid(fooled, votes)
    first, second = mean * concentration, (1 - mean) * concentration
    # Pair by pair: all of them on the whole grid at once would take too much memory.
    log_likelihood = sum(
        count * (betaln(hits + first, tries - hits + second) - betaln(first, second))
        for (hits, tries), count in zip(pairs, images, strict=True)
    )
    weights = np.exp(log_likelihood - np.max(log_likelihood))
    weights /= weights.sum()
    draws = rng.choice(len(weights), _DRAWS, p=weights)
    rate, low, high = np.transpose(
        [
            (
                (hits + first) / (tries + concentration) @ weights,
                *np.quantile(
                    rng.beta(hits + first[draws], tries - hits + second[draws]),
                    [(1 - LEVEL) / 2, (1 + LEVEL) / 2],
                ),
            )
            for hits, tries in pairs
        ]
    )
    variance = mean * (1 - mean) / (concentration + 1)
    return ImageRates(
        rate=rate[row],
        low=low[row],
        high=high[row],
        mean=float(mean @ weights),
        stdev=float(np.sqrt(variance @ weights)),
    )


def _grid(fooled: np.ndarray, votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make the grid of means and concentrations to average over: float64 [points] each."""
    hits, tries = fooled.sum() + 0.5, votes.sum() + 1
    share = hits / tries
    # At worst the votes of an image count as one vote: the uncertainty of the mean is at most this.
    error = 1 / np.sqrt(share * (1 - share) * len(votes))
    means = expit(logit(share) + error * np.linspace(-_GRID_ERRORS, _GRID_ERRORS, 121))
    concentrations = np.linspace(0.01, 1.5, 75) ** -2.0
    mean, concentration = np.meshgrid(means, concentrations)
    return mean.ravel(), concentration.ravel()
