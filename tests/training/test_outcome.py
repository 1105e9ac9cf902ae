"""The facts of several arms in results.json: the decision, its p-value, and the images tested on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from convergan.data.test_set import TestSet
from convergan.runs.results import Results
from convergan.training.outcome import ArmOutcome, SplitOutcome, extremes, with_arms
from support import results_of

SIZE = 40


def arm(name: str, *wrong: int, held_out: bool = False) -> ArmOutcome:
    errs = np.zeros(SIZE, dtype=bool)
    errs[list(wrong)] = True
    images = TestSet(
        np.zeros((SIZE, 8, 8, 1), np.uint8),
        np.zeros(SIZE, dtype=np.int64),
        names=[""] * SIZE,
        classes=("a", "b"),
    )
    logits = torch.eye(2)[torch.from_numpy(errs.astype(int))]
    outcome = SplitOutcome(test_set=images, logits=logits, baseline_logits=None)
    return ArmOutcome(
        name=name,
        steps=5,
        seconds=60.0,
        tested=[outcome],
        tested_on_held_out=held_out,
        held_out_wrong=errs,
    )


def results_with(*arms: ArmOutcome, saved: str) -> Results:
    return with_arms(results_of(3, size=SIZE), arms, saved=saved)


def test_the_decision_has_the_corrected_p_value_of_its_pair() -> None:
    # Six images to none: 0.031 for one comparison, 0.094 for the smallest of three.
    arms = arm("gan"), arm("baseline", *range(6)), arm("frozen", *range(3))
    results = results_with(*arms, saved="gan")
    assert binomtest(0, 6).pvalue < 0.05
    assert results.p_value == results.p_value_between("gan", "baseline") == pytest.approx(6 / 64)
    assert results.decision == "undecided"
    # Of two arms there is one pair, and nothing to correct.
    alone = results_with(*arms[:2], saved="gan")
    assert (alone.decision, alone.p_value) == ("helped", pytest.approx(2 / 64))


@pytest.mark.parametrize("saved", ["gan", "baseline", "frozen"])
def test_the_decision_is_of_the_recipes_own_model_whichever_is_saved(saved: str) -> None:
    arms = arm("gan", *range(20)), arm("baseline"), arm("frozen", 39)
    results = results_with(*arms, saved=saved)
    assert results.saved_arm == saved and results.decision == "hurt"
    assert results.p_value == results.p_value_between("gan", "baseline")


def test_a_baseline_alone_has_none_to_be_compared_with() -> None:
    results = results_with(arm("baseline", 1), arm("frozen"), saved="baseline")
    assert (results.decision, results.p_value, results.baseline_test) == (None, None, None)
    assert results.arm("baseline").test_errors == 1


def test_the_images_that_errors_are_of_are_a_fact() -> None:
    for held_out in (True, False):
        arms = [arm(name, 1, held_out=held_out) for name in ("gan", "baseline")]
        assert results_with(*arms, saved="gan").tested_on_held_out == held_out
    assert not replace(results_of(3), arms=()).tested_on_held_out


def confident(probabilities: list[float]) -> SplitOutcome:
    """The outcome of a classifier that is this sure of one of two classes, each on one image."""
    size = len(probabilities)
    images = TestSet(
        np.zeros((size, 8, 8, 1), np.uint8),
        np.zeros(size, dtype=np.int64),
        names=[str(place) for place in range(size)],
        classes=("a", "b"),
    )
    shares = torch.tensor([[share, 1 - share] for share in probabilities])
    return SplitOutcome(test_set=images, logits=shares.log(), baseline_logits=None)


def test_few_images_are_either_certain_or_uncertain() -> None:
    probabilities = [0.517, 0.6, 0.7, 0.8, 0.85, 0.92, 0.95, 0.99]
    certain, uncertain = extremes([confident(probabilities)], ("a", "b"))
    assert [prediction.name for prediction in certain] == ["7", "6", "5"], "the fourth is unsure"
    assert [prediction.name for prediction in uncertain] == ["0", "1", "2", "3"]
    assert extremes([confident([0.99])], ("a", "b"))[0] == []
    folds = [confident(probabilities[:4]), confident(probabilities[4:])]
    assert [len(part) for part in extremes(folds, ("a", "b"))] == [3, 4]


def test_of_many_images_the_twelve_at_each_end_are_shown() -> None:
    probabilities = np.linspace(0.5, 0.99, 100).tolist()
    certain, uncertain = extremes([confident(probabilities)], ("a", "b"))
    assert [prediction.name for prediction in certain] == [str(99 - i) for i in range(12)]
    assert [prediction.name for prediction in uncertain] == [str(i) for i in range(12)]
