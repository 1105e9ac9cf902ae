"""The exposure that participants need: a penalized maximum-likelihood fit to all answers of all participants.

With x the exposure, t a participant's threshold, s the slope that all participants share, and l the share of
answers that are lapses:

    P(right) = 1/2 + (1/2 - l) L((ln x - ln t) / s + L^-1(1/4 / (1/2 - l))),  L(z) = 1 / (1 + exp(-z))

so that three of four answers are right at x = t. Thresholds follow a lognormal distribution; its mean, its
standard deviation and the slope maximize the likelihood of all answers, times a weak prior of the slope:
lognormal around 0.3, with 95 % between 0.06 and 1.4. Without a prior, answers from one side of the threshold
may fit any slope, and the threshold may go to an end of its range. A staircase that has not settled does no
harm: the likelihood does not depend on why an exposure was chosen. But most of its exposures are then far
from the threshold, whose estimate depends on the slope, and a wrong slope shifts all thresholds the same way.
Therefore the uncertainty of the mean is that of a joint fit of the three parameters (Stefanski and Boos, The
American Statistician 56, 2002, 29-38), not that of the participants' thresholds given the slope.

Sources: Wichmann and Hill, Perception & Psychophysics 63 (2001), 1293-1313; for priors, Kuss, Jäkel and
Wichmann, Journal of Vision 5 (2005), 478-492. Because the slope is shared, some 100 answers of each
participant are enough.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit, logit

LAPSES = 0.02
"""Share of answers that are lapses, l."""

LOWEST_MS, HIGHEST_MS = 50.0, 2000.0
"""Range of the thresholds: someone who is always right, or always wrong, has one at an end of it."""

_RISE = 0.5 - LAPSES
_AT_THRESHOLD = float(logit(0.25 / _RISE))
_STEPS = 120
_GRID = np.linspace(np.log(LOWEST_MS), np.log(HIGHEST_MS), _STEPS)
_NEWTON_STEPS = 12

_BOUNDS = np.array([[_GRID[0], _GRID[-1]], np.log([0.05, 2.0]), np.log([0.05, 1.5])])
"""Bounds of the mean, of the logarithm of the standard deviation and of the logarithm of the slope."""

_START = np.log([0.4, 0.3])

_USUAL_LOG_SLOPE, _STDEV_OF_LOG_SLOPE = float(np.log(0.3)), 0.8
"""Normal prior of the logarithm of the slope."""

_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Fit:
    """A fit to the answers of n participants."""

    log_threshold: np.ndarray
    """float64 [n]: logarithm of each participant's most likely threshold in ms, given the slope."""

    mean: float
    """Mean of the distribution of log thresholds."""

    slope: float
    """The slope s that all participants share, above 0."""

    participants: np.ndarray
    """float64 [n]: influence of each participant on the mean; they sum to 0."""

    votes: np.ndarray
    """float64 [votes]: influence of each answer on the mean."""


def fit_thresholds(exposure_ms: np.ndarray, right: np.ndarray, participant: np.ndarray) -> Fit:
    """Fit the most likely distribution of thresholds, and the threshold of each participant.

    Args:
        exposure_ms: [votes], exposures, above 0.
        right: bool [votes], whether each answer is right.
        participant: int [votes], 0 to n - 1, each of which must occur.
    """
    # Rounded to a thousandth: measured exposures all differ a little, and each value takes a curve.
    answers = _Answers(np.log(exposure_ms).round(3), right, participant)
    start = [_GRID[answers.likelihood(_START[1])[0].sum(0).argmax()], *_START]
    optimum = minimize(
        answers.cost, start, jac=True, method="L-BFGS-B", bounds=_BOUNDS, options={"ftol": 1e-11}
    ).x
    participants, votes = answers.influences(optimum)
    slope = float(np.exp(optimum[2]))
    best = _GRID[answers.likelihood(optimum[2])[0].argmax(1)]
    return Fit(
        log_threshold=_newton(answers.x, right, participant, slope, best),
        mean=float(optimum[0]),
        slope=slope,
        participants=participants,
        votes=votes,
    )


def probability(exposure_ms: np.ndarray, threshold_ms: np.ndarray, slope: float) -> np.ndarray:
    """Compute P(right) of the model."""
    return 0.5 + _RISE * expit(np.log(exposure_ms / threshold_ms) / slope + _AT_THRESHOLD)


class _Answers:
    """The marginal likelihood of (mean, log standard deviation, log slope), with thresholds on a grid."""

    def __init__(self, x: np.ndarray, right: np.ndarray, participant: np.ndarray) -> None:
        self.x, self._participant = x, participant
        # The curve of each distinct exposure is computed once.
        self._exposures, place = np.unique(x, return_inverse=True)
        self._cell = np.where(right, place, len(self._exposures) + place)
        self._counts = csr_array(
            (np.ones(len(x)), (participant, self._cell)),
            shape=(int(participant.max()) + 1, 2 * len(self._exposures)),
        )

    def cost(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Compute the negative logarithm of marginal likelihood times prior, and its gradient [3]."""
        mean, log_stdev, log_slope = parameters
        likelihood, by_slope = self.likelihood(log_slope)
        prior, statistics = _prior(mean, log_stdev)
        highest = likelihood.max(1, keepdims=True)
        joint = np.exp(likelihood - highest) * prior
        marginal = joint.sum(1, keepdims=True)
        scores = _scores(joint / marginal, prior, statistics, by_slope)
        unusual = (log_slope - _USUAL_LOG_SLOPE) / _STDEV_OF_LOG_SLOPE
        cost = 0.5 * unusual**2 - float((np.log(marginal) + highest).sum())
        return cost, np.array([0, 0, unusual / _STDEV_OF_LOG_SLOPE]) - scores.sum(0)

    def likelihood(self, log_slope: float) -> tuple[np.ndarray, np.ndarray]:
        """Compute each participant's log-likelihood at the thresholds of the grid [n, thresholds].

        The second value is its derivative with respect to the logarithm of the slope.
        """
        return tuple(self._counts @ curve for curve in self._curves(log_slope))

    def influences(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the influence of each participant [n] and of each answer [votes] on the mean."""
        # A parameter at the end of its range stays there.
        interior = (parameters > _BOUNDS[:, 0] + 1e-6) & (parameters < _BOUNDS[:, 1] - 1e-6)
        people = self._counts.shape[0]
        if not interior[0]:
            return np.zeros(people), np.zeros(len(self.x))
        gain = np.zeros(3)
        curvature = self._curvature(parameters)[np.ix_(interior, interior)]
        gain[interior] = np.linalg.pinv(curvature, hermitian=True)[0]
        mean, log_stdev, log_slope = parameters
        curve, curve_by_slope = self._curves(log_slope)
        likelihood, by_slope = self._counts @ curve, self._counts @ curve_by_slope
        prior, statistics = _prior(mean, log_stdev)
        posterior = np.exp(likelihood - likelihood.max(1, keepdims=True)) * prior
        posterior /= posterior.sum(1, keepdims=True)
        by_participant = _scores(posterior, prior, statistics, by_slope) @ gain
        # The score is a posterior mean; an answer changes it by its covariance with the quantity averaged.
        summed = gain[:2] @ statistics + gain[2] * by_slope
        centred = posterior * (summed - (posterior * summed).sum(1, keepdims=True))
        by_vote = (centred[self._participant] * curve[self._cell]).sum(1)
        by_vote += gain[2] * (posterior[self._participant] * curve_by_slope[self._cell]).sum(1)
        return by_participant - by_participant.mean(), by_vote

    def _curvature(self, parameters: np.ndarray) -> np.ndarray:
        """Compute the second derivatives of `cost` [3, 3], by differences of its gradient."""
        steps = _DIFFERENCE * np.eye(3)
        hessian = np.stack(
            [
                (self.cost(parameters + step)[1] - self.cost(parameters - step)[1])
                / (2 * _DIFFERENCE)
                for step in steps
            ]
        )
        return (hessian + hessian.T) / 2

    def _curves(self, log_slope: float) -> tuple[np.ndarray, np.ndarray]:
        """Compute log-probabilities of a right and of a wrong answer [2 exposures, thresholds].

        The second value is their derivative with respect to the logarithm of the slope.
        """
        distance = (self._exposures[:, None] - _GRID) / np.exp(log_slope)
        rise = expit(distance + _AT_THRESHOLD)
        p = 0.5 + _RISE * rise
        change = -_RISE * rise * (1 - rise) * distance
        return (
            np.concatenate([np.log(p), np.log1p(-p)]),
            np.concatenate([change / p, -change / (1 - p)]),
        )


def _prior(mean: float, log_stdev: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the lognormal distribution on the grid [thresholds].

    The second value holds the derivatives of its logarithm, up to a constant, with respect to the mean and
    the log standard deviation [2, thresholds].
    """
    stdev = np.exp(log_stdev)
    distance = (_GRID - mean) / stdev
    prior = np.exp(-0.5 * distance**2)
    return prior / prior.sum(), np.stack([distance / stdev, distance**2])


def _scores(
    posterior: np.ndarray, prior: np.ndarray, statistics: np.ndarray, by_slope: np.ndarray
) -> np.ndarray:
    """Compute derivatives of each participant's log-likelihood by the three parameters: [n, 3]."""
    prior_scores = posterior @ statistics.T - prior @ statistics.T
    return np.column_stack([prior_scores, (posterior * by_slope).sum(1)])


def _newton(
    x: np.ndarray, right: np.ndarray, participant: np.ndarray, slope: float, start: np.ndarray
) -> np.ndarray:
    """Refine thresholds from the best points of the grid by Fisher scoring, by one step of it at most."""
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
    """Compute each answer's derivative of its log-likelihood by the log threshold, and the mean square."""
    rise = expit((x - theta) / slope + _AT_THRESHOLD)
    p = 0.5 + _RISE * rise
    derivative = -_RISE * rise * (1 - rise) / slope
    return np.where(right, derivative / p, -derivative / (1 - p)), derivative**2 / (p * (1 - p))
