"""Files of earlier versions still work: runs, checkpoints, scores, statistics, studies."""

import csv
import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from convergan.cli import main
from convergan.json_files import read_json
from convergan.study.storage.database import Database
from convergan.study.storage.migrations import revision_of, upgrade

FIXTURES = Path(__file__).parent / "fixtures" / "0.1.0"
RUNS = ("digits", "folder")
COMPARING_RUNS = ("imagenet", "minibatch")
"""Runs whose classifiers have minibatch discrimination and no reference images: they are refused."""


@pytest.fixture(autouse=True)
def beside_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the fixtures' folder, to which the paths of images are relative."""
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(FIXTURES)


def command(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def images_of(run: str) -> str:
    return "digits-new" if run in ("digits", "minibatch") else "new"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("run", RUNS)
def test_a_run_predicts_what_it_predicted(run: str, tmp_path: Path) -> None:
    command("predict", f"{run}/finished", images_of(run), "--out", tmp_path / "predictions.csv")
    old, new = rows(FIXTURES / run / "predictions.csv"), rows(tmp_path / "predictions.csv")
    assert [row["path"] for row in new] == [row["path"] for row in old]
    for old_row, new_row in zip(old, new, strict=True):
        for column in old_row.keys() - {"path", "label"}:
            assert float(new_row[column]) == pytest.approx(float(old_row[column]), abs=1e-4)
        assert new_row["label"] == old_row["label"]


@pytest.mark.parametrize("run", (*RUNS, *COMPARING_RUNS))
def test_a_run_draws_the_same_samples(run: str, tmp_path: Path) -> None:
    command("sample", f"{run}/finished", "--count", 6, "--out", tmp_path / "samples")
    for sample in sorted((FIXTURES / run / "samples").iterdir()):
        old, new = (
            np.asarray(Image.open(path)).astype(int)
            for path in (sample, tmp_path / "samples" / sample.name)
        )
        # A pixel between two levels may fall to either side.
        assert old.shape == new.shape and abs(old - new).max() <= 1


@pytest.mark.parametrize("run", RUNS)
def test_a_run_scores_as_it_scored(run: str, tmp_path: Path) -> None:
    words = ["score", images_of(run), "--classifier", f"{run}/finished", "--splits", 1]
    words += ["--metrics", "is", "fid"]
    score_file = tmp_path / "score.json"
    command(*words, "--reference", f"{run}/samples", "--json", score_file)
    old, new = (read_json(path) for path in (FIXTURES / run / "score.json", score_file))
    for metric in ("is", "fid"):
        old_score, new_score = score_of(old, metric), score_of(new, metric)
        assert old_score > 0 and new_score == pytest.approx(old_score, rel=1e-3)
    # To the statistics of the same images there is no distance.
    command(*words, "--reference", f"{run}/statistics.npz", "--json", tmp_path / "same.json")
    result = read_json(tmp_path / "same.json")
    assert score_of(result, "fid") == pytest.approx(0, abs=1e-3 * score_of(new, "fid"))


@pytest.mark.parametrize("run", RUNS)
def test_a_score_is_compared_with_one_of_then(run: str, tmp_path: Path) -> None:
    words = ["score", images_of(run), "--classifier", f"{run}/finished", "--splits", 1]
    words += ["--metrics", "is", "--json", tmp_path / "score.json"]
    command(*words, "--versus", f"{run}/score.json")
    (score,) = read_json(tmp_path / "score.json")["scores"]
    assert score["versus"]["value"] == score_of(read_json(FIXTURES / run / "score.json"), "is")


def score_of(scored: dict[str, Any], metric: str) -> float:
    (value,) = [
        score["value"]
        for score in scored["scores"]
        if score["fingerprint"]["metric"] == metric and score["name"] != "FID infinity"
    ]
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("run", (*RUNS, *COMPARING_RUNS))
def test_a_stopped_run_whose_order_was_another_is_refused_in_a_line(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = FIXTURES / run / "stopped"
    shutil.copytree(stopped, tmp_path / "run")
    words = ["train", "--from", f"{run}/stopped/recipe.yaml", "--out", tmp_path / "run", "--resume"]
    words += [] if images_of(run) == "digits-new" else ["--data.path", "shapes"]
    assert main([str(word) for word in words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected a run whose epochs draw the images in the order of these versions" in line
    assert "begun by convergan 0.1.0, numpy 2.4.6, commit a79dd82d68c5; finish it with" in line
    # What was trained is still there.
    for file in [path for path in stopped.rglob("*") if path.is_file()]:
        assert (tmp_path / "run" / file.relative_to(stopped)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "minibatch/finished", "digits-new", "--out", "OUT/predictions.csv"],
        ["score", "digits-new", "--classifier", "minibatch/finished"],
        ["predict", "imagenet/finished", "new", "--out", "OUT/predictions.csv"],
    ],
)
def test_a_classifier_that_compares_without_references_is_refused_in_a_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.replace("OUT", str(tmp_path)) for word in words]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and message.startswith("convergan: ")
    assert "older version" in message and "depends on the rest of the batch; train again" in message
    assert not (tmp_path / "predictions.csv").exists()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    content = gzip.decompress((FIXTURES / "study" / "study.db.gz").read_bytes())
    (folder / "study.db").write_bytes(content)
    shutil.copy(FIXTURES / "study" / "study.key", folder)
    return folder / "study.db"


def test_a_study_reports_what_it_reported(study: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    page = tmp_path / "report.html"
    command("study", "report", study, "--simulated", "--json", report, "--out", page)
    old, new = (read_json(path) for path in (FIXTURES / "study" / "report.json", report))
    for name in ("participants", "votes", "title", "simulated"):
        assert new[name] == old[name]
    for old_arm, new_arm in zip(old["arms"], new["arms"], strict=True):
        assert new_arm["name"] == old_arm["name"]
        for share in ("accuracy", "error_on_generated", "error_on_real"):
            assert new_arm[share]["value"] == old_arm[share]["value"]
    assert page.read_text().count("data:image/") > 0


def test_the_tables_of_a_study_are_those_of_its_revision(study: Path, tmp_path: Path) -> None:
    old_database, new_database = Database(str(study)), Database(str(tmp_path / "new.db"))
    with old_database.reading() as old, new_database.writing() as new:
        upgrade(new.connection(), revision_of(old.connection()) or "")
        old_schema, new_schema = (
            {
                (kind, name): " ".join((sql or "").split())
                for kind, name, sql in session.execute(
                    text("SELECT type, name, sql FROM sqlite_master")
                )
            }
            for session in (old, new)
        )
    assert old_schema == new_schema and len(old_schema) > 20
    old_database.close()
    new_database.close()


def test_a_study_exports_the_same_votes(study: Path, tmp_path: Path) -> None:
    command("study", "export", study, "--simulated", "--out", tmp_path / "export")
    old, new = (rows(folder / "export" / "votes.csv") for folder in (FIXTURES / "study", tmp_path))
    assert len(new) == 36
    # A later version may tell more.
    assert [
        {key: new_row[key] for key in old_row} for new_row, old_row in zip(new, old, strict=True)
    ] == old


def test_a_study_goes_on(study: Path, tmp_path: Path) -> None:
    command("study", "dry-run", study, "--participants", 2)
    command("study", "invite", study)
    report = tmp_path / "report.json"
    command(
        "study", "report", study, "--simulated", "--json", report, "--out", tmp_path / "page.html"
    )
    assert read_json(report)["participants"] >= 6
