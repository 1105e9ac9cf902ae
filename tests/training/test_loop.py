"""The loop: who can influence whom, what stops it, what it goes back to."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from convergan.data.augmentation import Augmentation
from convergan.data.image_set import data_set_from_arrays
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.networks.interface import Generator
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.settings import OptimizerSettings, Recipe
from convergan.runs.metrics import read_metrics
from convergan.training import step
from convergan.training.checkpointing import Checkpointer
from convergan.training.finish import VIEWED_IMAGES
from convergan.training.loop import learning_rate
from convergan.training.player import Player
from convergan.training.run import RunOptions, train
from support import equal_states


def weights_of(run: Path) -> list[dict]:
    return [
        load_file(run / "model" / f"{name}.safetensors") for name in ("classifier", "generator")
    ]


def test_same_seed_same_run_other_seed_other_run(
    quick_recipe: Recipe, trained_run: Path, quiet: Console, tmp_path: Path
) -> None:
    train(quick_recipe, tmp_path / "again", console=quiet)
    assert equal_states(weights_of(tmp_path / "again"), weights_of(trained_run))
    train(replace(quick_recipe, seed=1), tmp_path / "other", console=quiet)
    assert not equal_states(weights_of(tmp_path / "other"), weights_of(trained_run))


def test_the_baseline_does_not_change_the_gan(
    quick_recipe: Recipe, trained_run: Path, quiet: Console, tmp_path: Path
) -> None:
    results = train(replace(quick_recipe, baseline=False), tmp_path / "run", console=quiet)
    assert equal_states(weights_of(tmp_path / "run"), weights_of(trained_run))
    assert results.baseline_test_errors is None
    assert "baseline_test_errors" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_only_what_is_trained_on_is_augmented(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that layers start from, that epochs are chosen by, or that are tested are left as they are."""
    view_sizes: dict[str, list[int]] = {name: [] for name in ("weak", "labelled", "strong")}
    for name, sizes in view_sizes.items():
        view = getattr(Augmentation, name)

        def noted(self: Any, images: Any, pixel_range: Any, view=view, sizes=sizes) -> Any:
            sizes.append(len(images))
            return view(self, images, pixel_range)

        monkeypatch.setattr(Augmentation, name, noted)
    recipe = replace(
        quick_recipe,
        epochs=1,
        data=replace(quick_recipe.data, validation_share=0.3),
        augmentation=AugmentationSettings(kind="digits"),
    )
    train(recipe, tmp_path / "run", console=quiet)
    (line,) = read_metrics(tmp_path / "run" / "metrics.jsonl")
    batches = [recipe.batch_size] * line.step
    # Unlabelled images, and those that the generator is compared with; the baseline sees the labelled ones;
    # then the report shows some views.
    viewed = [VIEWED_IMAGES]
    assert view_sizes == {
        "weak": 2 * batches + viewed,
        "labelled": batches + viewed,
        "strong": viewed,
    }


def test_augmentation_is_what_gan_and_baseline_learn_from(
    quick_recipe: Recipe, trained_run: Path, quiet: Console, tmp_path: Path
) -> None:
    recipe = replace(quick_recipe, augmentation=AugmentationSettings(kind="digits"))
    train(recipe, tmp_path / "run", console=quiet)
    lines = [read_metrics(run / "metrics.jsonl")[0] for run in (tmp_path / "run", trained_run)]
    for loss in ("discriminator/supervised", "baseline/supervised", "generator/feature_matching"):
        assert lines[0].losses[loss] != lines[1].losses[loss]
    # Harder to learn by heart.
    assert lines[0].losses["baseline/supervised"] > lines[1].losses["baseline/supervised"]


def test_test_labels_change_nothing_but_the_count(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    """The same images with the test labels turned round: same weights, same epoch chosen."""
    recipe = replace(quick_recipe, data=replace(quick_recipe.data, validation_share=0.3))
    data = open_data_set(recipe.data)
    assert data.test is not None
    results = []
    for number, labels in enumerate((data.test.labels, 9 - data.test.labels)):
        turned = data_set_from_arrays(
            data.train.images,
            data.train.labels,
            data.test.images,
            labels,
            classes=list(data.classes),
        )
        results.append(train(recipe, tmp_path / str(number), data=turned, console=quiet))
    assert equal_states(weights_of(tmp_path / "0"), weights_of(tmp_path / "1"))
    assert results[0].epoch_chosen == results[1].epoch_chosen
    assert results[0].test_errors < results[1].test_errors


def test_the_epoch_chosen_is_the_best_by_validation(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    recipe = replace(quick_recipe, epochs=6, data=replace(quick_recipe.data, validation_share=0.5))
    results = train(recipe, tmp_path / "run", console=quiet)
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    errors = [line.validation_errors for line in lines]
    assert results.epoch_chosen == 1 + int(np.argmin(errors))
    assert all(line.validation_size == 50 for line in lines)
    chosen_line = lines[results.epoch_chosen - 1]
    assert results.test_errors == chosen_line.test_errors


@pytest.mark.parametrize(("labels", "batch_size"), [(100, 33), (50, 7)])
def test_a_rest_of_one_image_initializes_no_distance(
    labels: int, batch_size: int, quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    assert labels % batch_size == 1
    networks = replace(quick_recipe.networks, minibatch_kernels=5)
    recipe = replace(
        quick_recipe, labels=labels, batch_size=batch_size, epochs=1, networks=networks
    )
    assert np.isfinite(train(recipe, tmp_path / "run", console=quiet).test_errors)


def test_images_that_are_all_equal_are_a_users_mistake(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    images, labels = np.zeros((40, 8, 8, 1), dtype=np.uint8), np.arange(40) % 2
    data = data_set_from_arrays(images, labels, images, labels)
    networks = replace(
        quick_recipe.networks, minibatch_kernels=5, input_noise=0.0, hidden_noise=0.0
    )
    recipe = replace(quick_recipe, labels=20, batch_size=10, networks=networks)
    with pytest.raises(UserError, match=r"data-dependent-initialization: .* got 40 .* must differ"):
        train(recipe, tmp_path / "run", data=data, console=quiet)


def poison(number: int) -> Callable[..., torch.Tensor]:
    """`step.total`, except that the loss of its `number`-th call is not a number."""
    calls = 0
    original = step.total

    def poisoned(parts: dict[str, torch.Tensor]) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == number:
            parts["unlabelled"] = parts["unlabelled"] * float("nan")
        return original(parts)

    return poisoned


def test_a_loss_that_is_not_finite_stops_the_run(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three sums a step: the 61st is the discriminator's at step 20.
    monkeypatch.setattr(step, "total", poison(61))
    with pytest.raises(UserError) as caught:
        train(quick_recipe, tmp_path / "run", console=quiet)
    message = str(caught.value)
    assert "discriminator/unlabelled is nan at step 20" in message
    assert "the last good checkpoint, of step 0, is in" in message
    assert "--resume --on-divergence rollback" in message
    # The good part of the run goes on from there.
    monkeypatch.undo()
    train(quick_recipe, tmp_path / "run", options=RunOptions(resume=True), console=quiet)


def test_rollback_goes_back_halves_the_rate_and_goes_on(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "total", poison(61))
    options = RunOptions(on_divergence="rollback", checkpoint_every_seconds=0)
    train(quick_recipe, tmp_path / "run", options=options, console=quiet)
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [line.epoch for line in lines] == [1, 2, 3]
    assert lines[0].learning_rate == 3e-3 and lines[2].learning_rate == 1.5e-3
    (warning,) = lines[1].warnings
    assert warning.kind == "rollback" and "went back to step 20" in warning.message


def spoil(*, at_step: int) -> Callable[..., None]:
    """`Player.step`, except that the generator's `at_step`-th step makes its weights not a number."""
    steps = 0
    original = Player.step

    def spoiled(self: Player, *arguments: Any) -> None:
        nonlocal steps
        original(self, *arguments)
        if isinstance(self.network, Generator):
            steps += 1
            if steps == at_step:
                with torch.no_grad():
                    self.trained[0].fill_(float("nan"))

    return spoiled


def test_weights_that_are_not_finite_never_reach_a_checkpoint(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The losses of a step are those before its update: they cannot tell."""
    monkeypatch.setattr(Player, "step", spoil(at_step=10))
    options = RunOptions(on_divergence="rollback", checkpoint_every_seconds=0)
    train(quick_recipe, tmp_path / "run", options=options, console=quiet)
    (warning,) = read_metrics(tmp_path / "run" / "metrics.jsonl")[0].warnings
    assert "a weight of the generator is nan at step 10" in warning.message
    assert "went back to step 9" in warning.message


def test_weights_that_are_not_finite_after_the_last_step_are_no_result(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Player, "step", spoil(at_step=39))
    with pytest.raises(UserError, match="a weight of the generator is nan at step 39"):
        train(quick_recipe, tmp_path / "run", console=quiet)
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_checkpoint_that_only_leads_to_divergence_is_given_up(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second divergence from step 13 leads back to the checkpoint before it."""
    poisoned = iter([False] * (2 * 15) + [True] + [False] * (2 * 2) + [True])
    original = step.total

    def total(parts: dict[str, torch.Tensor]) -> torch.Tensor:
        # Two sums a step, the discriminator's and the generator's.
        if next(poisoned, False):
            parts = {name: part * float("nan") for name, part in parts.items()}
        return original(parts)

    recipe = replace(quick_recipe, baseline=False)
    monkeypatch.setattr(step, "total", total)
    monkeypatch.setattr(Checkpointer, "is_due", lambda self, step: step in (12, 13))
    train(recipe, tmp_path / "run", options=RunOptions(on_divergence="rollback"), console=quiet)
    warnings = [
        warning.message.rsplit("; ")[-1]
        for line in read_metrics(tmp_path / "run" / "metrics.jsonl")
        for warning in line.warnings
    ]
    assert warnings == ["went back to step 13", "went back to step 12"]


def test_rollback_gives_up_after_three_times(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step ends in weights that are not numbers, whatever the learning rate."""
    original = Player.step

    def spoiled(self: Player, *arguments: Any) -> None:
        original(self, *arguments)
        with torch.no_grad():
            self.trained[0].fill_(float("nan"))

    monkeypatch.setattr(Player, "step", spoiled)
    options = RunOptions(on_divergence="rollback")
    with pytest.raises(UserError, match=r"diverged.*after 3 rollbacks"):
        train(quick_recipe, tmp_path / "run", options=options, console=quiet)


def test_learning_rate_is_constant_then_falls_to_zero() -> None:
    settings = OptimizerSettings(learning_rate=0.1, decay_from=0.6)
    assert learning_rate(settings, 0.0, 0) == learning_rate(settings, 0.59, 0) == 0.1
    assert learning_rate(settings, 0.8, 0) == pytest.approx(0.05)
    assert learning_rate(settings, 0.8, 2) == pytest.approx(0.0125)
    assert learning_rate(settings, 0.999999, 0) == pytest.approx(0, abs=1e-6)
    assert learning_rate(OptimizerSettings(learning_rate=0.1), 0.999, 0) == 0.1


def test_the_unlabelled_epoch_is_whole_and_small_data_is_repeated(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    recipe = replace(quick_recipe, epochs=1, min_steps_per_epoch=20)
    train(recipe, tmp_path / "run", console=quiet)
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[0].step == 20
