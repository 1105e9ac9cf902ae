"""Compares the weights that this working tree trains with those of an earlier commit, to the last bit.

    python tests/same_weights.py COMMIT [--only NAME ...] [--record FILE]

Each recipe takes 20 steps at reduced width, straight through and stopped and resumed on the way, by both
versions of the code on this machine: another CPU has other last digits. Prints a line for each training; the
exit code is 1 where a weight or an error differs. `--record` writes the SHA-256 of all weights as JSON.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent

COMMON = (
    *("--batch-size", "10", "--labels", "30", "--epochs", "2", "--min-steps-per-epoch", "10"),
    *("--hardware.accelerator", "cpu", "--hardware.threads", "1", "--hardware.precision", "fp32"),
)
MLP = (
    *("--networks.hidden", "40", "30", "--networks.generator-hidden", "30"),
    *("--networks.latent-size", "20"),
)
CONV = ("--networks.width", "6", "--networks.generator-width", "16", "--networks.latent-size", "10")
IMAGENET = (
    *(
        "--networks.width",
        "4",
        "--networks.dense-multiple",
        "4",
        "--networks.generator-width",
        "16",
    ),
    *("--networks.latent-size", "16", "--networks.noise-maps", "2", "2", "2", "1", "1", "1"),
    *("--networks.reference-size", "8", "--networks.minibatch-kernels", "6"),
    *("--networks.minibatch-kernel-size", "4"),
)
DIGITS = ("digits", *MLP)
MNIST = ("mnist", "--data.path", "28x28x1", "--data.source", "folder", *MLP)
CIFAR10 = ("cifar10", "--data.path", "32x32x3", "--data.source", "folder", *CONV)
# All labelled, as one real batch serves both purposes there.
IMAGENET_FOLDER = (
    *("imagenet", "--data.path", "64x64x3", "--data.source", "folder", "--labels", "90"),
    *IMAGENET,
)
KERNELS = ("--networks.minibatch-kernels", "6", "--networks.minibatch-kernel-size", "3")

TRAININGS: dict[str, tuple[str, ...]] = {
    "digits": DIGITS,
    "digits-bf16": (*DIGITS, "--hardware.precision", "bf16"),
    "digits-history": (*DIGITS, "--objective.historical-averaging", "0.5"),
    "digits-smoothed": (
        *(*DIGITS, "--objective.positive-target", "0.9"),
        *("--objective.generator", "non-saturating", "--objective.unsupervised-weight", "1"),
    ),
    "digits-minibatch": (*DIGITS, *KERNELS, "--objective.generator", "minimax"),
    "digits-target": (
        *(*DIGITS, "--objective.generator", "target", "--objective.generator-target", "0.4"),
        *("--objective.generator-steps", "2", "--data.validation-share", "0.3"),
    ),
    "digits-unlabelled": (*DIGITS, "--objective.discriminator", "binary"),
    "digits-two-processes": (*DIGITS, "--hardware.devices", "2"),
    "digits-one-player": (*DIGITS, "--no-baseline", "--objective.feature-distance", "absolute"),
    "mnist": MNIST,
    "cifar10": CIFAR10,
    "cifar10-minibatch": (*CIFAR10, *KERNELS, "--objective.generator", "minimax"),
    "imagenet": IMAGENET_FOLDER,
    "imagenet-labels": (*IMAGENET_FOLDER, "--objective.discriminator", "semi-supervised"),
    # Last, as some earlier commits do not have these.
    "mnist-paper": ("mnist-paper", *MNIST[1:]),
    "cifar10-samples": (
        "cifar10-samples",
        *CIFAR10[1:],
        *KERNELS,
        "--networks.reference-size",
        "8",
    ),
}
"""Words of the command line by the name of the training; a later option replaces an earlier one."""


def main() -> int:
    """Train by both versions and compares; give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("commit")
    parser.add_argument("--only", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    differing, record = 0, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = subprocess.run(
            ["git", "archive", arguments.commit, "src"], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        write_images(folder)
        for training in arguments.only:
            earlier = values(run(folder, folder / "src", training, "before"))
            current = values(run(folder, ROOT / "src", training, "after"))
            resumed = values(run(folder, ROOT / "src", training, "resumed", stop=True))
            record[training] = earlier["weights"]
            for kind, trained in (("trained", current), ("resumed", resumed)):
                difference = first_difference(earlier, trained)
                differing += difference is not None
                print(f"{training}, {kind}: {difference or 'equal'}", flush=True)
    if arguments.record:
        arguments.record.write_text(json.dumps(record, indent=2) + "\n")
    return 1 if differing else 0


def write_images(folder: Path) -> None:
    """Write folders of images in three classes and a test set; noise around a level of the class."""
    generator = np.random.default_rng(0)
    for height, width, channels in ((28, 28, 1), (32, 32, 3), (64, 64, 3)):
        for part, count in (("", 30), ("unlabelled", 30 if height < 64 else 0), ("test", 5)):
            for label in range(1 if part == "unlabelled" else 3):
                parts = (part,) if part == "unlabelled" else (part, "abc"[label])
                place = folder.joinpath(f"{height}x{width}x{channels}", *parts)
                place.mkdir(parents=True, exist_ok=True)
                for number in range(count):
                    level = 60 + 60 * label + generator.normal(0, 40, (height, width, channels))
                    pixels = level.clip(0, 255).astype(np.uint8)
                    image = Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels)
                    image.save(place / f"{number}.png")


def run(folder: Path, source: Path, training: str, name: str, *, stop: bool = False) -> Path:
    """Train in a process of its own; with `stop`, ends it after three steps or more and resumes it.

    Returns:
        The run folder.
    """
    out = folder / training / name
    recipe, *options = TRAININGS[training]
    words = [sys.executable, "-m", "convergan.cli", "train", recipe, *COMMON, *options]
    words += ["--out", str(out), "--checkpoint-every-seconds", "0"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "CONVERGAN_CACHE": str(folder / f"cache-{name}"),
        "OMP_NUM_THREADS": "1",
    }
    common: dict[str, Any] = {
        "cwd": folder,
        "env": environment,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.PIPE,
    }
    if stop:
        process = subprocess.Popen(words, **common)
        while process.poll() is None and not _steps_done(out) >= 3:
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        if _steps_done(out) >= 20:
            print(f"{training}: ended before it could be stopped", flush=True)
        words.append("--resume")
    finished = subprocess.run(words, **common)
    if finished.returncode:
        raise SystemExit(f"{training}, {name}: {finished.stderr.decode()}")
    return out


def _steps_done(out: Path) -> int:
    steps = [int(path.stem.split("-")[1]) for path in out.glob("checkpoints/step-*.safetensors")]
    return max(steps, default=0)


def values(out: Path) -> dict[str, Any]:
    """The weights of a run, each as its SHA-256, and its errors by epoch."""
    weights = {
        f"{path.stem}.{name}": _sha256(tensor)
        for path in sorted((out / "model").glob("*.safetensors"))
        for name, tensor in sorted(load_file(path).items())
    }
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    errors = [
        {name: value for name, value in line.items() if "errors" in name or "score" in name}
        for line in lines
    ]
    return {"weights": weights, "errors": errors}


def _sha256(tensor: torch.Tensor) -> str:
    content = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(content).hexdigest()


def first_difference(earlier: dict[str, Any], later: dict[str, Any]) -> str | None:
    """A description of the first value that differs; None where all are equal."""
    if earlier["weights"].keys() != later["weights"].keys():
        return f"other weights: {sorted(earlier['weights'].keys() ^ later['weights'].keys())}"
    for name, value in earlier["weights"].items():
        if later["weights"][name] != value:
            return f"{name} differs"
    for number, (errors, later_errors) in enumerate(
        zip(earlier["errors"], later["errors"], strict=True)
    ):
        if errors != later_errors:
            return f"epoch {number + 1}: {errors} became {later_errors}"
    return None


if __name__ == "__main__":
    sys.exit(main())
