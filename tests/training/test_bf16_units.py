"""Runs on a CPU that has units for bf16, and on one that has none: `precision: auto` on both."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from convergan.json_files import read_json
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.training import trainer
from convergan.training.computation import resolved_precision
from convergan.training.recorder import Recorder
from convergan.training.run import RunOptions, train
from support import equal_states


def test_processes_find_what_the_tests_want_found(bf16_units: bool) -> None:
    expected = "bf16-mixed" if bf16_units else "32-true"
    assert resolved_precision(HardwareSettings(), torch.device("cpu")) == expected
    code = (
        "import torch; from convergan.training.computation import resolved_precision;"
        "from convergan.recipes.settings import HardwareSettings;"
        "print(resolved_precision(HardwareSettings(), torch.device('cpu')))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == expected


class Killed(Exception):
    """A stand-in for a signal that nobody can catch."""


def test_a_run_says_what_it_computed_in_and_resumes_bit_for_bit(
    bf16_units: bool,
    quick_recipe: Recipe,
    quiet: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = replace(quick_recipe, epochs=2)
    train(recipe, tmp_path / "whole", console=quiet)

    class UpToStep20(Recorder):
        steps = 0

        def steps_done(self, done: int, total: int) -> None:
            super().steps_done(done, total)
            UpToStep20.steps += 1
            if UpToStep20.steps == 20:
                raise Killed

    options = RunOptions(resume=True, checkpoint_every_seconds=0)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(trainer, "Recorder", UpToStep20)
        train(recipe, tmp_path / "parts", options=options, console=quiet)
    train(recipe, tmp_path / "parts", options=options, console=quiet)
    for name in ("classifier", "generator"):
        first, second = (
            load_file(tmp_path / run / "model" / f"{name}.safetensors")
            for run in ("whole", "parts")
        )
        assert equal_states(first, second)
    manifest = read_json(tmp_path / "whole" / "manifest.json")
    results = read_json(tmp_path / "whole" / "results.json")
    expected = "bf16-mixed" if bf16_units else "32-true"
    assert manifest["precision"] == results["precision"] == expected
    assert manifest["precision_of_terms"]["generator"] == "fp32"
