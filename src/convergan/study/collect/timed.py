"""Images that are shown for a moment: each is seen once, for as long as the staircase says."""

import random

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from convergan.study.collect.tasks import answered_by
from convergan.study.collect.voting import Conflict
from convergan.study.design.plan import CONTROL
from convergan.study.design.staircase import FIRST_MS, LONGEST_MS, next_exposure
from convergan.study.storage.schema import Image, Participant, SeenImage, Trial, Vote


def claim(session: Session, participant: Participant, position: int, key: str) -> int:
    """Notes that the current image is about to be shown; gives for how long, in ms.

    From here on the image cannot be had again: whoever reloads the page gets another one (`replace_seen`).

    Args:
        session: a writing transaction that has locked the participant.
        participant: whose session it is.
        position: of the trial.
        key: the attempt's, which its vote must bring too. The same key gets the same exposure again.

    Raises:
        Conflict: it is not the trial's turn, it shows no image, or it was shown to another attempt.
    """
    trial = session.get(Trial, (participant.id, position))
    if trial is None or trial.image_id is None:
        raise Conflict
    if trial.shown_key is None:
        if position != answered_by(session, participant.id) + 1:
            raise Conflict
        trial.shown_key = key
        trial.exposure_ms = _exposure(session, trial)
    elif trial.shown_key != key:
        raise Conflict
    return trial.exposure_ms or LONGEST_MS


def replace_seen(session: Session, participant: Participant) -> None:
    """Puts a fresh image in the place of the current one, if that has been seen and not been answered.

    The trial changes places with one that is still to come, whichever, so that the image that was seen tells
    nothing about the truth of the new one; there the seen image gives way to another of its kind.

    Args:
        session: a writing transaction that has locked the participant.
        participant: whose session it is.
    """
    position = answered_by(session, participant.id) + 1
    trial = session.get(Trial, (participant.id, position))
    if trial is None or trial.shown_key is None:
        return
    session.merge(SeenImage(participant_id=participant.id, image_id=trial.image_id))
    participant.replaced_images += trial.kind == "trial"
    trial.shown_key = trial.exposure_ms = None
    trial.image_id = _fresh_image(session, trial)
    to_come = select(Trial).where(
        Trial.participant_id == participant.id,
        Trial.position >= position,
        Trial.kind == trial.kind,
    )
    other = random.choice(session.scalars(to_come).all())
    trial.image_id, other.image_id = other.image_id, trial.image_id
    trial.generated, other.generated = other.generated, trial.generated


def _exposure(session: Session, trial: Trial) -> int:
    """By the answer to the trial before that was no control, which moves nothing; practice is shown as long
    as possible."""
    if trial.kind == "practice":
        return LONGEST_MS
    found = (
        select(Trial.exposure_ms, Trial.generated == Vote.answered_generated)
        .join(Trial.vote)
        .join(Image, Image.id == Trial.image_id)
        .where(
            Trial.participant_id == trial.participant_id,
            Trial.kind == "trial",
            Trial.number < trial.number,
            Image.images != CONTROL,
        )
        .order_by(Trial.number.desc())
        .limit(1)
    )
    before = session.execute(found).one_or_none()
    return FIRST_MS if before is None else next_exposure(before[0] or FIRST_MS, before[1])


def _fresh_image(session: Session, trial: Trial) -> int:
    """An image of the same set that is nowhere in the session; where none is left, another of the set."""
    seen = session.get_one(Image, trial.image_id)
    taken = [
        Image.id.in_(select(table.image_id).where(table.participant_id == trial.participant_id))
        for table in (Trial, SeenImage)
    ]
    found = (
        select(Image.id)
        .where(Image.images == seen.images, Image.id != seen.id, Image.practice == seen.practice)
        .order_by(or_(*taken), func.random())
        .limit(1)
    )
    return session.scalar(found) or seen.id
