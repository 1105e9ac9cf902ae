"""The whole record: everybody's answers, what the researchers did, the plan as a text to register."""

import csv
import hashlib
import json
import time
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from convergan.cli import main
from convergan.errors import UserError
from convergan.study.collect.forgetting import delete_participant
from convergan.study.import_export.export import export_study, read_votes
from convergan.study.preparation.preregistration import preregistration, read_plan
from convergan.study.report.report_study import report_study
from convergan.study.storage.audit import note
from convergan.study.storage.opening import open_with_keys
from studies import QUICK, write_images


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def exported(make_study, serve, folders, tmp_path):
    """A study and its export: one person finished, one left after three answers, one gave none."""
    served = serve(make_study(replace(QUICK, consent="We keep nothing.")))
    served.participant().finish()
    left = served.participant("open")
    for position in (1, 2, 3):
        client = {"input": "key", "device": "computer", "window_width": 800, "window_height": 600}
        content = {"position": position, "key": "k" * 16, "answer": "real", "response_ms": 500}
        assert left.post("/api/votes", {**content, **client}).status == 200
    served.participant()
    out = tmp_path / "out"
    assert export_study(served.study.location, out) == 4
    return served.study, out


def test_every_answer_of_everybody_is_there(exported):
    _, out = exported
    answers = table(out / "answers.csv")
    assert len(answers) == 9 + 3 and len(table(out / "votes.csv")) == 4
    kinds = [row["kind"] for row in answers[:9]]
    assert sorted(kinds) == ["check"] * 3 + ["practice"] * 2 + ["trial"] * 4
    assert all((row["image"] == "") == (row["kind"] == "check") for row in answers)
    assert all(float(row["recorded_at"]) > 1e9 for row in answers)
    assert answers[9]["input"] == "key" and answers[9]["window_width"] == "800"
    assert answers[0]["input"] == answers[0]["window_width"] == ""


def test_participants_and_their_flow(exported):
    _, out = exported
    finished, left, idle = table(out / "participants.csv")
    assert float(finished["seconds"]) == pytest.approx(
        float(finished["finished_at"]) - float(finished["started_at"])
    )
    assert finished["median_response_seconds"] == "1.0005"
    assert (left["finished_at"], left["inputs"], left["windows"]) == ("", "key", "800x600")
    assert left["devices"] == "computer" and idle["seconds"] == idle["inputs"] == ""
    arm, total = table(out / "stages.csv")
    assert {**arm, "arm": "all"} == total
    assert list(total.values()) == ["all", "3", "2", "2", "1", "0", "1"]


def test_the_plan_the_consent_the_images_with_hashes_and_the_record_go_along(exported, folders):
    _, out = exported
    plan = json.loads((out / "plan.json").read_text())
    assert plan["plan"]["trials"] == 4 and plan["images"] == {"random": 80, "real": 80}
    assert (out / "consent.txt").read_text() == "We keep nothing.\n"
    images = table(out / "images.csv")
    assert len(images) == 160
    for row in (images[0], images[-1]):
        folder, _, name = row["image"].partition("/")
        content = (folders[folder] / name).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert [row["what"] for row in table(out / "record.csv")] == ["created", "exported"]


def test_the_codebook_has_every_column_of_every_table(exported):
    _, out = exported
    book = (out / "codebook.md").read_text()
    for file in out.glob("*.csv"):
        section = book.partition(file.name)[2].partition("\n## ")[0]
        with file.open(encoding="utf-8", newline="") as lines:
            header = next(csv.reader(lines))
        assert [
            row.split("`")[1] for row in section.splitlines() if row.startswith("| `")
        ] == header


def test_a_study_in_which_nobody_has_finished_is_exported(make_study, tmp_path):
    study = make_study()
    assert export_study(study.location, tmp_path / "out") == 0
    assert table(tmp_path / "out" / "votes.csv") == table(tmp_path / "out" / "answers.csv") == []
    with pytest.raises(UserError, match="expected votes of participants who have finished"):
        read_votes(study.location)


def test_what_researchers_do_is_recorded_and_cannot_be_unrecorded(make_study, serve, backend):
    served = serve(make_study(backend=backend))
    participant = served.participant()
    participant.finish()
    researcher = served.visitor()
    researcher.submit("/admin/login", {"token": served.study.keys.admin_token})
    form = researcher.get("/admin").text.partition('name="form_token" value="')[2][:64]
    code = participant.get("/done").text.rpartition('class="code">')[2].partition("<")[0]
    for path, fields in (
        ("/admin/quota", {"quota": "7"}),
        ("/admin/quota", {"quota": "7"}),
        ("/admin/paused", {"paused": "yes"}),
        ("/admin/paused", {"paused": "no"}),
        ("/admin/delete", {"code": code}),
    ):
        assert researcher.submit(path, {"form_token": form, **fields}).status == 303
    assert not delete_participant(served.study.database, code)
    with served.study.database.reading() as session:
        rows = session.execute(text("SELECT what, detail FROM events ORDER BY id")).all()
    assert [tuple(row) for row in rows[1:]] == [
        ("quota", "1000 to 7 participants in each arm"),
        ("paused", ""),
        ("opened", ""),
        ("deleted", "a participant of random (completed)"),
    ]
    assert code not in str(rows)
    assert "1000 to 7 participants" in researcher.get("/admin").text
    for change in ("UPDATE events SET detail = ''", "DELETE FROM events"):
        with (
            pytest.raises(DatabaseError, match="never changed"),
            served.study.database.writing() as session,
        ):
            session.execute(text(change))


def test_a_size_that_was_changed_stands_in_the_report(make_study, serve, tmp_path, capsys):
    served = serve(make_study())
    served.participant().finish()
    with served.study.database.writing() as session:
        note(session, "quota", "40 to 60 participants in each arm")
    report_study(served.study.location, tmp_path / "report.html")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    sentence = f"Changed on {today}, after the plan was frozen: 40 to 60 participants in each arm."
    assert sentence in " ".join(capsys.readouterr().out.split())
    assert sentence in " ".join((tmp_path / "report.html").read_text().split())


def test_the_plan_is_a_text_to_register(make_study, folders, capsys, tmp_path):
    sets = {"random": folders["random"], "best": folders["best"]}
    study = make_study(replace(QUICK, participants=40), generated=sets)
    registration = preregistration(read_plan(study.location))
    for expected in (
        "## Hypotheses", "within 5 points of 50 %", "40 participants in each arm",
        "| 7.3 points |", "miss more than 1 of 3 attention checks", "Holm",
        "Arm best: generated images of best", "> You will look at images",
    ):  # fmt: skip
        assert expected in registration, expected
    assert "this is no preregistration" not in registration
    assert main(["study", "plan", study.location, "--markdown"]) == 0
    assert capsys.readouterr().out == registration
    assert main(["study", "plan", study.location, "--out", str(tmp_path / "plan.json")]) == 0
    assert json.loads((tmp_path / "plan.json").read_text())["plan"]["participants"] == 40


def test_the_text_has_the_plans_own_rules(make_study, folders, tmp_path):
    plan = replace(
        QUICK, trials=20, controls=3, margin=0.07,
        fastest_ms=350, longest_run=12, most_leaning=1.5,
    )  # fmt: skip
    sets = {"random": folders["random"], "best": folders["best"]}
    study = make_study(
        plan, generated=sets, controls=write_images(tmp_path / "fakes", ("noise",), 3)
    )
    stored = read_plan(study.location)
    registration = preregistration(stored)
    for expected in (
        "within 7 points of 50 %", "a margin of 7 points",
        "the median response time is below 0.35 s; or the same answer is given 12 times in a row; or the"
        " criterion is 1.5 or more from 0", "3 obvious fakes among the trials",
    ):  # fmt: skip
        assert expected in registration, expected
    # The obvious fakes, three images, say nothing about the power.
    del stored["images"]["control"]
    assert (
        registration.partition("## Sample")[2] == preregistration(stored).partition("## Sample")[2]
    )
    # A study of an earlier version has the rules by which the report will go.
    for name in ("margin", "fastest_ms", "longest_run", "most_leaning", "controls"):
        del stored["plan"][name]
    registration = preregistration(stored)
    assert "within 5 points of 50 %" in registration and "is below 0.4 s" in registration
    assert "given 25 times" in registration and "obvious fakes" not in registration


def test_obvious_fakes_are_marked_and_the_flagged_named(make_study, serve, folders, tmp_path):
    plan = replace(QUICK, trials=20, controls=3, longest_run=10)
    served = serve(make_study(plan, controls=folders["best"]))
    served.participant().finish()
    out = tmp_path / "out"
    export_study(served.study.location, out)
    for name in ("votes.csv", "answers.csv"):
        marked = [row["image"] for row in table(out / name) if row["control"] == "true"]
        assert len(marked) == 3 and all(image.startswith("control/") for image in marked), name
    assert table(out / "participants.csv")[0]["flags"] == "same answer, leaning"
    columns = {"control", "flags"}
    assert columns <= set((out / "codebook.md").read_text().split("`"))


def test_a_text_that_comes_too_late_says_so(make_study, serve):
    served = serve(make_study())
    served.participant()
    registration = preregistration(read_plan(served.study.location))
    assert "1 participant had started" in registration and "no preregistration" in registration


def test_the_keys_of_another_study_are_refused(make_study, capsys):
    first, second = make_study(), make_study()
    database, _ = open_with_keys(first.location, first.key_file)
    database.close()
    for command in ("serve", "invite"):
        assert main(["study", command, first.location, "--key", str(second.key_file)]) != 0
        assert "got those of another study" in capsys.readouterr().err
    assert main(["study", "forget", first.location, "X", "--key", str(second.key_file)]) != 0


def test_a_study_is_for_its_owner_alone(make_study, tmp_path):
    study = make_study()
    study.database.close()
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
