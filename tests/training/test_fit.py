"""`fit` in memory: no run folder, no terminal, images of whole numbers or of floats."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from convergan.data.digits import open_digits
from convergan.data.splits import draw_split
from convergan.data.training_data import TrainingData
from convergan.errors import UserError
from convergan.networks.classification import classified
from convergan.recipes.settings import Recipe
from convergan.training import step
from convergan.training.checkpointing import LoopOptions
from convergan.training.loop import Fitted, fit
from support import equal_states

CPU = torch.device("cpu")


def training_data() -> TrainingData:
    return draw_split(
        open_digits(), labels=100, seed=0, validation_share=0.2, test_share=0.2
    ).training


def states_of(fitted: Fitted) -> list[dict[str, torch.Tensor]]:
    return [fitted.discriminator.state_dict(), fitted.generator.state_dict()]


def test_it_leaves_nothing_behind_and_says_nothing(
    quick_recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    data = training_data()
    capfd.readouterr()
    fitted = fit(CPU, quick_recipe, data)
    assert not any(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
    # It is what a run with a folder comes to.
    kept = fit(CPU, quick_recipe, data, checkpoints=tmp_path / "checkpoints")
    assert equal_states(states_of(fitted), states_of(kept))
    assert fitted.epoch == kept.epoch


def test_floats_train_as_the_same_whole_numbers_do(quick_recipe: Recipe) -> None:
    data = training_data()
    floats = np.asarray(data.images).astype(np.float32) / 255
    recipe = replace(quick_recipe, epochs=1)
    whole = fit(CPU, recipe, data)
    for resident_mb in (100, 0):
        settings = replace(recipe, data=replace(recipe.data, resident_mb=resident_mb))
        fitted = fit(CPU, settings, replace(data, images=floats))
        # Last digits of a division by 255 differ.
        images = torch.from_numpy(floats[:200]).permute(0, 3, 1, 2).contiguous()
        ours, theirs = (
            classified(network, images).logits
            for network in (fitted.discriminator, whole.discriminator)
        )
        assert (ours.argmax(1) == theirs.argmax(1)).float().mean() > 0.98
    assert floats.max() == 1 and floats.min() == 0, "the images themselves are as they were"


def test_in_memory_too_it_goes_back_where_it_diverges(
    quick_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, original = 0, step.total

    def poisoned(parts: dict[str, torch.Tensor]) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return original(parts) * (float("nan") if calls == 61 else 1)

    monkeypatch.setattr(step, "total", poisoned)
    data = training_data()
    with pytest.raises(UserError, match=r"training diverged: .* at step 20"):
        fit(CPU, quick_recipe, data)
    calls = 0
    fitted = fit(CPU, quick_recipe, data, options=LoopOptions(roll_back=True))
    assert all(bool(w.isfinite().all()) for w in fitted.discriminator.parameters())
