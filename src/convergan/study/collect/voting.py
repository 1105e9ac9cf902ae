"""Recording of answers: each exactly once, whatever the network does."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from convergan.study.collect.outcome import outcome
from convergan.study.collect.places import take_place
from convergan.study.collect.tasks import (
    AHEAD,
    Answer,
    Task,
    answer_of,
    answered_by,
    task_of,
    trials_from,
)
from convergan.study.design.plan import Plan
from convergan.study.storage.schema import Participant, Trial, Vote


class Conflict(Exception):
    """A request that contradicts the recorded answers, or comes when it is not the trial's turn."""


Position = Annotated[int, Field(ge=1, le=100_000)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
_Pixels = Annotated[int, Field(ge=0, le=100_000)]
_Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class Ballot:
    """An answer as a browser sends it."""

    position: Position
    key: Key
    """Random key that the browser chose for this attempt; the same in every repetition."""
    answer: Answer
    response_ms: _Milliseconds | None = None
    shown_ms: _Milliseconds | None = None
    frames: Annotated[int, Field(ge=0, le=100_000)] | None = None
    frame_ms: _Milliseconds | None = None
    input: Literal["key", "mouse", "touch", "pen"] | None = None
    device: Literal["phone", "tablet", "computer"] | None = None
    window_width: _Pixels | None = None
    window_height: _Pixels | None = None


@dataclass(frozen=True)
class Receipt:
    """The server's response to an answer; a repeated answer gets the same one."""

    position: int
    answer: Answer
    truth: Answer | None
    """Truth about the trial; None unless the participant gets feedback."""
    finished: bool
    tasks: list[Task]
    """Next tasks, as far as they may be loaded in advance."""


def record(
    session: Session, plan: Plan, participant: Participant, ballot: Ballot, now: float
) -> Receipt:
    """Record a vote, unless it is recorded already; the same ballot always gets the same receipt.

    Args:
        session: a writing transaction that has locked the participant.
        plan: the study's plan.
        participant: the participant.
        ballot: the answer.
        now: the time, in seconds since 1970.

    Raises:
        Closed: it is the answer to the first trial, and all places are taken.
        Conflict: another vote is recorded for this trial, it is not the trial's turn, or its timed image was
            not shown to this attempt.
    """
    trials = trials_from(session, participant.id, ballot.position, AHEAD + 1)
    if not trials:
        raise Conflict
    trial, *following = trials
    vote = session.get(Vote, (participant.id, ballot.position))
    if vote is None:
        if ballot.position != answered_by(session, participant.id) + 1:
            raise Conflict
        if plan.timed and trial.kind != "check" and trial.shown_key != ballot.key:
            raise Conflict
        if (trial.kind, trial.number) == ("trial", 1):
            take_place(session, participant, now)
        _add_vote(session, plan, participant, ballot, now)
        if not following:
            participant.finished_at = now
            participant.outcome = outcome(_missed_checks(session, participant.id))
    elif vote.key != ballot.key or answer_of(vote.answered_generated) != ballot.answer:
        raise Conflict
    feedback = trial.kind == "practice" or (trial.kind == "trial" and participant.arm.feedback)
    return Receipt(
        position=ballot.position,
        answer=ballot.answer,
        truth=answer_of(trial.generated) if feedback else None,
        finished=not following,
        tasks=[task_of(later) for later in following],
    )


def _add_vote(
    session: Session, plan: Plan, participant: Participant, ballot: Ballot, now: float
) -> None:
    def in_session(milliseconds: float | None) -> float | None:
        # A browser's clock may be wrong: nothing takes longer than a session.
        return None if milliseconds is None else min(milliseconds, plan.hours * 3_600_000.0)

    vote = Vote(
        participant_id=participant.id,
        position=ballot.position,
        key=ballot.key,
        answered_generated=ballot.answer == "generated",
        response_ms=in_session(ballot.response_ms),
        recorded_at=now,
        shown_ms=in_session(ballot.shown_ms),
        frames=ballot.frames,
        frame_ms=in_session(ballot.frame_ms),
        input=ballot.input,
        device=ballot.device,
        window_width=ballot.window_width,
        window_height=ballot.window_height,
    )
    session.add(vote)
    participant.seen_at = now
    session.flush()


def _missed_checks(session: Session, participant_id: int) -> list[bool]:
    query = (
        select(Trial.generated != Vote.answered_generated)
        .join(Trial.vote)
        .where(Trial.participant_id == participant_id, Trial.kind == "check")
    )
    return list(session.scalars(query))
