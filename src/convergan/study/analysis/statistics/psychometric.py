"""How long an image must be seen: a maximum-likelihood fit of every answer of every participant.

With x the exposure, t a participant's threshold, s the slope that the participants share, and a share l of
answers that are slips:

    P(right) = 1/2 + (1/2 - l) L((ln x - ln t) / s + L^-1(1/4 / (1/2 - l))),  L(z) = 1 / (1 + exp(-z))

so that three of four answers are right at x = t. Thresholds vary as a lognormal distribution; its mean and
standard deviation and the slope are those that make all answers most likely. A staircase that is still under
way is no harm: likelihood does not ask why an exposure was chosen. But most of its exposures are then far
from the threshold, which depends on the slope, and one slope that is wrong moves all thresholds the same
way. So the uncertainty of the mean is that of a fit of all three (Stefanski and Boos, The American
Statistician 56, 2002, 29-38), not that of the participants' thresholds given the slope.

Source: Wichmann and Hill, Perception & Psychophysics 63 (2001), 1293-1313; the one slope for all is what
makes some 100 answers of each enough.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit, logit

LAPSES = 0.02
LOWEST_MS, HIGHEST_MS = 50.0, 2000.0
"""Between which thresholds are looked for: who is always right, or always wrong, has one at an end."""

_RISE = 0.5 - LAPSES
_AT_THRESHOLD = float(logit(0.25 / _RISE))
_STEPS = 120
_GRID = np.linspace(np.log(LOWEST_MS), np.log(HIGHEST_MS), _STEPS)
_NEWTON_STEPS = 12

_BOUNDS = np.array([[_GRID[0], _GRID[-1]], np.log([0.05, 2.0]), np.log([0.05, 1.5])])
"""Of the mean, of the logarithm of the standard deviation, of that of the slope."""

_START = np.log([0.4, 0.3])
_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Fit:
    """Of the answers of n participants."""

    log_threshold: np.ndarray
    """float64 [n]: of each participant's most likely threshold in ms, given the slope."""

    mean: float
    """Of the distribution of log thresholds."""

    slope: float

    participants: np.ndarray
    """float64 [n]: how much each participant moves the mean; their sum is 0."""

    votes: np.ndarray
    """float64 [votes]: how much each answer moves the mean."""


def fit_thresholds(exposure_ms: np.ndarray, right: np.ndarray, participant: np.ndarray) -> Fit:
    """The most likely distribution of thresholds, and the threshold of each participant.

    Args:
        exposure_ms: [votes], above 0.
        right: bool [votes].
        participant: int [votes], 0 to n - 1, each with some.
    """
    # To a thousandth: measured exposures all differ a little, and each that differs takes a curve.
    answers = _Answers(np.log(exposure_ms).round(3), right, participant)
    start = [_GRID[answers.likelihood(_START[1])[0].sum(0).argmax()], *_START]
    found = minimize(
        answers.cost, start, jac=True, method="L-BFGS-B", bounds=_BOUNDS, options={"ftol": 1e-11}
    ).x
    participants, votes = answers.influences(found)
    slope = float(np.exp(found[2]))
    best = _GRID[answers.likelihood(found[2])[0].argmax(1)]
    return Fit(
        log_threshold=_newton(answers.x, right, participant, slope, best),
        mean=float(found[0]),
        slope=slope,
        participants=participants,
        votes=votes,
    )


def probability(exposure_ms: np.ndarray, threshold_ms: np.ndarray, slope: float) -> np.ndarray:
    """P(right) of the model."""
    return 0.5 + _RISE * expit(np.log(exposure_ms / threshold_ms) / slope + _AT_THRESHOLD)


class _Answers:
    """The marginal likelihood of (mean, log standard deviation, log slope), thresholds on a grid."""

    def __init__(self, x: np.ndarray, right: np.ndarray, participant: np.ndarray) -> None:
        self.x, self._participant = x, participant
        # Where exposures are alike, the curve is computed once for each.
        self._exposures, place = np.unique(x, return_inverse=True)
        self._cell = np.where(right, place, len(self._exposures) + place)
        self._counts = csr_array(
            (np.ones(len(x)), (participant, self._cell)),
            shape=(int(participant.max()) + 1, 2 * len(self._exposures)),
        )

    def cost(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """The negative logarithm of the marginal likelihood, and its gradient."""
        mean, log_stdev, log_slope = parameters
        likelihood, by_slope = self.likelihood(log_slope)
        prior, statistics = _prior(mean, log_stdev)
        highest = likelihood.max(1, keepdims=True)
        joint = np.exp(likelihood - highest) * prior
        each = joint.sum(1, keepdims=True)
        scores = _scores(joint / each, prior, statistics, by_slope)
        return -float((np.log(each) + highest).sum()), -scores.sum(0)

    def likelihood(self, log_slope: float) -> tuple[np.ndarray, np.ndarray]:
        """The log-likelihood of each participant at the thresholds of the grid [n, thresholds], and its
        derivative by the logarithm of the slope."""
        return tuple(self._counts @ each for each in self._curves(log_slope))

    def influences(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How much each participant, and each answer, moves the mean."""
        # What is at the end of its range stays there.
        inside = (parameters > _BOUNDS[:, 0] + 1e-6) & (parameters < _BOUNDS[:, 1] - 1e-6)
        people = self._counts.shape[0]
        if not inside[0]:
            return np.zeros(people), np.zeros(len(self.x))
        gain = np.zeros(3)
        curvature = self._curvature(parameters)[np.ix_(inside, inside)]
        gain[inside] = np.linalg.pinv(curvature, hermitian=True)[0]
        mean, log_stdev, log_slope = parameters
        curve, curve_by_slope = self._curves(log_slope)
        likelihood, by_slope = self._counts @ curve, self._counts @ curve_by_slope
        prior, statistics = _prior(mean, log_stdev)
        posterior = np.exp(likelihood - likelihood.max(1, keepdims=True)) * prior
        posterior /= posterior.sum(1, keepdims=True)
        of_people = _scores(posterior, prior, statistics, by_slope) @ gain
        # An answer changes its participant's posterior by its covariance with what the score is the mean of.
        summed = gain[:2] @ statistics + gain[2] * by_slope
        centred = posterior * (summed - (posterior * summed).sum(1, keepdims=True))
        of_votes = (centred[self._participant] * curve[self._cell]).sum(1)
        of_votes += gain[2] * (posterior[self._participant] * curve_by_slope[self._cell]).sum(1)
        return of_people - of_people.mean(), of_votes

    def _curvature(self, parameters: np.ndarray) -> np.ndarray:
        """The second derivatives of `cost`, by differences of the first."""
        steps = _DIFFERENCE * np.eye(3)
        found = np.stack(
            [
                (self.cost(parameters + step)[1] - self.cost(parameters - step)[1])
                / (2 * _DIFFERENCE)
                for step in steps
            ]
        )
        return (found + found.T) / 2

    def _curves(self, log_slope: float) -> tuple[np.ndarray, np.ndarray]:
        """Of a right and of a wrong answer at each exposure: the log-probability at the thresholds of the
        grid [2 exposures, thresholds], and its derivative by the logarithm of the slope."""
        away = (self._exposures[:, None] - _GRID) / np.exp(log_slope)
        rise = expit(away + _AT_THRESHOLD)
        p = 0.5 + _RISE * rise
        change = -_RISE * rise * (1 - rise) * away
        return (
            np.concatenate([np.log(p), np.log1p(-p)]),
            np.concatenate([change / p, -change / (1 - p)]),
        )


def _prior(mean: float, log_stdev: float) -> tuple[np.ndarray, np.ndarray]:
    """The lognormal distribution on the grid [thresholds]; derivatives of its logarithm, but for a constant,
    by mean and log standard deviation [2, thresholds]."""
    stdev = np.exp(log_stdev)
    away = (_GRID - mean) / stdev
    prior = np.exp(-0.5 * away**2)
    return prior / prior.sum(), np.stack([away / stdev, away**2])


def _scores(
    posterior: np.ndarray, prior: np.ndarray, statistics: np.ndarray, by_slope: np.ndarray
) -> np.ndarray:
    """Derivatives of each participant's log-likelihood by the three parameters: [n, 3]."""
    of_prior = posterior @ statistics.T - prior @ statistics.T
    return np.column_stack([of_prior, (posterior * by_slope).sum(1)])


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
