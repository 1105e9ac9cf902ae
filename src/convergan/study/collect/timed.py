"""Timed images: each is seen once, for as long as the staircase determines."""

import random

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from convergan.study.collect.tasks import answered_by
from convergan.study.collect.voting import Conflict
from convergan.study.design.plan import CONTROL
from convergan.study.design.staircase import FIRST_MS, LONGEST_MS, next_exposure
from convergan.study.storage.schema import Image, Participant, SeenImage, Trial, Vote


def claim(session: Session, participant: Participant, position: int, key: str) -> int:
    """Record that the current image is about to be shown; return its exposure in ms.

    The image cannot be loaded again after this: a participant who reloads the page gets another one
    (`replace_seen`).

    Args:
        session: a writing transaction that has locked the participant.
        participant: the participant.
        position: the trial's position in the session.
        key: the key of the attempt, which its vote must have too. The same key gets the same exposure again.

    Raises:
        Conflict: it is not the trial's turn, the trial shows no image, or its image was shown to another
            attempt.
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
    """Replace the current image if it has been seen but not answered.

    The seen image gives way to another of its kind. The trial then changes places with a random one of those
    that are left, so that the image that was seen reveals nothing about the truth of the new one.

    Args:
        session: a writing transaction that has locked the participant.
        participant: the participant.
    """
    position = answered_by(session, participant.id) + 1
    trial = session.get(Trial, (participant.id, position))
    if trial is None or trial.shown_key is None:
        return
    session.merge(SeenImage(participant_id=participant.id, image_id=trial.image_id))
    participant.replaced_images += trial.kind == "trial"
    trial.shown_key = trial.exposure_ms = None
    trial.image_id = _fresh_image(session, trial)
    open_trials = select(Trial).where(
        Trial.participant_id == participant.id,
        Trial.position >= position,
        Trial.kind == trial.kind,
    )
    partner = random.choice(session.scalars(open_trials).all())
    trial.image_id, partner.image_id = partner.image_id, trial.image_id
    trial.generated, partner.generated = partner.generated, trial.generated


def _exposure(session: Session, trial: Trial) -> int:
    """Determine the exposure of a trial in ms, from the answer to the last trial before it.

    Controls do not move the staircase. Practice images get the longest exposure.
    """
    if trial.kind == "practice":
        return LONGEST_MS
    query = (
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
    previous = session.execute(query).one_or_none()
    return FIRST_MS if previous is None else next_exposure(previous[0] or FIRST_MS, previous[1])


def _fresh_image(session: Session, trial: Trial) -> int:
    """Choose an image of the same set that is not in the session, or, if none is left, any other one."""
    image = session.get_one(Image, trial.image_id)
    in_session = [
        Image.id.in_(select(table.image_id).where(table.participant_id == trial.participant_id))
        for table in (Trial, SeenImage)
    ]
    query = (
        select(Image.id)
        .where(Image.images == image.images, Image.id != image.id, Image.practice == image.practice)
        .order_by(or_(*in_session), func.random())
        .limit(1)
    )
    return session.scalar(query) or image.id
