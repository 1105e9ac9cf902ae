"""Benchmarks with few labels: the same images for all, peers that learn, cells that are measured once."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import few_labels
from convergan.data.image_set import UNLABELLED
from convergan.data.source import open_data_set
from few_labels import Summary, standing
from harness import cells, rows
from harness.cells import Cell, Cells, timed
from harness.few_labels import data as few_label_data
from harness.few_labels import peer_cell as few_label_peers
from harness.few_labels.budget import Budget
from harness.few_labels.data import (
    CIFAR10,
    TASKS,
    TaskData,
    data_settings,
    folder_of,
    load_task_data,
    write_folder,
)
from harness.peers import classic as peer_classic
from harness.peers import small_cnn as peer_small_cnn
from harness.peers import views as few_label_views
from parquet_images import write_parquet


@pytest.fixture
def small_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Random images in place of CIFAR-10, of which folders have a few."""
    monkeypatch.setattr(few_label_data, "LABELLED_A_CLASS", 2)
    monkeypatch.setattr(few_label_data, "TRAINING_A_CLASS", 5)
    monkeypatch.setattr(few_label_data, "TEST_A_CLASS", 3)
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for seed, (split, count) in enumerate((("train", 100), ("test", 60))):
        images = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        file = folder / f"{split}-00000-of-00001.parquet"
        write_parquet(file, images, np.arange(count) % 10, "image")
    return folder


def test_a_folder_is_the_same_for_all_and_another_in_each_draw(
    small_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    task = folder_of("cat", "dog")
    names = {}
    for draw in (0, 1):
        folder = tmp_path / f"draw-{draw}"
        write_folder(task, draw, small_folders, folder)
        settings = data_settings(task, draw, mnist=None, folder=folder)
        data = open_data_set(settings)
        assert data.classes == ("cat", "dog") and data.test is not None
        counts = {label: int((data.train.labels == label).sum()) for label in (0, 1, UNLABELLED)}
        assert counts == {0: 2, 1: 2, UNLABELLED: 6}
        assert np.bincount(data.test.labels).tolist() == [3, 3]
        images = load_task_data(task, draw, settings)
        assert (len(images.images), len(images.labelled), len(images.test_images)) == (10, 4, 6)
        names[draw] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
        # What is there stays, whatever the source: it is what other methods were given.
        write_folder(task, draw, tmp_path / "nowhere", folder)
    assert names[0] != names[1]


def test_folders_have_other_classes_and_the_labels_that_their_row_says() -> None:
    first, second = (set(TASKS[name].classes) for name in ("folder-a", "folder-b"))
    assert len(first) == len(second) == 4
    assert not first & second and first | second <= set(CIFAR10)
    assert TASKS["folder-a"].labels == TASKS["folder-b"].labels == 100


def stripes(count: int, seed: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Images of horizontal and vertical stripes, of any phase and with noise, and their labels, 0 and 1."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    phases = generator.integers(0, 8, count)
    waves = ((np.arange(16)[None] + phases[:, None]) // 4 % 2) * 200.0
    images = np.where(
        labels[:, None, None] == 0, waves[:, :, None], waves[:, None, :]
    ) + generator.normal(28, 6, (count, 16, 16))
    images = np.repeat(images[..., None], channels, axis=3).clip(0, 255).astype(np.uint8)
    return images, labels


@pytest.fixture(scope="module")
def two_classes() -> TaskData:
    images, labels = stripes(120, 0)
    test_images, test_labels = stripes(60, 1)
    labelled = np.arange(12)
    return TaskData(images, labelled, labels[labelled], test_images, test_labels, classes=2)


@pytest.mark.parametrize("method", ["HOG-SVM", "SelfTraining", "LabelSpreading"])
def test_peers_without_a_network_learn(two_classes: TaskData, method: str) -> None:
    predict = few_label_peers.METHODS[method](two_classes, Budget(60))
    assert (predict(two_classes.test_images) != two_classes.test_labels).mean() < 0.1


class Steps(Budget):
    """A budget of a number of steps, whatever they take: each question for the share used is one step."""

    @property
    def share_used(self) -> float:
        self.queries = getattr(self, "queries", -1) + 1
        return self.queries / self.seconds

    def at_most(self, seconds: float) -> Budget:
        return self


@pytest.mark.parametrize("method", ["CNN", "CNN-35s", "FixMatch"])
@pytest.mark.parametrize("bf16", [False, True])
def test_peers_with_a_network_learn(
    two_classes: TaskData, method: str, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_small_cnn, "SUPERVISED_BATCH", 16)
    monkeypatch.setattr(peer_small_cnn, "UNLABELLED", 24)
    budget = Steps(40, bf16=bf16)
    predict = few_label_peers.METHODS[method](two_classes, budget)
    assert budget.queries == 40
    assert (predict(two_classes.test_images) != two_classes.test_labels).mean() < 0.1


def test_a_budget_ends_by_its_clock() -> None:
    budget = Budget(0.05, "cpu", threads=1)
    queries = 0
    while budget.share_used < 1:
        queries += 1
    assert queries > 1
    # Two threads that compute have half as long.
    assert Budget(10, "cpu", threads=2)._now() == pytest.approx(
        Budget(10, "cpu", threads=1)._now() / 2, rel=0.2
    )


def test_the_short_network_has_no_more_than_its_seconds_and_its_budget() -> None:
    assert Budget(120, "cpu", 2, seed=3).at_most(35) == Budget(35, "cpu", 2, seed=3)
    assert Budget(20).at_most(35).seconds == 20


def test_oriented_gradients_tell_directions_and_not_brightness() -> None:
    images, labels = stripes(40, 0, channels=1)
    horizontal, vertical = images[labels == 0], images[labels == 1]
    hog = peer_classic._hog(horizontal, 4).reshape(len(horizontal), -1, 9).mean(axis=(0, 1))
    # The gradients of horizontal stripes are vertical: half a turn, bins 4 and 5 of 9.
    assert set(np.argsort(hog)[-2:]) == {4, 5}
    hog = peer_classic._hog(vertical, 4).reshape(len(vertical), -1, 9).mean(axis=(0, 1))
    assert np.argmax(hog) in (0, 8)
    brighter = horizontal // 2 + 100
    difference = np.abs(
        peer_classic._hog(horizontal // 2, 4) - peer_classic._hog(brighter, 4)
    ).max()
    assert difference < 1e-3


def test_views_keep_what_they_should() -> None:
    torch.manual_seed(0)
    images = torch.rand(64, 3, 16, 16)
    shifted = few_label_views.shifted(images, 2)
    shifts = [
        next(
            (
                (y, x)
                for y in range(-2, 3)
                for x in range(-2, 3)
                if torch.equal(
                    image[:, max(0, -y) : 16 - max(0, y), max(0, -x) : 16 - max(0, x)],
                    original[:, max(0, y) : 16 + min(0, y), max(0, x) : 16 + min(0, x)],
                )
            ),
            None,
        )
        for original, image in zip(images, shifted, strict=True)
    ]
    assert None not in shifts and len(set(shifts)) > 10
    flipped = few_label_views.flipped(images)
    unchanged = (flipped == images).flatten(1).all(1)
    assert 10 < unchanged.sum() < 54
    assert torch.equal(flipped[~unchanged], images[~unchanged].flip(3))
    assert torch.allclose(few_label_views.turned(images, 0.0), images, atol=1e-5)
    grey = few_label_views.greyed(images, 1.0)
    assert torch.equal(grey[:, 0], grey[:, 2])
    holes = few_label_views.with_hole(torch.zeros(64, 1, 16, 16), 6) == 0.5
    assert holes.flatten(1).sum(1).min() > 0 and holes.flatten(1).sum(1).max() == 36
    views = few_label_views.Views(16, photographs=True)
    for view in (views.weak, views.labelled, views.strong):
        assert view(images).shape == images.shape
        assert view(images).min() >= 0 and view(images).max() <= 1


def test_one_cycle_rises_and_falls() -> None:
    shares = np.linspace(0, 1, 101)
    rates = [peer_small_cnn.one_cycle(share) for share in shares]
    assert (rates[0], rates[30], rates[-1]) == pytest.approx((1 / 25, 1, 0))
    assert np.argmax(rates) == 30 and peer_small_cnn.one_cycle(1.2) == 0


def test_cells_are_measured_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tmp_path / "code.py"
    code.write_text("1")
    all_cells = [Cell((name, "method", "0"), {"minutes": 2}, [code]) for name in ("a", "b", "c")]
    store = Cells(tmp_path / "cells")
    measured: list[str] = []

    def measure(cell: Cell) -> dict[str, Any]:
        measured.append(cell.names[0])
        if cell.names[0] == "b" and len(measured) < 4:
            raise subprocess.CalledProcessError(1, "b.log: no memory")
        return {"test_errors": len(measured)}

    assert store.run(all_cells, measure) == 1
    assert "b.log: no memory" in capsys.readouterr().out
    # The one that failed is tried again; the others are not.
    assert store.run(all_cells, measure) == 0
    assert measured == ["a", "b", "c", "b"]
    record = store.load(all_cells[0])
    assert (
        record is not None and record["test_errors"] == 1 and record["settings"] == {"minutes": 2}
    )
    assert store.load(Cell(("a", "method", "0"), {"minutes": 3}, [code])) is None
    code.write_text("2")
    changed_cell = Cell(("a", "method", "0"), {"minutes": 2}, [code])
    assert store.load(changed_cell) is None
    record = Cells(tmp_path / "cells", any_code=True).load(changed_cell)
    assert record is not None and record["test_errors"] == 1


def test_a_command_is_timed_and_its_failure_told(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "log"
    # The process can import `harness`.
    busy = "import harness, time; t = time.process_time()\nwhile time.process_time() - t < .3: pass"
    seconds = timed([sys.executable, "-c", busy], log, threads=1)
    assert 0.3 <= seconds["cpu_seconds"] < 3 and seconds["wall_seconds"] >= 0.3
    with pytest.raises(subprocess.CalledProcessError) as raised:
        timed([sys.executable, "-c", "print('first'); exit('no such row')"], log, threads=1)
    assert "no such row" in str(raised.value) and "first" not in str(raised.value)


def test_a_run_that_was_killed_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "half").touch()

    def runs(words: Sequence[object], log: Path, *, threads: int) -> dict[str, float]:
        assert not out.exists() and words[-4:] == ["--out", out, "--hardware.threads", 1]
        out.mkdir()
        (out / "results.json").write_text('{"test_errors": 3}')
        return {"cpu_seconds": 2.0}

    monkeypatch.setattr(cells, "timed", runs)
    assert cells.train(["digits"], out, threads=1) == {"test_errors": 3, "cpu_seconds": 2.0}


def summary(*rates: float) -> Summary:
    return Summary(dict(enumerate(rates)), [{"cpu_seconds": 1.0}] * len(rates))


def test_ours_is_placed_among_those_without_imagenet() -> None:
    row = {
        "convergan": summary(14.0, 16.0),
        "CNN": summary(24.0),
        "FixMatch": summary(13.9, 13.9),
        "frozen": summary(1.0),
    }
    placed = standing(row)
    assert placed is not None
    assert (placed.rank, placed.best_rival, placed.holds) == (2, "FixMatch", False)
    assert placed.points == pytest.approx(1.1)
    within_margin = standing({**row, "FixMatch": summary(14.0)})
    assert within_margin is not None and within_margin.holds and within_margin.rank == 2
    first = standing({**row, "FixMatch": summary(20.0)})
    assert first is not None and first.rank == 1 and first.points == pytest.approx(-5)
    assert standing({"convergan": summary(1.0), "frozen": summary(2.0)}) is None
    # convergan without a baseline is no rival of convergan.
    assert standing({**row, "convergan-alone": summary(1.0)}) == standing(row)


def test_the_command_measures_what_is_missing_and_says_where_ours_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(few_labels, "Console", lambda: Console(width=200))
    trained: list[list[object]] = []

    def in_this_process(words: Sequence[object], log: Path, *, threads: int) -> dict[str, float]:
        path = Path(str(words[words.index("--to") + 1]))
        path.parent.mkdir(parents=True, exist_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [str(word) for word in words[2:]])
            few_label_peers.main()
        return {"wall_seconds": 2.0, "cpu_seconds": 1.0}

    def train(words: list[object], out: Path, *, threads: int) -> dict[str, Any]:
        trained.append(words)
        return {
            "test_errors": 100, "test_size": 500, "wall_seconds": 3.0, "cpu_seconds": 2.0,
            "device": "cpu, 1 thread", "precision": "fp32",
        }  # fmt: skip

    monkeypatch.setattr(few_labels, "timed", in_this_process)
    monkeypatch.setattr(few_labels, "train", train)
    threads = torch.get_num_threads()
    words = [
        "few_labels.py", "--rows", "digits", "--methods", "LabelSpreading", "HOG-SVM", "convergan",
        "convergan-alone", "--minutes", "0.5", "--draws", "2", "--threads", str(threads), "--runs",
        str(tmp_path / "runs"),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    few_labels.main()
    assert trained == [
        ["digits-fast", "--labels", 100, "--seed", draw, "--minutes", 0.5] for draw in (0, 1)
    ]
    output = capsys.readouterr().out
    assert "20.00 ± 0.00 (2)" in output and "NOT within 1 point" in output
    spreading, hog = json.loads((tmp_path / "results" / "few-labels-0.5-minutes.json").read_text())
    assert (spreading["ours"], spreading["repeats"], spreading["within_margin"]) == (20, 2, False)
    assert spreading["peer_name"] == "LabelSpreading" and spreading["peer"] < 10
    assert spreading["peer_by_draw"][0] != spreading["peer_by_draw"][1]
    assert hog["peer"] < 25 and hog["best_rival"] == "LabelSpreading"
    # All is there: nothing is run again.
    monkeypatch.setattr(few_labels, "timed", None)
    few_labels.main()
    assert len(trained) == 2
    monkeypatch.setattr(sys, "argv", [*words[:-8], "--minutes", "9", *words[-6:], "--table"])
    few_labels.main()
    assert len(trained) == 2
