"""Timed images are seen once each, for as long as the staircase says."""

from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import select

from convergan.study.design.staircase import next_exposure
from convergan.study.storage.schema import Image, Participant, Trial, Vote
from studies import QUICK
from visitor import new_key

TIMED = replace(QUICK, exposure="timed", trials=12)


@pytest.fixture
def timed(make_study, serve):
    return serve(make_study(TIMED))


def trials_of(study):
    with study.database.reading() as session:
        return session.scalars(select(Trial).order_by(Trial.position)).all()


def show(participant, position, key):
    return participant.post("/api/show", {"position": position, "key": key})


def answer(participant, task):
    """Show a task's image, answers "real" or what a check asks for; return the exposure and the receipt."""
    key, exposure_ms = new_key(), None
    if task["image"]:
        response = show(participant, task["position"], key)
        assert response.status == 200
        exposure_ms = response.json["exposure_ms"]
    content = {"position": task["position"], "key": key, "answer": task["asks"] or "real"}
    measured = {"shown_ms": exposure_ms, "frames": 30, "frame_ms": 16.7} if exposure_ms else {}
    receipt = participant.post("/api/votes", {**content, **measured})
    assert receipt.status == 200
    return exposure_ms, receipt.json


def test_exposures_follow_the_answers(timed):
    participant = timed.participant()
    tasks, exposures = participant.resume()["tasks"], []
    while tasks:
        exposure_ms, receipt = answer(participant, tasks[0])
        exposures.append((tasks[0]["kind"], exposure_ms))
        tasks = receipt["tasks"]
    assert [ms for kind, ms in exposures if kind == "practice"] == [1000, 1000]
    assert [ms for kind, ms in exposures if kind == "check"] == [None] * 3
    counted = [trial for trial in trials_of(timed.study) if trial.kind == "trial"]
    expected = 500
    for trial, exposure_ms in zip(
        counted, [ms for kind, ms in exposures if kind == "trial"], strict=True
    ):
        assert exposure_ms == trial.exposure_ms == expected
        expected = next_exposure(expected, not trial.generated)
    with timed.study.database.reading() as session:
        votes = session.scalars(select(Vote).where(Vote.frames.is_not(None))).all()
    assert len(votes) == 14 and {vote.frame_ms for vote in votes} == {16.7}


def test_a_vote_needs_its_image_shown_to_the_same_attempt(timed):
    participant = timed.participant()
    participant.resume()
    assert participant.vote(1, "real").status == 409
    key = new_key()
    response = show(participant, 1, key)
    assert response.status == 200
    # A repeated request gets the same; another tab gets nothing.
    assert show(participant, 1, key).body == response.body
    assert show(participant, 1, new_key()).status == 409
    assert participant.vote(1, "real").status == 409
    assert participant.vote(1, "real", key).status == 200
    for position in (3, 99):
        assert show(participant, position, new_key()).status == 409


def test_an_image_that_was_shown_cannot_be_had_again(timed):
    participant = timed.participant()
    task = participant.resume()["tasks"][0]
    assert participant.get(task["image"]).status == 200
    show(participant, 1, new_key())
    assert participant.get(task["image"]).status == 404


def test_a_reload_gives_a_fresh_image_in_place_of_the_one_seen(timed):
    participant = timed.participant()
    task = participant.resume()["tasks"][0]
    assert participant.resume()["tasks"][0] == task
    for _ in range(2):
        _, receipt = answer(participant, task)
        task = receipt["tasks"][0]
    assert task["kind"] == "trial"
    old_trials = trials_of(timed.study)
    in_session = {trial.image_id for trial in old_trials}
    seen_ids = set()
    for _ in range(8):
        current = next(t for t in trials_of(timed.study) if t.position == task["position"])
        seen_ids.add(current.image_id)
        old = participant.get(task["image"]).body
        key = new_key()
        show(participant, task["position"], key)
        state = participant.resume()
        assert state["tasks"][0] == task
        # Who still has the old page open cannot vote for what was seen there.
        assert participant.vote(task["position"], "real", key).status == 409
        assert participant.get(task["image"]).body != old
    new_trials = trials_of(timed.study)
    assert len(seen_ids) == 8
    assert not seen_ids & {trial.image_id for trial in new_trials}
    assert {trial.image_id for trial in new_trials} - in_session
    counts = Counter((trial.kind, trial.generated) for trial in new_trials)
    assert counts[("trial", False)] == counts[("trial", True)] == 6
    images = [trial.image_id for trial in new_trials if trial.image_id]
    assert len(set(images)) == len(images)
    assert [t.address for t in new_trials] == [t.address for t in old_trials]
    with timed.study.database.reading() as session:
        assert session.scalars(select(Participant.replaced_images)).one() == 8


def test_practice_may_be_seen_again_and_counts_as_nothing(timed):
    participant = timed.participant()
    participant.resume()
    show(participant, 1, new_key())
    participant.resume()
    with timed.study.database.reading() as session:
        assert session.scalars(select(Participant.replaced_images)).one() == 0


def test_what_was_seen_tells_nothing_about_what_comes(timed):
    """The fresh image is of the same kind as the seen one about as often as by chance."""
    matches = 0
    for _ in range(60):
        participant = timed.participant()
        tasks = participant.resume()["tasks"]
        for _ in range(2):
            _, receipt = answer(participant, tasks[0])
            tasks = receipt["tasks"]
        position = tasks[0]["position"]

        def truth(trial_position=position):
            with timed.study.database.reading() as session:
                last = select(Trial).where(Trial.position == trial_position)
                return session.scalars(last.order_by(Trial.participant_id.desc())).first().generated

        seen_truth = truth()
        show(participant, position, new_key())
        participant.resume()
        matches += truth() == seen_truth
    # 6 of 12: half; within four standard deviations.
    assert abs(matches - 30) < 16


def test_unlimited_time_goes_on_with_the_same_image(served):
    participant = served.participant()
    for _ in range(3):
        task = participant.resume()["tasks"][0]
        pictures = {participant.get(task["image"]).body for _ in range(2)}
        pictures.add(participant.get(participant.resume()["tasks"][0]["image"]).body)
        assert len(pictures) == 1
        participant.vote(task["position"], "real")


def test_controls_leave_the_staircase_where_it_is(make_study, serve, folders):
    study = make_study(replace(TIMED, controls=4, checks=0), controls=folders["best"])
    participant = serve(study).participant()
    tasks = participant.resume()["tasks"]
    while tasks:
        _, receipt = answer(participant, tasks[0])
        tasks = receipt["tasks"]
    with study.database.reading() as session:
        controls = set(session.scalars(select(Image.id).where(Image.images == "control")))
    expected, shown_controls = 500, 0
    for trial in trials_of(study):
        if trial.kind == "trial":
            assert trial.exposure_ms == expected
            if trial.image_id in controls:
                shown_controls += 1
            else:
                expected = next_exposure(expected, not trial.generated)
    assert shown_controls == 4
