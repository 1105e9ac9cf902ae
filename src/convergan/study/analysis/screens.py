"""Screens for careless participants: rules, fixed beforehand, on signs in their answers."""

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
"""Smallest number of trials by which a participant is screened."""

_Data = TypeVar("_Data", bound=Votes | Rates)


@dataclass(frozen=True, kw_only=True)
class Screens(Checked):
    """The rules by which participants are flagged. None of them depends on whether answers are right."""

    fastest_ms: Annotated[int, Interval(ge=0, le=60_000)] = 400
    """Median response time in ms below which a participant is flagged; 0 flags no one."""

    longest_run: Annotated[int, Interval(ge=5, le=10_000)] = 25
    """Number of same answers in a row at which a participant is flagged."""

    most_leaning: Annotated[float, Interval(gt=0, le=10)] = 1.0
    """Distance of the criterion from 0 at which a participant is flagged; 1 is the criterion of someone who
    guesses and gives one of the answers 84 % of the time."""

    @property
    def rules(self) -> list[str]:
        """Describe the rules that are on, as clauses such as "the median response time is below 0.4 s"."""
        rules = [
            f"the same answer is given {self.longest_run} times in a row",
            f"the criterion is {self.most_leaning:g} or more from 0, in either direction",
        ]
        if self.fastest_ms:
            rules.insert(0, f"the median response time is below {self.fastest_ms / 1000:g} s")
        return rules


@dataclass(frozen=True)
class Flagged:
    """A participant whose answers look careless."""

    participant: str
    arm: str

    reasons: tuple[str, ...]
    """Signs of carelessness, at least one: "response time", "same answer", "leaning"."""


def screens_of(plan: Plan) -> Screens:
    """Return the rules of a frozen plan."""
    return Screens(
        fastest_ms=plan.fastest_ms, longest_run=plan.longest_run, most_leaning=plan.most_leaning
    )


def flag(data: Votes | Rates, screens: Screens) -> list[Flagged]:
    """Flag participants whose answers look careless, in the order of their names.

    From rates alone only the criterion, and the same answer to every image, can be checked.
    """
    rates = rates_of(data) if isinstance(data, Votes) else data
    votes = data.judged if isinstance(data, Votes) else None
    trials = rates.generated_trials + rates.real_trials
    enough = np.isnan(trials) | (trials >= FEWEST_TRIALS)
    with np.errstate(invalid="ignore"):
        # Where the numbers of trials are unknown, 50 of each kind are assumed.
        generated, real = (
            np.where(np.isnan(numbers), 50, numbers)
            for numbers in (rates.generated_trials, rates.real_trials)
        )
        _, criterion = detection(
            rates.error_on_generated * generated, generated, rates.error_on_real * real, real
        )
        leaning = np.abs(criterion) >= screens.most_leaning
    repetitive = rates.error_on_generated + rates.error_on_real == 1
    repetitive &= np.isin(rates.error_on_generated, (0, 1))
    hasty = np.zeros(len(rates), dtype=bool)
    if votes is not None:
        indices = np.searchsorted(rates.participant, votes.participant)
        repetitive = _runs(votes, indices, len(rates)) >= screens.longest_run
        seconds = _medians(votes.response_seconds, indices, len(rates))
        hasty = seconds < screens.fastest_ms / 1000
    signs = {"response time": hasty, "same answer": repetitive, "leaning": leaning}
    return [
        Flagged(str(rates.participant[index]), str(rates.arm[index]), reasons)
        for index in np.flatnonzero(enough)
        if (reasons := tuple(name for name, sign in signs.items() if sign[index]))
    ]


def without_flagged(data: _Data, flagged: list[Flagged]) -> tuple[_Data, set[str]]:
    """Leave the flagged participants out.

    Returns:
        The data without them; the names of the arms where everyone is flagged. Such an arm keeps its
        participants, so that there is something to show, but nothing can be concluded from it.
    """
    names = np.array([row.participant for row in flagged], str)
    included = ~np.isin(data.participant, names)
    emptied = set(np.unique(data.arm).tolist()) - set(np.unique(data.arm[included]).tolist())
    rows = included | np.isin(data.arm, np.array(sorted(emptied), str))
    return data.chosen(rows), emptied  # type: ignore[return-value]


def _runs(votes: Votes, indices: np.ndarray, participants: int) -> np.ndarray:
    """Compute the length of each participant's longest run of the same answer: int [participants]."""
    order = np.lexsort((votes.trial, indices))
    index, answer = indices[order], votes.answered_generated[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (index[1:] != index[:-1]) | (answer[1:] != answer[:-1])
    starts = np.flatnonzero(begins)
    longest = np.zeros(participants, dtype=int)
    np.maximum.at(longest, index[starts], np.diff(np.append(starts, len(order))))
    return longest


def _medians(values: np.ndarray, indices: np.ndarray, participants: int) -> np.ndarray:
    """Compute the median of each participant's known values; NaN without any."""
    is_known = ~np.isnan(values)
    medians = np.full(participants, np.nan)
    order = np.argsort(indices[is_known], kind="stable")
    present, starts = np.unique(indices[is_known][order], return_index=True)
    groups = np.split(values[is_known][order], starts[1:])
    for index, group in zip(present, groups, strict=False):
        medians[index] = np.median(group)
    return medians
