"""Settings of the authors' code that recipes need not have: real batches, steps, rates, initialization."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from convergan.data.training_data import TrainingData
from convergan.errors import UserError
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.networks import ConvSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import OptimizerSettings, Recipe
from convergan.recipes.terms import ConsistencySettings, SupervisedSettings
from convergan.training import loop, players
from convergan.training.cost import training_cost
from convergan.training.loop import fit, learning_rate, steps_in_all
from convergan.training.objective import losses_of
from convergan.training.preparation import prepare
from convergan.training.step import Game
from convergan.training.terms.supervised import Supervised
from convergan.training.terms.term import TermOutputs
from small_game import OBJECTIVE, RECIPE, game_of


def shared(recipe: Recipe, **changes: Any) -> Recipe:
    objective = replace(recipe.objective, shared_real_batch=True, **changes)
    return replace(recipe, objective=objective, baseline=False)


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_one_real_batch_is_labelled_and_unlabelled(
    update: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    game, state = game_of(shared(RECIPE, update=update))
    judged = []
    forward = game.players["discriminator"].network.forward

    def recorded(images: torch.Tensor, sizes: list[int] | None = None) -> DiscriminatorOutput:
        judged.append(sizes)
        return forward(images, sizes)

    monkeypatch.setattr(game.players["discriminator"].network, "forward", recorded)
    calls = []
    loss = game.losses["discriminator"]
    monkeypatch.setitem(
        game.losses,
        "discriminator",
        _Watched(loss, calls),  # type: ignore[arg-type]
    )
    _, scores = game.step(state, 0.01)
    assert judged[0] == [8, 8]
    (outputs,) = calls
    assert outputs.groups["unlabelled"] is outputs.groups["labelled"]
    assert torch.isfinite(scores).all()


class _Watched:
    """A loss that records its inputs."""

    def __init__(self, loss: Any, calls: list[Any]) -> None:
        self.loss, self.calls = loss, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loss, name)

    def __call__(self, outputs: TermOutputs) -> Any:
        self.calls.append(outputs)
        return self.loss(outputs)


def test_without_labels_a_shared_batch_is_the_unlabelled_one() -> None:
    game, state = game_of(shared(RECIPE, supervised=SupervisedSettings(weight=0.0)))
    parts, scores = game.step(state, 0.01)
    assert all(part.isfinite() for part in parts.values()) and scores.isfinite().all()


def test_views_need_unlabelled_images_of_their_own() -> None:
    objective = shared(RECIPE, consistency=ConsistencySettings(weight=1.0)).objective
    with pytest.raises(
        UserError, match=r"consistency.weight: expected 0 where objective.shared-real-batch is on"
    ):
        losses_of(objective)


def test_a_shared_batch_costs_less() -> None:
    networks = ConvSettings(width=4, generator_width=8)
    recipes = (
        replace(RECIPE, networks=networks, objective=objective, baseline=False)
        for objective in (OBJECTIVE, replace(OBJECTIVE, shared_real_batch=True))
    )
    separate_operations, shared_operations = (
        training_cost(recipe, (3, 32, 32), 3, bf16=False).step_operations for recipe in recipes
    )
    assert shared_operations < 0.9 * separate_operations


def test_classes_beside_generated() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1])
    outputs = TermOutputs(
        groups={"labelled": DiscriminatorOutput(logits, logits)},
        labels=labels,
        teacher=None,
        history=None,
        progress=0.0,
    )
    with_generated, alone = (
        Supervised(SupervisedSettings(include_generated=included))(outputs)
        for included in (True, False)
    )
    log_sum = torch.log(1 + logits.exp().sum(dim=1))
    expected = (log_sum - logits[torch.arange(5), labels]).mean()
    torch.testing.assert_close(with_generated, expected)
    # The difference is the cross-entropy of being real.
    real = F.softplus(-torch.logsumexp(logits, dim=1)).mean()
    torch.testing.assert_close(with_generated, alone + real)


@pytest.mark.parametrize(("images", "expected"), [(73_257, 732), (73_200, 732), (50, 1)])
def test_what_does_not_fill_a_step_is_left_out(images: int, expected: int) -> None:
    svhn = PRESETS["svhn"]
    assert steps_in_all(svhn, images) == svhn.epochs * expected
    with_remainder = replace(svhn, drop_remainder=False)
    assert steps_in_all(with_remainder, images) == svhn.epochs * -(-images // 100)


@pytest.mark.parametrize(("name", "epochs", "slower"), [("cifar10", 1200, 400), ("svhn", 900, 300)])
def test_the_rate_falls_from_epoch_to_epoch(name: str, epochs: int, slower: int) -> None:
    settings = PRESETS[name].optimizer
    assert PRESETS[name].epochs == epochs and settings.decay_by == "epochs"
    for epoch in (0, 1, 2 * slower, 2 * slower + 1, epochs - 1):
        expected = 0.0003 * min(3 - epoch / slower, 1)
        assert learning_rate(settings, epoch / epochs, 0) == pytest.approx(expected)


def test_within_an_epoch_the_rate_is_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = Game.step

    def recorded(game: Game, state: Any, rate: float) -> Any:
        rates.append(rate)
        return step(game, state, rate)

    monkeypatch.setattr(Game, "step", recorded)
    optimizer = OptimizerSettings(learning_rate=0.3, decay_from=1 / 3, decay_by="epochs")
    recipe = replace(RECIPE, epochs=3, batch_size=4, baseline=False, optimizer=optimizer)
    data = TrainingData(
        images=np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1), dtype=np.uint8),
        labelled=np.arange(6),
        labels=np.arange(6) % 3,
        unlabelled=np.arange(8),
        validation=np.arange(0),
        validation_labels=np.arange(0),
        classes=("a", "b", "c"),
    )
    fit(torch.device("cpu"), recipe, data)
    # Two steps an epoch; the fall begins with the second.
    assert rates == pytest.approx([0.3, 0.3, 0.3, 0.3, 0.15, 0.15])


def test_one_real_batch_takes_the_labels_of_all_images() -> None:
    recipe = shared(PRESETS["digits"])
    with pytest.raises(UserError) as caught:
        prepare(replace(recipe, labels=100), None, processes=1)
    assert str(caught.value) == (
        "labels: expected those of all 1,297 training images where objective.shared-real-batch is on, as no"
        " others are seen then, got 100"
    )
    # Images that choose among epochs are left out on purpose.
    data = replace(recipe.data, validation_share=0.1)
    prepare(replace(recipe, labels=None, data=data), None, processes=1)


def test_a_rate_that_falls_by_epochs_rises_by_steps() -> None:
    """The rate rises by steps, as otherwise the whole first epoch would have a rate of 0."""
    optimizer = OptimizerSettings(learning_rate=0.3, warmup=0.25, decay_from=0.5, decay_by="epochs")
    recipe = replace(RECIPE, epochs=2, optimizer=optimizer)

    def rate(step: int) -> float:
        # Four steps an epoch.
        state = SimpleNamespace(epochs_done=step // 4, rollbacks=0)
        return loop._learning_rate(recipe, state, step / 8)  # type: ignore[arg-type]

    assert [rate(step) for step in range(8)] == pytest.approx([0, 0.15, *[0.3] * 6])


@pytest.mark.parametrize("images", ["labelled", "unlabelled"])
def test_what_the_networks_are_initialized_from(
    images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int | None]] = []

    def recorded(network: Any, inputs: torch.Tensor) -> None:
        calls.append((len(inputs), getattr(network, "group_size", None)))

    monkeypatch.setattr(players, "_run_initialization", recorded)
    networks = ConvSettings(
        width=2, generator_width=4, minibatch_kernels=2, initialization_images=images
    )
    recipe = replace(RECIPE, networks=networks, baseline=False)
    game, _ = game_of(recipe, (16, 16, 3))
    # The group in which images are compared is all of them, or as large as a step's.
    expected = [(9, None), (8, None)] if images == "labelled" else [(20, 8), (500, None)]
    assert calls == expected
    assert game.players["discriminator"].network.group_size == 8
