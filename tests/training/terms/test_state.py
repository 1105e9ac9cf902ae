"""The state that terms carry from step to step: in checkpoints, after a rollback, and for no other terms."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convergan.data.training_data import TrainingData
from convergan.errors import UserError
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import ConsistencySettings, TermSettings
from convergan.runs.checkpoints import load_newest_checkpoint
from convergan.training.checkpointing import LoopOptions
from convergan.training.loop import Fitted, fit
from convergan.training.observer import Silent
from convergan.training.signals import Interrupted
from convergan.training.terms.consistency import Consistency
from convergan.training.terms.registry import register_term
from convergan.training.terms.term import Term, TermContext, TermOutputs
from support import equal_states

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("registered_terms_are_forgotten")


def data() -> TrainingData:
    """Forty images of noise in three classes, of which four, three and two are labelled."""
    return TrainingData(
        images=np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1), dtype=np.uint8),
        labelled=np.arange(9),
        labels=np.array([0, 0, 0, 0, 1, 1, 1, 2, 2]),
        unlabelled=np.arange(40),
        validation=np.arange(0),
        validation_labels=np.arange(0),
        classes=("a", "b", "c"),
    )


@pytest.fixture
def recipe(quick_recipe: Recipe) -> Recipe:
    """Ten steps whose results depend on what the term remembers."""
    settings = ConsistencySettings(
        weight=5.0,
        adaptive_threshold=True,
        distribution_alignment=True,
        momentum=0.7,
        temperature=1,
    )
    return replace(
        quick_recipe,
        epochs=2,
        batch_size=8,
        objective=quick_recipe.objective.with_term(settings),
        networks=replace(quick_recipe.networks, hidden=(12, 10), generator_hidden=(9,)),
    )


class Counting(Silent):
    """Counts the steps that are done."""

    done = 0

    def steps_done(self, done: int, total: int) -> None:
        self.done = done


def weights_of(fitted: Fitted) -> list[dict[str, Tensor]]:
    assert fitted.generator is not None
    return [fitted.discriminator.state_dict(), fitted.generator.state_dict()]


def stopped_and_resumed(recipe: Recipe, folder: Path, step: int) -> Fitted:
    """A training that stops after a step, in the middle of an epoch, and goes on in another call."""
    counting = Counting()
    options = LoopOptions(checkpoint_every_seconds=0, stop_requested=lambda: counting.done >= step)
    with pytest.raises(Interrupted):
        fit(CPU, recipe, data(), checkpoints=folder, observer=counting, options=options)
    assert counting.done == step
    return fit(CPU, recipe, data(), checkpoints=folder)


def test_a_resumed_training_is_the_same_to_the_last_bit(recipe: Recipe, tmp_path: Path) -> None:
    straight = fit(CPU, recipe, data(), checkpoints=tmp_path / "straight")
    resumed = stopped_and_resumed(recipe, tmp_path / "stopped", 3)
    assert equal_states(weights_of(straight), weights_of(resumed))
    states = []
    for name in ("straight", "stopped"):
        checkpoint = load_newest_checkpoint(tmp_path / name, {})
        assert checkpoint is not None
        states.append(checkpoint.state["terms"])
    assert equal_states(*states)
    assert states[0]["discriminator/consistency.alignment.updates"] == 10
    assert states[0]["discriminator/consistency.alignment.prior"].tolist() == pytest.approx(
        [4 / 9, 3 / 9, 2 / 9]
    )


def test_without_what_the_term_remembers_it_would_be_another(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = fit(CPU, recipe, data())
    monkeypatch.setattr(nn.ModuleDict, "load_state_dict", lambda *_: None)
    resumed = stopped_and_resumed(recipe, tmp_path, 3)
    assert not equal_states(weights_of(straight), weights_of(resumed))


def test_terms_that_remember_nothing_are_in_no_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    plain = recipe.objective.with_term(ConsistencySettings(weight=1.0))
    fit(CPU, replace(recipe, objective=plain), data(), checkpoints=tmp_path)
    checkpoint = load_newest_checkpoint(tmp_path, {})
    assert checkpoint is not None and "terms" not in checkpoint.state
    # Such a checkpoint is of no use to a term that does.
    with pytest.raises(UserError, match="expected a checkpoint of this recipe's networks"):
        fit(CPU, recipe, data(), checkpoints=tmp_path)


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_divergence_goes_back_to_what_the_term_remembered(
    on_disk: bool, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, statistics = Consistency.__call__, []

    def diverging(self: Consistency, outputs: TermOutputs) -> Any:
        value = original(self, outputs)
        assert self._alignment is not None
        statistics.append((int(self._alignment.updates), self._alignment.mean.clone()))
        return value * torch.nan if len(statistics) == 4 else value

    monkeypatch.setattr(Consistency, "__call__", diverging)
    options = LoopOptions(roll_back=True, checkpoint_every_seconds=0)
    folder = tmp_path if on_disk else None
    fit(CPU, recipe, data(), checkpoints=folder, options=options)
    counts = [count for count, _ in statistics]
    back = counts.index(4) + 1
    assert counts == [1, 2, 3, 4, *range(counts[back], 11)] and counts[back] <= 4
    # The step that is taken again sees what it saw before.
    earlier = counts[back] - 1
    assert torch.equal(statistics[back][1], statistics[earlier][1]) or counts[back] == 1


@dataclass(frozen=True, kw_only=True)
class DriftSettings(TermSettings):
    """The settings of a user's own term."""


class Drift(Term):
    """The distance of the mean logits from their running mean, in the losses of two players."""

    name = "drift"
    settings_class = DriftSettings
    players = frozenset({"discriminator", "baseline"})
    needs = frozenset({"labelled"})

    def begin(self, context: TermContext) -> nn.Module:
        self.running = nn.Module()
        self.running.register_buffer("mean", torch.zeros(len(context.labels_of_class)))
        return self.running

    def __call__(self, outputs: TermOutputs) -> Tensor:
        mean = outputs["labelled"].logits.mean(dim=0)
        running: Any = self.running.mean
        with torch.no_grad():
            running.lerp_(mean, 0.1)
        return (mean - running).square().sum()


@pytest.fixture
def drift() -> Iterator[None]:
    register_term(Drift)
    yield


def test_a_term_of_somebody_else_remembers_for_each_player(
    drift: None, recipe: Recipe, tmp_path: Path
) -> None:
    with_drift = replace(recipe, objective=recipe.objective.with_term(DriftSettings(weight=1.0)))
    straight = fit(CPU, with_drift, data())
    resumed = stopped_and_resumed(with_drift, tmp_path, 7)
    assert equal_states(weights_of(straight), weights_of(resumed))
    checkpoint = load_newest_checkpoint(tmp_path, {})
    assert checkpoint is not None
    means = [checkpoint.state["terms"][f"{player}/drift.mean"] for player in Drift.players]
    assert not torch.equal(*means) and all(mean.abs().sum() > 0 for mean in means)
    # A baseline changes nothing of the discriminator, and a run without one has no state of it.
    alone = fit(CPU, replace(with_drift, baseline=False), data(), checkpoints=tmp_path / "alone")
    assert equal_states(weights_of(straight), weights_of(alone))
    checkpoint = load_newest_checkpoint(tmp_path / "alone", {})
    assert checkpoint is not None and "baseline/drift.mean" not in checkpoint.state["terms"]


def test_needs_of_an_instance_are_among_those_of_its_class(
    drift: None, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(self: Drift, settings: DriftSettings) -> None:
        Term.__init__(self, settings)
        self.needs = frozenset({"labelled", "generated"})

    monkeypatch.setattr(Drift, "__init__", greedy)
    objective = recipe.objective.with_term(DriftSettings(weight=1.0))
    message = (
        r"objective\.drift: expected a term that needs no more than its class says, labelled, got g"
    )
    with pytest.raises(UserError, match=message):
        fit(CPU, replace(recipe, objective=objective), data())


def test_progress_is_the_share_of_the_steps_that_are_done(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, shares = Consistency.__call__, []

    def noting(self: Consistency, outputs: TermOutputs) -> Any:
        shares.append(outputs.progress)
        return original(self, outputs)

    monkeypatch.setattr(Consistency, "__call__", noting)
    stopped_and_resumed(recipe, tmp_path, 4)
    assert shares == [step / 10 for step in range(10)]
