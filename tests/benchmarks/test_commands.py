"""The commands of the benchmarks run at a small scale and write consistent rows."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import augmentation
import data_size
import digits
import epoch
import junk
import members
import minibatch_discrimination
import mnist_100
import mnist_paths
import mnist_samples
import predict
import score_mnist
import score_speed
import start_up
import step
import study_load
import table
import virtual_batch_norm
from convergan.errors import UserError
from convergan.json_files import read_json
from convergan.recipes.networks import MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder
from convergan.training.run import train
from harness import epochs_in_turn, rows
from harness.equal_terms import without_baseline
from harness.kept_runs import keep
from harness.postgres_server import NoPostgreSQL
from parquet_images import write_parquet
from small_mnist import NETWORKS

KEYS = {
    "claim", "setting", "device", "precision", "ours", "peer", "peer_name", "unit", "times_faster",
    "floor", "times_floor", "repeats", "versions", "git_commit", "command",
}  # fmt: skip

Rows = list[dict[str, Any]]
Command = Callable[..., Rows]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a benchmark's command and return the rows that it writes, apart from the committed ones."""
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))

    def run(benchmark: ModuleType, *words: object) -> Rows:
        monkeypatch.setattr(sys, "argv", [f"{benchmark.__name__}.py", *map(str, words)])
        benchmark.main()
        (path,) = (tmp_path / "results").glob("*.json")
        results: Rows = json.loads(path.read_text())
        for row in results:
            assert row.keys() >= KEYS
            assert row["command"].startswith(f"python benchmarks/{benchmark.__name__}.py")
            if row["floor"] is not None:
                assert row["times_floor"] == pytest.approx(row["ours"] / row["floor"])
        return results

    return run


@pytest.fixture(scope="session")
def mnist_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random images of MNIST's size, stored as the hub stores MNIST."""
    return write_splits(tmp_path_factory.mktemp("mnist"), (28, 28, 1), "image", train=1000, test=50)


def write_splits(folder: Path, shape: tuple[int, int, int], column: str, **counts: int) -> Path:
    for split, count in counts.items():
        images = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
        file = folder / f"{split}-00000-of-00001.parquet"
        write_parquet(file, images, np.arange(count) % 10, column)
    return folder


def require_one_turn(row: dict[str, Any]) -> None:
    """Check a row of a single turn, whose ratio is that of its two times."""
    assert (row["repeats"], row["unit"], row["device"]) == (1, "seconds", "cpu, 1 thread")
    assert row["times_faster_quartiles"] == 3 * [row["times_faster"]]
    assert row["times_faster"] == pytest.approx(row["peer"] / row["ours"], abs=1e-4)


@pytest.mark.parametrize("recipe", ["mnist", "cifar10"])
def test_a_step(command: Command, in_this_process: None, recipe: str) -> None:
    words = ("--recipe", recipe, "--small", "--steps", 1, "--threads", 1)
    (row,) = command(step, *words)
    require_one_turn(row)
    assert row["setting"].endswith(", random images")


def test_members_together(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = MLPSettings(hidden=(8, 6), generator_hidden=(6,), latent_size=4)
    monkeypatch.setitem(PRESETS, "digits", replace(PRESETS["digits"], networks=networks))
    (row,) = command(members, "--recipes", "digits", "--members", 2, "--steps", 1)
    require_one_turn(row)


@pytest.mark.parametrize("recipe", ["mnist", "cifar10"])
def test_an_epoch(
    command: Command,
    in_this_process: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recipe: str,
) -> None:
    monkeypatch.setattr(epochs_in_turn, "WORKERS", (0,))
    # In a folder of its own name, as the hub has CIFAR-10.
    folder = tmp_path / "hub" / "plain_text"
    folder.mkdir(parents=True)
    shape, column = {"mnist": ((28, 28, 1), "image"), "cifar10": ((32, 32, 3), "img")}[recipe]
    write_splits(folder, shape, column, train=200, test=20)
    words = ("--data", folder.parent, "--small", "--epochs", 1, "--threads", 1)
    (row,) = command(epoch, "--recipe", recipe, *words)
    require_one_turn(row)
    assert row["ours_by_epoch"] == [round(row["ours"], 2)]
    assert row["peer_by_epoch"] == [round(row["peer"], 2)]


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recipe:
    """The recipe `mnist` with small networks and one epoch; its long runs keep results in another folder."""
    folder = tmp_path / "kept"
    small = replace(PRESETS["mnist"], networks=NETWORKS, epochs=1)
    monkeypatch.setitem(PRESETS, "mnist", small)
    monkeypatch.setattr(mnist_paths, "EPOCHS", 1)
    monkeypatch.setattr(mnist_paths, "REFERENCE", folder / "mnist-reference-path")
    monkeypatch.setattr(mnist_paths, "FAST", folder / "mnist-fast-path")
    for benchmark in (mnist_100, mnist_paths):
        monkeypatch.setattr(benchmark, "MNIST_100", folder / "mnist-100")
    return small


def test_mnist_with_100_labels_and_its_reference_path(
    command: Command, digits_folder: Path, small_mnist: Recipe, tmp_path: Path
) -> None:
    words = ("--data", digits_folder, "--threads", 1, "--runs", tmp_path, "--seeds")
    (fast,) = command(mnist_100, *words, 0, 1)
    assert (fast["seeds"], fast["repeats"], fast["device"]) == ([0, 1], 2, "cpu, 1 thread")
    assert fast["ours"] == sum(fast["ours_by_seed"]) / 2 and fast["peer"] > 0
    assert f", {small_mnist.epochs} epochs," in fast["setting"]
    assert (len(list(mnist_100.MNIST_100.glob("*-metrics.jsonl")))) == 2
    # The row has nothing of a seed that is not asked for.
    (single,) = command(mnist_100, *words, 1)
    assert (single["seeds"], single["ours"]) == ([1], fast["ours_by_seed"][1])
    (tmp_path / "results" / "mnist-100.json").unlink()

    (paths,) = command(mnist_paths, *words, 0, 1, "--kept")
    assert paths["ours_by_seed"] == fast["ours_by_seed"]
    assert paths["trained_at_commits_by_seed"] == fast["trained_at_commits_by_seed"]
    assert not mnist_paths.FAST.exists()
    # Without --kept the fast path is trained too: the same computation, without the baseline.
    (retrained,) = command(mnist_paths, *words, 1, 2)
    assert retrained["seeds"] == [1, 2]
    assert (retrained["ours_by_seed"][0], retrained["peer_by_seed"][0]) == (
        paths["ours_by_seed"][1], paths["peer_by_seed"][1],
    )  # fmt: skip
    noise = [
        read_json(folder / "2-results.json")["noise"]
        for folder in (mnist_paths.FAST, mnist_paths.REFERENCE)
    ]
    assert noise == ["bank", "fresh"]
    (all_kept,) = command(mnist_paths, *words, 2, "--kept")
    assert all_kept["seeds"] == [0, 1, 2]


def test_data_of_two_sizes(
    command: Command, digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_size, "TIMES", (1, 2))
    monkeypatch.setitem(PRESETS, "mnist", replace(PRESETS["mnist"], networks=NETWORKS))
    words = ("--data", digits_folder, "--folder", tmp_path, "--steps", 20, "--threads", 1)
    seconds, memory = command(data_size, *words)
    assert (seconds["unit"], seconds["repeats"]) == ("seconds", 2)
    assert memory["unit"] == "MB of anonymous memory"
    for row in (seconds, memory):
        low, middle, high = row["share_of_peer_quartiles"]
        assert 0 < low <= middle <= high and row["share_of_peer"] == middle
    # torch alone takes more than 30 MB, and twice 1,297 images take hardly more than once.
    assert memory["peer"] > 30 and memory["share_of_peer"] == pytest.approx(1, abs=0.2)


def test_prediction(
    command: Command, mnist_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "WORKERS", (0,))
    words = ("--data", mnist_folder, "--folder", tmp_path, "--repeats", 1, "--threads", 1)
    files, in_memory = command(predict, *words)
    assert files["peer_name"].endswith("batches of 334")
    assert in_memory["peer_name"].endswith("batches of 334")
    assert files["ours_images_per_second"] == pytest.approx(1000 / files["ours"], abs=0.5)


def test_scores_of_the_inception_network(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_speed, "WORKERS", (0,))
    write_splits(tmp_path, (32, 32, 3), "img", test=2)
    words = ("--data", tmp_path, "--images", 2, "--repeats", 1, "--threads", 1)
    (row,) = command(score_speed, *words)
    assert row["largest_difference_of_logits"] < 1e-3 * row["stdev_of_logits"]


def test_minibatch_discrimination(
    command: Command, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minibatch_discrimination, "MEMORY_SHAPES", ())
    monkeypatch.setattr(
        minibatch_discrimination, "SHAPES", (((40, 20, 5), [40]), ((40, 20, 50), [15, 25]))
    )
    results = command(minibatch_discrimination, "--repeats", 1, "--threads", 1)
    peers = 2 * ["broadcasting", "torch.cdist"]
    assert [row["peer_name"] for row in results] == peers
    assert results[2]["setting"].endswith("compared with both halves")


def test_ways_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    projected, sums_gradient = torch.randn(20, 5, 5), torch.rand(1, 20, 5)
    ways = [minibatch_discrimination.by_cdist]
    require_equal = partial(
        minibatch_discrimination.require_equal, sums_gradient=sums_gradient, ways=ways, rtol=1e-4
    )
    require_equal(projected, [20], atol=1e-4)
    original = minibatch_discrimination.sums_over_others
    monkeypatch.setattr(
        minibatch_discrimination, "sums_over_others", lambda *words: 1.01 * original(*words)
    )
    with pytest.raises(AssertionError):
        require_equal(projected, [20], atol=1e-4)


def test_virtual_batch_normalization(
    command: Command, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {
        "dense": virtual_batch_norm.dense_generator(20, 8),
        "conv": virtual_batch_norm.conv_generator(8, 32, 4),
    }
    monkeypatch.setattr(virtual_batch_norm, "generators", lambda: small)
    results = command(virtual_batch_norm, "--repeats", 1, "--threads", 1)
    assert [row["setting"].split(",")[0] for row in results] == ["dense", "conv"]
    assert all(row["times_floor"] > 1 for row in results)


def test_memory_of_minibatch_discrimination(monkeypatch: pytest.MonkeyPatch) -> None:
    n, kernels, kernel_size = shape = (128, 20, 20)
    peak = minibatch_discrimination.peak_mb("broadcasting", shape)
    assert peak > 4 * n * n * kernels * kernel_size / 1e6
    peaks = {"ours": 2.0, "broadcasting": peak, "torch.cdist": 3.0}
    monkeypatch.setattr(minibatch_discrimination, "peak_mb", lambda name, _: peaks[name])
    results = minibatch_discrimination.measure_memory(shape)
    assert [(row["ours"], row["peer"]) for row in results] == [(2.0, peak), (2.0, 3.0)]
    assert all(row.keys() >= KEYS for row in results)


def test_a_reference_run_keeps_how_it_was_computed(
    digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path))
    monkeypatch.setattr(mnist_paths, "EPOCHS", 1)
    recipe = without_baseline(replace(PRESETS["mnist"], networks=NETWORKS), digits_folder)
    hardware = replace(recipe.hardware, precision="32-true", noise="fresh")
    run = RunFolder(tmp_path / "run")
    # The second call finds the run finished.
    for _ in range(2):
        results = mnist_paths.train_to_the_epoch(replace(recipe, hardware=hardware), run)
    assert len(run.metrics.read_text().splitlines()) == 1
    with pytest.raises(UserError, match=r"hardware\.precision: expected 'fp32' as in"):
        mnist_paths.train_to_the_epoch(recipe, run)
    keep(run, results, tmp_path, 0)
    saved = read_json(tmp_path / "0-results.json")
    assert saved.pop("trained_at_commits") == [str(read_json(run.manifest)["git_commit"])]
    assert saved == {
        "device": "cpu, 1 thread",
        "precision": "32-true",
        "noise": "fresh",
    }
    assert len(mnist_paths.usable(tmp_path, "cpu")[0].errors) == 1


def test_samples_of_two_generators(
    command: Command,
    digits_folder: Path,
    trained_run: Path,
    quick_recipe: Recipe,
    quiet: Console,
    tmp_path: Path,
) -> None:
    classifier = tmp_path / "other"
    train(replace(quick_recipe, seed=1, epochs=1), classifier, console=quiet)
    words = ["--data", digits_folder, "--count", 250, "--images", tmp_path]
    words += ["--feature-matching", trained_run, "--minibatch", trained_run]
    results = command(mnist_samples, *words, "--classifier", classifier)
    assert Counter(row["unit"] for row in results) == {
        "Inception score": 2,
        "precision": 2,
        "recall": 2,
    }
    for row in results:
        low, high = row["interval"]
        assert 0 <= low <= row["ours"] <= high
        assert (row["generator"]["seed"], row["classifier"]["seed"]) == (0, 1)
        assert row["generator"]["trained_at_commits"]
    for name in ("mnist-feature-matching.png", "mnist-minibatch-discrimination.png"):
        copied = (tmp_path / name).read_bytes()
        assert copied == (trained_run / "samples" / "epoch-0003.png").read_bytes()
    with pytest.raises(SystemExit, match="expected a run that trained neither generator"):
        command(mnist_samples, *words, "--classifier", trained_run)
    with pytest.raises(SystemExit, match="--images: expected a folder, got"):
        command(mnist_samples, *words, "--classifier", classifier, "--images", tmp_path / "none")


@pytest.fixture
def small_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe `digits` with small networks and one epoch."""
    recipe = PRESETS["digits"]
    assert isinstance(recipe.networks, MLPSettings)
    networks = replace(recipe.networks, hidden=(60, 40), generator_hidden=(40,))
    monkeypatch.setitem(PRESETS, "digits", replace(recipe, networks=networks, epochs=1))


def test_digits_with_two_kinds_of_noise(
    command: Command, small_digits: None, tmp_path: Path
) -> None:
    with_noise, papers_noise = command(digits, "--seeds", 3, "--runs", tmp_path / "runs")
    assert (with_noise["repeats"], papers_noise["repeats"]) == (3, 2)
    for row in (with_noise, papers_noise):
        assert row["ours"] == pytest.approx(sum(row["ours_by_seed"]) / row["repeats"])
        assert row["unit"] == "errors of 500"
    assert with_noise["ours_by_seed"][:2] != papers_noise["ours_by_seed"]


def test_junk_among_the_unlabelled(command: Command, small_digits: None, tmp_path: Path) -> None:
    (row,) = command(junk, "--seeds", 2, "--runs", tmp_path / "runs")
    assert (row["repeats"], len(row["baseline_by_seed"])) == (2, 2)
    sizes = [
        read_json(RunFolder(tmp_path / "runs" / name).manifest)["data"]["train_size"]
        for name in ("junk-0", "clean-0")
    ]
    assert sizes[0] == pytest.approx(sizes[1] / 0.8, abs=1)


def test_scores_of_mnist(
    command: Command, digits_folder: Path, small_mnist: Recipe, tmp_path: Path
) -> None:
    words = ("--data", digits_folder, "--epochs", 1, "--runs", tmp_path / "runs", "--threads", 1)
    (row,) = command(score_mnist, *words)
    assert row["sets"]["copies of one image"]["score"] == pytest.approx(1)
    assert row["ours"] == row["sets"]["real"]["score"] > row["peer"] > 1


def test_a_load_without_postgresql_has_a_row_of_sqlite(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise NoPostgreSQL("PostgreSQL is not on this machine")

    measured = study_load.Measured(seconds={"vote": [0.01, 0.02], "image": [0.01]})
    monkeypatch.setattr(study_load, "load", lambda database_url, **sizes: measured)
    monkeypatch.setattr(study_load, "postgres_server", missing)
    (row,) = command(study_load)
    assert row["setting"].endswith("SQLite")
    assert "PostgreSQL is not on this machine" in capsys.readouterr().out


def test_each_row_stands_below_its_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    row = partial(
        rows.row, device="d", precision="p", peer=1, peer_name="n", unit="u", repeats=1, ours=2
    )
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    rows.write_rows(
        "some",
        [
            row(claim="fast", setting="first"),
            row(claim="small", setting="second"),
            row(claim="fast", setting="third"),
        ],
    )
    table.print_tables([], Console(width=200))
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert [line[-1] if line[0] == "some:" else line[0] for line in lines] == [
        "fast", "setting", "first", "third", "small", "setting", "second",
    ]  # fmt: skip


def test_views_beside_those_of_another(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # kornia is installed for the measurement alone.
    monkeypatch.setattr(augmentation, "kornia_views", augmentation.our_views)
    monkeypatch.setattr(augmentation.torch, "set_num_threads", lambda count: None)
    results = command(augmentation, "--repeats", 1)
    assert [row["setting"].split(",")[0] for row in results] == [
        kind for kind, _ in augmentation.SETTINGS
    ]
    assert all(row["floor"] > 0 and 0 < row["ours"] < 10 and row["repeats"] == 1 for row in results)


def test_the_start_is_timed_to_the_end_of_the_first_step(tmp_path: Path) -> None:
    words = ["train", "digits", "--out", "run", "--hardware.accelerator", "cpu"]
    source = start_up.ROOT / "src"
    step_seconds = start_up.cpu_seconds(start_up.TO_THE_FIRST_STEP, words, source, tmp_path)
    torch_seconds = start_up.cpu_seconds(start_up.TO_TORCH, [], source, tmp_path)
    assert 0 < torch_seconds < step_seconds < 30
