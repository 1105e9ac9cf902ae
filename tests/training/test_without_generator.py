"""Training without a generator, where no term looks at generated images."""

import math
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from convergan.errors import UserError
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import OptimizerSettings, Recipe
from convergan.recipes.terms import (
    FeatureMatchingSettings,
    HistoricalAveragingSettings,
    RealOrGeneratedSettings,
)
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from convergan.runs.model import load_classifier, load_generator
from convergan.training.cost import training_cost
from convergan.training.loop import learning_rate
from convergan.training.objective import losses_of
from convergan.training.run import train
from small_game import RECIPE as STEP_RECIPE
from small_game import game_of

SUPERVISED = ObjectiveSettings(
    real_or_generated=RealOrGeneratedSettings(weight=0.0),
    feature_matching=FeatureMatchingSettings(weight=0.0),
)


def test_there_is_a_generator_where_a_term_looks_at_what_it_makes() -> None:
    assert "generator" not in losses_of(SUPERVISED)
    # A generator cannot learn from its history alone.
    averaged = SUPERVISED.with_term(HistoricalAveragingSettings(weight=0.1))
    assert "generator" not in losses_of(averaged)
    matched = SUPERVISED.with_term(FeatureMatchingSettings(weight=1.0))
    assert "generator" in losses_of(matched)
    with pytest.raises(UserError, match="expected a weight above 0 of a term of the generator"):
        losses_of(SUPERVISED.with_term(RealOrGeneratedSettings(weight=0.5)))


@pytest.fixture(scope="module")
def run(quick_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without") / "run"
    recipe = replace(quick_recipe, objective=SUPERVISED, epochs=2)
    train(recipe, folder, console=Console(file=StringIO()))
    return folder


def test_its_run_has_a_classifier_and_a_report_and_no_samples(run: Path) -> None:
    folder = RunFolder(run)
    assert sorted(path.name for path in folder.model.iterdir()) == [
        "classifier.safetensors",
        "config.json",
    ]
    assert not folder.samples.exists()
    assert folder.report.exists()
    assert load_classifier(run).classes == tuple("0123456789")
    with pytest.raises(UserError, match=r"got one whose losses.* train with --arms composed gan,"):
        load_generator(run)
    for line in read_metrics(folder.metrics):
        assert list(line.losses) == ["discriminator/supervised", "baseline/supervised"]
        assert all(map(math.isnan, (line.real_score, line.generated_score, line.diversity)))
        assert not line.warnings


def test_the_discriminator_then_learns_as_the_baseline_does() -> None:
    recipe = replace(STEP_RECIPE, objective=SUPERVISED)
    game, state = game_of(recipe)
    own, baseline = (game.players[name].network for name in ("discriminator", "baseline"))
    baseline.load_state_dict(own.state_dict())
    game.step(state, 0.01)
    assert all(
        torch.equal(weight, baseline_weight)
        for weight, baseline_weight in zip(own.parameters(), baseline.parameters(), strict=True)
    )


def test_images_that_no_term_looks_at_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(STEP_RECIPE, objective=SUPERVISED, baseline=False)
    game, state = game_of(recipe)
    group_sizes: list[list[int]] = []
    forward = game.players["discriminator"].network.forward

    def watched(images: Tensor, sizes: list[int]) -> DiscriminatorOutput:
        group_sizes.append(sizes)
        return forward(images, sizes)

    monkeypatch.setattr(game.players["discriminator"].network, "forward", watched)
    game.step(state, 0.01)
    assert group_sizes == [[STEP_RECIPE.batch_size]]


def test_each_kind_of_image_has_its_own_number_in_a_step() -> None:
    recipe = replace(STEP_RECIPE, batch_size=4, unlabelled_batch_size=12, generated_batch_size=6)
    game, state = game_of(recipe)
    batch = game.batches.real(0, game.losses["discriminator"].needs)
    assert {name: len(images) for name, images in batch.groups.items()} == {
        "labelled": 4,
        "unlabelled": 12,
    }
    assert len(game.batches.matched(0, 0)) == 6
    outputs, _ = game.discriminator_step(batch, 0.01)
    assert len(outputs["generated"].logits) == 6
    game.step(state, 0.01)


def test_its_cost_has_no_generator() -> None:
    shape = (1, 8, 8)
    with_generator = training_cost(STEP_RECIPE, shape, 3, bf16=False)
    without_generator = training_cost(
        replace(STEP_RECIPE, objective=SUPERVISED), shape, 3, bf16=False
    )
    assert without_generator.step_operations < with_generator.step_operations
    assert without_generator.memory_bytes < with_generator.memory_bytes
    larger = replace(STEP_RECIPE, unlabelled_batch_size=10 * STEP_RECIPE.batch_size)
    ratio = training_cost(larger, shape, 3, bf16=False).step_operations
    assert ratio > 2 * with_generator.step_operations


def test_the_learning_rate_rises_stays_and_falls() -> None:
    settings = OptimizerSettings(
        learning_rate=0.1, warmup=0.2, decay_from=0.5, decay="cosine", generator_rate=0.5
    )
    progress = np.array([0.0, 0.1, 0.2, 0.4, 0.5, 0.75, 1.0])
    rates = [learning_rate(settings, share, 0) for share in progress]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.1, 0.1, 0.05, 0], abs=1e-12)
    with pytest.raises(UserError, match=r"optimizer\.warmup: expected at most decay-from, 0.1"):
        OptimizerSettings(warmup=0.2, decay_from=0.1)


def test_the_generator_has_a_rate_of_its_own_and_weights_decay() -> None:
    optimizer = replace(STEP_RECIPE.optimizer, generator_rate=0.25, weight_decay=0.5)
    game, state = game_of(replace(STEP_RECIPE, optimizer=optimizer))
    for name, rate in (("discriminator", 0.01), ("generator", 0.0025)):
        player = game.players[name]
        earlier_weights = [weight.detach().clone() for weight in player.trained]
        for weight in player.trained:
            weight.grad = torch.zeros_like(weight)
        player.move(0.01)
        for weight, old in zip(player.trained, earlier_weights, strict=True):
            torch.testing.assert_close(weight.detach(), old * (1 - rate * 0.5))
    game.step(state, 0.01)
