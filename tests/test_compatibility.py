"""What earlier versions wrote still works: runs, checkpoints, scores, statistics, studies."""

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

KEPT = Path(__file__).parent / "fixtures" / "0.1.0"
# The classifiers of `minibatch` said of an image what depended on those beside it: they are refused.
RUNS = ("digits", "folder", "imagenet")


@pytest.fixture(autouse=True)
def beside_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are named relative to the folder that they are kept in."""
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(KEPT)


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
    then, now = rows(KEPT / run / "predictions.csv"), rows(tmp_path / "predictions.csv")
    assert [row["path"] for row in now] == [row["path"] for row in then]
    for before, after in zip(then, now, strict=True):
        for column in before.keys() - {"path", "label"}:
            assert float(after[column]) == pytest.approx(float(before[column]), abs=1e-4)
        assert after["label"] == before["label"]


@pytest.mark.parametrize("run", (*RUNS, "minibatch"))
def test_a_run_draws_the_same_samples(run: str, tmp_path: Path) -> None:
    command("sample", f"{run}/finished", "--count", 6, "--out", tmp_path / "samples")
    for kept in sorted((KEPT / run / "samples").iterdir()):
        then, now = (
            np.asarray(Image.open(path)).astype(int)
            for path in (kept, tmp_path / "samples" / kept.name)
        )
        # A pixel between two levels may fall to either side.
        assert then.shape == now.shape and abs(then - now).max() <= 1


@pytest.mark.parametrize("run", RUNS)
def test_a_run_scores_as_it_scored(run: str, tmp_path: Path) -> None:
    words = ["score", images_of(run), "--classifier", f"{run}/finished", "--splits", 1]
    words += ["--metrics", "is", "fid"]
    found = tmp_path / "score.json"
    command(*words, "--reference", f"{run}/samples", "--json", found)
    then, now = (read_json(path) for path in (KEPT / run / "score.json", found))
    for metric in ("is", "fid"):
        before, after = score_of(then, metric), score_of(now, metric)
        assert before > 0 and after == pytest.approx(before, rel=1e-3)
    # To the statistics of the same images there is no distance.
    command(*words, "--reference", f"{run}/statistics.npz", "--json", tmp_path / "same.json")
    same = read_json(tmp_path / "same.json")
    assert score_of(same, "fid") == pytest.approx(0, abs=1e-3 * score_of(now, "fid"))


@pytest.mark.parametrize("run", RUNS)
def test_a_score_is_compared_with_one_of_then(run: str, tmp_path: Path) -> None:
    words = ["score", images_of(run), "--classifier", f"{run}/finished", "--splits", 1]
    words += ["--metrics", "is", "--json", tmp_path / "score.json"]
    command(*words, "--versus", f"{run}/score.json")
    (score,) = read_json(tmp_path / "score.json")["scores"]
    assert score["versus"]["value"] == score_of(read_json(KEPT / run / "score.json"), "is")


def score_of(scored: dict[str, Any], metric: str) -> float:
    (value,) = [
        score["value"]
        for score in scored["scores"]
        if score["fingerprint"]["metric"] == metric and score["name"] != "FID infinity"
    ]
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("run", (*RUNS, "minibatch"))
def test_a_stopped_run_whose_order_was_another_is_refused_in_a_line(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = KEPT / run / "stopped"
    shutil.copytree(stopped, tmp_path / "run")
    words = ["train", "--from", f"{run}/stopped/recipe.yaml", "--out", tmp_path / "run", "--resume"]
    words += [] if images_of(run) == "digits-new" else ["--data.path", "shapes"]
    assert main([str(word) for word in words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected a run whose epochs draw the images in the order of these versions" in line
    assert "begun by convergan 0.1.0, numpy 2.4.6, commit a79dd82d68c5; finish it with" in line
    # What was trained is still there.
    for kept in [path for path in stopped.rglob("*") if path.is_file()]:
        assert (tmp_path / "run" / kept.relative_to(stopped)).read_bytes() == kept.read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "minibatch/finished", "digits-new", "--out", "OUT/predictions.csv"],
        ["score", "digits-new", "--classifier", "minibatch/finished"],
    ],
    ids=["predict", "score"],
)
def test_a_classifier_that_looked_at_the_batch_is_refused_in_a_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.replace("OUT", str(tmp_path)) for word in words]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("convergan: ")
    assert "older version" in said and "depends on the images beside it; train anew" in said
    assert not (tmp_path / "predictions.csv").exists()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    content = gzip.decompress((KEPT / "study" / "study.db.gz").read_bytes())
    (folder / "study.db").write_bytes(content)
    shutil.copy(KEPT / "study" / "study.key", folder)
    return folder / "study.db"


def test_a_study_reports_what_it_reported(study: Path, tmp_path: Path) -> None:
    found = tmp_path / "report.json"
    page = tmp_path / "report.html"
    command("study", "report", study, "--simulated", "--json", found, "--out", page)
    then, now = (read_json(path) for path in (KEPT / "study" / "report.json", found))
    for name in ("participants", "votes", "title", "simulated"):
        assert now[name] == then[name]
    for before, after in zip(then["arms"], now["arms"], strict=True):
        assert after["name"] == before["name"]
        for share in ("accuracy", "error_on_generated", "error_on_real"):
            assert after[share]["value"] == before[share]["value"]
    assert page.read_text().count("data:image/") > 0


def test_the_tables_of_a_study_are_those_of_its_revision(study: Path, tmp_path: Path) -> None:
    then, now = Database(str(study)), Database(str(tmp_path / "new.db"))
    with then.reading() as old, now.writing() as new:
        upgrade(new.connection(), revision_of(old.connection()) or "")
        before, after = (
            {
                (kind, name): " ".join((made_by or "").split())
                for kind, name, made_by in session.execute(
                    text("SELECT type, name, sql FROM sqlite_master")
                )
            }
            for session in (old, new)
        )
    assert before == after and len(before) > 20
    then.close()
    now.close()


def test_a_study_exports_the_same_votes(study: Path, tmp_path: Path) -> None:
    command("study", "export", study, "--simulated", "--out", tmp_path / "export")
    then, now = (rows(folder / "export" / "votes.csv") for folder in (KEPT / "study", tmp_path))
    assert len(now) == 36
    # A later version may tell more.
    assert [
        {key: row[key] for key in before} for row, before in zip(now, then, strict=True)
    ] == then


def test_a_study_goes_on(study: Path, tmp_path: Path) -> None:
    command("study", "dry-run", study, "--participants", 2)
    command("study", "invite", study)
    found = tmp_path / "report.json"
    command(
        "study", "report", study, "--simulated", "--json", found, "--out", tmp_path / "page.html"
    )
    assert read_json(found)["participants"] >= 6
