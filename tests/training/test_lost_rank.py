"""A rank that is killed: the others end with a message, and the run goes on as if nothing had happened."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from convergan.runs.metrics import read_metrics
from support import equal_states

WORDS = (
    *("train", "digits", "--labels", "30", "--epochs", "6", "--min-steps-per-epoch", "20"),
    *("--networks.hidden", "20", "10", "--networks.generator-hidden", "10"),
    *("--networks.latent-size", "5", "--networks.minibatch-kernels", "4"),
    *("--hardware.accelerator", "cpu", "--hardware.threads", "1"),
    *("--checkpoint-every-seconds", "0", "--out", "run"),
)
EPOCHS = 6


def started(nodes: list[Path], *words: str) -> list[subprocess.Popen[str]]:
    """Two ranks: of one command, or of a torchrun on each of two nodes that share no folder."""
    if len(nodes) == 1:
        commands = [["-m", "convergan", *WORDS, "--hardware.devices", "2"]]
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        commands = [
            [
                *("-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(node)),
                *("--nproc-per-node", "1", "--master-addr", "127.0.0.1"),
                *("--master-port", str(port), "-m", "convergan", *WORDS),
            ]
            for node in range(2)
        ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    return [
        subprocess.Popen(
            [sys.executable, *command, *words],
            cwd=node,
            env={**environment, "CONVERGAN_CACHE": str(node / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command, node in zip(commands, nodes, strict=True)
    ]


def ended(processes: list[subprocess.Popen[str]]) -> tuple[list[int], str]:
    """Exit codes, and all that went to the standard errors."""
    errors = [process.communicate(timeout=300)[1] for process in processes]
    return [process.returncode for process in processes], "".join(errors)


def children(pid: int) -> list[int]:
    return [
        int(child)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


def is_there(pid: int) -> bool:
    """True if a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_for(condition: str, path: Path, processes: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + 300
    while not any(path.glob(condition)):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), ended(processes)
        time.sleep(0.02)


@pytest.fixture(scope="module")
def unbroken_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two ranks that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    codes, errors = ended(started([folder]))
    assert codes == [0], errors
    return folder / "run"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")
@pytest.mark.xdist_group("lost ranks")
@pytest.mark.parametrize("names", [["one"], ["first", "second"]])
def test_a_run_goes_on_from_where_a_rank_was_lost(
    names: list[str], unbroken_run: Path, tmp_path: Path
) -> None:
    nodes = [tmp_path / name for name in names]
    for node in nodes:
        node.mkdir()
    run = nodes[0] / "run"
    processes = started(nodes)
    # The checkpoint of step 0 saves little.
    wait_for("step-*[1-9]*.safetensors", run / "checkpoints", processes)
    workers = [child for process in processes for child in children(process.pid)]
    os.kill(workers[-1], signal.SIGKILL)
    codes, errors = ended(processes)
    assert 0 not in codes
    assert "--resume continues from the last checkpoint" in errors
    # torchrun has a traceback of its own.
    assert os.path.join("convergan", "training", "") not in errors, errors
    deadline = time.monotonic() + 60
    while any(map(is_there, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (run / "results.json").exists()

    codes, errors = ended(started(nodes, "--resume"))
    assert set(codes) == {0}, errors
    for name in ("classifier", "generator"):
        files = [folder / "model" / f"{name}.safetensors" for folder in (unbroken_run, run)]
        assert equal_states(load_file(files[0]), load_file(files[1])), name
    assert len(read_metrics(run / "metrics.jsonl")) == EPOCHS
    # Rank 0 alone writes, on whatever disk it has.
    assert [path.name for path in nodes[-1].iterdir() if path.name != "cache"] == (
        ["run"] if len(nodes) == 1 else []
    )
