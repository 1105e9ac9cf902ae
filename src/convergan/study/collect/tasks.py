"""Where a session goes on: what its browser may know now, which is never the truth about an open trial."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from convergan.study.design.schedule import Kind
from convergan.study.storage.keys import digest
from convergan.study.storage.schema import Image, Participant, Token, Trial, Vote

AHEAD = 3
"""Images after the current one that a browser may load beforehand."""

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
    """A token that opens nothing."""


class Expired(Exception):
    """A session that was not finished in its time."""

    def __init__(self, participant: Participant) -> None:
        super().__init__("expired")
        self.code = participant.code
        self.way = participant.way


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
        NoSession: there is none.
        Expired: the session was not finished in its time.
    """
    # Not against new tokens, which refer to the participant.
    found = _BY_TOKEN.with_for_update(of=Participant, key_share=True) if lock else _BY_TOKEN
    participant = session.scalar(found, {"digest": digest(token)})
    if participant is None:
        raise NoSession
    require_time_left(participant, now)
    return participant


def require_time_left(participant: Participant, now: float) -> None:
    """Raises Expired where a session's time is over; who has finished may see its end for ever."""
    if participant.finished_at is None and participant.expires_at < now:
        raise Expired(participant)


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
        tasks=[task_of(trial) for trial in trials_from(session, participant.id, answered + 1)],
    )


def answered_by(session: Session, participant_id: int) -> int:
    """How many answers a participant has given; they are given in order."""
    counted = select(func.count()).select_from(Vote).where(Vote.participant_id == participant_id)
    return session.scalar(counted) or 0


def trials_from(
    session: Session, participant_id: int, position: int, ahead: int = AHEAD
) -> list[Trial]:
    """The trial at `position` and those after it, `ahead` of them at most."""
    found = (
        select(Trial)
        .where(
            Trial.participant_id == participant_id,
            Trial.position.between(position, position + ahead),
        )
        .order_by(Trial.position)
    )
    return list(session.scalars(found))


def image_content(session: Session, token: str, address: str, now: float) -> bytes | None:
    """The image at an address; None if it is not this session's, or not to be seen (any more) now.

    Nothing is kept for the next time: what is asked for often would come sooner, and real images are, where
    several arms show them.
    """
    brought = {"digest": digest(token), "address": address, "now": now}
    return session.scalar(_CONTENT, brought)


def task_of(trial: Trial) -> Task:
    """What a browser may know of a trial."""
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
