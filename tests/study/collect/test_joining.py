"""Admission: who gets a session, and in which arm."""

import heapq
import random
import threading
from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from convergan.study.collect.entry import from_link, from_prolific, new_link
from convergan.study.collect.joining import join
from convergan.study.collect.places import HOLD_SECONDS, Closed
from convergan.study.collect.tasks import answered_by, authenticated
from convergan.study.collect.voting import Ballot, record
from convergan.study.storage.schema import Arm, Identity, Participant, Study, Token, Trial
from studies import QUICK
from visitor import new_key

START = 1e9


def someone(study, way="personal"):
    entry = from_link(study.keys, new_link(study.keys, way), None)
    assert entry is not None
    return entry


def start(study, entry=None, now=START):
    with study.database.writing() as session:
        return join(session, entry or someone(study), now)


def finish(study, token, now, outcome="completed"):
    with study.database.writing() as session:
        participant = authenticated(session, token, now)
        participant.finished_at, participant.outcome = now, outcome


def test_a_session_has_the_trials_of_its_plan(make_study, backend):
    study = make_study(replace(QUICK, trials=10, practice=4), backend=backend)
    token = start(study)
    with study.database.reading() as session:
        participant = authenticated(session, token, START)
        trials = session.scalars(
            select(Trial)
            .where(Trial.participant_id == participant.id)
            .order_by(Trial.position)
        ).all()  # fmt: skip
    assert Counter(trial.kind for trial in trials) == {"practice": 4, "trial": 10, "check": 3}
    assert [trial.position for trial in trials] == list(range(1, 18))
    assert [trial.number for trial in trials if trial.kind == "trial"] == list(range(1, 11))
    assert len({trial.address for trial in trials}) == 17
    assert all((trial.image_id is None) == (trial.kind == "check") for trial in trials)
    assert participant.expires_at == START + 24 * 3600


def test_20_parallel_starts_of_one_person_are_one_session(make_study, serve, backend):
    study = make_study(backend=backend)
    served = serve(study)
    link = new_link(study.keys, "personal")
    visitors = [served.visitor() for _ in range(20)]
    barrier = threading.Barrier(20)
    states = []

    def begin(visitor):
        visitor.get(f"/join/{link}")
        barrier.wait(timeout=60)
        assert visitor.submit("/consent", {"agree": "yes"}).status == 303
        states.append(visitor.resume())

    threads = [threading.Thread(target=begin, args=(visitor,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(states) == 20 and all(state == states[0] for state in states)
    with study.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Participant)) == 1
        assert session.scalar(select(func.count()).select_from(Identity)) == 1
        # Each browser has a token of its own.
        assert session.scalar(select(func.count()).select_from(Token)) == 20


def test_people_from_prolific_are_known_again_whatever_the_visit(make_study):
    study = make_study()
    tokens = [
        start(study, from_prolific(study.keys, pid, "study", visit))
        for pid, visit in (("a" * 24, "1"), ("b" * 24, "2"), ("a" * 24, "3"))
    ]
    with study.database.reading() as session:
        first, second, third = (authenticated(session, token, START).id for token in tokens)
    assert first == third != second


def simulate(study, *, finishers, dropping_out, seed):
    """Finishers by arm. People come about one a minute and take about ten minutes; some drop out."""
    randomness = random.Random(seed)
    now, leaving, finished = START, [], 0
    while finished < finishers:
        now += randomness.expovariate(1 / 60)
        while leaving and leaving[0][0] < now:
            end, token = heapq.heappop(leaving)
            finish(study, token, end)
            finished += 1
        try:
            token = start(study, now=now)
        except Closed:
            continue
        if randomness.random() >= dropping_out:
            heapq.heappush(leaving, (now + randomness.lognormvariate(6.4, 0.3), token))
    with study.database.reading() as session:
        counted = (
            select(Arm.name, func.count())
            .join(Participant)
            .where(Participant.outcome == "completed")
            .group_by(Arm.name)
        )
        return dict(session.execute(counted).all())


def test_200_finishers_with_30_percent_dropping_out_are_spread_evenly(make_study, folders):
    sets = {"random": folders["random"], "best": folders["best"]}
    plan = replace(QUICK, trials=2, checks=0, participants=50, feedback="both")
    counts = simulate(make_study(plan, generated=sets), finishers=200, dropping_out=0.3, seed=0)
    assert len(counts) == 4 and sum(counts.values()) >= 200
    # People chosen at random among the arms would differ by some 15.
    assert max(counts.values()) - min(counts.values()) <= 6


def test_a_place_is_taken_by_the_first_trial_and_kept_while_its_participant_is_at_it(
    make_study, backend
):
    study = make_study(replace(QUICK, participants=2), backend=backend)
    entries = [someone(study, "open") for _ in range(3)]
    # However many come and practise, none has a place before an answer that counts.
    tokens = [start(study, entry) for entry in entries]
    for token in tokens:
        practise(study, token)
    start(study, someone(study, "open"))
    for token in tokens[:2]:
        answer_first(study, token)
    with pytest.raises(Closed) as closed:
        answer_first(study, tokens[2])
    assert closed.value.full
    with study.database.reading() as session:
        answered = [
            answered_by(session, authenticated(session, token, START).id) for token in tokens
        ]
    assert answered == [3, 3, 2], "what came too late is not recorded"
    with pytest.raises(Closed):
        start(study, someone(study, "open"))
    start(study, entries[0])
    # Who missed the checks does not count, and who has been away too long loses the place.
    finish(study, tokens[0], START, "attention")
    start(study, someone(study, "open"))
    answer_first(study, tokens[2])
    with pytest.raises(Closed):
        start(study, someone(study, "open"))
    start(study, someone(study, "open"), now=START + HOLD_SECONDS + 1)


def test_who_was_invited_always_has_a_place(make_study):
    study = make_study(replace(QUICK, participants=1))
    for _ in range(3):
        answer_first(study, start(study))
    with pytest.raises(Closed):
        start(study, someone(study, "open"))


def test_a_clock_that_was_wrong_for_a_moment_holds_no_place(make_study):
    study = make_study(replace(QUICK, participants=1))
    answer_first(study, start(study, someone(study, "open"), now=START), now=START + 23 * 3600)
    start(study, someone(study, "open"))


def test_newcomers_go_where_there_is_a_place_whoever_idles_elsewhere(make_study):
    """An arm with one answer is full, however many sessions without an answer the other arm has."""
    study = make_study(replace(QUICK, participants=1, feedback="both"))
    answered = start(study, someone(study, "open"))
    answer_first(study, answered)
    with study.database.reading() as session:
        full = authenticated(session, answered, START).arm_id
    for _ in range(4):
        token = start(study, someone(study, "open"))
        with study.database.reading() as session:
            assert authenticated(session, token, START).arm_id != full


def test_newcomers_are_spread_over_arms_whose_people_still_practise(make_study):
    study = make_study(replace(QUICK, participants=10, feedback="both"))
    for _ in range(6):
        practise(study, start(study, someone(study, "open")))
    with study.database.reading() as session:
        arms = session.scalars(select(Participant.arm_id)).all()
    assert sorted(Counter(arms).values()) == [3, 3]


def practise(study, token, now=START):
    """Answers the practice images."""
    for position in range(1, study.plan.practice + 1):
        assert answer(study, token, position, now) == "practice"


def answer_first(study, token, now=START):
    """Answers up to the first trial, with which a place is taken."""
    with study.database.reading() as session:
        done = answered_by(session, authenticated(session, token, now).id)
    if done < study.plan.practice:
        practise(study, token, now)
    assert answer(study, token, study.plan.practice + 1, now) == "trial"


def answer(study, token, position, now):
    """Answers "real" at a position; returns the kind of its trial."""
    with study.database.writing() as session:
        participant = authenticated(session, token, now, lock=True)
        ballot = Ballot(position=position, key=new_key(), answer="real")
        record(session, study.plan, participant, ballot, now)
        return session.get(Trial, (participant.id, position)).kind


def test_a_paused_study_lets_nobody_new_in(make_study):
    study = make_study()
    entry = someone(study)
    start(study, entry)
    with study.database.writing() as session:
        session.get_one(Study, 1).paused = True
    with pytest.raises(Closed) as closed:
        start(study)
    assert not closed.value.full
    start(study, entry)
    # The researcher may look around.
    start(study, someone(study, "preview"))


def test_simulated_participants_take_nobodys_place(make_study, folders):
    study = make_study(replace(QUICK, participants=1, feedback="both"))
    for _ in range(6):
        start(study, someone(study, "preview"))
    start(study)
    start(study)
    with study.database.reading() as session:
        people = session.scalars(select(Participant)).all()
    counts = Counter((person.simulated, person.arm.name) for person in people)
    assert set(counts.values()) == {1, 3} and len(counts) == 4
    for person in people:
        assert person.code.startswith("SIMULATED-") == person.simulated
