"""Means of arms and their differences, with intervals."""

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
"""Names of the numbers that are computed for every participant."""

Samples = Literal["participants and images", "participants"]
"""Units that a test or an interval treats as samples."""

_SHARES, _DIFFERENCES = Interval(0, 1), Interval(-1, 1)


@dataclass(frozen=True, kw_only=True)
class MeanEstimate:
    """A mean over participants, or a difference of two, with 95 % intervals.

    An interval is None where it cannot be computed.
    """

    value: float

    participants: Interval | None
    """Interval for other participants who see the same images."""

    participants_and_images: Interval | None = None
    """Interval for other participants who see other images."""

    naive: Interval | None = None
    """Interval as if all votes were independent, which they are not."""


@dataclass(frozen=True)
class Tested:
    """The estimate on which a conclusion rests."""

    estimate: Student

    samples: Samples
    """Units that its standard error treats as samples."""


class Estimates:
    """Estimates of all arms, resampled once: intervals of arms and differences share their replicates."""

    def __init__(
        self,
        rates: Rates,
        votes: Votes | None,
        rng: np.random.Generator,
        replicates: int = REPLICATES,
    ) -> None:
        """Resample the participants of every arm.

        Args:
            rates: error rates of all participants.
            votes: votes from which `rates` were counted; None where only rates are known.
            rng: for the bootstrap.
            replicates: number of bootstrap replicates.
        """
        self.arms = [str(arm) for arm in np.unique(rates.arm)]
        self.rates = {arm: rates.chosen(rates.arm == arm) for arm in self.arms}
        self.numbers = {arm: _numbers(self.rates[arm]) for arm in self.arms}
        """NUMBERS of each arm: float64 [participants, 5], NaN where unknown."""
        self._replicates = {
            arm: mean_replicates(numbers, rng, replicates) for arm, numbers in self.numbers.items()
        }
        self._crossed = {
            (arm, measure): crossed_mean(self.rates[arm], arm_votes, measure)
            for arm in self.arms
            for arm_votes in [None if votes is None else votes.chosen(votes.arm == arm)]
            for measure in MEASURES
        }

    def mean(self, arm: str, number: str) -> MeanEstimate | None:
        """Estimate the mean of one of NUMBERS; None where none of the arm's participants has it."""
        return self._mean(arm, number) if self._numbers_without_nan(arm, number).size else None

    def accuracy(self, arm: str) -> MeanEstimate:
        """Estimate the mean accuracy, which every participant has."""
        return self._mean(arm, "accuracy")

    def difference(self, first: str, second: str, number: str) -> MeanEstimate | None:
        """Estimate the mean of the first arm minus that of the second; None where one has no mean."""
        if min(self._numbers_without_nan(arm, number).size for arm in (first, second)) == 0:
            return None
        return self._difference(first, second, number)

    def accuracy_difference(self, first: str, second: str) -> MeanEstimate:
        """Estimate the difference in mean accuracy, which any two arms have."""
        return self._difference(first, second, "accuracy")

    def tested(self, arm: str, minus: str | None = None) -> Tested | None:
        """Estimate the accuracy of an arm, or the difference of two, for a test.

        The samples are participants and images where there are at least two images of each kind, otherwise
        participants; None with fewer than two participants.
        """
        over_both = self._over_images("accuracy", arm, minus)
        if over_both is not None:
            return Tested(over_both, "participants and images")
        sides = [self._crossed[name, "accuracy"] for name in (arm, minus) if name is not None]
        over_participants = crossed_estimate(*(side.without_images for side in sides))
        return None if over_participants is None else Tested(over_participants, "participants")

    def _mean(self, arm: str, number: str) -> MeanEstimate:
        values = self._numbers_without_nan(arm, number)
        replicates = self._replicates[arm][:, NUMBERS.index(number)]
        over_both = self._over_images(number, arm)
        return MeanEstimate(
            value=float(values.mean()),
            participants=expanded_percentile_interval(replicates, values.size),
            participants_and_images=None
            if over_both is None
            else over_both.interval(possible=_SHARES),
            naive=_naive(self.rates[arm], number),
        )

    def _difference(self, first: str, second: str, number: str) -> MeanEstimate:
        values = [self._numbers_without_nan(arm, number) for arm in (first, second)]
        column = NUMBERS.index(number)
        replicates = self._replicates[first][:, column] - self._replicates[second][:, column]
        over_both = self._over_images(number, first, second)
        return MeanEstimate(
            value=float(values[0].mean() - values[1].mean()),
            participants=expanded_percentile_interval(replicates, min(map(len, values))),
            participants_and_images=(
                None if over_both is None else over_both.interval(possible=_DIFFERENCES)
            ),
        )

    def _numbers_without_nan(self, arm: str, number: str) -> np.ndarray:
        numbers = self.numbers[arm][:, NUMBERS.index(number)]
        return numbers[~np.isnan(numbers)]

    def _over_images(self, number: str, arm: str, minus: str | None = None) -> Student | None:
        if number not in MEASURES:
            return None
        sides = [self._crossed[name, number] for name in (arm, minus) if name is not None]
        if not all(len(side.image) for side in sides):
            return None
        return crossed_estimate(*sides)


def crossed_mean(rates: Rates, votes: Votes | None, measure: str) -> Crossed:
    """Split the mean of one of the MEASURES into contributions of participants and of votes.

    Args:
        rates: error rates of the arm's participants.
        votes: votes from which the rates were counted; None where they are unknown.
        measure: one of MEASURES.
    """
    numbers = getattr(rates, measure)
    kinds = [
        (rates.generated_trials, rates.fooled, measure != "error_on_real"),
        (rates.real_trials, rates.doubted, measure != "error_on_generated"),
    ]
    trials = sum(judged for judged, _, counts in kinds if counts)
    people = max(1, int((~np.isnan(numbers)).sum()))
    least_variance = 0.0
    for judged, wrong, counts in kinds:
        if counts and np.nansum(judged) > 0 and not np.isnan(judged).any():
            with np.errstate(invalid="ignore"):
                share = np.nansum(judged / trials) / people
            least_variance += share**2 * independent_variance(
                float(np.nansum(wrong)), float(judged.sum())
            )
    image, stratum = np.empty(0, str), np.empty(0, str)
    effects = np.empty(0)
    if votes is not None:
        measured = votes.chosen(
            np.full(len(votes), True)
            if measure == "accuracy"
            else votes.generated == (measure == "error_on_generated")
        )
        image, stratum, effects = _effects(measured, measure)
    return Crossed(numbers[~np.isnan(numbers)], image, stratum, effects, least_variance)


def _effects(votes: Votes, measure: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the image, stratum and effect of each vote, as `Crossed` has them: [votes] each."""
    stratum = np.where(votes.generated, np.char.add("generated ", votes.images), "real")
    if len(votes) == 0:
        return votes.image, stratum, np.empty(0)
    _, person = np.unique(votes.participant, return_inverse=True)
    vote_counts = np.bincount(person)
    weight = 1 / (len(vote_counts) * vote_counts[person])
    counted = (~votes.wrong if measure == "accuracy" else votes.wrong).astype(float)
    _, kind = np.unique(stratum, return_inverse=True)
    mean = np.bincount(kind, weight * counted) / np.bincount(kind, weight)
    return votes.image, stratum, weight * (counted - mean[kind])


def _numbers(rates: Rates) -> np.ndarray:
    d_prime, criterion = detection(
        rates.fooled, rates.generated_trials, rates.doubted, rates.real_trials
    )
    saw_both = (rates.generated_trials > 0) & (rates.real_trials > 0)
    return np.stack(
        [
            rates.accuracy,
            rates.error_on_generated,
            rates.error_on_real,
            np.where(saw_both, d_prime, np.nan),
            np.where(saw_both, criterion, np.nan),
        ],
        axis=1,
    )


def _naive(rates: Rates, number: str) -> Interval | None:
    """Compute Wilson's interval of the pooled votes; None where their number is unknown."""
    wrong, trials = {
        "accuracy": (rates.fooled + rates.doubted, rates.generated_trials + rates.real_trials),
        "error_on_generated": (rates.fooled, rates.generated_trials),
        "error_on_real": (rates.doubted, rates.real_trials),
    }.get(number, (np.array([np.nan]), np.array([np.nan])))
    if np.isnan(trials).any() or trials.sum() == 0:
        return None
    votes, errors = round(trials.sum()), round(wrong.sum())
    return wilson(votes - errors if number == "accuracy" else errors, votes)
