"""Whether the GAN helped: error rates with intervals, and a paired test against the baseline."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from convergan.page.words import percent

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05

Decision = Literal["helped", "hurt", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The classifier and the baseline on the same test images."""

    decision: Decision
    p_value: float
    """Of the exact McNemar test: how often the images on which only one of the two errs would be so
    unevenly divided if both were equally good."""


def error_interval(errors: int, size: int) -> tuple[float, float]:
    """The 95 % confidence interval of an error rate (Wilson 1927)."""
    # scipy.stats takes long to load, and only the end of a run needs it.
    from scipy.stats import binomtest

    interval = binomtest(errors, size).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def compare(wrong: np.ndarray, baseline_wrong: np.ndarray) -> Comparison:
    """Compares two classifiers by which images each got wrong (McNemar 1947, exact).

    Args:
        wrong: bool [test images], true where the semi-supervised classifier errs.
        baseline_wrong: the same of the baseline, in the same order.
    """
    from scipy.stats import binomtest

    only_ours = int((wrong & ~baseline_wrong).sum())
    only_baseline = int((baseline_wrong & ~wrong).sum())
    differing = only_ours + only_baseline
    p_value = float(binomtest(only_ours, differing).pvalue) if differing else 1.0
    if p_value >= SIGNIFICANCE:
        return Comparison(decision="undecided", p_value=p_value)
    return Comparison(decision="helped" if only_ours < only_baseline else "hurt", p_value=p_value)


def verdict_sentence(results: dict[str, Any]) -> str:
    """The verdict of results.json in one sentence."""
    if "test_errors" not in results:
        return "A generator of these images; there were no labels to learn classes from."
    size = results["test_size"]
    kind = "labelled images by cross-validation" if results.get("folds") else "test images"
    ours = percent(results["test_error_rate"], size=size)
    labels = f"With {results['labels']:,} labels, the "
    if results["baseline_test_errors"] is None:
        return f"{labels}semi-supervised GAN errs on {ours} of {size:,} {kind}."
    baseline = percent(results["baseline_test_error_rate"], size=size)
    numbers = (
        f"{labels}supervised baseline errs on {baseline} of {size:,} {kind}, "
        f"the semi-supervised GAN on {ours}"
    )
    p_value = results["p_value"]
    chance = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
    return {
        "helped": f"{numbers}: the GAN helped ({chance}).",
        "hurt": f"{numbers}: the GAN hurt ({chance}); what is saved is its classifier.",
        "undecided": f"{numbers}; undecided: a difference this small may be chance ({chance}).",
    }[results["decision"]]
