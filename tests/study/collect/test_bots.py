"""The dry run: bots do what people do, and count nowhere."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from convergan.study.collect.bots import run_bot
from convergan.study.collect.progress import progress_of
from convergan.study.storage.schema import Participant, Trial, Vote
from studies import QUICK


@pytest.mark.parametrize("exposure", ["unlimited", "timed"])
def test_bots_answer_like_people_and_count_nowhere(make_study, exposure):
    plan = replace(QUICK, trials=20, participants=1, feedback="both", exposure=exposure)
    study = make_study(plan)
    bots = [run_bot(study.database) for _ in range(12)]
    codes = [bot.code for bot in bots]
    assert all(code.startswith("SIMULATED-") for code in codes)
    with study.database.reading() as session:
        progress = progress_of(session, 0)
        right = session.scalars(
            select(Trial.generated == Vote.answered_generated)
            .join(Trial.vote)
            .where(Trial.kind == "trial")
        ).all()  # fmt: skip
        people = session.scalars(select(Participant)).all()
        shown_ms = session.scalars(select(Vote.shown_ms)).all()
    assert all(person.simulated for person in people)
    assert {person.code for person in people if person.finished_at} == {
        bot.code for bot in bots if bot.finished
    }
    assert 0.6 < sum(right) / len(right) < 0.9
    assert {person.simulated for person in progress.participants} == {True}
    assert [(arm.completed, arm.under_way, arm.left) for arm in progress.arms] == [(0, 0, 0)] * 2
    assert any(ms is not None for ms in shown_ms) == (exposure == "timed")
