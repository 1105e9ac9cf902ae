"""Progress of a study, by arm and by participant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from convergan.study.analysis.screens import flag, screens_of
from convergan.study.analysis.votes import Votes
from convergan.study.collect.places import HOLD_SECONDS
from convergan.study.design.plan import CONTROL, Plan
from convergan.study.storage.schema import Arm, Image, Participant, Study, Trial, Vote

Status = Literal["completed", "attention", "under way", "left"]
"""`left`: not finished, and inactive for longer than a place is held."""


@dataclass(frozen=True)
class ParticipantProgress:
    """Progress of one participant."""

    code: str
    arm: str
    way: str
    simulated: bool
    status: Status
    started_at: float
    answered: int
    total: int
    missed_checks: int
    replaced_images: int
    """Timed images that were shown but not answered; many may mean that difficult ones were avoided."""
    flags: tuple[str, ...]
    """Signs of careless answers, by the rules of the plan."""


@dataclass(frozen=True)
class ArmProgress:
    """Progress of one arm, without simulated participants."""

    name: str
    quota: int
    """Participants wanted."""
    completed: int
    under_way: int
    left: int
    attention: int
    flagged: int
    """Completed participants whose answers look careless; the report leaves them out."""


@dataclass(frozen=True)
class StudyProgress:
    """Progress of a study."""

    paused: bool
    quota: int
    arms: list[ArmProgress]
    participants: list[ParticipantProgress]
    """Participants, the latest first."""


def progress_of(session: Session, now: float) -> StudyProgress:
    """Collect the progress of the study; `now` is in seconds since 1970."""
    study = session.get_one(Study, 1)
    flags = _flags(session, Plan(**study.plan))
    participants = _participants(session, now, flags)
    arms = []
    for name in session.scalars(select(Arm.name).order_by(Arm.id)):
        people = [person for person in participants if person.arm == name and not person.simulated]
        statuses = [person.status for person in people]
        arms.append(
            ArmProgress(
                name=name,
                quota=study.quota,
                completed=statuses.count("completed"),
                under_way=statuses.count("under way"),
                left=statuses.count("left"),
                attention=statuses.count("attention"),
                flagged=sum(
                    bool(person.flags) and person.status == "completed" for person in people
                ),
            )
        )
    return StudyProgress(study.paused, study.quota, arms, participants)


def _participants(
    session: Session, now: float, flags: Mapping[int, tuple[str, ...]]
) -> list[ParticipantProgress]:
    missed = (Trial.kind == "check") & (Trial.generated != Vote.answered_generated)
    count_query = (
        select(
            Trial.participant_id,
            func.count(),
            func.count(Vote.position),
            func.count().filter(missed),
        )
        .outerjoin(Trial.vote)
        .group_by(Trial.participant_id)
    )
    counts = {row[0]: row[1:] for row in session.execute(count_query)}
    query = select(Participant).order_by(Participant.started_at.desc(), Participant.id.desc())
    participants = []
    for person in session.scalars(query):
        total, answered, missed_checks = counts[person.id]
        participants.append(
            ParticipantProgress(
                code=person.code,
                arm=person.arm.name,
                way=person.way,
                simulated=person.simulated,
                status=_status(person, now),
                started_at=person.started_at,
                answered=answered,
                total=total,
                missed_checks=missed_checks,
                replaced_images=person.replaced_images,
                flags=flags.get(person.id, ()),
            )
        )
    return participants


def _status(participant: Participant, now: float) -> Status:
    if participant.outcome is not None:
        return "completed" if participant.outcome == "completed" else "attention"
    return "under way" if participant.seen_at > now - HOLD_SECONDS else "left"


def _flags(session: Session, plan: Plan) -> dict[int, tuple[str, ...]]:
    """Collect the signs of careless answers so far, by participant; without participants who show none."""
    query = (
        select(
            Trial.participant_id,
            Trial.number,
            Trial.generated,
            Vote.answered_generated,
            Vote.response_ms,
        )
        .join(Trial.vote)
        .join(Image, Image.id == Trial.image_id)
        .where(Trial.kind == "trial", Image.images != CONTROL)
    )
    rows = session.execute(query).all()
    if not rows:
        return {}
    person, number, generated, answered, response_ms = zip(*rows, strict=True)
    size = len(rows)
    unused, unknown = np.full(size, ""), np.full(size, np.nan)
    votes = Votes(
        participant=np.array(person, str),
        arm=unused,
        images=unused,
        image=unused,
        trial=np.array(number),
        generated=np.array(generated, bool),
        answered_generated=np.array(answered, bool),
        response_seconds=np.array(response_ms, float) / 1000,
        feedback=np.full(size, False),
        control=np.full(size, False),
        exposure_ms=unknown,
        shown_ms=unknown,
        frame_ms=unknown,
    )
    return {int(row.participant): row.reasons for row in flag(votes, screens_of(plan))}
