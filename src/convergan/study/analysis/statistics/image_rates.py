"""How often each generated image fools people, from few votes each: shrunk towards the mean of its set."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, expit, logit

from convergan.statistics.levels import LEVEL

_DRAWS = 4_000
_REACH = 6  # standard errors of the mean that the grid spans on either side


@dataclass(frozen=True)
class ImageRates:
    """Fooling rates of n images, and how these vary in their set."""

    rate: np.ndarray
    """float64 [n]: the posterior mean."""

    low: np.ndarray
    """float64 [n]: with `high` the 95 % posterior interval."""

    high: np.ndarray

    mean: float
    """Of the images' true rates, as estimated."""

    stdev: float
    """Of the images' true rates, as estimated: chance in the votes is no part of it."""


def image_rates(
    fooled: np.ndarray, votes: np.ndarray, rng: np.random.Generator
) -> ImageRates | None:
    """Beta-binomial empirical Bayes.

    An image's true rate is drawn from Beta(m k, (1 - m) k), with a mean m and a concentration k of the set's
    own. After fooling f of v people its mean is (f + m k) / (v + k): the fewer the votes, the nearer to m.
    Not one best m and k are used: all are averaged, weighted by how likely they make the votes (Deely and
    Lindley, JASA 76, 1981, 833-841), on a grid even in logit m and in 1 / sqrt(k). With one best pair, images
    that differ no more than by chance would get intervals of no width.

    Args:
        fooled: int [n], 0 to `votes`.
        votes: int [n], at least 1.

    Returns:
        None where fewer than two images have two votes: then nothing tells images from chance.
    """
    if (votes >= 2).sum() < 2:
        return None
    pairs, row, images = np.unique(
        np.stack([fooled, votes], 1), axis=0, return_inverse=True, return_counts=True
    )
    mean, concentration = _grid(fooled, votes)
    first, second = mean * concentration, (1 - mean) * concentration
    # Pair by pair: all of them on the whole grid at once would not fit.
    log_likelihood = sum(
        count * (betaln(hits + first, tries - hits + second) - betaln(first, second))
        for (hits, tries), count in zip(pairs, images, strict=True)
    )
    weights = np.exp(log_likelihood - np.max(log_likelihood))
    weights /= weights.sum()
    drawn = rng.choice(len(weights), _DRAWS, p=weights)
    rate, low, high = np.transpose(
        [
            (
                (hits + first) / (tries + concentration) @ weights,
                *np.quantile(
                    rng.beta(hits + first[drawn], tries - hits + second[drawn]),
                    [(1 - LEVEL) / 2, (1 + LEVEL) / 2],
                ),
            )
            for hits, tries in pairs
        ]
    )
    between = mean * (1 - mean) / (concentration + 1)
    return ImageRates(
        rate=rate[row],
        low=low[row],
        high=high[row],
        mean=float(mean @ weights),
        stdev=float(np.sqrt(between @ weights)),
    )


def _grid(fooled: np.ndarray, votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and concentrations to average over: float64 [points] each."""
    hits, tries = fooled.sum() + 0.5, votes.sum() + 1
    share = hits / tries
    # The votes of an image are at worst one vote, so this is the widest the mean can be uncertain.
    error = 1 / np.sqrt(share * (1 - share) * len(votes))
    means = expit(logit(share) + error * np.linspace(-_REACH, _REACH, 121))
    concentrations = np.linspace(0.01, 1.5, 75) ** -2.0
    mean, concentration = np.meshgrid(means, concentrations)
    return mean.ravel(), concentration.ravel()
