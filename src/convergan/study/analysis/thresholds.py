"""Timed arms: a staircase drives their accuracy to one value; what tells is the exposure that this takes."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from convergan.statistics.intervals import Interval
from convergan.statistics.multiplicity import holm_of_known
from convergan.statistics.student import Student
from convergan.study.analysis.estimates import Estimate, Samples
from convergan.study.analysis.exposures import Exposures, exposures_of
from convergan.study.analysis.statistics.crossed import Crossed, crossed_estimate
from convergan.study.analysis.statistics.psychometric import Fit, fit_thresholds
from convergan.study.analysis.votes import Votes
from convergan.study.design.staircase import LONGEST_MS, SHORTEST_MS


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """What the participants of a timed arm needed to be right 75 % of the time."""

    exposure_ms: Estimate
    """Geometric mean over participants."""

    participants: int
    """With enough trials: the threshold is theirs."""

    moving: int
    """Those of them whose staircase has not settled. The fit uses all trials, settled or not."""

    beyond_longest: int
    """Those whose threshold is longer than the longest exposure: they may need more still."""

    beyond_shortest: int
    """Those whose threshold is shorter than the shortest."""

    wrong_exposures: int
    """Answers left out, as the image was shown more than a frame longer or shorter than asked for."""

    unmeasured: int
    """Answers where it is not known how long the image was shown; what was asked for stands in."""


@dataclass(frozen=True, kw_only=True)
class ThresholdComparison:
    """One timed arm beside another."""

    first: str
    second: str

    ratio: Estimate
    """The exposure that the first took, in multiples of the second's."""

    p_value: float | None
    """Of equal thresholds, on their logarithms, over the samples that `samples` names."""

    p_holm: float | None
    """Corrected for the number of these comparisons."""

    samples: Samples | None


class Thresholds:
    """The timed arms of a study, each fitted once."""

    def __init__(self, votes: Votes | None) -> None:
        """`votes`: all of the study's; None where only rates are known."""
        self._exposures = {} if votes is None else exposures_of(votes)
        self._fits = {arm: _fit(each) for arm, each in self._exposures.items() if len(each.votes)}
        self._means = {arm: _mean(self._exposures[arm], fit) for arm, fit in self._fits.items()}

    def __contains__(self, arm: str) -> bool:
        """Whether an arm is timed."""
        return arm in self._exposures

    def of(self, arm: str) -> Threshold | None:
        """None where an arm is not timed, or nobody in it has enough trials."""
        if arm not in self._fits:
            return None
        each, exposures = self._fits[arm].log_threshold, self._exposures[arm]
        return Threshold(
            exposure_ms=_estimate(self._means[arm], None),
            participants=len(each),
            moving=exposures.moving,
            beyond_longest=int((each > math.log(LONGEST_MS)).sum()),
            beyond_shortest=int((each < math.log(SHORTEST_MS)).sum()),
            wrong_exposures=exposures.wrong,
            unmeasured=exposures.unmeasured,
        )

    def by_participant(self) -> dict[str, float]:
        """Each participant's threshold in ms."""
        return {
            str(name): math.exp(number)
            for arm, fit in self._fits.items()
            for name, number in zip(
                np.unique(self._exposures[arm].votes.participant), fit.log_threshold, strict=True
            )
        }

    def comparisons(self, untested: Collection[str] = ()) -> list[ThresholdComparison]:
        """Every arm with a threshold beside every later one, without a test where one is `untested`."""
        pairs = list(combinations(self._means, 2))
        tested = [
            None
            if {first, second} & set(untested)
            else crossed_estimate(self._means[first], self._means[second])
            for first, second in pairs
        ]
        p_values = [None if each is None else each.p_value(0) for each in tested]
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
    """The mean log threshold of an arm, taken apart."""
    votes, people = exposures.votes, len(fit.participants)
    return Crossed(
        # Of which it is the mean, and which differ by what each participant does to it.
        numbers=fit.mean + people * fit.participants,
        image=votes.image,
        stratum=np.where(votes.generated, np.char.add("generated ", votes.images), "real"),
        effects=fit.votes,
        least_variance=0.0,
    )


def _estimate(mean: Crossed, minus: Crossed | None) -> Estimate:
    sides = [mean] if minus is None else [mean, minus]
    alone = crossed_estimate(*(side.without_images for side in sides))
    value = mean.value - (0 if minus is None else minus.value)
    return Estimate(
        value=math.exp(value),
        participants=_exponential(alone),
        participants_and_images=_exponential(crossed_estimate(*sides)),
    )


def _exponential(found: Student | None) -> Interval | None:
    if found is None:
        return None
    low, high = found.interval()
    return Interval(math.exp(low), math.exp(high))
