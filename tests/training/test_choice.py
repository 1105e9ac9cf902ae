"""The choice among arms by held-out labels, and intervals that hold for whichever is chosen."""

import numpy as np
import pytest
from scipy.stats import binomtest

from convergan.statistics.intervals import wilson
from convergan.training.choice import IntervalMethod, chosen_arm, compared


def wrong(*places: int, size: int = 20) -> np.ndarray:
    answers = np.zeros(size, dtype=bool)
    answers[list(places)] = True
    return answers


def test_the_recipes_own_model_is_preferred() -> None:
    assert chosen_arm({"composed": wrong(0, 1), "baseline": wrong(0, 1)}) == "composed"
    # Three images against none: 3 > sqrt(3). Of two against one, 1 < sqrt(3).
    assert chosen_arm({"composed": wrong(0, 1, 2), "gan": wrong()}) == "gan"
    assert chosen_arm({"composed": wrong(0, 1), "gan": wrong(2)}) == "composed"
    # A single image is not more than its own standard error.
    assert chosen_arm({"composed": wrong(0), "gan": wrong()}) == "composed"


def test_the_baseline_must_be_better_by_two_standard_errors() -> None:
    # Four images against none: 4 = 2 sqrt(4). Five: 5 > 2 sqrt(5). Of seven against two, 5 < 2 sqrt(9).
    assert chosen_arm({"consistency": wrong(*range(4)), "baseline": wrong()}) == "consistency"
    assert chosen_arm({"consistency": wrong(*range(5)), "baseline": wrong()}) == "baseline"
    assert chosen_arm({"consistency": wrong(*range(7)), "baseline": wrong(7, 8)}) == "consistency"


def test_of_several_clearly_better_arms_the_best_is_chosen() -> None:
    own = wrong(*range(10))
    answers = {"composed": own, "baseline": wrong(0, 1, 2), "gan": wrong(0), "frozen": wrong(1)}
    assert chosen_arm(answers) == "gan"


def test_pairs_are_compared_by_mcnemars_test_and_holm() -> None:
    answers = {"a": wrong(*range(12)), "b": wrong(), "c": wrong(*range(6))}
    pairs = {(pair.first, pair.second): pair for pair in compared(answers)}
    assert (pairs["a", "c"].only_first_wrong, pairs["a", "c"].only_second_wrong) == (6, 0)
    assert pairs["a", "b"].p_value == pytest.approx(3 * binomtest(0, 12).pvalue)
    # Of two equal p-values neither is below the other.
    assert pairs["b", "c"].p_value == pytest.approx(2 * binomtest(0, 6).pvalue)
    assert pairs["a", "c"].p_value == pytest.approx(2 * binomtest(0, 6).pvalue)
    assert compared({"a": wrong(1)}) == ()


def coverage(arms: int, *, size: int, rate: float, joint: bool) -> float:
    """The share of runs in which the interval of the chosen arm holds its error rate.

    All arms are equally good, and the choice is by the labels that the interval is made from.
    """
    random = np.random.default_rng(5)
    method = IntervalMethod(arms if joint else 1)
    intervals = [method(errors, size) for errors in range(size + 1)]
    covered, runs = 0, 4000
    for _ in range(runs):
        answers = {str(arm): random.random(size) < rate for arm in range(arms)}
        low, high = intervals[int(answers[chosen_arm(answers)].sum())]
        covered += low <= rate <= high
    return covered / runs


@pytest.mark.parametrize("arms", [2, 4])
@pytest.mark.parametrize("size", [20, 50])
def test_the_interval_holds_for_the_arm_that_was_chosen(arms: int, size: int) -> None:
    assert coverage(arms, size=size, rate=0.3, joint=True) >= 0.93


@pytest.mark.parametrize("arms", [2, 4])
def test_a_plain_interval_holds_it_less_often(arms: int) -> None:
    alone = coverage(arms, size=50, rate=0.3, joint=False)
    assert alone < coverage(arms, size=50, rate=0.3, joint=True)


def test_a_single_arm_has_the_plain_interval() -> None:
    assert IntervalMethod(1)(3, 40) == wilson(3, 40)
    low, high = IntervalMethod(3)(3, 40)
    assert low < wilson(3, 40).low and high > wilson(3, 40).high
    assert "3 arms together" in IntervalMethod(3).words
