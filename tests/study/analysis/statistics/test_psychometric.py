"""The fit of thresholds, and the influence of single answers and participants on it."""

import tracemalloc

import numpy as np
import pytest

from convergan.study.analysis.statistics.psychometric import Fit, fit_thresholds, probability

PEOPLE, TRIALS = 12, 60


@pytest.fixture(scope="module")
def answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exposures, answers and participants, with thresholds around 300 ms."""
    rng = np.random.default_rng(0)
    participant = np.repeat(np.arange(PEOPLE), TRIALS)
    own = 300 * np.exp(0.3 * rng.standard_normal(PEOPLE))
    exposure = rng.uniform(100, 900, len(participant))
    right = rng.random(len(participant)) < probability(exposure, own[participant], 0.3)
    return exposure, right, participant


@pytest.fixture(scope="module")
def fit(answers: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Fit:
    return fit_thresholds(*answers)


def test_the_truth_is_near(fit: Fit) -> None:
    assert np.exp(fit.mean) == pytest.approx(300, rel=0.2)
    assert 0.15 < fit.slope < 0.6
    assert fit.participants.sum() == pytest.approx(0, abs=1e-9)


def test_three_of_four_are_right_at_the_threshold() -> None:
    assert probability(np.array([250.0]), np.array([250.0]), 0.3) == pytest.approx(0.75)


def test_what_a_participant_does_to_the_mean(
    answers: tuple[np.ndarray, np.ndarray, np.ndarray], fit: Fit
) -> None:
    """A participant who is left out moves the mean the other way, by about the stated influence."""
    exposure, right, participant = answers
    moved = []
    for person in range(PEOPLE):
        remaining = participant != person
        _, place = np.unique(participant[remaining], return_inverse=True)
        moved.append(fit.mean - fit_thresholds(exposure[remaining], right[remaining], place).mean)
    assert np.corrcoef(moved, fit.participants)[0, 1] > 0.97
    assert np.std(moved) == pytest.approx(np.std(fit.participants), rel=0.3)


def test_what_an_answer_does_to_the_mean(
    answers: tuple[np.ndarray, np.ndarray, np.ndarray], fit: Fit
) -> None:
    """An answer that is given once more moves the mean by about its stated influence."""
    exposure, right, participant = answers
    indices = np.argsort(-np.abs(fit.votes))[[0, 20, 100, 300]]
    for answer in indices:
        rows = np.append(np.arange(len(right)), answer)
        mean = fit_thresholds(exposure[rows], right[rows], participant[rows]).mean
        assert mean - fit.mean == pytest.approx(fit.votes[answer], rel=0.3)


def test_exposures_as_a_browser_measures_them_take_no_curve_each(
    answers: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """A curve for each exposure of 1,000 participants with 100 answers each would take gigabytes."""
    exposure, right, participant = answers
    rng = np.random.default_rng(1)
    times = 30
    exposures = np.tile(exposure, times) * (1 + 1e-5 * rng.standard_normal(times * len(exposure)))
    participants = np.concatenate([participant + PEOPLE * copy for copy in range(times)])
    tracemalloc.start()
    result = fit_thresholds(exposures, np.tile(right, times), participants)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120e6
    assert result.mean == pytest.approx(fit_thresholds(*answers).mean, abs=0.002)
