"""Whether the GAN helped: a paired test against the baseline, and its words."""

from dataclasses import dataclass

import numpy as np

from convergan.page.words import percent
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
    p_value = mcnemar_p_value(only_ours, only_baseline)
    if p_value >= SIGNIFICANCE:
        return Comparison(decision="undecided", p_value=p_value)
    return Comparison(decision="helped" if only_ours < only_baseline else "hurt", p_value=p_value)


def verdict_sentence(results: Results) -> str:
    """The verdict of a run in one sentence."""
    test, baseline = results.test, results.baseline_test
    if test is None:
        return "A generator of these images; there were no labels to learn classes from."
    kind = "labelled images by cross-validation" if results.folds else "test images"
    ours = percent(test.rate, size=test.size)
    labels = f"With {results.labels:,} labels, the "
    if baseline is None or results.decision is None or results.p_value is None:
        return f"{labels}semi-supervised GAN errs on {ours} of {test.size:,} {kind}."
    numbers = (
        f"{labels}supervised baseline errs on {percent(baseline.rate, size=test.size)} of "
        f"{test.size:,} {kind}, the semi-supervised GAN on {ours}"
    )
    chance = "p < 0.001" if results.p_value < 0.001 else f"p = {results.p_value:.2g}"
    return {
        "helped": f"{numbers}: the GAN helped ({chance}).",
        "hurt": f"{numbers}: the GAN hurt ({chance}); what is saved is its classifier.",
        "undecided": f"{numbers}; undecided: a difference this small may be chance ({chance}).",
    }[results.decision]
