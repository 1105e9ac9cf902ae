"""Verdict on whether the GAN helped: a paired test against the baseline, and sentences about it."""

from dataclasses import dataclass

import numpy as np

from convergan.page.words import is_no_evidence, percent
from convergan.recipes.arm_words import arm_phrase
from convergan.recipes.arms import COMPOSED, CONSISTENCY, GAN
from convergan.runs.choice_reason import choice_reason
from convergan.runs.results import ArmResult, Decision, Results
from convergan.statistics.levels import SIGNIFICANCE
from convergan.statistics.paired import mcnemar_p_value


@dataclass(frozen=True, kw_only=True)
class BaselineComparison:
    """The classifier and the baseline on the same test images."""

    decision: Decision
    p_value: float
    """P-value of the exact McNemar test: the probability that the images that only one of the two
    misclassifies are divided at least as unevenly if both classifiers are equally good."""


def compare(wrong: np.ndarray, baseline_wrong: np.ndarray) -> BaselineComparison:
    """Compare two classifiers by the images that each misclassifies (McNemar 1947, exact).

    Args:
        wrong: bool [test images], True where the semi-supervised classifier is wrong.
        baseline_wrong: bool [test images], True where the baseline is wrong, in the same order.
    """
    only_classifier = int((wrong & ~baseline_wrong).sum())
    only_baseline = int((baseline_wrong & ~wrong).sum())
    return decided(only_classifier, only_baseline, mcnemar_p_value(only_classifier, only_baseline))


def decided(only_classifier: int, only_baseline: int, p_value: float) -> BaselineComparison:
    """The decision from a p-value and the numbers of images that only one of the two misclassifies."""
    if p_value >= SIGNIFICANCE:
        return BaselineComparison(decision="undecided", p_value=p_value)
    return BaselineComparison(
        decision="helped" if only_classifier < only_baseline else "hurt", p_value=p_value
    )


def verdict_sentence(results: Results) -> str:
    """The verdict of a run in one or two sentences."""
    if len(results.arms) > 1:
        return _verdict_of_arms(results)
    test, baseline = results.test, results.baseline_test
    if test is None:
        return (
            "A generator of these images was trained; there were no labels to learn classes from."
        )
    kind = _test_images(results)
    error_rate = percent(test.rate, size=test.size)
    labels = f"{_labels(results)}, the "
    if baseline is None or results.decision is None or results.p_value is None:
        sentence = (
            f"{labels}{model_name(results)} misclassifies {error_rate} of {test.size:,} {kind}."
        )
        return sentence + _members_sentence(results)
    numbers = (
        f"{labels}{baseline_name(results)} misclassifies {percent(baseline.rate, size=test.size)} of "
        f"{test.size:,} {kind}, the {model_name(results)} {error_rate}"
    )
    chance = _chance(results.p_value)
    cause, saved = "learning from the unlabelled images", "that classifier"
    if _has_gan(results):
        cause, saved = "the GAN", "its classifier"
    verdict = {
        "helped": f"{numbers}: {cause} helped ({chance}).",
        "hurt": f"{numbers}: {cause} hurt ({chance}); {saved} is saved nevertheless.",
        "undecided": f"{numbers}; undecided: {_undecided(results.p_value)}.",
    }[results.decision]
    return verdict + _members_sentence(results)


def model_name(results: Results) -> str:
    """Phrase for the model that is saved."""
    return _ensemble_name(results, "semi-supervised GAN" if _has_gan(results) else "classifier")


def baseline_name(results: Results) -> str:
    """Phrase for the baseline that the saved model is compared with."""
    return _ensemble_name(results, "supervised baseline")


def _ensemble_name(results: Results, name: str) -> str:
    return f"ensemble of {len(results.members)} {name}s" if results.members else name


def _members_sentence(results: Results) -> str:
    """A further sentence about the error rates of an ensemble's members; empty if there are none."""
    rates = [
        member.test_error_rate for member in results.members if member.test_error_rate is not None
    ]
    if not rates:
        return ""
    mean, low, high = (
        percent(rate, size=results.test_size or 0)
        for rate in (sum(rates) / len(rates), min(rates), max(rates))
    )
    range_in_words = f", between {low} and {high}" if low != high else ""
    return f" Its members alone misclassify {mean} on average{range_in_words}."


def _has_gan(results: Results) -> bool:
    return results.saved_arm in (None, GAN, COMPOSED)


def _verdict_of_arms(results: Results) -> str:
    """Sentences about the errors and minutes of the arms, the best arm, the contribution of the GAN, and the
    saved arm.
    """
    size = results.test_size or 1
    # The first of equals is the recipe's own arm, or the one that comes first in the recipe.
    arms = sorted(results.arms, key=lambda arm: arm.test_errors)
    arm_clauses = [
        f"{arm_phrase(arm.name)} {'misclassifies ' if arm is arms[0] else ''}"
        f"{percent(arm.test_error_rate, size=size)}"
        f"{f' of {size:,} {_test_images(results)}' if arm is arms[0] else ''} ({arm.minutes:.1f} min)"
        for arm in arms
    ]
    first = f"{_labels(results)}, {', '.join(arm_clauses)}."
    leaders = [arm for arm in arms if arm.test_errors == arms[0].test_errors]
    second = _ranking(results, leaders, arms[len(leaders) :], size)
    composed, consistency = results.arm(COMPOSED), results.arm(CONSISTENCY)
    if composed is not None and consistency is not None:
        second += f"; {_gan_clause(results, composed.test_errors - consistency.test_errors)}"
    saved = results.arm(results.saved_arm or "")
    if saved is not None and saved not in leaders:
        second += f"; {_choice(results, saved, leaders[0])}"
    return f"{first} {second}."


def _ranking(
    results: Results, leaders: list[ArmResult], other_arms: list[ArmResult], size: int
) -> str:
    """Clause about the arms with the fewest errors and their lead, which is called the best only where no
    comparison may be chance.
    """
    names = _joined([arm_phrase(arm.name) for arm in leaders])
    # Of several leaders, the one that is least clearly ahead.
    p_values = [
        max(results.p_value_between(leader.name, arm.name) for leader in leaders)
        for arm in other_arms
    ]
    points = [
        f"{100 * (arm.test_errors - leaders[0].test_errors) / size:.{2 if size >= 2000 else 1}f} points"
        for arm in other_arms
    ]
    if len(leaders) == 1 and all(p_value < SIGNIFICANCE for p_value in p_values):
        leads = [
            f"{lead} better than {arm_phrase(arm.name)} ({_chance(p_value)})"
            for lead, arm, p_value in zip(points, other_arms, p_values, strict=True)
        ]
        return f"The best is {names}, {_joined(leads)}"
    clauses = [
        f"{lead} below that of {arm_phrase(arm.name)} ({_caution(p_value)})"
        for lead, arm, p_value in zip(points, other_arms, p_values, strict=True)
    ]
    verb = "has" if len(leaders) == 1 else "share"
    sentence = f"{names} {verb} the lowest error rate{f', {_joined(clauses)}' if clauses else ''}"
    return sentence[0].upper() + sentence[1:]


def _choice(results: Results, saved: ArmResult, leader: ArmResult) -> str:
    """Clause about the saved arm, which is not the one with the lowest error rate, and the reason."""
    origin = ", the recipe's own" if saved.name == results.arms[0].name else ""
    subject = f"the model that is saved is {arm_phrase(saved.name)}{origin}"
    if results.tested_on_held_out:
        p_value = results.p_value_between(saved.name, leader.name)
        if p_value >= SIGNIFICANCE:
            return f"{subject}: {results.test_size:,} held-out labels cannot tell the two apart"
    reason = choice_reason(saved, results.arms, "held-out labels")
    return f"{subject}: {reason}" if reason else subject


def _labels(results: Results) -> str:
    """Phrase for the labels that the tested classifiers were trained with, at the start of a sentence."""
    tested = results.tested_labels
    if tested == results.labels:
        return f"With {results.labels:,} labels"
    at_least = "at least " if results.has_uneven_folds else ""
    return f"With {at_least}{tested:,} of {results.labels:,} labels"


def _test_images(results: Results) -> str:
    """Phrase for the images on which errors are counted."""
    if results.folds:
        return "labelled images by cross-validation"
    return "held-out labels" if results.tested_on_held_out else "test images"


def _gan_clause(results: Results, more_errors: int) -> str:
    """Clause about the effect of the GAN's terms, compared with the same recipe without them in equal
    time.
    """
    p_value = results.p_value_between(COMPOSED, CONSISTENCY)
    if p_value >= SIGNIFICANCE:
        return "whether adding the GAN to consistency helped is undecided"
    effect = "hurt" if more_errors > 0 else "helped"
    return f"adding the GAN to consistency {effect}"


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _undecided(p_value: float) -> str:
    if is_no_evidence(p_value):
        return "no evidence of a difference"
    return f"a difference this small may be chance ({_chance(p_value)})"


def _caution(p_value: float) -> str:
    """P-value of a difference in the errors, with a warning where it may be chance."""
    if is_no_evidence(p_value):
        return "no evidence of a difference"
    return _chance(p_value) + (", which may be chance" if p_value >= SIGNIFICANCE else "")


def _chance(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
