"""The verdict: the paired test against textbook values, and what it says."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from convergan.page.words import SPACE
from convergan.recipes.arm_words import arm_phrase, arm_title
from convergan.runs.results import ArmComparison, ArmResult, MemberResult, RateInterval, Results
from convergan.training.choice import chosen_arm, compared
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
        ("undecided", 1.0, "; undecided: no evidence of a difference."),
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
        "(2.0 min), consistency 15.0 % (2.0 min), the supervised baseline 24.3 % (2.0 min). The GAN "
        "composed with consistency has the lowest error rate, 0.9 points below that of consistency (p = 0.4, "
        "which may be chance) and 10.2 points below that of the supervised baseline (p < 0.001); whether "
        "adding the GAN to consistency helped is undecided."
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


def results_on_held_out(saved: str, **wrong: int) -> Results:
    """Results of arms that errors on 8 of 40 labels are compared by, each on other images."""
    size, names = 8, [*wrong]
    masks = {name: np.arange(size) < count for name, count in wrong.items()}
    masks[names[-1]] = masks[names[-1]][::-1]
    arms = tuple(
        ArmResult(
            name=name,
            test_errors=count,
            test_error_rate=count / size,
            interval=RateInterval(0, 1),
            minutes=0.4,
            steps=100,
            held_out_errors=count,
            held_out_size=size,
        )
        for name, count in wrong.items()
    )
    return replace(
        results_of(wrong[saved], size=size),
        labels=40,
        arms=arms,
        saved_arm=saved,
        comparisons=compared(masks),
        tested_on_held_out=True,
    )


def test_few_held_out_labels_favour_the_baseline_and_another_arm_is_saved() -> None:
    results = results_on_held_out("consistency", consistency=3, baseline=2)
    assert chosen_arm({"consistency": wrong(8, 0, 1, 2), "baseline": wrong(8, 6, 7)}) == (
        "consistency"
    )
    assert results.p_value_between("consistency", "baseline") == 1
    assert sentence_of(results) == (
        "With 32 of 40 labels, the supervised baseline misclassifies 25.0 % of 8 held-out labels (0.4 min), "
        "consistency 37.5 % (0.4 min). The supervised baseline has the lowest error rate, 12.5 points below "
        "that of consistency (no evidence of a difference); the model that is saved is consistency, the "
        "recipe's own: 8 held-out labels cannot tell the two apart."
    )


@pytest.mark.parametrize("saved", ["consistency", "baseline"])
def test_arms_with_equally_many_mistakes_share_the_lowest_error_rate(saved: str) -> None:
    sentence = sentence_of(results_on_held_out(saved, consistency=2, baseline=2))
    assert sentence.endswith(
        " Consistency and the supervised baseline share the lowest error rate."
    )
    three = sentence_of(results_on_held_out(saved, consistency=2, baseline=2, frozen=4))
    assert three.endswith(
        " share the lowest error rate, 25.0 points below that of frozen features (no evidence of a "
        "difference)."
    )


def test_no_arm_is_the_best_if_its_lead_may_be_chance() -> None:
    errors = {"composed": 100, "baseline": 150}
    for p_value in (0.04, 0.06, 0.7, 1.0):
        sentence = sentence_of(results_of_arms(errors, {("composed", "baseline"): p_value}))
        assert ("The best is" in sentence) == (p_value < 0.05)
        assert ("may be chance" in sentence) == (0.05 <= p_value < 0.995)
        assert ("no evidence of a difference" in sentence) == (p_value == 1)


@pytest.mark.parametrize(
    ("composed", "gan", "reason"),
    [
        (3, 5, ": it made the fewest mistakes on the 20 held-out labels."),
        (4, 4, ": it made as few mistakes as any other on the 20 held-out labels."),
        (5, 4, ": another made fewer mistakes on the 20 held-out labels, but not clearly fewer."),
    ],
)
def test_the_reason_for_a_choice_is_in_the_held_out_labels(
    composed: int, gan: int, reason: str
) -> None:
    results = results_of_arms({"composed": 120, "gan": 100}, {("composed", "gan"): 0.03})
    held_out = {"composed": composed, "gan": gan}
    arms = tuple(
        replace(arm, held_out_errors=held_out[arm.name], held_out_size=20) for arm in results.arms
    )
    assert sentence_of(replace(results, arms=arms)).endswith(f"the recipe's own{reason}")


@pytest.mark.parametrize(
    ("folds", "size", "held_out", "labels"),
    [(0, 500, False, "With 100 labels"), (0, 20, True, "With 80 of 100 labels"),
     (4, 100, False, "With 75 of 100 labels"), (3, 100, True, "With at least 66 of 100 labels")],
)  # fmt: skip
def test_labels_that_were_held_out_are_not_among_those_of_the_errors(
    folds: int, size: int, held_out: bool, labels: str
) -> None:
    results = results_of(3, size=size, folds=folds, tested_on_held_out=held_out)
    assert sentence_of(results).startswith(f"{labels}, the ")
