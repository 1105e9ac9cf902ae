"""Places in a study: the first trial answered takes one, which is held while the participant is active.

Practice takes none: anybody with an open link could take all places with one answer each, in seconds.
"""

import secrets

from sqlalchemy import ColumnElement, Exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from convergan.study.storage.schema import Arm, Participant, Study, Trial, Vote

HOLD_SECONDS = 20 * 60
"""Seconds after the last answer for which a place is held; then somebody else may have it."""

_WITHOUT_PLACE_SECONDS = 2 * 60
"""Seconds after their last action for which participants without a place count when newcomers are assigned to
arms."""

_TAKE_NO_PLACE = ("bot", "preview")
_ALWAYS_WELCOME = ("personal", *_TAKE_NO_PLACE)


class Closed(Exception):
    """A study in which no new participant can start now."""

    def __init__(self, *, full: bool, way: str) -> None:
        super().__init__("full" if full else "paused")
        self.full = full
        """True: all places are taken. False: the study is paused."""
        self.way = way
        """The way by which the person came."""


def require_place(session: Session, study: Study, way: str, now: float) -> None:
    """Raise Closed if a new person who came this way cannot start now.

    People with a personal link were invited: there is always a place for them. Previews and bots take none.
    """
    if study.paused and way not in _TAKE_NO_PLACE:
        raise Closed(full=False, way=way)
    if way not in _ALWAYS_WELCOME and not _with_places(session, study, now):
        raise Closed(full=True, way=way)


def places_of(session: Session) -> int:
    """Count the places of the study: the participants wanted in all arms."""
    return session.get_one(Study, 1).quota * len(session.scalars(select(Arm.id)).all())


def neediest_arm(session: Session, study: Study, way: str, now: float) -> Arm:
    """Choose the arm with the fewest participants who have finished or are active; at random among several.

    Raises:
        Closed: see `require_place`.
    """
    require_place(session, study, way, now)
    simulated = way in _TAKE_NO_PLACE
    arms = [] if simulated else _with_places(session, study, now)
    arms = arms or list(session.scalars(select(Arm)))
    counts = _counts(session, now, simulated=simulated, without_place=True)
    fewest = min(counts.get(arm.id, 0) for arm in arms)
    return secrets.choice([arm for arm in arms if counts.get(arm.id, 0) == fewest])


def take_place(session: Session, participant: Participant, now: float) -> None:
    """Take a place for a participant, before the answer to the first trial is recorded.

    Args:
        session: a writing transaction.
        participant: a participant without an answer to a trial.
        now: the time, in seconds since 1970.

    Raises:
        Closed: all places in the arm have been taken by now.
    """
    if participant.way in _ALWAYS_WELCOME:
        return
    # Locked: if two such answers arrive at once, the second must find the first.
    study = session.get_one(Study, 1, with_for_update=True, populate_existing=True)
    require_arm_place(session, study, participant, now)


def require_arm_place(session: Session, study: Study, participant: Participant, now: float) -> None:
    """Raise Closed if a participant who has taken no place finds all places in the arm taken."""
    if participant.way in _ALWAYS_WELCOME or session.scalar(
        _first_trial_answered(participant.id).select()
    ):
        return
    counts = _counts(session, now, simulated=False, without_place=False)
    if counts.get(participant.arm_id, 0) >= study.quota:
        raise Closed(full=True, way=participant.way)


def _with_places(session: Session, study: Study, now: float) -> list[Arm]:
    counts = _counts(session, now, simulated=False, without_place=False)
    return [arm for arm in session.scalars(select(Arm)) if counts.get(arm.id, 0) < study.quota]


def _counts(
    session: Session, now: float, *, simulated: bool, without_place: bool
) -> dict[int, int]:
    """Count, by arm, the participants who have completed the study or are active.

    `without_place`: also those who were active a moment ago and have not answered a trial yet.
    """
    active = _lately(now, HOLD_SECONDS) & _first_trial_answered(Participant.id)
    if without_place:
        active |= _lately(now, _WITHOUT_PLACE_SECONDS)
    query = (
        select(Participant.arm_id, func.count())
        .where(
            Participant.simulated == simulated,
            or_(
                Participant.outcome == "completed",
                Participant.finished_at.is_(None) & active,
            ),
        )
        .group_by(Participant.arm_id)
    )
    return dict(session.execute(query).all())


def _first_trial_answered(participant_id: int | InstrumentedAttribute[int]) -> Exists:
    """Make the condition that a participant has answered a trial: answers are given in order."""
    return (
        select(Vote.position)
        .join(Trial)
        .where(Vote.participant_id == participant_id, Trial.kind == "trial", Trial.number == 1)
        .exists()
    )


def _lately(now: float, seconds: float) -> ColumnElement[bool]:
    # Times in the future, from a clock that was ahead for a moment, do not count either.
    return Participant.seen_at.between(now - seconds, now + seconds)
