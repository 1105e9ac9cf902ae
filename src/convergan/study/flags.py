"""Signs of careless answers among the participants of a study, while it goes on."""

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from convergan.study.plan import CONTROL, Plan
from convergan.study.schema import Image, Trial, Vote
from convergan.study.screens import flag, screens_of
from convergan.study.votes import Votes


def flags_of(session: Session, plan: Plan) -> dict[int, tuple[str, ...]]:
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
