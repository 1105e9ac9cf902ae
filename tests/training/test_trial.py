"""The duration of a step: measured on steps like those of the training, not at its start."""

import time
from dataclasses import replace

import pytest
import torch

from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.training import trial
from convergan.training.preparation import prepare


class Clock:
    """A clock that only `fit` moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("compile", "durations", "expected"),
    [
        (False, [30.0, 2.0, 1.0, 1.0, 2.0], 1.5),
        # A slow trial is ended early.
        (False, [30.0, 40.0], 40.0),
        (False, [1.0, 6.0, 6.0], 6.0),
        # Code is compiled and graphs are recorded in the first few steps.
        (True, [90.0, 20.0, 3.0, 2.0, 1.0, 1.0, 2.0, 2.0], 1.5),
    ],
)
def test_the_start_is_not_timed(
    compile: bool,
    durations: list[float],
    expected: float,
    quick_recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    elapsed = []

    def fit(device, recipe, data, *, observer, **_):
        for done, seconds in enumerate(durations, 1):
            clock.now += seconds
            elapsed.append(seconds)
            observer.steps_done(done, recipe.min_steps_per_epoch)

    monkeypatch.setattr(trial, "fit", fit)
    hardware = HardwareSettings(accelerator="cpu", compile=compile)
    recipe = replace(quick_recipe, hardware=hardware)
    data = prepare(recipe, None, processes=1).split.training
    assert trial.step_seconds(torch.device("cpu"), recipe, data) == pytest.approx(expected)
    assert elapsed == durations


def test_a_step_is_timed_when_its_device_has_done_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    # The device is given all steps at once, and takes two seconds for each.
    done = 0

    def synchronize(device: torch.device) -> None:
        clock.now = 2.0 * done

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    stopwatch = trial._Stopwatch(torch.device("cuda"), untimed=1, steps=4, patience_seconds=10)
    with pytest.raises(trial._Enough):
        for done in range(1, 9):
            stopwatch.steps_done(done, 100)
    assert (done, stopwatch.seconds) == (5, 2.0)
