"""Dry run of a study: bots take part, so that all later steps can be tried before people do."""

import math
import random
import time
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from convergan.study.collect.joining import add_participant
from convergan.study.collect.tasks import answer_of
from convergan.study.collect.timed import claim
from convergan.study.collect.voting import Ballot, record
from convergan.study.design.plan import Plan
from convergan.study.storage.database import Database
from convergan.study.storage.keys import new_address
from convergan.study.storage.schema import Participant, Study, Trial

_SKILL, _SKILL_SPREAD = 0.75, 0.07
_ATTENTION = 0.98
_LEAVES = 0.1


class Bot(NamedTuple):
    """A simulated participant."""

    code: str
    finished: bool
    """False if it left half-way, as one bot in ten does; reports count those that finished."""


def run_bot(database: Database) -> Bot:
    """Let one bot take part, through the same functions as people.

    A bot has a skill of its own, about three right answers in four, and one bot in ten leaves half-way. Bots
    are marked as simulated: they are not counted, and their codes begin with SIMULATED-.
    """
    with database.writing() as session:
        study = session.get_one(Study, 1, with_for_update=True)
        plan = Plan(**study.plan)
        participant = add_participant(session, study, "bot", time.time())
        trials = session.scalars(
            select(Trial).where(Trial.participant_id == participant.id).order_by(Trial.position)
        ).all()
        skill = min(1.0, max(0.0, random.gauss(_SKILL, _SKILL_SPREAD)))
        stays = len(trials) // 2 if random.random() < _LEAVES else len(trials)
        for trial in trials[:stays]:
            _answer(session, plan, participant, trial, skill)
        return Bot(participant.code, stays == len(trials))


def _answer(
    session: Session, plan: Plan, participant: Participant, trial: Trial, skill: float
) -> None:
    key = new_address()
    shown_ms = None
    if plan.timed and trial.image_id is not None:
        shown_ms = claim(session, participant, trial.position, key)
    is_right = random.random() < (_ATTENTION if trial.kind == "check" else skill)
    ballot = Ballot(
        position=trial.position,
        key=key,
        answer=answer_of(trial.generated == is_right),
        response_ms=1000 * random.lognormvariate(math.log(1.2), 0.5),
        shown_ms=shown_ms,
    )
    record(session, plan, participant, ballot, time.time())
