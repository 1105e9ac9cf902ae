"""The score that participants see at the end, when it can no longer influence their answers."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from convergan.study.storage.schema import Participant, Trial, Vote


@dataclass(frozen=True)
class Score:
    """A participant's numbers of right answers, by kind of image."""

    right_real: int
    real: int
    right_generated: int
    generated: int

    @property
    def right(self) -> int:
        """Right answers in all."""
        return self.right_real + self.right_generated

    @property
    def trials(self) -> int:
        """Trials in all."""
        return self.real + self.generated


def debrief(session: Session, participant: Participant) -> Score | None:
    """Count a participant's right answers; None before the session is finished."""
    if participant.finished_at is None:
        return None
    right = Trial.generated == Vote.answered_generated
    query = (
        select(Trial.generated, right, func.count())
        .join(Trial.vote)
        .where(Trial.participant_id == participant.id, Trial.kind == "trial")
        .group_by(Trial.generated, right)
    )
    counts = {(truth, was_right): n for truth, was_right, n in session.execute(query)}
    return Score(
        right_real=counts.get((False, True), 0),
        real=counts.get((False, True), 0) + counts.get((False, False), 0),
        right_generated=counts.get((True, True), 0),
        generated=counts.get((True, True), 0) + counts.get((True, False), 0),
    )
