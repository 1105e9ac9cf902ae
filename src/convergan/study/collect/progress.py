"""How far a study is: by arm, and participant by participant."""

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
"""`left`: not finished, and not seen for a while."""


@dataclass(frozen=True)
class ParticipantProgress:
    """One participant."""

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
    """Timed images seen in vain: many may mean that the difficult ones were dodged."""
    flags: tuple[str, ...]
    """Signs of careless answers, by the rules of the plan."""


@dataclass(frozen=True)
class ArmProgress:
    """One arm; simulated participants do not count."""

    name: str
    wanted: int
    completed: int
    under_way: int
    left: int
    attention: int
    flagged: int
    """Those of the completed whose answers look careless: the report leaves them out."""


@dataclass(frozen=True)
class Progress:
    """The study."""

    paused: bool
    quota: int
    arms: list[ArmProgress]
    participants: list[ParticipantProgress]
    """The latest first."""


def progress_of(session: Session, now: float) -> Progress:
    """How far the study is."""
    study = session.get_one(Study, 1)
    flags = _flags(session, Plan(**study.plan))
    participants = _participants(session, now, flags)
    arms = []
    for name in session.scalars(select(Arm.name).order_by(Arm.id)):
        statuses = [each.status for each in participants if each.arm == name and not each.simulated]
        arms.append(
            ArmProgress(
                name=name,
                wanted=study.quota,
                completed=statuses.count("completed"),
                under_way=statuses.count("under way"),
                left=statuses.count("left"),
                attention=statuses.count("attention"),
                flagged=sum(
                    bool(each.flags) and each.status == "completed"
                    for each in participants
                    if each.arm == name and not each.simulated
                ),
            )
        )
    return Progress(study.paused, study.quota, arms, participants)


def _participants(
    session: Session, now: float, flags: Mapping[int, tuple[str, ...]]
) -> list[ParticipantProgress]:
    missed = (Trial.kind == "check") & (Trial.generated != Vote.answered_generated)
    counted = (
        select(
            Trial.participant_id,
            func.count(),
            func.count(Vote.position),
            func.count().filter(missed),
        )
        .outerjoin(Trial.vote)
        .group_by(Trial.participant_id)
    )
    counts = {row[0]: row[1:] for row in session.execute(counted)}
    found = select(Participant).order_by(Participant.started_at.desc(), Participant.id.desc())
    listed = []
    for each in session.scalars(found):
        total, answered, missed_checks = counts[each.id]
        listed.append(
            ParticipantProgress(
                code=each.code,
                arm=each.arm.name,
                way=each.way,
                simulated=each.simulated,
                status=_status(each, now),
                started_at=each.started_at,
                answered=answered,
                total=total,
                missed_checks=missed_checks,
                replaced_images=each.replaced_images,
                flags=flags.get(each.id, ()),
            )
        )
    return listed


def _status(participant: Participant, now: float) -> Status:
    if participant.outcome is not None:
        return "completed" if participant.outcome == "completed" else "attention"
    return "under way" if participant.seen_at > now - HOLD_SECONDS else "left"


def _flags(session: Session, plan: Plan) -> dict[int, tuple[str, ...]]:
    """The signs by participant, of those who have some: by what they have answered so far."""
    found = (
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
    rows = session.execute(found).all()
    if not rows:
        return {}
    person, number, generated, answered, response_ms = zip(*rows, strict=True)
    size = len(rows)
    nothing, unknown = np.full(size, ""), np.full(size, np.nan)
    votes = Votes(
        participant=np.array(person, str),
        arm=nothing,
        images=nothing,
        image=nothing,
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
    return {int(each.participant): each.reasons for each in flag(votes, screens_of(plan))}
