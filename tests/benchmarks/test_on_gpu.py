"""The command for a machine with a GPU, at a small scale on the CPU: its stages, records and processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import on_gpu
from convergan.cli import main as convergan
from convergan.json_files import read_json, write_json
from harness import epochs_in_turn, limited_process, rows
from harness.limited_process import Outcome, run
from parquet_images import write_parquet

Call = Callable[..., int]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command at a small scale on the CPU and return its exit code; the results are in `out`."""
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCHMARK_RESULTS", "")
    monkeypatch.setattr(rows, "RESULTS", rows.RESULTS)
    monkeypatch.setattr(epochs_in_turn, "WORKERS", (0,))

    def command(*words: object, minutes: float = 10) -> int:
        places = ["--out", tmp_path / "out", "--work", tmp_path / "work"]
        argv = ["on_gpu.py", "--minutes", minutes, "--device", "cpu", "--small", *places, *words]
        monkeypatch.setattr(sys, "argv", [str(word) for word in argv])
        try:
            on_gpu.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return command


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A few random images, stored as the hub stores CIFAR-10."""
    folder = tmp_path / "cifar10-random"
    folder.mkdir()
    for split, count in (("train", 200), ("test", 20)):
        pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        file = folder / f"{split}-00000-of-00001.parquet"
        write_parquet(file, pixels, np.arange(count) % 10, "img")
    return folder


def run_here(words: list[str], log: Path, *, seconds: float, look: Callable[[], object]) -> Outcome:
    """Run a command like `run`, but not in another process, which takes seconds to start."""
    argv, code = sys.argv, 0
    with log.open("w", encoding="utf-8") as output, redirect_stdout(output):
        try:
            if words[:2] == ["-m", "convergan"]:
                code = convergan(words[2:])
            else:
                sys.argv = words
                import_module(Path(words[0]).stem).main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = argv
    return Outcome("failed" if code else "done", 1.0, log.read_text(encoding="utf-8"))


def outcomes(folder: Path) -> dict[str, str]:
    stages = read_json(folder / "out" / "on-gpu.json")["stages"]
    return {stage["name"]: stage["outcome"] for stage in stages}


def test_the_command_runs_on_a_cpu_as_on_a_gpu(
    call: Call,
    images: Path,
    in_this_process: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(on_gpu, "run", run_here)
    monkeypatch.setattr(on_gpu.Session, "epochs_in", lambda self, seconds, epoch_seconds: 2)
    stages = ["kernels", "cifar10-step", "cifar10-epoch", "mnist-epoch", "cifar10-training"]
    assert call("--cifar10", images, "--stages", *stages) == 0
    assert outcomes(tmp_path) == {name: "done" for name in stages} | {"mnist-epoch": "left out"}
    results = {path.stem: read_json(path) for path in (tmp_path / "out").iterdir()}
    assert results.keys() == {"on-gpu", *stages} - {"mnist-epoch"}
    assert all(row["within"] for row in results["kernels"])
    (training,) = results["cifar10-training"]
    assert "cifar10 (cifar10-random), 20 labels" in training["setting"]
    assert (training["epochs_done"], training["epochs"], training["finished"]) == (2, 2, True)
    assert training["ours"] == training["error_rate_by_epoch"][-1]
    output = capsys.readouterr().out
    assert "left out" in output and "epoch 2 of 2" in output and "x the floor" in output
    assert max(map(len, output.splitlines())) <= 80

    # A second call continues the same run.
    assert call("--cifar10", images, "--stages", "cifar10-training", "--dry-run") == 0
    assert "--resume" in capsys.readouterr().out


@pytest.mark.slow
def test_a_training_that_ran_out_of_time_goes_on(
    call: Call, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TimeIsUp(Exception):
        pass

    def until_an_epoch(
        words: list[str], log: Path, *, look: Callable[..., object], **_: Any
    ) -> Outcome:
        def watch() -> None:
            look()
            if (tmp_path / "work" / "cifar10" / "metrics.jsonl").exists():
                raise TimeIsUp

        with pytest.raises(TimeIsUp):
            run(words, log, seconds=600, look=watch)
        return Outcome("out of time", 1.0, log.read_text(encoding="utf-8"))

    monkeypatch.setattr(limited_process, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(on_gpu.Session, "epochs_in", lambda self, seconds, epoch_seconds: 40)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cifar10-epoch.json").write_text('[{"ours": 1}]')
    words = ("--cifar10", images, "--stages", "cifar10-training")
    monkeypatch.setattr(on_gpu, "run", until_an_epoch)
    assert call(*words) == 1
    assert outcomes(tmp_path) == {"cifar10-training": "out of time"}
    (first,) = read_json(tmp_path / "out" / "cifar10-training.json")
    done = first["epochs_done"]
    assert 0 < done < first["epochs"] == 40 and not first["finished"]
    monkeypatch.setattr(on_gpu, "run", run)
    assert call(*words) == 0
    (resumed,) = read_json(tmp_path / "out" / "cifar10-training.json")
    assert (resumed["epochs_done"], resumed["finished"]) == (40, True)
    assert resumed["error_rate_by_epoch"][:done] == first["error_rate_by_epoch"]


def test_processes_end_when_they_are_to(tmp_path: Path) -> None:
    def outcome(code: str, seconds: float = 30) -> Outcome:
        return run(["-c", code], tmp_path / "log", seconds=seconds, look=lambda: looks.append(1))

    looks: list[int] = []
    done = outcome("import convergan; print('so')")
    assert (done.word, done.output) == ("done", "so\n")
    failed = outcome("raise SystemExit('as it is')")
    assert (failed.word, failed.output) == ("failed", "as it is\n")
    # A process that prints something when it is told to end, and leaves another one behind.
    late = outcome(
        "import signal, subprocess, sys, time\n"
        "left = subprocess.Popen(['sleep', '60'])\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('checkpoint')))\n"
        "print(left.pid)\n"
        "time.sleep(60)\n",
        seconds=1.0,
    )
    pid, word = late.output.split()
    assert (late.word, word) == ("out of time", "checkpoint") and late.seconds < 10
    assert is_gone(int(pid))
    assert looks


def is_gone(pid: int) -> bool:
    """Return whether a process ends within two seconds, be it as a zombie."""
    for _ in range(100):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return True
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_after_one_that_failed_comes_the_next(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = {"kernels": "raise SystemExit('no kernel image')", "mnist-step": "print('fine')"}
    monkeypatch.setattr(
        on_gpu.Session, "words", lambda self, stage: ["-c", words.get(stage.name, "pass")]
    )
    assert call("--stages", "kernels", "mnist-step") == 1
    assert outcomes(tmp_path) == {"kernels": "failed", "mnist-step": "done"}
    kernels, _ = read_json(tmp_path / "out" / "on-gpu.json")["stages"]
    assert kernels["output"] == "no kernel image"
    assert "no kernel image" in capsys.readouterr().out
    # A stage for which there is no time left is not begun; those of an earlier call stay recorded.
    assert call("--stages", "mnist-step", minutes=1e-9) == 1
    assert outcomes(tmp_path) == {"kernels": "failed", "mnist-step": "left out"}


def test_the_plan_is_printed(call: Call, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--dry-run", "--cifar10", images, minutes=20) == 0
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 80
    assert "left out mnist-epoch: --mnist names no images" in output
    # Two of 18 shares; and at the end there is time to write a checkpoint.
    assert output.splitlines()[1].split() == ["2:13", "tests"]
    assert "19:40  cifar10-training" in output
    for words in (["--cifar10", "nowhere"], ["--minutes", "0"], ["--stages", "none"]):
        assert call("--dry-run", *words) == 2


def test_the_quicker_way_is_taken_for_as_many_epochs_as_fit(
    call: Call, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    stages = ("--stages", "cifar10-epoch", "cifar10-training")
    for quicker in (False, True):
        steps = [{"compiled": way, "ours": 1.0 + (way != quicker)} for way in (False, True)]
        write_json(out / "cifar10-step.json", steps)
        write_json(out / f"cifar10-epoch{'-compiled' if quicker else ''}.json", [{"ours": 2.0}])
        assert call("--dry-run", "--cifar10", images, *stages) == 0
        words = capsys.readouterr().out.split()
        assert words[words.index("--compile") + 1] == ("on" if quicker else "off")
        assert ("--hardware.compile" in words) == quicker
        # Some of the ten minutes are for the start, with compilation, and the end.
        limit = int(0.95 * (600 - (80 if quicker else 50)) / 2.0)
        epochs = int(words[words.index("--epochs", words.index("train")) + 1])
        assert limit - 7 <= epochs <= limit
    # Without an epoch that was measured, the training measures its steps itself.
    for path in out.glob("cifar10-epoch*"):
        path.unlink()
    assert call("--dry-run", "--cifar10", images, *stages) == 0
    words = capsys.readouterr().out.split()
    minutes = float(words[words.index("--minutes", words.index("train")) + 1])
    assert minutes == pytest.approx((600 - 80) / 60, abs=0.1)


@pytest.mark.slow
def test_all_stages_in_processes_of_their_own(tmp_path: Path, images: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, on_gpu.__file__, "--minutes", "20", "--device", "cpu", "--small"),
            *("--cifar10", images, "--out", tmp_path / "out", "--work", tmp_path / "work"),
        ],
        env={**os.environ, "CONVERGAN_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    results: dict[str, Any] = outcomes(tmp_path)
    assert results.pop("mnist-epoch") == "left out"
    assert set(results.values()) == {"done"}, done.stdout
