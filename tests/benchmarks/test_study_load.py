"""A small load on a study."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from convergan.study.design.plan import Plan
from convergan.study.preparation.create import create_study
from study_load import Measured, check, load, write_noise


def test_a_small_load_is_answered_and_stored():
    # In a thread: another test's browser may have left an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        sizes = {"participants": 4, "trials": 4, "think_seconds": 0.02}
        measured = thread.submit(load, "", **sizes).result()
    assert len(measured.acknowledged) == 16
    assert len(measured.seconds["vote"]) == len(measured.seconds["image"]) == 16
    assert 0 < measured.p95("vote") < 30


def test_lost_votes_and_failed_requests_are_noticed(tmp_path):
    database_url = str(tmp_path / "study.db")
    folders = [write_noise(tmp_path / name, 2) for name in ("real", "generated")]
    plan = Plan(trials=2, practice=0, checks=0)
    create_study(database_url, tmp_path / "key", plan, real=folders[0], generated={"g": folders[1]})
    check(database_url, Measured(), votes=0)
    with pytest.raises(RuntimeError, match="expected 1 votes stored"):
        check(database_url, Measured(acknowledged={"a"}), votes=1)
    failing = Measured()
    failing.statuses[503] += 1
    with pytest.raises(RuntimeError, match=r"\{503: 1\}"):
        check(database_url, failing, votes=0)
