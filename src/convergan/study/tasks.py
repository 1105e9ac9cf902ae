"""Where a session goes on: what its browser may know now, which is never the truth about an open trial."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from convergan.study.keys import digest
from convergan.study.schedule import Kind
from convergan.study.schema import Image, Participant, Token, Trial, Vote

AHEAD = 3
"""Images after the current one that a browser may load beforehand."""

Answer = Literal["real", "generated"]


class NoSession(Exception):
    """A token that opens nothing: unknown, or its time is over."""


@dataclass(frozen=True)
class Task:
    """One thing to answer."""

    position: int
    kind: Kind
    number: int
    """Among those of its kind, from 1."""
    image: str | None
    """The address of the image; None for a check."""
    asks: Answer | None
    """The answer that a check asks for."""


@dataclass(frozen=True)
class State:
    """A session as its browser sees it."""

    finished: bool
    answered: int
    total: int
    trials: int
    """Trials that count, in all."""
    practice: int
    tasks: list[Task]
    """The current one, and those that come after it as far as they may be loaded."""


def authenticated(session: Session, token: str, now: float, *, lock: bool = False) -> Participant:
    """The participant whose token this is.

    Args:
        session: a transaction; one that writes, if it is to lock.
        token: what the browser brought.
        now: the time.
        lock: let others who lock this participant wait until the transaction ends.

    Raises:
        NoSession: there is none, or the session has expired.
    """
    found = select(Participant).join(Token).where(Token.digest == digest(token))
    if lock:
        found = found.with_for_update(of=Participant)
    participant = session.scalar(found)
    if participant is None or participant.expires_at < now:
        raise NoSession
    return participant


def state_of(session: Session, participant: Participant) -> State:
    """Where a participant's session goes on."""
    counted = (
        select(Trial.kind, func.count())
        .where(Trial.participant_id == participant.id)
        .group_by(Trial.kind)
    )
    counts = {kind: number for kind, number in session.execute(counted)}
    answered = answered_by(session, participant.id)
    return State(
        finished=participant.finished_at is not None,
        answered=answered,
        total=sum(counts.values()),
        trials=counts.get("trial", 0),
        practice=counts.get("practice", 0),
        tasks=tasks_from(session, participant.id, answered + 1),
    )


def answered_by(session: Session, participant_id: int) -> int:
    """How many answers a participant has given; they are given in order."""
    counted = select(func.count()).select_from(Vote).where(Vote.participant_id == participant_id)
    return session.scalar(counted) or 0


def tasks_from(session: Session, participant_id: int, position: int) -> list[Task]:
    """The tasks at `position` and after it, as far as a browser at `position` may know them."""
    found = (
        select(Trial)
        .where(
            Trial.participant_id == participant_id,
            Trial.position.between(position, position + AHEAD),
        )
        .order_by(Trial.position)
    )
    return [_task(trial) for trial in session.scalars(found)]


def image_content(session: Session, participant: Participant, address: str) -> bytes | None:
    """The image at an address; None if it is not this session's, or not to be seen (any more) now."""
    trial = session.scalar(
        select(Trial).where(Trial.address == address, Trial.participant_id == participant.id)
    )
    if trial is None or trial.image_id is None or trial.shown_key is not None:
        return None
    current = answered_by(session, participant.id) + 1
    if not current <= trial.position <= current + AHEAD:
        return None
    return session.scalar(select(Image.content).where(Image.id == trial.image_id))


def _task(trial: Trial) -> Task:
    check = trial.kind == "check"
    return Task(
        position=trial.position,
        kind=trial.kind,  # type: ignore[arg-type]
        number=trial.number,
        image=None if check else f"/image/{trial.address}",
        asks=answer_of(trial.generated) if check else None,
    )


def answer_of(generated: bool) -> Answer:
    """How the truth, or an answer, is called."""
    return "generated" if generated else "real"
