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
    # A run with a folder comes to the same.
    saved = fit(CPU, quick_recipe, data, checkpoints=tmp_path / "checkpoints")
    assert equal_states(states_of(fitted), states_of(saved))
    assert fitted.epoch == saved.epoch


def test_floats_train_as_the_same_whole_numbers_do(quick_recipe: Recipe) -> None:
    data = training_data()
    floats = np.asarray(data.images).astype(np.float32) / 255
    recipe = replace(quick_recipe, epochs=1)
    reference = fit(CPU, recipe, data)
    for resident_mb in (100, 0):
        settings = replace(recipe, data=replace(recipe.data, resident_mb=resident_mb))
        fitted = fit(CPU, settings, replace(data, images=floats))
        # Last digits of a division by 255 differ.
        images = torch.from_numpy(floats[:200]).permute(0, 3, 1, 2).contiguous()
        float_logits, integer_logits = (
            classified(network, images).logits
            for network in (fitted.discriminator, reference.discriminator)
        )
        assert (float_logits.argmax(1) == integer_logits.argmax(1)).float().mean() > 0.98
    assert floats.max() == 1 and floats.min() == 0, "the images themselves are as they were"


def test_in_memory_too_it_goes_back_where_it_diverges(
    quick_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, original = 0, step.total

    def poisoned(parts: dict[str, torch.Tensor]) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return original(parts) * (float("nan") if calls in (61, 62, 63) else 1)

    monkeypatch.setattr(step, "total", poisoned)
    data = training_data()
    with pytest.raises(UserError, match=r"training diverged: .* at step 20"):
        fit(CPU, quick_recipe, data)
    # In memory as with a folder: the same checkpoint, the same rate, the same weights.
    states = []
    for checkpoints in (None, tmp_path / "checkpoints"):
        calls = 0
        options = LoopOptions(roll_back=True, checkpoint_every_seconds=0)
        fitted = fit(CPU, quick_recipe, data, checkpoints=checkpoints, options=options)
        states.append(states_of(fitted))
    assert all(bool(w.isfinite().all()) for w in fitted.discriminator.parameters())
    assert equal_states(*states)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("images", lambda x: x.astype(np.int64), r"images: expected uint8, or floats .* got int64"),
        ("images", lambda x: x[..., 0], r"images: expected uint8, .* got uint8 \[1297, 8, 8\]"),
        ("images", lambda x: x.astype(np.float32), r"images: expected floats in \[0, 1\], got 0 to"),
        ("images", lambda x: np.where(np.arange(1297)[:, None, None, None] == 7, np.nan, x / 255),
         "nan in image 7"),
        ("labels", lambda x: x + 10, "labels: expected 80 whole numbers, 0 to 9, got int64"),
        ("labels", lambda x: x[1:], r"labels: expected 80 whole numbers, 0 to 9, got int64 \[79\]"),
        ("labelled", lambda x: x[::-1], "labelled: expected indices in ascending order, each once"),
        ("unlabelled", lambda x: x + 1, "unlabelled: expected indices of 1297 images, got others"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_trained_on(name: str, change: object, message: str) -> None:
    data = training_data()
    with pytest.raises(UserError, match=message):
        replace(data, **{name: change(np.asarray(getattr(data, name)))})  # type: ignore[operator]
