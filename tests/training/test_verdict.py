"""The verdict: the paired test against textbook values, and what it says."""

from dataclasses import replace

import numpy as np
import pytest

from convergan.training.verdict import compare, verdict_sentence
from support import results_of


def wrong(size: int, *places: int) -> np.ndarray:
    values = np.zeros(size, dtype=bool)
    values[list(places)] = True
    return values


def test_only_images_where_one_of_two_errs_count() -> None:
    ours, baseline = wrong(100, 0, 1, 2), wrong(100, 0, 1, 2, *range(10, 20))
    comparison = compare(ours, baseline)
    assert comparison.decision == "helped"
    # Ten to none: twice (1/2)^10.
    assert comparison.p_value == pytest.approx(2 * 0.5**10)
    assert compare(baseline, ours).decision == "hurt"
    assert compare(wrong(100, 1, 2), wrong(100, 3, 4, 5)).decision == "undecided"
    assert compare(ours, ours).p_value == 1.0


@pytest.mark.parametrize(
    ("decision", "p_value", "words"),
    [
        ("helped", 1e-9, "the GAN helped (p < 0.001)"),
        ("hurt", 0.012, "the GAN hurt (p = 0.012); what is saved is its classifier"),
        ("undecided", 0.4, "undecided: a difference this small may be chance (p = 0.4)."),
    ],
)
def test_one_sentence(decision: str, p_value: float, words: str) -> None:
    results = results_of(13, 34, decision=decision, p_value=p_value)
    sentence = verdict_sentence(results).replace("\N{NO-BREAK SPACE}", " ")
    assert sentence.startswith(
        "With 100 labels, the supervised baseline errs on 6.8 % of 500 test images, "
        "the semi-supervised GAN on 2.6 %"
    )
    assert words in sentence
    assert "cross-validation" in verdict_sentence(replace(results, folds=4))
    assert "baseline" not in verdict_sentence(results_of(13))
    assert verdict_sentence(results_of()).startswith("A generator of these images")
