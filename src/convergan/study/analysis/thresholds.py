"""Exposure thresholds of timed arms, whose accuracy a staircase drives to its target."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from convergan.statistics.intervals import Interval
from convergan.statistics.multiplicity import holm_of_known
from convergan.statistics.student import Student
from convergan.study.analysis.estimates import MeanEstimate, Samples
from convergan.study.analysis.exposures import AnswerCounts, Exposures, exposures_of
from convergan.study.analysis.statistics.crossed import Crossed, crossed_estimate
from convergan.study.analysis.statistics.psychometric import Fit, fit_thresholds
from convergan.study.analysis.votes import Votes
from convergan.study.design.staircase import LONGEST_MS, SHORTEST_MS


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The exposure that the participants of a timed arm needed to be right 75 % of the time."""

    exposure_ms: MeanEstimate
    """Geometric mean over participants, in ms."""

    participants: int
    """Number of participants with enough usable answers, whose threshold it is."""

    moving: int
    """Number of them whose staircase has not settled. The fit uses all trials, settled or not."""

    beyond_longest: int
    """Number of them whose threshold is longer than the longest exposure, and perhaps underestimated."""

    beyond_shortest: int
    """Number of them whose threshold is shorter than the shortest exposure."""


@dataclass(frozen=True, kw_only=True)
class ThresholdComparison:
    """The ratio of the thresholds of two timed arms."""

    first: str
    second: str

    ratio: MeanEstimate
    """Threshold of the first arm divided by that of the second."""

    p_value: float | None
    """p-value of equal thresholds, tested on their logarithms, over `samples`; None without a test."""

    p_holm: float | None
    """The p-value corrected for the number of these comparisons (Holm)."""

    samples: Samples | None
    """Samples of the test; None without a test."""


class Thresholds:
    """The thresholds of a study's timed arms, each fitted once."""

    def __init__(self, votes: Votes | None) -> None:
        """Fit every timed arm.

        Args:
            votes: votes of the study on images other than controls; None where only rates are known.
        """
        self._exposures = {} if votes is None else exposures_of(votes)
        self._fits = {
            arm: _fit(exposures)
            for arm, exposures in self._exposures.items()
            if len(exposures.votes)
        }
        self._means = {arm: _mean(self._exposures[arm], fit) for arm, fit in self._fits.items()}

    def __contains__(self, arm: str) -> bool:
        """Return whether an arm is timed."""
        return arm in self._exposures

    def threshold(self, arm: str) -> Threshold | None:
        """Return the threshold of an arm; None where it is not timed, or no one has enough usable answers."""
        if arm not in self._fits:
            return None
        log_thresholds, exposures = self._fits[arm].log_threshold, self._exposures[arm]
        return Threshold(
            exposure_ms=_estimate(self._means[arm], None),
            participants=len(log_thresholds),
            moving=exposures.moving,
            beyond_longest=int((log_thresholds > math.log(LONGEST_MS)).sum()),
            beyond_shortest=int((log_thresholds < math.log(SHORTEST_MS)).sum()),
        )

    def answers(self, arm: str) -> AnswerCounts | None:
        """Count the answers of an arm, with or without a threshold; None where it is not timed."""
        return self._exposures[arm].counts if arm in self else None

    def by_participant(self) -> dict[str, float]:
        """Return the threshold of each participant, in ms, by name."""
        return {
            str(name): math.exp(number)
            for arm, fit in self._fits.items()
            for name, number in zip(
                np.unique(self._exposures[arm].votes.participant), fit.log_threshold, strict=True
            )
        }

    def comparisons(self, untested: Collection[str] = ()) -> list[ThresholdComparison]:
        """Compare every arm that has a threshold with every later one.

        Args:
            untested: names of arms whose comparisons have no test.
        """
        pairs = list(combinations(self._means, 2))
        tested = [
            None
            if {first, second} & set(untested)
            else crossed_estimate(self._means[first], self._means[second])
            for first, second in pairs
        ]
        p_values = [None if estimate is None else estimate.p_value(0) for estimate in tested]
        return [
            ThresholdComparison(
                first=first,
                second=second,
                ratio=_estimate(self._means[first], self._means[second]),
                p_value=p_value,
                p_holm=p_holm,
                samples=None if p_value is None else "participants and images",
            )
            for (first, second), p_value, p_holm in zip(
                pairs, p_values, holm_of_known(p_values), strict=True
            )
        ]


def _fit(exposures: Exposures) -> Fit:
    _, person = np.unique(exposures.votes.participant, return_inverse=True)
    return fit_thresholds(exposures.shown_ms, ~exposures.votes.wrong, person)


def _mean(exposures: Exposures, fit: Fit) -> Crossed:
    """Split the mean log threshold of an arm into contributions of participants and of answers."""
    votes, people = exposures.votes, len(fit.participants)
    return Crossed(
        # Numbers with this mean, which differ by the influence of each participant on it.
        numbers=fit.mean + people * fit.participants,
        image=votes.image,
        stratum=np.where(votes.generated, np.char.add("generated ", votes.images), "real"),
        effects=fit.votes,
        least_variance=0.0,
    )


def _estimate(mean: Crossed, minus: Crossed | None) -> MeanEstimate:
    sides = [mean] if minus is None else [mean, minus]
    over_participants = crossed_estimate(*(side.without_images for side in sides))
    value = mean.value - (0 if minus is None else minus.value)
    return MeanEstimate(
        value=math.exp(value),
        participants=_exponential(over_participants),
        participants_and_images=_exponential(crossed_estimate(*sides)),
    )


def _exponential(log_estimate: Student | None) -> Interval | None:
    if log_estimate is None:
        return None
    low, high = log_estimate.interval()
    return Interval(math.exp(low), math.exp(high))
