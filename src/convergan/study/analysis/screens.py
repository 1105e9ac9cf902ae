"""Who did not look: signs in the answers themselves, by rules that are fixed beforehand."""

from dataclasses import dataclass
from typing import Annotated, TypeVar

import numpy as np
from annotated_types import Interval

from convergan.ranges import Checked
from convergan.study.analysis.rates import Rates, rates_of
from convergan.study.analysis.statistics.detection import detection
from convergan.study.analysis.votes import Votes
from convergan.study.design.plan import Plan

FEWEST_TRIALS = 10
"""Of fewer nothing is concluded about a participant."""

_Data = TypeVar("_Data", bound=Votes | Rates)


@dataclass(frozen=True, kw_only=True)
class Screens(Checked):
    """The rules by which participants are flagged. None looks at whether answers are right."""

    fastest_ms: Annotated[int, Interval(ge=0, le=60_000)] = 400
    """Who answers faster than this in half of the trials is flagged; 0: nobody."""

    longest_run: Annotated[int, Interval(ge=5, le=10_000)] = 25
    """Who gives the same answer so often in a row is flagged."""

    most_leaning: Annotated[float, Interval(gt=0, le=10)] = 1.0
    """Whose criterion is this far from 0, either way, is flagged: as far as 84 % of one answer to images
    that one cannot tell."""


@dataclass(frozen=True)
class Flagged:
    """A participant whose answers look careless."""

    participant: str
    arm: str

    reasons: tuple[str, ...]
    """Of "response time", "same answer" and "leaning" at least one."""


def screens_of(plan: Plan) -> Screens:
    """The rules that a plan has frozen."""
    return Screens(
        fastest_ms=plan.fastest_ms, longest_run=plan.longest_run, most_leaning=plan.most_leaning
    )


def flag(data: Votes | Rates, screens: Screens) -> list[Flagged]:
    """The participants whom the rules flag, in the order of their names.

    Of rates alone there is the criterion, and the same answer to every image.
    """
    rates = rates_of(data) if isinstance(data, Votes) else data
    votes = data.judged if isinstance(data, Votes) else None
    trials = rates.generated_trials + rates.real_trials
    enough = np.isnan(trials) | (trials >= FEWEST_TRIALS)
    with np.errstate(invalid="ignore"):
        # Where the numbers of trials are unknown, as if there were 50 of each.
        shown = [
            np.where(np.isnan(each), 50, each)
            for each in (rates.generated_trials, rates.real_trials)
        ]
        _, criterion = detection(
            rates.error_on_generated * shown[0], shown[0], rates.error_on_real * shown[1], shown[1]
        )
        leaning = np.abs(criterion) >= screens.most_leaning
    alike = rates.error_on_generated + rates.error_on_real == 1
    alike &= np.isin(rates.error_on_generated, (0, 1))
    hasty = np.zeros(len(rates), dtype=bool)
    if votes is not None:
        places = np.searchsorted(rates.participant, votes.participant)
        alike = _runs(votes, places, len(rates)) >= screens.longest_run
        seconds = _medians(votes.response_seconds, places, len(rates))
        hasty = seconds < screens.fastest_ms / 1000
    signs = {"response time": hasty, "same answer": alike, "leaning": leaning}
    return [
        Flagged(str(rates.participant[place]), str(rates.arm[place]), reasons)
        for place in np.flatnonzero(enough)
        if (reasons := tuple(name for name, sign in signs.items() if sign[place]))
    ]


def without_flagged(data: _Data, flagged: list[Flagged]) -> tuple[_Data, set[str]]:
    """Those who are not flagged, and the arms where nobody is left.

    Such an arm keeps its participants, so that there is something to show; nothing can be concluded from it.
    """
    names = np.array([each.participant for each in flagged], str)
    kept = ~np.isin(data.participant, names)
    emptied = set(np.unique(data.arm).tolist()) - set(np.unique(data.arm[kept]).tolist())
    rows = kept | np.isin(data.arm, np.array(sorted(emptied), str))
    return data.chosen(rows), emptied  # type: ignore[return-value]


def _runs(votes: Votes, places: np.ndarray, participants: int) -> np.ndarray:
    """The longest run of one answer of each participant."""
    order = np.lexsort((votes.trial, places))
    place, answer = places[order], votes.answered_generated[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (place[1:] != place[:-1]) | (answer[1:] != answer[:-1])
    starts = np.flatnonzero(begins)
    longest = np.zeros(participants, dtype=int)
    np.maximum.at(longest, place[starts], np.diff(np.append(starts, len(order))))
    return longest


def _medians(values: np.ndarray, places: np.ndarray, participants: int) -> np.ndarray:
    """The median of each participant's known values; NaN where there is none."""
    known = ~np.isnan(values)
    medians = np.full(participants, np.nan)
    order = np.argsort(places[known], kind="stable")
    of, starts = np.unique(places[known][order], return_index=True)
    for place, each in zip(of, np.split(values[known][order], starts[1:]), strict=False):
        medians[place] = np.median(each)
    return medians
