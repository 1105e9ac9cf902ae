"""Whether the GAN helped: a paired test against the baseline, and its words."""

from dataclasses import dataclass

import numpy as np

from convergan.page.words import percent
from convergan.recipes.arm_words import arm_phrase
from convergan.recipes.arms import COMPOSED, CONSISTENCY, GAN
from convergan.runs.results import Decision, Results
from convergan.statistics.levels import SIGNIFICANCE
from convergan.statistics.paired import mcnemar_p_value


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The classifier and the baseline on the same test images."""

    decision: Decision
    p_value: float
    """Of the exact McNemar test: how often the images on which only one of the two errs would be so
    unevenly divided if both were equally good."""


def compare(wrong: np.ndarray, baseline_wrong: np.ndarray) -> Comparison:
    """Compares two classifiers by which images each got wrong (McNemar 1947, exact).

    Args:
        wrong: bool [test images], true where the semi-supervised classifier errs.
        baseline_wrong: the same of the baseline, in the same order.
    """
    only_ours = int((wrong & ~baseline_wrong).sum())
    only_baseline = int((baseline_wrong & ~wrong).sum())
    return decided(only_ours, only_baseline, mcnemar_p_value(only_ours, only_baseline))


def decided(only_ours: int, only_baseline: int, p_value: float) -> Comparison:
    """What a p-value says of the images that one of the two alone got wrong."""
    if p_value >= SIGNIFICANCE:
        return Comparison(decision="undecided", p_value=p_value)
    return Comparison(decision="helped" if only_ours < only_baseline else "hurt", p_value=p_value)


def verdict_sentence(results: Results) -> str:
    """The verdict of a run in one sentence, or two."""
    if len(results.arms) > 1:
        return _verdict_of_arms(results)
    test, baseline = results.test, results.baseline_test
    if test is None:
        return "A generator of these images; there were no labels to learn classes from."
    kind = _kind(results)
    ours = percent(test.rate, size=test.size)
    labels = f"With {results.labels:,} labels, the "
    if baseline is None or results.decision is None or results.p_value is None:
        return f"{labels}{model_name(results)} errs on {ours} of {test.size:,} {kind}.{_alone(results)}"
    numbers = (
        f"{labels}{baseline_name(results)} errs on {percent(baseline.rate, size=test.size)} of "
        f"{test.size:,} {kind}, the {model_name(results)} on {ours}"
    )
    chance = _chance(results.p_value)
    cause, saved = "learning from the unlabelled images", "that classifier"
    if _has_gan(results):
        cause, saved = "the GAN", "its classifier"
    verdict = {
        "helped": f"{numbers}: {cause} helped ({chance}).",
        "hurt": f"{numbers}: {cause} hurt ({chance}); what is saved is {saved}.",
        "undecided": f"{numbers}; undecided: a difference this small may be chance ({chance}).",
    }[results.decision]
    return verdict + _alone(results)


def model_name(results: Results) -> str:
    """The model that is saved, in words."""
    return _of_members(results, "semi-supervised GAN" if _has_gan(results) else "classifier")


def baseline_name(results: Results) -> str:
    """What it is held against, in words."""
    return _of_members(results, "supervised baseline")


def _of_members(results: Results, name: str) -> str:
    return f"ensemble of {len(results.members)} {name}s" if results.members else name


def _alone(results: Results) -> str:
    """What the members of an ensemble come to by themselves, a sentence after others; empty without any."""
    rates = [each.test_error_rate for each in results.members if each.test_error_rate is not None]
    if not rates:
        return ""
    mean, low, high = (
        percent(rate, size=results.test_size or 0)
        for rate in (sum(rates) / len(rates), min(rates), max(rates))
    )
    between = f", between {low} and {high}" if low != high else ""
    return f" By themselves its members err on {mean} on average{between}."


def _has_gan(results: Results) -> bool:
    return results.saved_arm in (None, GAN, COMPOSED)


def _verdict_of_arms(results: Results) -> str:
    """What each arm came to and cost; which is the best, by how much; and what the GAN's part of it is."""
    size = results.test_size or 1
    # The first of equals is the recipe's own, or the one that was asked for first.
    arms = sorted(results.arms, key=lambda arm: arm.test_errors)
    best, *others = arms
    told = [
        f"{arm_phrase(arm.name)} {'errs on ' if arm is best else ''}"
        f"{percent(arm.test_error_rate, size=size)} ({arm.minutes:.1f} min)"
        for arm in arms
    ]
    first = f"With {results.labels:,} labels, of {size:,} {_kind(results)} {', '.join(told)}."
    clauses = [_against(results, best.name, each.name, size) for each in others]
    second = f"Best is {arm_phrase(best.name)}, {_joined(clauses)}"
    composed, consistency = results.arm(COMPOSED), results.arm(CONSISTENCY)
    if composed is not None and consistency is not None:
        second += f"; {_gan(results, composed.test_errors - consistency.test_errors)}"
    if results.saved_arm not in (None, best.name):
        held_out = any(arm.held_out_size for arm in results.arms)
        by = "chosen by the held-out labels" if held_out else "the recipe's own"
        second += f"; the model that is saved is {arm_phrase(results.saved_arm)}, {by}"
    return f"{first} {second}."


def _kind(results: Results) -> str:
    """What the errors are counted on."""
    if results.folds:
        return "labelled images by cross-validation"
    return "held-out labels" if results.tested_on_held_out else "test images"


def _against(results: Results, best: str, other: str, size: int) -> str:
    """`10.2 points better than baseline (p < 0.001)`."""
    first, second = results.arm(best), results.arm(other)
    assert first is not None and second is not None
    p_value = results.p_value_between(best, other)
    fewer = second.test_errors - first.test_errors
    if not fewer:
        return f"as good as {arm_phrase(other)}"
    points = f"{100 * fewer / size:.{2 if size >= 2000 else 1}f} points"
    by_chance = ", which may be chance" if p_value >= SIGNIFICANCE else ""
    return f"{points} better than {arm_phrase(other)} ({_chance(p_value)}{by_chance})"


def _gan(results: Results, more_errors: int) -> str:
    """What the GAN's terms did, beside the same recipe without them in as much time."""
    p_value = results.p_value_between(COMPOSED, CONSISTENCY)
    if p_value >= SIGNIFICANCE:
        return "whether the GAN helped beside consistency is undecided"
    did = "hurt" if more_errors > 0 else "helped"
    return f"the GAN {did} beside consistency"


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _chance(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
