"""Tasks of a session, as far as its browser may know them: never the truth about an open trial."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from convergan.study.design.schedule import Kind
from convergan.study.storage.keys import digest
from convergan.study.storage.schema import Image, Participant, Token, Trial, Vote

AHEAD = 3
"""Number of images after the current one that a browser may load in advance."""

Answer = Literal["real", "generated"]


# Made once: every request asks for these.
_BY_TOKEN = select(Participant).join(Token).where(Token.digest == bindparam("digest"))
_CURRENT = (
    select(func.count() + 1)
    .select_from(Vote)
    .where(Vote.participant_id == Trial.participant_id)
    .scalar_subquery()
)
_CONTENT = (
    select(Image.content)
    .join(Trial, Trial.image_id == Image.id)
    .join(Participant, Participant.id == Trial.participant_id)
    .join(Token, Token.participant_id == Trial.participant_id)
    .where(
        Trial.address == bindparam("address"),
        Token.digest == bindparam("digest"),
        Participant.expires_at >= bindparam("now"),
        Trial.shown_key.is_(None),
        Trial.position.between(_CURRENT, _CURRENT + AHEAD),
    )
)


class NoSession(Exception):
    """A token that belongs to no session."""


class Expired(Exception):
    """A session whose time ran out before it was finished."""

    def __init__(self, participant: Participant) -> None:
        super().__init__("expired")
        self.code = participant.code
        self.way = participant.way


@dataclass(frozen=True)
class Task:
    """One task of a participant: an image to judge, or an attention check."""

    position: int
    kind: Kind
    number: int
    """Number among the tasks of its kind, from 1."""
    image: str | None
    """Address of the image; None for a check."""
    asks: Answer | None
    """Answer that a check asks for; None for an image."""


@dataclass(frozen=True)
class State:
    """State of a session, as its browser may see it."""

    finished: bool
    answered: int
    total: int
    trials: int
    """Number of trials that count."""
    practice: int
    tasks: list[Task]
    """Current task, and those after it that may be loaded in advance."""


def authenticated(session: Session, token: str, now: float, *, lock: bool = False) -> Participant:
    """Find the participant to whom a token belongs.

    Args:
        session: a transaction; a writing one if `lock` is set.
        token: the token that the browser sent.
        now: the time, in seconds since 1970.
        lock: make other transactions that lock this participant wait until this one ends.

    Raises:
        NoSession: the token belongs to no session.
        Expired: the session's time ran out before it was finished.
    """
    # New tokens, which refer to the participant, need not wait.
    query = _BY_TOKEN.with_for_update(of=Participant, key_share=True) if lock else _BY_TOKEN
    participant = session.scalar(query, {"digest": digest(token)})
    if participant is None:
        raise NoSession
    require_time_left(participant, now)
    return participant


def require_time_left(participant: Participant, now: float) -> None:
    """Raise Expired if a session's time is over; a finished session never expires."""
    if participant.finished_at is None and participant.expires_at < now:
        raise Expired(participant)


def state_of(session: Session, participant: Participant) -> State:
    """Describe the current state of a participant's session."""
    query = (
        select(Trial.kind, func.count())
        .where(Trial.participant_id == participant.id)
        .group_by(Trial.kind)
    )
    counts = {kind: number for kind, number in session.execute(query)}
    answered = answered_by(session, participant.id)
    return State(
        finished=participant.finished_at is not None,
        answered=answered,
        total=sum(counts.values()),
        trials=counts.get("trial", 0),
        practice=counts.get("practice", 0),
        tasks=[task_of(trial) for trial in trials_from(session, participant.id, answered + 1)],
    )


def answered_by(session: Session, participant_id: int) -> int:
    """Count the answers of a participant, which are given in order."""
    query = select(func.count()).select_from(Vote).where(Vote.participant_id == participant_id)
    return session.scalar(query) or 0


def trials_from(
    session: Session, participant_id: int, position: int, ahead: int = AHEAD
) -> list[Trial]:
    """Read the trial at `position`, and at most `ahead` trials after it."""
    query = (
        select(Trial)
        .where(
            Trial.participant_id == participant_id,
            Trial.position.between(position, position + ahead),
        )
        .order_by(Trial.position)
    )
    return list(session.scalars(query))


def image_content(session: Session, token: str, address: str, now: float) -> bytes | None:
    """Read the image at an address, as PNG; None if it is another session's or may not be seen now.

    Nothing is cached: images that are requested often would arrive sooner, and where several arms share the
    real images, those are requested more often.
    """
    values = {"digest": digest(token), "address": address, "now": now}
    return session.scalar(_CONTENT, values)


def task_of(trial: Trial) -> Task:
    """Describe a trial, as far as a browser may know it."""
    check = trial.kind == "check"
    return Task(
        position=trial.position,
        kind=trial.kind,  # type: ignore[arg-type]
        number=trial.number,
        image=None if check else f"/image/{trial.address}",
        asks=answer_of(trial.generated) if check else None,
    )


def answer_of(generated: bool) -> Answer:
    """Name the truth, or an answer."""
    return "generated" if generated else "real"
