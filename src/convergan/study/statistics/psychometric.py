"""How long an image must be seen: a maximum-likelihood fit of every answer of every participant.

With x the exposure, t a participant's threshold, s the slope that the participants share, and a share l of
answers that are slips:

    P(right) = 1/2 + (1/2 - l) L((ln x - ln t) / s + L^-1(1/4 / (1/2 - l))),  L(z) = 1 / (1 + exp(-z))

so that three of four answers are right at x = t. The slope is the one that makes the answers most likely
where thresholds vary as a lognormal distribution; given it, each participant's threshold is. A staircase
that is still under way is no harm: likelihood does not ask why an exposure was chosen.

Source: Wichmann and Hill, Perception & Psychophysics 63 (2001), 1293-1313; the one slope for all is what
makes some 100 answers of each enough.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

LAPSES = 0.02
LOWEST_MS, HIGHEST_MS = 50.0, 2000.0
"""Between which thresholds are looked for: who is always right, or always wrong, has one at an end."""

_RISE = 0.5 - LAPSES
_AT_THRESHOLD = float(logit(0.25 / _RISE))
_SLOPES = (0.05, 1.5)
_STEPS = 75
_GRID = np.linspace(np.log(LOWEST_MS), np.log(HIGHEST_MS), _STEPS)
_LEAST_STDEV = 0.05
_EM_STEPS = 25
_NEWTON_STEPS = 12

_LEAST_INFORMATION = 1.0
"""Below this a log threshold is off by 1 or more, and what a single answer does to it is no small step."""


@dataclass(frozen=True)
class Fit:
    """Of the answers of n participants."""

    log_threshold: np.ndarray
    """float64 [n]: of thresholds in ms."""

    slope: float

    at_end: np.ndarray
    """bool [n]: the likelihood goes on rising beyond the lowest or the highest threshold."""

    influence: np.ndarray
    """float64 [votes]: how much each answer moves its participant's log threshold; 0 where the answers say so
    little of it that this is no small step."""


def fit_thresholds(exposure_ms: np.ndarray, right: np.ndarray, participant: np.ndarray) -> Fit:
    """The most likely thresholds, and their slope.

    Args:
        exposure_ms: [votes], above 0.
        right: bool [votes].
        participant: int [votes], 0 to n - 1, each with some.
    """
    x = np.log(exposure_ms)
    found = minimize_scalar(
        lambda log_slope: -_marginal(_on_grid(x, right, participant, np.exp(log_slope))),
        bounds=np.log(_SLOPES),
        method="bounded",
        options={"xatol": 0.02},
    )
    slope = float(np.exp(found.x))
    start = _GRID[_on_grid(x, right, participant, slope).argmax(1)]
    log_threshold = _newton(x, right, participant, slope, start)
    low, high = np.log(LOWEST_MS), np.log(HIGHEST_MS)
    at_end = (log_threshold <= low + 1e-9) | (log_threshold >= high - 1e-9)
    score, information = _score(x, right, log_threshold[participant], slope)
    known = np.bincount(participant, information)
    unclear = at_end | (known < _LEAST_INFORMATION)
    influence = np.where(
        unclear[participant], 0, score / np.maximum(known, _LEAST_INFORMATION)[participant]
    )
    return Fit(log_threshold, slope, at_end, influence)


def probability(exposure_ms: np.ndarray, threshold_ms: np.ndarray, slope: float) -> np.ndarray:
    """P(right) of the model."""
    return 0.5 + _RISE * expit(np.log(exposure_ms / threshold_ms) / slope + _AT_THRESHOLD)


def _on_grid(x: np.ndarray, right: np.ndarray, participant: np.ndarray, slope: float) -> np.ndarray:
    """The log-likelihood of each participant at some log thresholds: [n, thresholds]."""
    people = int(participant.max()) + 1
    # Few exposures differ: the curve is computed once for each.
    exposures, place = np.unique(x, return_inverse=True)
    p = 0.5 + _RISE * expit((exposures[:, None] - _GRID) / slope + _AT_THRESHOLD)
    likelihood = np.zeros((people, len(_GRID)))
    for answer, log_p in ((right, np.log(p)), (~right, np.log1p(-p))):
        counts = np.zeros((people, len(exposures)))
        np.add.at(counts, (participant[answer], place[answer]), 1)
        likelihood += counts @ log_p
    return likelihood


def _marginal(likelihood: np.ndarray) -> float:
    """The log-likelihood of a slope, with thresholds from the lognormal distribution that suits it best.

    At the best thresholds themselves slopes would look too steep, as every one of them is fitted too (Neyman
    and Scott, Econometrica 16, 1948, 1-32).
    """
    mean, stdev = float(_GRID[likelihood.sum(0).argmax()]), 0.5
    highest = likelihood.max(1, keepdims=True)
    scaled = np.exp(likelihood - highest)
    for _ in range(_EM_STEPS):
        weights = np.exp(-0.5 * ((_GRID - mean) / stdev) ** 2)
        posterior = scaled * (weights / weights.sum())
        each = posterior.sum(1, keepdims=True)
        share = (posterior / each).mean(0)
        mean = float(share @ _GRID)
        stdev = max(_LEAST_STDEV, float(np.sqrt(share @ (_GRID - mean) ** 2)))
    return float((np.log(each) + highest).sum())


def _newton(
    x: np.ndarray, right: np.ndarray, participant: np.ndarray, slope: float, start: np.ndarray
) -> np.ndarray:
    """Fisher's scoring from the best of the grid, never further than the next point of it."""
    step = _GRID[1] - _GRID[0]
    theta = start.copy()
    for _ in range(_NEWTON_STEPS):
        score, information = _score(x, right, theta[participant], slope)
        move = np.bincount(participant, score) / np.maximum(
            np.bincount(participant, information), 1e-9
        )
        theta = np.clip(theta + move, start - step, start + step)
        theta = np.clip(theta, np.log(LOWEST_MS), np.log(HIGHEST_MS))
    return theta


def _score(
    x: np.ndarray, right: np.ndarray, theta: np.ndarray, slope: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of each answer: the derivative of its log-likelihood by the log threshold, and the expected square of
    it."""
    rise = expit((x - theta) / slope + _AT_THRESHOLD)
    p = 0.5 + _RISE * rise
    derivative = -_RISE * rise * (1 - rise) / slope
    return np.where(right, derivative / p, -derivative / (1 - p)), derivative**2 / (p * (1 - p))
