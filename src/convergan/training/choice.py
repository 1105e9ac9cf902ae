"""Choice of the arm to save, comparisons of arms, and intervals, from the images that each arm
misclassifies.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from convergan.recipes.arms import BASELINE
from convergan.runs.results import ArmComparison, RateInterval
from convergan.statistics.intervals import wilson
from convergan.statistics.levels import LEVEL
from convergan.statistics.multiplicity import holm
from convergan.statistics.paired import mcnemar_p_value

BASELINE_STANDARD_ERRORS = 2
"""Standard errors by which the baseline must be better to be saved.

The trainings with held-out labels are short, which favours the baseline: it learns fastest. In 16 runs on
photographs and digits with 20 held-out labels the baseline was always the worse model on the test images, and
a rule of one standard error saved it once."""


def chosen_arm(wrong: Mapping[str, np.ndarray]) -> str:
    """The arm to save: the first, which is the recipe's own, unless another is clearly better on held-out
    labels.

    If only the first arm misclassifies b images and only another arm c images, the other arm is better by
    more than k standard errors where b - c > k sqrt(b + c). k is 1, and 2 for the baseline. Of several such
    arms, the one with the fewest errors is chosen, and among equals the first. With about twenty labels, a
    smaller difference is noise, and following it would often save the worse model.

    Source of the rule of one standard error: Breiman, Friedman, Olshen and Stone, Classification and
    Regression Trees (1984), Section 3.4.3.

    Args:
        wrong: bool [held-out images] by the name of an arm, True where it is wrong; the recipe's own arm
            first.
    """
    own, *other_arms = wrong
    best = own
    for name in other_arms:
        only_own = int((wrong[own] & ~wrong[name]).sum())
        only_other = int((wrong[name] & ~wrong[own]).sum())
        standard_errors = BASELINE_STANDARD_ERRORS if name == BASELINE else 1
        is_clear = only_own - only_other > standard_errors * math.sqrt(only_own + only_other)
        if is_clear and (best == own or wrong[name].sum() < wrong[best].sum()):
            best = name
    return best


def compared(wrong: Mapping[str, np.ndarray]) -> tuple[ArmComparison, ...]:
    """Comparison of each pair of arms by the exact McNemar test, with p-values corrected for their number
    (Holm).
    """
    counts = [
        (first, second, int((a & ~b).sum()), int((b & ~a).sum()))
        for (first, a), (second, b) in combinations(wrong.items(), 2)
    ]
    if not counts:
        return ()
    p_values = holm(np.array([mcnemar_p_value(a, b) for *_, a, b in counts]))
    return tuple(
        ArmComparison(
            first=first,
            second=second,
            only_first_wrong=only_first,
            only_second_wrong=only_second,
            p_value=float(p_value),
        )
        for (first, second, only_first, only_second), p_value in zip(counts, p_values, strict=True)
    )


@dataclass(frozen=True)
class IntervalMethod:
    """Method of computing the intervals of error rates."""

    arms: int
    """Number of arms whose intervals hold jointly; 1: each interval holds by itself."""

    @property
    def words(self) -> str:
        """Description of the method."""
        if self.arms == 1:
            return "Wilson, 95 %"
        return f"Wilson, 95 % for the {self.arms} arms together (Šidák)"

    def __call__(self, errors: int, size: int) -> RateInterval:
        """The interval of errors / size.

        If the labels that estimate the error rates have also chosen among the arms, the chosen arm looks
        better than it is. Intervals at the level 0.95^(1 / arms) hold jointly for all arms with a probability
        of 95 %, and therefore also for the chosen one.

        Source: Šidák, Journal of the American Statistical Association 62 (1967), 626-633.
        """
        return RateInterval(*wilson(errors, size, LEVEL ** (1 / self.arms)))
