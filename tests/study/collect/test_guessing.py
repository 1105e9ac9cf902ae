"""An attack on the order of truths: from plan, arm and code, find the place, and compute what comes next."""

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
    """Steps as an arm without feedback shows them: truths of practice, and places and answers of checks."""
    return [
        trial.kind if trial.kind == "trial" else (trial.kind, trial.generated) for trial in trials
    ]


def candidates(session, secrets):
    """Orders that somebody who guesses these secrets can compute: steps, for each secret and place."""
    pools = [_pool(session, images) for images in ("real", "random")]
    return [
        steps(PLAN, secret, "random", place, *pools)
        for secret in secrets
        for place in range(PLACES)
    ]


def predicted(computed, trials):
    """Truths of the candidate that best fits what the browser was shown."""
    revealed = shown_to_browser(trials)

    def fit(candidate):
        return sum(a == b for a, b in zip(shown_to_browser(candidate), revealed, strict=True))

    return truths_of(max(computed, key=fit))


@pytest.fixture
def sessions(make_study, serve):
    """A study as `create` makes it by default; for each of ten participants, the code and the trials."""
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


def rate_of_right_guesses(session, participants, secrets):
    computed = candidates(session, secrets)
    return np.mean([predicted(computed, trials) == truths_of(trials) for _, trials in participants])


def test_who_knows_seed_arm_place_and_code_cannot_predict(sessions):
    session, participants = sessions
    guesses = ["", "0", "None", new_token(), *(code for code, _ in participants[:3])]
    # 1,000 guesses, of which chance gets half: more than five standard deviations.
    assert abs(rate_of_right_guesses(session, participants, guesses) - 0.5) < 0.09


def test_the_researcher_who_has_the_study_can(sessions):
    session, participants = sessions
    secret = session.get_one(Study, 1).order_secret
    assert rate_of_right_guesses(session, participants, [secret]) == 1


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
