"""The means of the arms and their differences, each with its intervals."""

from dataclasses import dataclass

import numpy as np

from convergan.statistics.bootstrap import REPLICATES, mean_replicates
from convergan.statistics.intervals import Interval, expanded_percentile_interval, wilson
from convergan.study.rates import Rates
from convergan.study.statistics.detection import detection
from convergan.study.statistics.two_way import MEASURES, two_way_replicates
from convergan.study.votes import Votes

NUMBERS = (*MEASURES, "d_prime", "criterion")
"""What every participant has one of."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over participants, with 95 % intervals; None where there is none to be had."""

    value: float

    participants: Interval | None
    """Other participants, the same images."""

    participants_and_images: Interval | None = None
    """Other participants and other images."""

    naive: Interval | None = None
    """As if all votes were independent of each other."""


class Estimates:
    """All arms, resampled once: intervals of arms and of differences come from the same replicates."""

    def __init__(
        self,
        rates: Rates,
        votes: Votes | None,
        rng: np.random.Generator,
        replicates: int = REPLICATES,
    ) -> None:
        """`votes`: those that `rates` were counted from; None where only rates are known."""
        self.arms = [str(arm) for arm in np.unique(rates.arm)]
        self.rates = {arm: rates.chosen(rates.arm == arm) for arm in self.arms}
        self.numbers = {arm: _numbers(self.rates[arm]) for arm in self.arms}
        """float64 [participants, 5] of each arm: the NUMBERS, NaN where unknown."""
        self._replicates = {
            arm: mean_replicates(numbers, rng, replicates) for arm, numbers in self.numbers.items()
        }
        self._two_way = (
            None if votes is None else two_way_replicates(votes, self.arms, rng, replicates)
        )
        self._images = {} if votes is None else {arm: _images(votes, arm) for arm in self.arms}

    def of(self, arm: str, number: str) -> Estimate | None:
        """The mean over an arm's participants; None where none of them has this number."""
        return self._mean(arm, number) if self._known(arm, number).size else None

    def accuracy(self, arm: str) -> Estimate:
        """The mean accuracy, which every participant has."""
        return self._mean(arm, "accuracy")

    def difference(self, first: str, second: str, number: str) -> Estimate | None:
        """The mean of the first arm minus that of the second; None where one has no mean."""
        if min(self._known(arm, number).size for arm in (first, second)) == 0:
            return None
        return self._difference(first, second, number)

    def accuracy_difference(self, first: str, second: str) -> Estimate:
        """The difference in mean accuracy, which any two arms have."""
        return self._difference(first, second, "accuracy")

    def _mean(self, arm: str, number: str) -> Estimate:
        known = self._known(arm, number)
        replicates = self._replicates[arm][:, NUMBERS.index(number)]
        return Estimate(
            value=float(known.mean()),
            participants=expanded_percentile_interval(replicates, known.size),
            participants_and_images=self._two_way_interval(number, arm),
            naive=_naive(self.rates[arm], number),
        )

    def _difference(self, first: str, second: str, number: str) -> Estimate:
        known = [self._known(arm, number) for arm in (first, second)]
        column = NUMBERS.index(number)
        replicates = self._replicates[first][:, column] - self._replicates[second][:, column]
        return Estimate(
            value=float(known[0].mean() - known[1].mean()),
            participants=expanded_percentile_interval(replicates, min(each.size for each in known)),
            participants_and_images=self._two_way_interval(number, first, second),
        )

    def _known(self, arm: str, number: str) -> np.ndarray:
        numbers = self.numbers[arm][:, NUMBERS.index(number)]
        return numbers[~np.isnan(numbers)]

    def _two_way_interval(self, number: str, arm: str, minus: str | None = None) -> Interval | None:
        if self._two_way is None or number not in MEASURES:
            return None
        column = MEASURES.index(number)
        arms = [arm] if minus is None else [arm, minus]
        replicates = [self._two_way[:, column, self.arms.index(each)] for each in arms]
        clusters = min(
            min(self._known(each, number).size, self._images[each][column]) for each in arms
        )
        return expanded_percentile_interval(
            replicates[0] if minus is None else replicates[0] - replicates[1], clusters
        )


def _numbers(rates: Rates) -> np.ndarray:
    d_prime, criterion = detection(
        rates.fooled, rates.generated_trials, rates.doubted, rates.real_trials
    )
    both = (rates.generated_trials > 0) & (rates.real_trials > 0)
    return np.stack(
        [
            rates.accuracy,
            rates.error_on_generated,
            rates.error_on_real,
            np.where(both, d_prime, np.nan),
            np.where(both, criterion, np.nan),
        ],
        axis=1,
    )


def _images(votes: Votes, arm: str) -> tuple[int, int, int]:
    """How many images stand behind each of the MEASURES."""
    here = votes.chosen(votes.arm == arm)
    generated = len(np.unique(here.image[here.generated]))
    real = len(np.unique(here.image[~here.generated]))
    return generated + real, generated, real


def _naive(rates: Rates, number: str) -> Interval | None:
    """Wilson's interval of the pooled votes; None where these are unknown."""
    wrong, trials = {
        "accuracy": (rates.fooled + rates.doubted, rates.generated_trials + rates.real_trials),
        "error_on_generated": (rates.fooled, rates.generated_trials),
        "error_on_real": (rates.doubted, rates.real_trials),
    }.get(number, (np.array([np.nan]), np.array([np.nan])))
    if np.isnan(trials).any() or trials.sum() == 0:
        return None
    votes, errors = round(trials.sum()), round(wrong.sum())
    return wilson(votes - errors if number == "accuracy" else errors, votes)
