"""A run folder belongs to one process at a time, and is left as the next one needs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.recipes.presets import PRESETS
from convergan.runs.checkpoints import save_checkpoint
from convergan.runs.claim import claimed
from convergan.runs.folder import RunFolder

RECIPE = PRESETS["digits"]

# What a killed process leaves: of this version (which holds no lock any more), of 0.1.0, of safetensors.
LEFTOVERS = (
    ".aside-abc-recipe.yaml",
    "checkpoints/.aside-xyz-step-000000001.safetensors",
    "checkpoints/.tmpAb3dE9",
    "model/.tmp000000",
    "samples/.aside-123-epoch-0001.png",
    "samples/.convergan-aside-abc/epoch-0001.png",
    "folds/1/.aside-q-metrics.jsonl",
    "folds/1/checkpoints/.tmpZZZZZZ",
    "folds/2/samples/.convergan-aside-def/epoch-0001.png",
)


def names(path: Path) -> list[str]:
    return sorted(str(entry.relative_to(path)) for entry in path.rglob("*"))


def test_another_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with claimed(folder, resume=False):
        folder.begin(RECIPE, resume=False)
        with (
            pytest.raises(
                UserError,
                match=rf"^{folder.path}: expected a run that no other process is training, got one "
                rf"that is being trained by process {os.getpid()} on .+$",
            ),
            claimed(RunFolder(tmp_path / "run"), resume=True),
        ):
            pass
        save_checkpoint(folder.checkpoints, 0, {})
    with claimed(folder, resume=True):
        pass
    assert names(folder.path) == [
        "checkpoints",
        "checkpoints/step-000000000.safetensors",
        "recipe.yaml",
    ]


_HOLDER = """
import os, sys, time
from pathlib import Path
from convergan.runs.claim import claimed
from convergan.runs.folder import RunFolder
with claimed(RunFolder(Path(sys.argv[1])), resume=True):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""


def test_death_gives_it_up_whoever_else_was_forked(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path / "run")]
    holder = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        folder = RunFolder(tmp_path / "run")
        with (
            pytest.raises(UserError, match=f"by process {holder.pid} on"),
            claimed(folder, resume=True),
        ):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        os.killpg(holder.pid, 0)  # Its child lives.
        with claimed(folder, resume=False):
            pass
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
    assert not folder.path.exists() or names(folder.path) == []


def test_leftovers_of_every_folder_go(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECIPE, resume=False)
    for name in LEFTOVERS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("half")
    notes = tmp_path / "checkpoints" / ".tmp-notes.txt"
    notes.write_text("of the user")
    with claimed(folder, resume=True):
        files = [name for name in names(tmp_path) if (tmp_path / name).is_file()]
        assert files == [".lock", "checkpoints/.tmp-notes.txt", "recipe.yaml"]
        assert list(tmp_path.rglob(".convergan-aside-*")) == []


def test_what_was_never_trained_goes_away_again(tmp_path: Path) -> None:
    """Folders made for the run go too; those of the user stay, with what is in them."""
    (tmp_path / "mine").mkdir()
    for path, stays in (
        (tmp_path / "new" / "run", tmp_path),
        (tmp_path / "mine", tmp_path / "mine"),
        (tmp_path / "mine" / "run", tmp_path / "mine"),
    ):
        folder = RunFolder(path)
        with pytest.raises(OSError), claimed(folder, resume=False):
            folder.begin(RECIPE, resume=False)
            folder.manifest.write_text("{}")
            folder.checkpoints.mkdir()
            (folder.folds / "1" / "checkpoints").mkdir(parents=True)
            raise OSError("the disk is full")
        assert stays.exists() and not folder.recipe.exists()
        assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]
        assert names(tmp_path / "mine") == []


def test_what_was_trained_or_begun_before_stays(tmp_path: Path) -> None:
    trained, begun = RunFolder(tmp_path / "trained"), RunFolder(tmp_path / "begun")
    with pytest.raises(OSError), claimed(trained, resume=False):
        trained.begin(RECIPE, resume=False)
        save_checkpoint(trained.fold(1).checkpoints, 0, {})
        raise OSError
    assert trained.recipe.exists()
    begun.begin(RECIPE, resume=False)
    with pytest.raises(OSError), claimed(begun, resume=True):
        raise OSError
    assert begun.recipe.exists()


def test_a_lock_that_was_left_makes_no_folder_a_used_one(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("process 1 on a machine that is gone")
    with claimed(RunFolder(tmp_path), resume=False):
        pass
    (tmp_path / "thesis.tex").write_text("mine")
    with (
        pytest.raises(UserError, match="with other content"),
        claimed(RunFolder(tmp_path), resume=True),
    ):
        pass


def test_a_finished_run_is_not_claimed(tmp_path: Path) -> None:
    """A finished run may lie where nothing can be written."""
    folder = RunFolder(tmp_path)
    folder.begin(RECIPE, resume=False)
    folder.results.write_text("{}")
    with claimed(folder, resume=True), claimed(folder, resume=True):
        assert names(tmp_path) == ["recipe.yaml", "results.json"]


def test_the_lock_outlives_a_release_beside_a_waiter(tmp_path: Path) -> None:
    """Two processes enter again and again, never both at once. An empty folder may stay."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from convergan.errors import UserError\n"
        "from convergan.runs.claim import claimed\n"
        "from convergan.runs.folder import RunFolder\n"
        "inside = Path(sys.argv[1]) / 'inside'\n"
        # Of the processor's time, so that on a busy machine they enter as often.
        "end = time.process_time() + 0.1\n"
        "entered = 0\n"
        "while time.process_time() < end:\n"
        "    try:\n"
        "        with claimed(RunFolder(Path(sys.argv[1]) / 'run'), resume=True):\n"
        "            inside.touch(exist_ok=False)\n"
        "            inside.unlink()\n"
        "            entered += 1\n"
        "    except UserError:\n"
        "        pass\n"
        "print(entered)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=240) for process in processes]
    assert all(process.returncode == 0 for process in processes), ended
    assert sum(int(out) for out, _ in ended) > 10
    assert names(tmp_path) in ([], ["run"])
