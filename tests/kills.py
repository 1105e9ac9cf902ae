"""Kills trainings at random moments, resumes them, and compares them with uninterrupted ones.

    python tests/kills.py KILLS FOLDER [SEED]

Prints how many processes were killed, at which stages, and how many finished runs were equal.
Ends with an exception if one is not, or if files are left over.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from safetensors.torch import load_file

from convergan.data.digits import open_digits
from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.recipes.networks import MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import OptimizerSettings, Recipe
from convergan.runs.metrics import read_metrics
from convergan.training.run import RunOptions, train
from support import equal_states

RECIPE = replace(
    PRESETS["digits"],
    epochs=3,
    optimizer=OptimizerSettings(),
    networks=MLPSettings(hidden=(60, 40), generator_hidden=(40,), latent_size=20),
    data=replace(PRESETS["digits"].data, validation_share=0.2),
)
TIMES = ("train_seconds", "seconds_per_epoch")


def digits_without_test() -> DataSet:
    """Digits without a test set, whose error is estimated by cross-validation: a run of five trainings."""
    train_set = open_digits().train
    return data_set_from_arrays(train_set.images[:600], train_set.labels[:600])


def members_of(way: Literal["apart", "together"]) -> Recipe:
    """An ensemble whose members train, and are killed, one after the other or all at once."""
    return replace(RECIPE, epochs=2, members=3, hardware=replace(RECIPE.hardware, members=way))


CASES: dict[str, tuple[Recipe, Callable[[], DataSet | None]]] = {
    "a test set": (RECIPE, lambda: None),
    "four folds": (replace(RECIPE, epochs=2), digits_without_test),
    "members apart": (members_of("apart"), lambda: None),
    "members together": (members_of("together"), lambda: None),
}


def start(recipe: Recipe, data: DataSet | None, out: Path) -> int:
    """Start or resumes a training in another process; return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        options = RunOptions(resume=True, checkpoint_every_seconds=0)
        train(recipe, out, data=data, options=options, console=Console(quiet=True))
        code = 0
    finally:
        os._exit(code)


def values(run: Path) -> dict[str, Any]:
    """Results, metrics, weights and samples of a run, without its times."""
    return {
        "results": {
            str(path.relative_to(run)): {
                key: value
                for key, value in json.loads(path.read_text()).items()
                if key not in TIMES
            }
            for path in sorted(run.rglob("results.json"))
        },
        "metrics": {
            str(path.relative_to(run)): [
                {key: value for key, value in line.as_json().items() if key not in TIMES}
                for line in read_metrics(path)
            ]
            for path in sorted(run.rglob("metrics.jsonl"))
        },
        "weights": {
            str(path.relative_to(run)): load_file(path)
            for path in sorted(run.rglob("model/*.safetensors"))
        },
        "samples": {
            str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("samples/*"))
        },
    }


def files(run: Path) -> list[str]:
    return sorted(str(path.relative_to(run)) for path in run.rglob("*"))


def stage(run: Path) -> str:
    """Stage that a run has reached."""
    if (run / "results.json").exists():
        return "after its end"
    if (run / "model").exists():
        return "while it wrote its results"
    if any(run.rglob("step-*.safetensors")):
        return "while it trained"
    return "before its first checkpoint"


def kill_and_resume(kills: int, folder: Path, seed: int) -> Counter[str]:
    """Kill processes in runs of all kinds in turn, and resume each run until it is finished."""
    chance, counts = random.Random(seed), Counter[str]()
    references: dict[str, tuple[Path, float]] = {}
    for name, (recipe, data) in CASES.items():
        reference, begun = folder / f"whole, {name}", time.monotonic()
        assert os.waitpid(start(recipe, data(), reference), 0)[1] == 0
        references[name] = reference, time.monotonic() - begun
    while counts["killed"] < kills:
        name = list(CASES)[counts["finished"] % len(CASES)]
        recipe, data = CASES[name]
        reference, seconds = references[name]
        run = folder / "killed"
        images = data()
        while True:
            process = start(recipe, images, run)
            if counts["killed"] < kills:
                time.sleep(chance.uniform(0, 0.8 * seconds))
            else:
                os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
            os.kill(process, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            if status == 0:
                break
            assert status == -signal.SIGKILL, f"a resumed run ended with {status}"
            counts["killed"] += 1
            counts[stage(run)] += 1
            counts["leftovers found"] += sum("aside" in path for path in files(run))
        counts["finished"] += 1
        assert files(run) == files(reference), set(files(run)) ^ set(files(reference))
        assert equal_states(values(run), values(reference)), f"{run} differs from {reference}"
        counts["equal"] += 1
        shutil.rmtree(run)
    return counts


if __name__ == "__main__":
    torch.set_num_threads(1)
    begun = time.monotonic()
    totals = kill_and_resume(int(sys.argv[1]), Path(sys.argv[2]), int(*sys.argv[3:4] or [0]))
    print(json.dumps({**totals, "seconds": round(time.monotonic() - begun)}))
