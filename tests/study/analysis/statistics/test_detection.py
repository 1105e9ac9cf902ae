import numpy as np
import pytest
from scipy.stats import norm

from convergan.study.analysis.statistics.detection import detection


def detection_of_counts(
    fooled: int, generated: int, doubted: int, real: int
) -> tuple[float, float]:
    d_prime, criterion = detection(*(np.array([n]) for n in (fooled, generated, doubted, real)))
    return float(d_prime[0]), float(criterion[0])


# By hand: 41 hits of 50 are H = 41.5 / 51, 12 false alarms of 50 are F = 12.5 / 51;
# z(H) = 0.891708829673407 and z(F) = -0.689996992858783 by mpmath's erfinv in 30 digits.
@pytest.mark.parametrize(
    ("counts", "d_prime", "criterion"),
    [
        ((9, 50, 12, 50), 1.58170582253218985194212162965, -0.100855918407312167576474450186),
        ((0, 50, 0, 50), 2 * 2.33376857480713798490639696844, 0.0),
        ((50, 50, 50, 50), -2 * 2.33376857480713798490639696844, 0.0),
        ((3, 10, 7, 20), 0.83889547779283697892581907557, -0.0533413820958488528201488814645),
    ],
)
def test_hand_values(counts: tuple[int, int, int, int], d_prime: float, criterion: float) -> None:
    assert detection_of_counts(*counts) == pytest.approx((d_prime, criterion), abs=1e-12)


def test_one_and_two_are_the_shares_the_docstring_gives() -> None:
    trials = 10_000_000
    for d_prime, share in ((1, 0.69), (2, 0.84)):
        wrong = round(trials * norm.sf(d_prime / 2))
        assert detection_of_counts(wrong, trials, wrong, trials) == pytest.approx(
            (d_prime, 0), abs=1e-5
        )
        assert 1 - wrong / trials == pytest.approx(share, abs=0.005)


def test_a_leaning_is_no_sensitivity() -> None:
    """Someone who always says "real" errs on every generated image and on no real one."""
    d_prime, criterion = detection_of_counts(50, 50, 0, 50)
    assert d_prime == pytest.approx(0, abs=1e-12) and criterion > 2
    assert detection_of_counts(0, 50, 50, 50)[1] == pytest.approx(-criterion)
