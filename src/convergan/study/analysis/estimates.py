"""The means of the arms and their differences, each with its intervals."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from convergan.statistics.bootstrap import REPLICATES, mean_replicates
from convergan.statistics.intervals import Interval, expanded_percentile_interval, wilson
from convergan.statistics.student import Student
from convergan.study.analysis.rates import Rates
from convergan.study.analysis.statistics.crossed import (
    MEASURES,
    Crossed,
    crossed_estimate,
    independent_variance,
)
from convergan.study.analysis.statistics.detection import detection
from convergan.study.analysis.votes import Votes

NUMBERS = (*MEASURES, "d_prime", "criterion")
"""What every participant has one of."""

Samples = Literal["participants and images", "participants"]
"""What a test or an interval takes for samples."""

_SHARES, _DIFFERENCES = Interval(0, 1), Interval(-1, 1)


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


@dataclass(frozen=True)
class Tested:
    """The estimate that a sentence rests on."""

    estimate: Student
    samples: Samples


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
        self._crossed = {
            (arm, measure): crossed_mean(self.rates[arm], here, measure)
            for arm in self.arms
            for here in [None if votes is None else votes.chosen(votes.arm == arm)]
            for measure in MEASURES
        }

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

    def tested(self, arm: str, minus: str | None = None) -> Tested | None:
        """The accuracy of an arm, or the difference of two: over participants and images where the images are
        known and at least two of each kind, otherwise over participants; None with fewer than two of
        these."""
        both = self._over_images("accuracy", arm, minus)
        if both is not None:
            return Tested(both, "participants and images")
        sides = [self._crossed[each, "accuracy"] for each in (arm, minus) if each is not None]
        alone = crossed_estimate(*(side.without_images for side in sides))
        return None if alone is None else Tested(alone, "participants")

    def _mean(self, arm: str, number: str) -> Estimate:
        known = self._known(arm, number)
        replicates = self._replicates[arm][:, NUMBERS.index(number)]
        both = self._over_images(number, arm)
        return Estimate(
            value=float(known.mean()),
            participants=expanded_percentile_interval(replicates, known.size),
            participants_and_images=None if both is None else both.interval(possible=_SHARES),
            naive=_naive(self.rates[arm], number),
        )

    def _difference(self, first: str, second: str, number: str) -> Estimate:
        known = [self._known(arm, number) for arm in (first, second)]
        column = NUMBERS.index(number)
        replicates = self._replicates[first][:, column] - self._replicates[second][:, column]
        both = self._over_images(number, first, second)
        return Estimate(
            value=float(known[0].mean() - known[1].mean()),
            participants=expanded_percentile_interval(replicates, min(each.size for each in known)),
            participants_and_images=None if both is None else both.interval(possible=_DIFFERENCES),
        )

    def _known(self, arm: str, number: str) -> np.ndarray:
        numbers = self.numbers[arm][:, NUMBERS.index(number)]
        return numbers[~np.isnan(numbers)]

    def _over_images(self, number: str, arm: str, minus: str | None = None) -> Student | None:
        if number not in MEASURES:
            return None
        sides = [self._crossed[each, number] for each in (arm, minus) if each is not None]
        if not all(len(side.image) for side in sides):
            return None
        return crossed_estimate(*sides)


def crossed_mean(rates: Rates, votes: Votes | None, measure: str) -> Crossed:
    """One of the MEASURES of one arm, taken apart by participants and images.

    Args:
        rates: of the arm's participants.
        votes: those that the rates were counted from; None where they are not known.
        measure: which.
    """
    numbers = getattr(rates, measure)
    kinds = [
        (rates.generated_trials, rates.fooled, measure != "error_on_real"),
        (rates.real_trials, rates.doubted, measure != "error_on_generated"),
    ]
    trials = sum(each for each, _, counts in kinds if counts)
    people = max(1, int((~np.isnan(numbers)).sum()))
    least = 0.0
    for shown, wrong, counts in kinds:
        if counts and np.nansum(shown) > 0 and not np.isnan(shown).any():
            with np.errstate(invalid="ignore"):
                share = np.nansum(shown / trials) / people
            least += share**2 * independent_variance(float(np.nansum(wrong)), float(shown.sum()))
    image, stratum = np.empty(0, str), np.empty(0, str)
    effects = np.empty(0)
    if votes is not None:
        chosen = votes.chosen(
            np.full(len(votes), True)
            if measure == "accuracy"
            else votes.generated == (measure == "error_on_generated")
        )
        image, stratum, effects = _effects(chosen, measure)
    return Crossed(numbers[~np.isnan(numbers)], image, stratum, effects, least)


def _effects(votes: Votes, measure: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each vote: its image, its kind of image, and what it adds beyond what that kind's votes add."""
    stratum = np.where(votes.generated, np.char.add("generated ", votes.images), "real")
    if len(votes) == 0:
        return votes.image, stratum, np.empty(0)
    _, person = np.unique(votes.participant, return_inverse=True)
    votes_of = np.bincount(person)
    weight = 1 / (len(votes_of) * votes_of[person])
    counted = (~votes.wrong if measure == "accuracy" else votes.wrong).astype(float)
    _, kind = np.unique(stratum, return_inverse=True)
    mean = np.bincount(kind, weight * counted) / np.bincount(kind, weight)
    return votes.image, stratum, weight * (counted - mean[kind])


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
