"""Which arm is saved, what each came to, and how sure that is: by which images each gets wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from convergan.recipes.arms import BASELINE
from convergan.runs.results import ArmComparison, Interval
from convergan.statistics.intervals import wilson
from convergan.statistics.levels import LEVEL
from convergan.statistics.multiplicity import holm
from convergan.statistics.paired import mcnemar_p_value


BASELINE_STANDARD_ERRORS = 2
"""Standard errors by which the baseline must be better to be saved.

The trainings that hold labels out are short. The baseline has learnt all that it can by then, the other arms
have not, so the comparison leans towards it. In 16 runs on photographs and digits with 20 held-out labels,
the baseline was the worse model on the test images of every one, and one standard error saved it once."""


def chosen_arm(wrong: Mapping[str, np.ndarray]) -> str:
    """The arm to save: the first, the recipe's own, unless held-out labels speak clearly against it.

    With b images that the first alone gets wrong, and c that the other alone does, another arm is better by
    more than k standard errors where b - c > k sqrt(b + c); k is 1, for the baseline 2. Of several such arms
    the one with the fewest errors is chosen, of equals the earlier. Of twenty labels or so, a smaller
    difference is noise: to follow it would often be to save the worse model.

    Source of the rule of one standard error: Breiman, Friedman, Olshen and Stone, Classification and
    Regression Trees (1984), Section 3.4.3.

    Args:
        wrong: by the name of an arm, bool [held-out images], true where it errs; the recipe's own first.
    """
    own, *others = wrong
    best = own
    for name in others:
        only_own = int((wrong[own] & ~wrong[name]).sum())
        only_other = int((wrong[name] & ~wrong[own]).sum())
        standard_errors = BASELINE_STANDARD_ERRORS if name == BASELINE else 1
        is_clear = only_own - only_other > standard_errors * math.sqrt(only_own + only_other)
        if is_clear and (best == own or wrong[name].sum() < wrong[best].sum()):
            best = name
    return best


def compared(wrong: Mapping[str, np.ndarray]) -> tuple[ArmComparison, ...]:
    """Each pair of arms by the exact McNemar test, with p-values corrected for their number (Holm)."""
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
    """How the intervals of error rates are computed."""

    arms: int
    """Number of arms whose intervals are to hold together; 1: each for itself."""

    @property
    def words(self) -> str:
        """The method in words."""
        if self.arms == 1:
            return "Wilson, 95 %"
        return f"Wilson, 95 % for the {self.arms} arms together (Šidák)"

    def __call__(self, errors: int, size: int) -> Interval:
        """The interval of errors / size.

        Where the labels that estimate the error rates have chosen among the arms, those of the chosen one
        look too good. Intervals at the level 0.95^(1 / arms) hold for all arms together with 95 %, and so for
        whichever is chosen.

        Source: Šidák, Journal of the American Statistical Association 62 (1967), 626-633.
        """
        return Interval(*wilson(errors, size, LEVEL ** (1 / self.arms)))
