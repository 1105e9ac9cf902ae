import itertools

import numpy as np
import pytest

from convergan.study.analysis.statistics.agreement import agreement


def long(*coders: str) -> tuple[np.ndarray, np.ndarray]:
    """Columns of units and values, from a string for each coder with a character for each unit.

    A dot is a missing answer.
    """
    pairs = [(unit, value) for coder in coders for unit, value in enumerate(coder) if value != "."]
    units, values = zip(*pairs, strict=True)
    return np.array(units), np.array(values)


# The worked examples of Krippendorff, Computing Krippendorff's alpha-reliability (2011): A binary, B nominal,
# C nominal with missing answers.
@pytest.mark.parametrize(
    ("coders", "alpha"),
    [
        (("0100000010", "1110010000"), 0.095),
        (("aabbdcccedda", "babbbccceddd"), 0.692),
        (("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743),
    ],
)
def test_published_hand_values(coders: tuple[str, ...], alpha: float) -> None:
    result = agreement(*long(*coders))
    assert result is not None
    assert result.alpha == pytest.approx(alpha, abs=5e-4)


def test_alpha_is_one_minus_observed_over_expected_pairs() -> None:
    """Pairs of answers counted one by one."""
    rng = np.random.default_rng(0)
    unit, value = rng.integers(0, 30, 90), rng.random(90) < 0.4
    pairable = np.isin(unit, [u for u in range(30) if (unit == u).sum() >= 2])
    unit, value = unit[pairable], value[pairable]
    observed = sum(
        float(value[a] != value[b]) / ((unit == unit[a]).sum() - 1)
        for a, b in itertools.permutations(range(len(unit)), 2)
        if unit[a] == unit[b]
    ) / len(unit)
    expected = np.mean(
        [value[a] != value[b] for a, b in itertools.permutations(range(len(unit)), 2)]
    )
    result = agreement(unit, value)
    assert result is not None
    assert result.alpha == pytest.approx(1 - observed / expected, abs=1e-12)


def test_the_interval_is_the_jackknifes() -> None:
    rng = np.random.default_rng(1)
    unit = np.repeat(np.arange(40), 4)
    value = rng.random(160) < np.repeat(rng.random(40), 4)
    result = agreement(unit, value)
    assert result is not None and result.images == 40
    alphas = np.array(
        [agreement(unit[unit != u], value[unit != u]).alpha for u in range(40)]  # type: ignore[union-attr]
    )
    error = np.sqrt(39 / 40 * ((alphas - alphas.mean()) ** 2).sum())
    assert result.interval[1] - result.interval[0] == pytest.approx(2 * 2.0227 * error, rel=1e-3)


def test_perfect_agreement_is_one() -> None:
    result = agreement(np.repeat(np.arange(20), 3), np.repeat(np.arange(20) % 2, 3))
    assert result is not None and result.alpha == 1


def test_where_there_is_no_agreement_the_interval_covers_zero() -> None:
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(100), 3)
    results = [agreement(image, rng.random(300) < 0.4) for _ in range(500)]
    covered = [result.interval[0] <= 0 <= result.interval[1] for result in results if result]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


def test_no_value_where_there_is_nothing_to_compare() -> None:
    assert agreement(np.arange(50), np.arange(50) % 2) is None, "one answer an image"
    assert agreement(np.array([0, 0, 1, 1]), np.ones(4)) is None, "all answers equal"
