"""Claim: a training begins with fewer CPU seconds of start than under Lightning Fabric.

    python benchmarks/start_up.py [--repeats 10]

Ours and the peer are `convergan train digits` on one thread, from the start of Python to the end of the
first step, in processes of their own and in turn. The peer is the last commit with Fabric, which must be
installed: `pip install lightning-fabric==2.6.6`. The floor is `import torch`.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from harness import ROOT
from harness.command_line import command_parser
from harness.measure import Seconds, interleaved_times, medians
from harness.rows import timing, write_rows

PEER = "b4354fd"
"""Commit of the peer."""

TO_THE_FIRST_STEP = """
import sys, time
from convergan import cli
from convergan.training.recorder import Recorder

def steps_done(self, done, of):
    print("CPU seconds", time.process_time(), flush=True)
    sys.exit(0)

Recorder.steps_done = steps_done
cli.main(sys.argv[1:])
"""

TO_THE_LAST_IMPORT = """
import time
from convergan import cli
from convergan.training import run
# Loaded before the first step, by what counts the memory of one.
import torch._dynamo
print("CPU seconds", time.process_time())
"""

TO_TORCH = "import time, torch; print('CPU seconds', time.process_time())"


def cpu_seconds(code: str, words: list[str], source: Path, cache: Path) -> Seconds:
    """CPU seconds of a process up to the place where its code prints them."""
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(source),
                "OMP_NUM_THREADS": "1",
                "CONVERGAN_CACHE": str(cache),
            },
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    return Seconds(out.rpartition("CPU seconds ")[2])


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    words = ["train", "digits", "--out", "run", "--hardware.accelerator", "cpu"]
    with tempfile.TemporaryDirectory() as temporary:
        peer, cache = Path(temporary, "peer"), Path(temporary, "cache")
        peer.mkdir()
        archive = subprocess.run(
            ["git", "archive", PEER, "src"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", peer], input=archive.stdout, check=True)
        tasks = {
            "ours": partial(cpu_seconds, TO_THE_FIRST_STEP, words, ROOT / "src", cache),
            "peer": partial(cpu_seconds, TO_THE_FIRST_STEP, words, peer / "src", cache),
            "imports": partial(cpu_seconds, TO_THE_LAST_IMPORT, [], ROOT / "src", cache),
            "peer's imports": partial(cpu_seconds, TO_THE_LAST_IMPORT, [], peer / "src", cache),
            "torch": partial(cpu_seconds, TO_TORCH, [], ROOT / "src", cache),
        }
        times = interleaved_times(tasks, repeats=arguments.repeats, warm_up=1)
    seconds, rows = medians(times), []
    for setting, own_task, peer_task in (
        ("digits, from the start of Python to the end of the first step", "ours", "peer"),
        ("imports of a training", "imports", "peer's imports"),
    ):
        setting_times = {"ours": times[own_task], "peer": times[peer_task]}
        rows.append(
            timing(
                claim="a training begins with fewer CPU seconds than under Lightning Fabric",
                setting=setting,
                device="cpu, 1 thread",
                precision="32-true",
                times=setting_times,
                peer="peer",
                peer_name=f"Lightning Fabric, commit {PEER}",
                floor=seconds["torch"],
                unit="CPU seconds",
                repeats=arguments.repeats,
            )
        )
        print(setting, rows[-1]["ours"], rows[-1]["peer"], rows[-1]["floor"])
    print(write_rows("start-up", rows))


if __name__ == "__main__":
    main()
