"""Joining a study: known people get their session again, new ones a session in the neediest arm."""

from typing import Literal

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from convergan.study.collect.entry import Entry, Way
from convergan.study.collect.places import neediest_arm
from convergan.study.collect.tasks import require_time_left
from convergan.study.design.plan import CONTROL, REAL, Plan
from convergan.study.design.schedule import Pool, steps
from convergan.study.storage.keys import digest, new_address, new_code, new_token
from convergan.study.storage.schema import Arm, Identity, Image, Participant, Study, Token, Trial

SIMULATED = "SIMULATED-"
"""Prefix of the codes of simulated participants."""


def join(session: Session, entry: Entry, now: float) -> str:
    """Admit a person to their session, or to a new one; return a new bearer token for it.

    Args:
        session: a writing transaction.
        entry: the person.
        now: the time, in seconds since 1970.

    Raises:
        Closed: the person is new, and the study is paused or full (`places.py`).
        Expired: the time of their session has run out.
    """
    # Locked: if one person starts twice at once, the second start must find the first.
    study = session.get_one(Study, 1, with_for_update=True)
    participant = find_participant(session, entry)
    if participant is None:
        participant = add_participant(session, study, entry.way, now)
        identity = Identity(
            person=entry.person,
            submission=_unless_taken(session, entry.submission),
            platform_study=entry.platform_study,
            participant_id=participant.id,
        )
        session.add(identity)
    require_time_left(participant, now)
    token = new_token()
    session.add(Token(digest=digest(token), participant_id=participant.id))
    return token


def find_participant(session: Session, entry: Entry) -> Participant | None:
    """Find the participant who is this person; None if the person is new."""
    query = select(Participant).join(Identity).where(Identity.person == entry.person)
    return session.scalar(query)


def _unless_taken(session: Session, submission: str | None) -> str | None:
    """Return the submission; None if another person came with it, which Prolific never causes."""
    query = select(Identity.submission).where(Identity.submission == submission)
    return None if session.scalar(query) else submission


def add_participant(
    session: Session, study: Study, way: Way | Literal["bot"], now: float
) -> Participant:
    """Add a participant, with the trials of a session.

    Args:
        session: a writing transaction that has locked the study.
        study: the study.
        way: how they came. Bots and previews are not counted, and there is always a place for them.
        now: the time, in seconds since 1970.

    Raises:
        Closed: the study is paused or full.
    """
    simulated = way in ("bot", "preview")
    plan = Plan(**study.plan)
    arm = neediest_arm(session, study, way, now)
    place = session.scalar(
        select(func.coalesce(func.max(Participant.place) + 1, 0)).where(
            Participant.arm_id == arm.id, Participant.simulated == simulated
        )
    )
    participant = Participant(
        code=(SIMULATED if simulated else "") + new_code(),
        arm_id=arm.id,
        place=place,
        way=way,
        simulated=simulated,
        started_at=now,
        seen_at=now,
        expires_at=now + plan.hours * 3600,
    )
    session.add(participant)
    session.flush()
    _add_trials(session, study, arm, participant)
    return participant


def _add_trials(session: Session, study: Study, arm: Arm, participant: Participant) -> None:
    plan = Plan(**study.plan)
    real, generated = (_pool(session, images) for images in (REAL, arm.images))
    numbers = {"practice": 0, "trial": 0, "check": 0}
    rows = []
    control = _pool(session, CONTROL) if plan.controls else None
    planned = steps(plan, study.order_secret, arm.name, participant.place, real, generated, control)
    for position, step in enumerate(planned, start=1):
        numbers[step.kind] += 1
        rows.append(
            {
                "participant_id": participant.id,
                "position": position,
                "kind": step.kind,
                "number": numbers[step.kind],
                "generated": step.generated,
                "image_id": step.image,
                "address": new_address(),
            }
        )
    session.execute(insert(Trial), rows)


def _pool(session: Session, images: str) -> Pool:
    query = select(Image.id, Image.practice).where(Image.images == images).order_by(Image.id)
    rows = session.execute(query).all()
    return Pool(
        images,
        practice=[image for image, practice in rows if practice],
        trials=[image for image, practice in rows if not practice],
    )
