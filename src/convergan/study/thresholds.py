"""Timed arms: a staircase drives their accuracy to one value; what tells is the exposure that this takes."""

import math
from dataclasses import dataclass

import numpy as np

from convergan.statistics.bootstrap import mean_replicates
from convergan.statistics.intervals import expanded_percentile_interval
from convergan.statistics.permutation import compare_all
from convergan.study.estimates import Estimate
from convergan.study.staircase import LONGEST_MS, SETTLED, SHORTEST_MS, threshold
from convergan.study.votes import Votes


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """What the participants of a timed arm needed to be right 75 % of the time."""

    exposure_ms: Estimate

    participants: int
    """Whose staircase has settled: the threshold is theirs."""

    reached_longest: int
    """Those of them whose settled staircase came to the longest exposure: they may need more."""

    reached_shortest: int
    """Those whose staircase came to the shortest: they may need less."""


@dataclass(frozen=True, kw_only=True)
class ThresholdComparison:
    """One timed arm minus another."""

    first: str
    second: str

    exposure_ms: Estimate

    p_value: float | None
    """Of equal thresholds, by permutation of participants."""

    p_holm: float | None
    """Corrected for the number of these comparisons."""


def timed_arms(votes: Votes) -> dict[str, list[list[float]]]:
    """The exposures of every participant of each timed arm, trial by trial.

    Where all images of an arm were shown equally long, there was no staircase, and accuracy is free.
    """
    found = {}
    for arm in np.unique(votes.arm):
        here = votes.chosen(votes.arm == arm)
        known = here.exposure_ms[~np.isnan(here.exposure_ms)]
        if known.size and np.ptp(known) > 0:
            order = np.lexsort((here.trial, here.participant))
            _, starts = np.unique(here.participant[order], return_index=True)
            of_each = np.split(here.exposure_ms[order], starts[1:])
            found[str(arm)] = [exposures.tolist() for exposures in of_each]
    return found


class Thresholds:
    """The timed arms of a study, resampled once."""

    def __init__(self, votes: Votes | None, rng: np.random.Generator) -> None:
        """`votes`: all of the study's; None where only rates are known."""
        self._exposures = {} if votes is None else timed_arms(votes)
        settled = {
            arm: [each for each in people if not math.isnan(threshold(each))]
            for arm, people in self._exposures.items()
        }
        self._settled = {
            arm: [each[SETTLED:] for each in people] for arm, people in settled.items() if people
        }
        self._thresholds = {
            arm: np.array([threshold(each) for each in settled[arm]]) for arm in self._settled
        }
        self._replicates = {
            arm: mean_replicates(each, rng) for arm, each in self._thresholds.items()
        }

    def __contains__(self, arm: str) -> bool:
        """Whether an arm is timed."""
        return arm in self._exposures

    def of(self, arm: str) -> Threshold | None:
        """None where an arm is not timed, or nobody's staircase in it has settled."""
        if arm not in self._thresholds:
            return None
        known = self._thresholds[arm]
        return Threshold(
            exposure_ms=Estimate(
                value=float(known.mean()),
                participants=expanded_percentile_interval(self._replicates[arm], known.size),
            ),
            participants=known.size,
            reached_longest=sum(LONGEST_MS in each for each in self._settled[arm]),
            reached_shortest=sum(SHORTEST_MS in each for each in self._settled[arm]),
        )

    def comparisons(self, rng: np.random.Generator) -> list[ThresholdComparison]:
        """Every arm with a threshold with every later one."""
        return [
            ThresholdComparison(
                first=pair.first,
                second=pair.second,
                exposure_ms=self._difference(pair.first, pair.second),
                p_value=pair.p_value,
                p_holm=pair.p_holm,
            )
            for pair in compare_all(self._thresholds, rng)
        ]

    def _difference(self, first: str, second: str) -> Estimate:
        one, other = self._thresholds[first], self._thresholds[second]
        replicates = self._replicates[first] - self._replicates[second]
        return Estimate(
            value=float(one.mean() - other.mean()),
            participants=expanded_percentile_interval(replicates, min(one.size, other.size)),
        )
