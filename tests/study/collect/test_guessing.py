"""The attack on the order of truths: to know plan, arm and code, to find the place, to compute what comes."""

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select

from convergan.study.collect.joining import _pool
from convergan.study.design.plan import Plan
from convergan.study.design.schedule import steps
from convergan.study.storage.keys import new_token
from convergan.study.storage.schema import Participant, Study, Trial

PLACES = 300
PLAN = Plan(seed=0)


def truths_of(trials):
    return np.array([trial.generated for trial in trials if trial.kind == "trial"])


def shown_to_browser(trials):
    """What an arm without feedback tells: the truths of practice, where checks are and what they ask for."""
    return [
        trial.kind if trial.kind == "trial" else (trial.kind, trial.generated) for trial in trials
    ]


def candidates(session, secrets):
    """Every order that somebody can compute who guesses these secrets: by place, the steps."""
    pools = [_pool(session, images) for images in ("real", "random")]
    return [
        steps(PLAN, secret, "random", place, *pools)
        for secret in secrets
        for place in range(PLACES)
    ]


def predicted(computed, trials):
    """The truths of the candidate that fits best with what the browser was shown."""
    shown = shown_to_browser(trials)

    def fit(found):
        return sum(a == b for a, b in zip(shown_to_browser(found), shown, strict=True))

    return truths_of(max(computed, key=fit))


@pytest.fixture
def sessions(make_study, serve):
    """A study as `create` makes it by default, and for each of ten participants code and trials."""
    study = make_study(replace(PLAN, participants=40))
    served = serve(study)
    for _ in range(10):
        served.participant()
    with study.database.reading() as session:
        people = session.scalars(select(Participant).order_by(Participant.id)).all()
        yield session, [
            (
                person.code,
                session.scalars(
                    select(Trial)
                    .where(Trial.participant_id == person.id)
                    .order_by(Trial.position)
                ).all(),
            )
            for person in people
        ]  # fmt: skip


def rate_of_right_guesses(session, found, secrets):
    computed = candidates(session, secrets)
    return np.mean([predicted(computed, trials) == truths_of(trials) for _, trials in found])


def test_who_knows_seed_arm_place_and_code_cannot_predict(sessions):
    session, found = sessions
    guesses = ["", "0", "None", new_token(), *(code for code, _ in found[:3])]
    # 1,000 guesses, of which chance gets half: more than five standard deviations.
    assert abs(rate_of_right_guesses(session, found, guesses) - 0.5) < 0.09


def test_the_researcher_who_has_the_study_can(sessions):
    session, found = sessions
    secret = session.get_one(Study, 1).order_secret
    assert rate_of_right_guesses(session, found, [secret]) == 1


def test_two_studies_of_one_plan_have_different_orders(make_study, serve):
    orders = set()
    for _ in range(3):
        study = make_study(PLAN)
        serve(study).participant()
        with study.database.reading() as session:
            assert len(session.get_one(Study, 1).order_secret) == 43
            trials = session.scalars(select(Trial).order_by(Trial.position)).all()
            orders.add(tuple(truths_of(trials)))
    assert len(orders) == 3
