"""Whether the GAN helped: error rates with intervals, and a paired test against the baseline."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from convergan.page.words import percent
from convergan.runs.results import Decision, Results

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The classifier and the baseline on the same test images."""

    decision: Decision
    p_value: float
    """Of the exact McNemar test: how often the images on which only one of the two errs would be so
    unevenly divided if both were equally good."""


def error_interval(errors: int, size: int) -> tuple[float, float]:
    """The 95 % confidence interval of an error rate (Wilson 1927)."""
    interval = binomtest(errors, size).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def compare(wrong: np.ndarray, baseline_wrong: np.ndarray) -> Comparison:
    """Compares two classifiers by which images each got wrong (McNemar 1947, exact).

    Args:
        wrong: bool [test images], true where the semi-supervised classifier errs.
        baseline_wrong: the same of the baseline, in the same order.
    """
    only_ours = int((wrong & ~baseline_wrong).sum())
    only_baseline = int((baseline_wrong & ~wrong).sum())
    differing = only_ours + only_baseline
    p_value = float(binomtest(only_ours, differing).pvalue) if differing else 1.0
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
