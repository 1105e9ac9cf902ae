"""Participants and images as samples: the variance, its test, and how often they are right."""

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from convergan.study.analysis.estimates import Estimates, crossed_mean
from convergan.study.analysis.rates import rates_of
from convergan.study.analysis.statistics.crossed import (
    Crossed,
    crossed_estimate,
    image_variances,
    independent_variance,
)
from convergan.study.analysis.votes import Votes
from harness.simulated_votes import joined, simulated_votes


def taken_apart(votes: Votes, arm: str, measure: str = "accuracy") -> Crossed:
    arm_votes = votes.chosen(votes.arm == arm)
    return crossed_mean(rates_of(arm_votes), arm_votes, measure)


def test_the_variance_is_the_sum_over_participants_and_images_less_that_of_votes() -> None:
    """The variance is computed term by term, vote by vote."""
    rng = np.random.default_rng(0)
    votes = simulated_votes(rng, {"a": 0.7, "b": 0.75}, participants=6, trials=20, pool=14)
    first, second = taken_apart(votes, "a"), taken_apart(votes, "b")
    terms = {}
    for arm, sign in (("a", 1), ("b", -1)):
        arm_votes = votes.chosen(votes.arm == arm)
        for row in range(len(arm_votes)):
            kind = arm_votes.generated == arm_votes.generated[row]
            expected = (~arm_votes.wrong[kind]).mean()
            e = sign * (float(~arm_votes.wrong[row]) - expected) / (6 * 20)
            terms[arm, arm_votes.participant[row], arm_votes.image[row]] = e
    image_sums: dict[str, dict[str, float]] = {}
    for (arm, _, image), e in terms.items():
        stratum = "real" if image.startswith("real") else arm
        own = image_sums.setdefault(stratum, {})
        own[image] = own.get(image, 0) + e
    expected_images = [
        sum(e**2 for e in own.values()) * len(own) / (len(own) - 1) for own in image_sums.values()
    ]
    variances = image_variances([first, second])
    assert variances is not None
    assert sorted(variances[0]) == pytest.approx(sorted(expected_images))
    assert variances[2] == pytest.approx(sum(e**2 for e in terms.values()))
    people = sum(side.numbers.var(ddof=1) / 6 for side in (first, second))
    difference = crossed_estimate(first, second)
    assert difference is not None
    v = max(people, sum(expected_images), people + sum(expected_images) - variances[2])
    assert difference.error**2 == pytest.approx(
        max(v, first.least_variance + second.least_variance)
    )
    assert difference.value == pytest.approx(first.value - second.value)


def test_without_images_it_is_welchs_test() -> None:
    rng = np.random.default_rng(1)
    votes = joined(
        [
            simulated_votes(rng, {"a": 0.7}, participants=9, trials=60),
            simulated_votes(rng, {"b": 0.8}, participants=30, trials=60, stdev=0.02),
        ]
    )
    rates = rates_of(votes)
    result = Estimates(rates, None, rng, 1).tested("a", "b")
    assert result is not None and result.samples == "participants"
    first, second = (rates.accuracy[rates.arm == arm] for arm in ("a", "b"))
    expected = ttest_ind(first, second, equal_var=False)
    assert result.estimate.p_value(0) == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.estimate.interval() == pytest.approx(tuple(expected.confidence_interval()))


def test_real_images_that_both_arms_show_fall_out_of_the_difference() -> None:
    rng = np.random.default_rng(2)
    shape = {"participants": 60, "trials": 60, "pool": 40, "stdev_of_images": 0.1, "stdev": 0.01}
    votes = simulated_votes(rng, {"a": 0.7, "b": 0.7}, same_images=True, **shape)  # type: ignore[arg-type]
    sides = [taken_apart(votes, arm) for arm in ("a", "b")]
    difference, estimates = crossed_estimate(*sides), [crossed_estimate(side) for side in sides]
    assert difference and estimates[0] and estimates[1]
    assert difference.error**2 < 0.5 * sum(estimate.error**2 for estimate in estimates if estimate)


def test_answers_that_never_vary_have_an_interval_all_the_same() -> None:
    """The width is about what three more votes could change: 400 right answers do not rule out errors."""
    rng = np.random.default_rng(3)
    votes = simulated_votes(rng, {"a": 0.75}, participants=10, trials=40)
    all_votes = votes.chosen(np.full(len(votes), True))
    right = Votes(**{**vars(all_votes), "answered_generated": all_votes.generated})
    estimate = crossed_estimate(taken_apart(right, "a"))
    assert estimate is not None and estimate.value == 1
    assert 0.985 < estimate.interval().low < 0.9995
    assert independent_variance(0, 400) == pytest.approx(2 / 404 * 402 / 404 / 400)


def test_too_little_says_nothing() -> None:
    rng = np.random.default_rng(4)
    votes = simulated_votes(rng, {"a": 0.7}, participants=3, trials=10, pool=20)
    one_participant = votes.chosen(votes.participant == votes.participant[0])
    assert crossed_estimate(taken_apart(one_participant, "a")) is None
    image = votes.image[votes.generated][0]
    one_image = votes.chosen(~votes.generated | (votes.image == image))
    estimates = Estimates(rates_of(one_image), one_image, rng, 1)
    result = estimates.tested("a")
    assert result is not None and result.samples == "participants", "one image tells of no others"


@pytest.mark.parametrize(
    ("participants", "pool", "stdev_of_images"), [(20, 20, 0.15), (20, 300, 0.06), (8, 40, 0.1)]
)
def test_the_interval_holds_the_truth_as_often_as_it_says(
    participants: int, pool: int, stdev_of_images: float
) -> None:
    """benchmarks/study_statistics.py has more cases, and the rates of false differences."""
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(150):
        votes = simulated_votes(
            rng, {"a": 0.7}, participants=participants, trials=40, pool=pool,
            stdev_of_images=stdev_of_images,
        )  # fmt: skip
        estimate = crossed_estimate(taken_apart(votes, "a"))
        assert estimate is not None
        covered.append(abs(estimate.value - 0.7) <= t.ppf(0.975, estimate.freedom) * estimate.error)
    assert 0.9 <= np.mean(covered) <= 0.99


def test_two_samples_of_one_generator_seldom_differ() -> None:
    """The images are few and differ much: a test over participants alone errs in a quarter of the studies."""
    rng = np.random.default_rng(6)
    crossed, alone = [], []
    for _ in range(120):
        votes = simulated_votes(
            rng, {"a": 0.7, "b": 0.7}, participants=30, trials=40, pool=20, stdev_of_images=0.1
        )
        sides = [taken_apart(votes, arm) for arm in ("a", "b")]
        for rejections, estimate in (
            (crossed, crossed_estimate(*sides)),
            (alone, crossed_estimate(*(side.without_images for side in sides))),
        ):
            assert estimate is not None
            rejections.append(estimate.p_value(0) < 0.05)
    assert np.mean(crossed) <= 0.1 < np.mean(alone)
