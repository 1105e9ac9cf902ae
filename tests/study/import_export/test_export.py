"""Export: which votes it has, and what they say."""

import os
import subprocess
from dataclasses import replace
from shutil import which

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from rich.console import Console
from sqlalchemy import select, update

from convergan.errors import UserError
from convergan.study.analysis.analyse import analyse
from convergan.study.collect.bots import run_bot
from convergan.study.design.plan import Plan
from convergan.study.import_export.export import export_study, left_out, picture_of, read_votes
from convergan.study.import_export.votes_import import read_collected
from convergan.study.report.report_study import report_study
from convergan.study.storage.schema import Arm, Image, Participant, Trial
from studies import QUICK


@pytest.fixture
def voted(make_study, serve, backend):
    """A study with two people who count, in different arms, one who left, one who missed checks, a bot."""
    served = serve(make_study(replace(QUICK, feedback="both"), backend=backend))
    for answer in ("real", "generated"):
        served.participant().finish(answer)
    served.participant().vote(1, "real")
    inattentive = served.participant()
    tasks = inattentive.resume()["tasks"]
    while tasks:
        wrong = {"real": "generated", "generated": "real", None: "real"}[tasks[0]["asks"]]
        tasks = inattentive.vote(tasks[0]["position"], wrong).json["tasks"]
    while not read_simulated(served.study):
        run_bot(served.study.database)
    return served.study


def read_simulated(study):
    try:
        return len(read_votes(study.location, simulated=True))
    except UserError:
        return 0


def test_votes_that_count_are_read(voted):
    votes = read_votes(voted.location)
    assert len(votes) == 8
    with voted.database.reading() as session:
        people = session.scalars(select(Participant).order_by(Participant.id)).all()[:2]
        trials = session.scalars(
            select(Trial)
            .where(Trial.kind == "trial", Trial.participant_id <= 2)
            .order_by(Trial.participant_id, Trial.position)
        ).all()  # fmt: skip
        names = {
            image.id: f"{image.images}/{image.name}" for image in session.scalars(select(Image))
        }
    assert votes.participant.tolist() == [people[row // 4].code for row in range(8)]
    assert votes.arm.tolist() == [people[row // 4].arm.name for row in range(8)]
    assert set(votes.images) == {"random"}
    assert votes.image.tolist() == [names[trial.image_id] for trial in trials]
    assert votes.trial.tolist() == [1, 2, 3, 4] * 2
    assert votes.generated.tolist() == [trial.generated for trial in trials]
    assert votes.answered_generated.tolist() == [False] * 4 + [True] * 4
    assert votes.response_seconds.tolist() == [1.0005] * 8
    assert votes.feedback.tolist() == [people[row // 4].arm.feedback for row in range(8)]
    assert votes.trial.dtype == np.int64 and votes.generated.dtype == bool


def test_simulated_votes_are_apart_and_say_so(voted):
    votes = read_votes(voted.location, simulated=True)
    assert all(name.startswith("SIMULATED-") for name in {*votes.participant, *votes.arm})


def test_csv_and_parquet_hold_the_same(voted, tmp_path):
    out = tmp_path / "export" / "here"
    assert export_study(voted.location, out) == 8
    with pytest.raises(
        UserError, match=r"^out: expected a new file, got .*votes\.csv, which exists"
    ):
        export_study(voted.location, out)
    assert export_study(voted.location, out, overwrite=True) == 8
    assert sorted(file.name for file in out.iterdir()) == [
        "answers.csv", "codebook.md", "consent.txt", "images.csv", "mixed_model.R",
        "participants.csv", "plan.json", "record.csv", "stages.csv", "votes.csv", "votes.parquet",
    ]  # fmt: skip
    parquet = pyarrow.parquet.read_table(out / "votes.parquet")
    text = pyarrow.csv.read_csv(out / "votes.csv")
    assert parquet.column_names == text.column_names and parquet.num_rows == text.num_rows == 8
    votes = read_votes(voted.location)
    for table in (parquet, text):
        for name in ("participant", "image", "trial", "generated", "response_seconds"):
            assert table[name].to_pylist() == getattr(votes, name).tolist()
        assert table["exposure_ms"].null_count == 8


def test_everyone_is_in_the_table_of_participants(voted, tmp_path):
    export_study(voted.location, tmp_path)
    people = pyarrow.csv.read_csv(tmp_path / "participants.csv").to_pylist()
    assert [person["state"] for person in people] == [
        "completed",
        "completed",
        "under way",
        "attention",
    ]
    assert [person["answered"] for person in people] == [9, 9, 1, 9]
    assert [person["missed_checks"] for person in people] == [0, 0, 0, 3]
    assert not any(person["flags"] for person in people), "of four trials nothing is concluded"
    assert left_out(voted.location) == (
        "Not counted: 1 participant who missed two or more attention checks.",
        "Not counted: 1 participant who did not finish.",
    )


def test_timed_studies_have_a_threshold_for_each_participant(make_study, folders, tmp_path):
    study = make_study(Plan(exposure="timed", trials=60, practice=0, checks=0))
    while not (finished := read_simulated(study)):
        run_bot(study.database)
    assert finished == 60
    with study.database.writing() as session:
        session.get_one(Participant, 1).replaced_images = 3
    export_study(study.location, tmp_path, simulated=True)
    people = pyarrow.csv.read_csv(tmp_path / "participants.csv").to_pylist()
    votes = pyarrow.csv.read_csv(tmp_path / "votes.csv").to_pylist()
    assert [person["replaced_images"] for person in people] == [3, *[0] * (len(people) - 1)]
    (completed,) = [person for person in people if person["state"] == "completed"]
    exposures = [vote["exposure_ms"] for vote in votes]
    assert exposures[0] == 500 and 50 <= completed["threshold_ms"] <= 2000
    exported = read_collected(tmp_path / "votes.csv")
    for loaded in (read_votes(study.location, simulated=True), exported):
        assert loaded.exposure_ms.tolist() == exposures
        (arm,) = analyse(loaded).arms
        # The middle of the most likely distribution, and the most likely threshold of the one in it.
        assert arm.threshold.exposure_ms.value == pytest.approx(completed["threshold_ms"], rel=0.02)


def test_a_study_without_votes_says_so(make_study):
    study = make_study()
    with pytest.raises(
        UserError, match="expected votes of participants who have finished, got none"
    ):
        read_votes(study.location)
    with pytest.raises(UserError, match="expected votes of simulated participants"):
        read_votes(study.location, simulated=True)


def test_pictures_have_the_names_of_the_votes(make_study):
    study = make_study()
    with study.database.reading() as session:
        for row in session.execute(select(Image.images, Image.name, Image.content)).all()[:5]:
            assert picture_of(session, f"{row.images}/{row.name}") == row.content
        assert picture_of(session, "real/absent.png") is None


@pytest.mark.skipif(
    which("Rscript") is None and not os.environ.get("CONVERGAN_REQUIRE_R"),
    reason="R is not on this machine (Debian: apt-get install r-cran-lme4)",
)
@pytest.mark.parametrize("timed", [False, True])
def test_the_script_for_r_runs(make_study, tmp_path, timed):
    exposure = {"exposure": "timed"} if timed else {}
    study = make_study(replace(QUICK, trials=20, feedback="both", **exposure))
    for _ in range(8):
        run_bot(study.database)
    with study.database.writing() as session:
        # As if of people, whose arms may have numbers for names.
        session.execute(update(Participant).values(simulated=False))
        for arm in session.scalars(select(Arm)):
            arm.name = f"{arm.id:02}"
    export_study(study.location, tmp_path)
    done = subprocess.run(
        ["Rscript", "mixed_model.R"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "truth:arm" in done.stdout and "(Intercept)" in done.stdout
    assert ("truth:exposure" in done.stdout) == timed


def test_flags_go_with_the_participants(make_study, serve, tmp_path):
    served = serve(make_study(replace(QUICK, trials=20, longest_run=10)))
    served.participant().finish()
    export_study(served.study.location, tmp_path)
    [person] = pyarrow.csv.read_csv(tmp_path / "participants.csv").to_pylist()
    assert person["flags"] == "same answer, leaning"


def test_controls_are_marked_and_count_in_nothing_else(make_study, serve, folders, tmp_path):
    study = make_study(replace(QUICK, controls=3, trials=20), controls=folders["best"])
    served = serve(study)
    served.participant().finish("generated")
    votes = read_votes(study.location)
    assert votes.control.sum() == 3 and len(votes) == 23
    assert votes.generated[votes.control].all()
    assert all(name.startswith("control/") for name in votes.image[votes.control])
    assert sorted(votes.trial) == list(range(1, 24)), "to who takes part they are trials"
    [arm] = analyse(votes).arms
    assert arm.votes == 20
    export_study(study.location, tmp_path)
    assert read_collected(tmp_path / "votes.csv").control.tolist() == votes.control.tolist()


def test_a_report_holds_to_the_plans_rules(make_study, serve, tmp_path):
    study = make_study(replace(QUICK, trials=20, longest_run=10, margin=0.1))
    serve(study).participant().finish()
    console = Console(quiet=True)
    report = report_study(study.location, tmp_path / "a.html", console=console)
    assert report.findings.margin == 0.1 and report.findings.screens.longest_run == 10
    assert report.findings.arms[0].conclusion == "everyone flagged"
    assert not any("margin" in note for note in report.notes)
    changed_report = report_study(study.location, tmp_path / "b.html", console=console, margin=0.05)
    assert "The margin is 5 points instead of the plan's 10." in changed_report.notes
