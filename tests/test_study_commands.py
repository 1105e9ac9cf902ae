"""`convergan study ...` from the command line."""

import io
import json
import os
import random
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from convergan import study_commands
from convergan.cli import main
from convergan.errors import install_command
from convergan.study.storage.opening import open_study
from convergan.study.storage.schema import Participant
from drawn_images import write_folder

CREATE = ["study", "create", "--trials", "4", "--practice", "2", "--checks", "3"]


def failed(capsys, *words):
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_folder(tmp_path / "real", labelled=3)
    write_folder(tmp_path / "samples", labelled=3, seed=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def study(folder, capsys):
    assert main([*CREATE, "--real", "real", "--generated", "samples"]) == 0
    capsys.readouterr()
    return "study.db"


def code_of(study):
    database = open_study(study)
    with database.reading() as session:
        code = session.scalars(select(Participant.code)).first()
    database.close()
    return code


def test_create_says_what_it_made(folder, capsys):
    words = [
        "--real", "real", "--generated", "samples", "--arm", "best=samples", "--arm", "top=samples",
        "--feedback", "both", "--trials", "8", "--out", "mine.db",
    ]  # fmt: skip
    assert main([*CREATE, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "study: mine.db (9 real, 9 samples, 9 best, 9 top images, 32x32)"
    assert lines[1].startswith("arms:  samples, no feedback; samples, feedback; best, no feedback")
    assert lines[1].endswith("; 40 participants each")
    assert re.fullmatch(
        r"power: a difference of 7.3 points.* \d+ % of studies of this size", lines[2]
    )
    assert lines[3].startswith("keys:  mine.key ")
    assert sorted(file.name for file in folder.iterdir()) == [
        "mine.db", "mine.key", "real", "samples",
    ]  # fmt: skip


def test_obvious_fakes_say_nothing_about_the_power(folder, capsys):
    write_folder(folder / "fakes", labelled=1)
    words = [*CREATE, "--real", "real", "--generated", "samples"]
    assert main([*words, "--out", "plain.db"]) == 0
    plain = capsys.readouterr().out.splitlines()
    fakes = ["--controls", "3", "--control-images", "fakes", "--out", "fakes.db"]
    assert main([*words, *fakes]) == 0
    with_fakes = capsys.readouterr().out.splitlines()
    assert "(9 real, 9 samples, 3 control images" in with_fakes[0]
    assert with_fakes[2] == plain[2]


def test_the_default_study_has_the_power_to_find_the_papers_difference(capsys):
    power = study_commands.power_line(study_commands.Plan())
    assert int(re.findall(r"(\d+) % of studies", power)[0]) >= 80


def test_the_power_of_a_timed_study_is_about_exposures():
    timed = study_commands.power_line(study_commands.Plan(exposure="timed"))
    assert "exposure thresholds" in timed and "78.7" not in timed
    short = study_commands.power_line(study_commands.Plan(exposure="timed", trials=40))
    assert short == "none: an exposure threshold needs more than 40 trials per participant"


def test_a_study_with_one_arm_has_no_comparison_whose_power_could_be_told():
    power = study_commands.power_line(study_commands.Plan(), arms=1)
    assert power == "none to compute: with one arm, there is nothing to compare"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--real", "absent", "--generated", "samples"), "absent: expected an image or a folder"),
        (("--real", "real"), "Missing from convergan study create: --generated PATH ("),
        (
            ("--real", "real", "--generated", "samples", "--arm", "best"),
            "arm: expected NAME=DIR with a name of its own, got best",
        ),
        (
            ("--real", "real", "--generated", "samples", "--arm", "samples=real"),
            "arm: expected NAME=DIR with a name of its own, got samples=real",
        ),
        (
            ("--real", "real", "--generated", "samples", "--trials", "5"),
            "trials: expected an even number, 2 to 10,000, got 5",
        ),
        (
            ("--real", "real", "--generated", "samples", "--trials", "50"),
            "real: expected at least 26 images, so that nobody sees one twice, got 9",
        ),
        (
            ("--real", "real", "--generated", "samples", "--out", "mysql://x"),
            "study: expected a file or postgresql://user@host/name, got mysql://...",
        ),
    ],
)
def test_mistakes_are_one_line(folder, capsys, words, expected):
    assert expected in failed(capsys, *CREATE, *words)
    assert sorted(file.name for file in folder.iterdir()) == ["real", "samples"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "study command: expected one of create, plan, power, serve,"),
        (("sevre",), "got sevre; perhaps you meant serve (see convergan study --help)"),
        (("serve", "absent.db"), "absent.db: expected a study, got nothing there"),
        (("invite", "absent.db"), "absent.db: expected a study, got nothing there"),
        (("forget", "absent.db", "X"), "absent.db: expected a study, got nothing there"),
        (("dry-run", "x.db", "--participants", "0"), "participants: expected 1 to 100,000, got 0"),
        (("export", "absent.db", "--out", "x"), "absent.db: expected a study, got nothing there"),
        (("serve", "absent.db", "--workers", "0"), "workers: expected 1 to 256, got 0"),
        (("invite",), "Missing from convergan study invite: STUDY ("),
    ],
)
def test_mistakes_without_a_study_are_one_line(folder, capsys, words, expected):
    assert expected in failed(capsys, "study", *words)


def test_a_missing_extra_is_named(study, capsys, monkeypatch):
    monkeypatch.setattr(study_commands, "find_spec", lambda name: None if name == "fastapi" else 1)
    for words in (("serve", study), ("invite", study), ("dry-run", study)):
        assert f"{install_command('study')} installs them" in failed(capsys, "study", *words)


def test_invitations(study, capsys):
    url = "https://study.example.org/"
    assert main(["study", "invite", study, "--url", url, "--count", "3"]) == 0
    links = capsys.readouterr().out.splitlines()
    assert len(set(links)) == 3
    assert all(link.startswith("https://study.example.org/join/personal-") for link in links)
    assert main(["study", "invite", study, "--url", url, "--kind", "prolific"]) == 0
    output = capsys.readouterr().out
    assert re.search(
        r"https://study\.example\.org/join/prolific-[\w.-]{60}\?PROLIFIC_PID=\{\{%PROLIFIC_PID%}}"
        r"&STUDY_ID=\{\{%STUDY_ID%}}&SESSION_ID=\{\{%SESSION_ID%}}$",
        output,
        flags=re.M,
    )
    assert len(re.findall(r"^  [2-9A-Z]{8}  ", output, flags=re.M)) == 4
    assert "url: expected an address" in failed(capsys, "study", "invite", study, "--url", "me")
    assert "count: expected 1 to" in failed(capsys, "study", "invite", study, "--count", "0")


def test_a_port_in_use_is_one_line_before_anything_else(study, capsys):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        error = failed(capsys, "study", "serve", study, "--port", port)
    assert (
        f"host, port: expected a free address and port to listen on, got 127.0.0.1 and {port}: "
        in error
    )
    error = failed(capsys, "study", "serve", study, "--host", "192.0.2.1")
    assert "expected a free address and port to listen on, got 192.0.2.1 and 8000: " in error
    Path("study.key").unlink()
    error = failed(capsys, "study", "serve", study)
    assert "study.key: expected the study's keys, got no file" in error


def test_a_dry_run_says_how_many_bots_left(study, capsys):
    random.seed(0)
    assert main(["study", "dry-run", study, "--participants", "30"]) == 0
    (left,) = re.findall(r"30 SIMULATED participants, (\d+) of whom left", capsys.readouterr().out)
    assert main(["study", "report", study, "--simulated", "--out", "report.html"]) == 0
    assert f": {30 - int(left)} participants, " in capsys.readouterr().out


def test_dry_run_export_and_forget(study, capsys, monkeypatch):
    random.seed(0)  # nobody leaves
    assert main(["study", "dry-run", study, "--participants", "5"]) == 0
    assert capsys.readouterr().out == "study.db: 5 SIMULATED participants\n"
    assert main(["study", "export", study, "--out", "nobody"]) == 0
    assert capsys.readouterr().out == "nobody: 0 votes\n"
    assert main(["study", "export", study, "--out", "votes", "--simulated"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("votes: ") and output.endswith(" SIMULATED votes\n")
    assert "SIMULATED" in Path("votes/votes.csv").read_text(encoding="utf-8")
    code = code_of(study)
    assert main(["study", "forget", study, code]) == 0
    assert capsys.readouterr().out == f"{code}: forgotten; the votes were deleted\n"
    second = code_of(study)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{second}\n"))
    assert main(["study", "forget", study, "-", "--keep-votes"]) == 0
    assert capsys.readouterr().out == f"{second}: forgotten; the votes were kept\n"
    assert code_of(study) == second
    assert "participant: expected the code" in failed(capsys, "study", "forget", study, code)


def test_help_needs_no_heavy_import():
    code = (
        "import sys, convergan.cli; print([m for m in"
        " ('torch', 'numpy', 'rich', 'fastapi', 'sqlalchemy', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_report_of_a_dry_run(study, capsys):
    assert main(["study", "dry-run", study, "--participants", "20"]) == 0
    capsys.readouterr()
    assert "expected votes of participants who" in failed(capsys, "study", "report", study)
    assert not Path("report.html").exists()
    assert main(["study", "report", study, "--simulated", "--json", "findings.json"]) == 0
    output = capsys.readouterr().out
    assert "SIMULATED" in output and output.endswith("report: report.html\n")
    page = Path("report.html").read_text(encoding="utf-8")
    assert "SIMULATED" in page and "Real or generated?" in page
    assert "data:image/" in page, "the images that fooled most are shown"
    assert json.loads(Path("findings.json").read_text(encoding="utf-8"))["simulated"]


def test_votes_of_elsewhere_are_imported_and_reported(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        f"w{person},{image},{'fake' if image % 2 else 'real'},{'fake' if (image + person) % 3 else 'real'}"
        for person in range(6)
        for image in range(10)
    ]
    Path("theirs.csv").write_text("\n".join(["worker,file,truth,said", *rows]), encoding="utf-8")
    names = ["participant=worker", "image=file", "generated=truth", "answered_generated=said"]
    words = ["study", "import", "theirs.csv", "--out", "votes.parquet", "--columns", *names]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("votes.parquet: 60 votes of 6 participants in 1 arm")
    assert main(["study", "report", "votes.parquet", "--out", "page.html"]) == 0
    output = capsys.readouterr().out
    # Six people are each told 10 images, two thirds of them called fake.
    right = sum(
        (image % 2 == 1) == ((image + person) % 3 > 0) for person in range(6) for image in range(10)
    )
    assert f"{100 * right / 60:.1f}" in output
    assert Path("page.html").is_file()
    assert "participant" in failed(capsys, "study", "import", "theirs.csv", "--out", "x.csv")
    assert not Path("x.csv").exists()
    assert "simulated: expected a study's database, got votes.parquet" in failed(
        capsys, "study", "report", "votes.parquet", "--simulated"
    )


@pytest.mark.parametrize("way", ["open", "prolific"])
def test_links_are_shown_and_not_obeyed(study, capsys, way):
    assert main(["study", "invite", study, "--kind", way, "--url", "http://a\x1b]0;owned\x07"]) == 0
    output = capsys.readouterr().out
    assert r"http://a\x1b]0;owned\x07/join/" in output
    assert output.replace("\n", "").isprintable()


def test_no_command_of_a_study_needs_torch(folder):
    """The commands run in a process where torch cannot be imported."""
    (folder / "without" / "torch").mkdir(parents=True)
    (folder / "without" / "torch" / "__init__.py").write_text("raise ImportError('no torch here')")
    paths = [str(folder / "without"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "convergan.cli", *words],
            env=environment, capture_output=True, text=True, timeout=240,
        )  # fmt: skip

    done = run(*CREATE, "--real", "real", "--generated", "samples")
    assert done.returncode == 0, done.stderr
    assert "study: study.db" in done.stdout
    # This shows that torch could not be imported.
    failed = run("predict", "run", "real/circles", "--debug")
    assert failed.returncode == 1 and "no torch here" in failed.stderr
