import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from convergan.statistics.equivalence import Equivalence, equivalence
from convergan.statistics.student import student_mean


def equivalence_of_mean(values: np.ndarray, margin: float) -> Equivalence | None:
    """Tests a sample's mean for equivalence with one half."""
    mean = student_mean(values)
    return None if mean is None else equivalence(mean, 0.5, margin)


def test_p_is_the_larger_of_two_one_sided_tests() -> None:
    accuracy = np.random.default_rng(0).normal(0.52, 0.07, 40)
    result = equivalence_of_mean(accuracy, 0.04)
    assert result is not None
    mean, error = accuracy.mean(), accuracy.std(ddof=1) / math.sqrt(40)
    p_lower, p_upper = t.sf((mean - 0.46) / error, 39), t.cdf((mean - 0.54) / error, 39)
    assert result.p_value == pytest.approx(max(p_lower, p_upper), abs=1e-12)
    reach = t.ppf(0.95, 39) * error
    assert result.interval == pytest.approx((mean - reach, mean + reach), abs=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_the_interval_lies_within_the_margin_just_when_p_is_small(seed: int) -> None:
    accuracy = np.random.default_rng(seed).normal(0.5 + 0.003 * seed, 0.07, 20)
    result = equivalence_of_mean(accuracy, 0.05)
    assert result is not None
    is_inside = result.interval[0] > 0.45 and result.interval[1] < 0.55
    assert is_inside == result.equivalent


def test_few_people_cannot_show_it() -> None:
    """Failure to tell a rate from chance is no evidence that it is chance."""
    accuracy = np.array([0.4, 0.6, 0.5])
    result = equivalence_of_mean(accuracy, 0.05)
    assert result is not None
    assert ttest_1samp(accuracy, 0.5).pvalue > 0.9 and not result.equivalent
    assert equivalence_of_mean(accuracy[:1], 0.05) is None


def test_on_the_margin_it_is_said_at_most_as_often_as_the_level() -> None:
    rng = np.random.default_rng(1)
    verdicts = [
        result.equivalent
        for accuracy in rng.normal(0.55, 0.07, (600, 40))
        if (result := equivalence_of_mean(accuracy, 0.05))
    ]
    assert np.mean(verdicts) <= 0.065


@pytest.mark.filterwarnings("error")
def test_nothing_is_known_of_values_that_are_all_alike() -> None:
    assert student_mean(np.full(5, 0.5)) is None


@pytest.mark.parametrize("participants", [2, 3, 40])
def test_the_p_of_chance_is_students(participants: int) -> None:
    accuracy = np.random.default_rng(participants).normal(0.48, 0.07, participants)
    mean = student_mean(accuracy)
    assert mean is not None
    expected = ttest_1samp(accuracy, 0.5)
    assert mean.p_value(0.5) == pytest.approx(expected.pvalue, abs=1e-12)
    low, high = expected.confidence_interval()
    assert mean.interval() == pytest.approx((low, high), abs=1e-12)
    assert student_mean(accuracy[:1]) is None
