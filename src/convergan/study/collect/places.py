"""The places of a study: one is taken by a first answer, and kept while its participant is at it."""

import secrets

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from convergan.study.storage.schema import Arm, Participant, Study, Vote

HOLD_SECONDS = 20 * 60
"""So long after the last answer a place is kept; then somebody else may have it."""

_UNANSWERED_SECONDS = 2 * 60
"""So long who has not answered yet counts when newcomers are spread over the arms; they take no place."""

_TAKE_NO_PLACE = ("bot", "preview")
_ALWAYS_WELCOME = ("personal", *_TAKE_NO_PLACE)


class Closed(Exception):
    """Nobody new can start now."""

    def __init__(self, *, full: bool, way: str) -> None:
        super().__init__("full" if full else "paused")
        self.full = full
        """Everyone needed is there; otherwise the study is paused."""
        self.way = way
        """How the person came."""


def require_place(session: Session, study: Study, way: str, now: float) -> None:
    """Raises Closed where somebody new who came this way cannot start now.

    Whoever has a personal link was invited: there is always a place for them, as for previews and bots, who
    take none.
    """
    if study.paused and way not in _TAKE_NO_PLACE:
        raise Closed(full=False, way=way)
    if way not in _ALWAYS_WELCOME and not _with_places(session, study, now):
        raise Closed(full=True, way=way)


def neediest_arm(session: Session, study: Study, way: str, now: float) -> Arm:
    """The arm with the fewest participants who have finished or are at it; of several, a random one.

    Raises:
        Closed: as `require_place`.
    """
    require_place(session, study, way, now)
    simulated = way in _TAKE_NO_PLACE
    arms = [] if simulated else _with_places(session, study, now)
    arms = arms or list(session.scalars(select(Arm)))
    counts = _counts(session, now, simulated=simulated, unanswered=True)
    fewest = min(counts.get(arm.id, 0) for arm in arms)
    return secrets.choice([arm for arm in arms if counts.get(arm.id, 0) == fewest])


def take_place(session: Session, participant: Participant, now: float) -> None:
    """Takes a participant's place, before the first answer is recorded.

    Args:
        session: a writing transaction.
        participant: who has answered nothing yet.
        now: the time.

    Raises:
        Closed: the arm has everyone it needs by now.
    """
    if participant.way in _ALWAYS_WELCOME:
        return
    # Locked: of two first answers at once, the second must find the first.
    study = session.get_one(Study, 1, with_for_update=True, populate_existing=True)
    require_arm_place(session, study, participant, now)


def require_arm_place(session: Session, study: Study, participant: Participant, now: float) -> None:
    """Raises Closed where a participant who has answered nothing yet finds every place of the arm taken."""
    if participant.way in _ALWAYS_WELCOME:
        return
    taken = _counts(session, now, simulated=False, unanswered=False)
    if taken.get(participant.arm_id, 0) >= study.quota:
        raise Closed(full=True, way=participant.way)


def _with_places(session: Session, study: Study, now: float) -> list[Arm]:
    taken = _counts(session, now, simulated=False, unanswered=False)
    return [arm for arm in session.scalars(select(Arm)) if taken.get(arm.id, 0) < study.quota]


def _counts(session: Session, now: float, *, simulated: bool, unanswered: bool) -> dict[int, int]:
    """Participants by arm who have finished and count, or are at it; with those before their first answer?"""
    # Answers are given in order: who has any has the first.
    first = select(Vote.position).where(Vote.participant_id == Participant.id, Vote.position == 1)
    at_it = _lately(now, HOLD_SECONDS) & first.exists()
    if unanswered:
        at_it |= _lately(now, _UNANSWERED_SECONDS)
    counted = (
        select(Participant.arm_id, func.count())
        .where(
            Participant.simulated == simulated,
            or_(
                Participant.outcome == "completed",
                Participant.finished_at.is_(None) & at_it,
            ),
        )
        .group_by(Participant.arm_id)
    )
    return dict(session.execute(counted).all())


def _lately(now: float, seconds: float) -> ColumnElement[bool]:
    # Nor from a clock that was ahead for a moment.
    return Participant.seen_at.between(now - seconds, now + seconds)
