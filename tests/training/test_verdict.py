"""The verdict: the paired test against textbook values, and what it says."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from convergan.page.words import SPACE
from convergan.recipes.arm_words import arm_phrase, arm_title
from convergan.runs.results import ArmComparison, ArmResult, MemberResult, RateInterval, Results
from convergan.training.verdict import compare, verdict_sentence
from support import results_of


def wrong(size: int, *places: int) -> np.ndarray:
    values = np.zeros(size, dtype=bool)
    values[list(places)] = True
    return values


def test_only_images_where_one_of_two_errs_count() -> None:
    gan, baseline = wrong(100, 0, 1, 2), wrong(100, 0, 1, 2, *range(10, 20))
    comparison = compare(gan, baseline)
    assert comparison.decision == "helped"
    # Ten to none: twice (1/2)^10.
    assert comparison.p_value == pytest.approx(2 * 0.5**10)
    assert compare(baseline, gan).decision == "hurt"
    assert compare(wrong(100, 1, 2), wrong(100, 3, 4, 5)).decision == "undecided"
    assert compare(gan, gan).p_value == 1.0


@pytest.mark.parametrize(
    ("decision", "p_value", "words"),
    [
        ("helped", 1e-9, "the GAN helped (p < 0.001)"),
        ("hurt", 0.012, "the GAN hurt (p = 0.012); its classifier is saved nevertheless"),
        ("undecided", 0.4, "undecided: a difference this small may be chance (p = 0.4)."),
    ],
)
def test_one_sentence(decision: str, p_value: float, words: str) -> None:
    results = results_of(13, 34, decision=decision, p_value=p_value)
    sentence = verdict_sentence(results).replace("\N{NO-BREAK SPACE}", " ")
    assert sentence.startswith(
        "With 100 labels, the supervised baseline misclassifies 6.8 % of 500 test images, "
        "the semi-supervised GAN 2.6 %"
    )
    assert words in sentence
    assert "cross-validation" in verdict_sentence(replace(results, folds=4))
    assert "baseline" not in verdict_sentence(results_of(13))
    assert verdict_sentence(results_of()).startswith("A generator of these images")


def results_of_arms(errors: dict[str, int], p_values: dict[tuple[str, str], float]) -> Results:
    arms = tuple(
        ArmResult(
            name=name,
            test_errors=count,
            test_error_rate=count / 1000,
            interval=RateInterval(0, 1),
            minutes=2,
            steps=100,
        )
        for name, count in errors.items()
    )
    comparisons = tuple(
        ArmComparison(first=a, second=b, only_first_wrong=0, only_second_wrong=0, p_value=p_value)
        for (a, b), p_value in p_values.items()
    )
    first = next(iter(errors))
    return replace(
        results_of(errors[first], size=1000),
        arms=arms,
        comparisons=comparisons,
        saved_arm=first,
    )


def sentence_of(results: Results) -> str:
    return verdict_sentence(results).replace("\N{NO-BREAK SPACE}", " ")


def test_of_several_arms_the_best_is_named_with_its_lead_and_what_each_cost() -> None:
    results = results_of_arms(
        {"composed": 141, "baseline": 243, "consistency": 150},
        {
            ("composed", "baseline"): 1e-5,
            ("composed", "consistency"): 0.4,
            ("baseline", "consistency"): 1e-5,
        },
    )
    assert sentence_of(results) == (
        "With 100 labels, the GAN composed with consistency misclassifies 14.1 % of 1,000 test images "
        "(2.0 min), consistency 15.0 % (2.0 min), the supervised baseline 24.3 % (2.0 min). The best is the "
        "GAN composed with consistency, 0.9 points better than consistency (p = 0.4, which may be chance) "
        "and 10.2 points better than the supervised baseline (p < 0.001); whether adding the GAN to "
        "consistency helped is undecided."
    )


@pytest.mark.parametrize(
    ("composed", "consistency", "words"),
    [
        (100, 150, "adding the GAN to consistency helped"),
        (150, 100, "adding the GAN to consistency hurt"),
    ],
)
def test_the_gan_is_judged_by_consistency_and_not_by_the_baseline(
    composed: int, consistency: int, words: str
) -> None:
    errors = {"composed": composed, "baseline": 400, "consistency": consistency}
    pairs = {pair: 1e-5 for pair in combinations(errors, 2)}
    assert words in sentence_of(results_of_arms(errors, pairs))


def test_with_a_baseline_alone_nothing_is_said_of_the_gans_part() -> None:
    pairs = {("composed", "baseline"): 1e-5}
    sentence = sentence_of(results_of_arms({"composed": 100, "baseline": 400}, pairs))
    assert sentence.endswith(
        "The best is the GAN composed with consistency, 30.0 points better than the supervised baseline "
        "(p < 0.001)."
    )


def test_another_arm_than_the_best_may_be_saved_which_is_said() -> None:
    pairs = {("composed", "gan"): 0.03}
    sentence = sentence_of(results_of_arms({"composed": 120, "gan": 100}, pairs))
    assert sentence.endswith(
        "The best is the GAN, 2.0 points better than the GAN composed with consistency (p = 0.03); the model "
        "that is saved is the GAN composed with consistency, the recipe's own."
    )


@pytest.mark.parametrize("on_held_out", [True, False])
def test_what_the_errors_are_counted_on_is_no_guess_from_numbers(on_held_out: bool) -> None:
    results = results_of_arms({"gan": 100, "baseline": 400}, {("gan", "baseline"): 1e-5})
    # As many held-out labels as test images, by chance.
    arms = tuple(replace(arm, held_out_errors=9, held_out_size=1000) for arm in results.arms)
    sentence = sentence_of(replace(results, arms=arms, tested_on_held_out=on_held_out))
    assert ("held-out labels" if on_held_out else "test images") in sentence


@pytest.mark.parametrize("name", ["composed", "gan", "consistency", "custom", "baseline", "frozen"])
def test_the_words_for_an_arm_hold_its_name(name: str) -> None:
    assert name in arm_phrase(name).lower().split()
    assert name in arm_title(name).lower().split() and arm_title(name)[0].isupper()


def test_an_ensemble_is_told_beside_its_members() -> None:
    members = tuple(
        MemberResult(seed=seed, test_errors=errors, test_error_rate=errors / 500)
        for seed, errors in enumerate((10, 20, 15))
    )
    results = results_of(8, 50, decision="helped", p_value=1e-5, members=members)
    assert verdict_sentence(results).replace(SPACE, " ") == (
        "With 100 labels, the ensemble of 3 supervised baselines misclassifies 10.0 % of 500 test images, "
        "the ensemble of 3 semi-supervised GANs 1.6 %: the GAN helped (p < 0.001). Its members alone "
        "misclassify 3.0 % on average, between 2.0 % and 4.0 %."
    )
