"""The modules that a training loads before its first step, and those that it leaves until it needs them."""

import json
import subprocess
import sys
from pathlib import Path

HEAVY = (
    "lightning", "lightning_fabric", "torchmetrics", "tensorboard", "torch.utils.tensorboard",
    "scipy.stats", "scipy.signal", "matplotlib", "jinja2", "sklearn", "pandas", "pyarrow",
    "datasets", "huggingface_hub", "fastapi", "sqlalchemy",
)  # fmt: skip
"""Modules that take from a tenth of a second to two seconds, and that no step needs."""

TRAIN = """
import json, sys
from convergan import cli
from convergan.training.recorder import Recorder

done_before = Recorder.steps_done
def steps_done(self, done, of):
    done_before(self, done, of)
    if done == 1:
        print("loaded", json.dumps(sorted(sys.modules)))

Recorder.steps_done = steps_done
sys.exit(cli.main(sys.argv[1:]))
"""


def test_nothing_heavy_is_loaded_before_the_first_step(tmp_path: Path) -> None:
    words = (
        "train", "digits", "--out", str(tmp_path / "run"), "--epochs", "1",
        "--min-steps-per-epoch", "1", "--labels", "10", "--networks.hidden", "8",
        "--networks.generator-hidden", "8", "--hardware.accelerator", "cpu",
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, *words], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("loaded "))
    loaded = set(json.loads(line.removeprefix("loaded ")))
    assert {"torch", "numpy", "convergan.training.loop"} <= loaded
    assert sorted(loaded & set(HEAVY)) == []
    # The end of the run has loaded what it needs.
    assert (tmp_path / "run" / "report.html").exists()
