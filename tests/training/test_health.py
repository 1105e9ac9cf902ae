"""Health: the first bad loss by name and step; warnings when they are due, once."""

import re
from dataclasses import replace

import pytest
import torch

from convergan.options import parse_options
from convergan.recipes.arms import without_classes
from convergan.recipes.former import FORMER_OBJECTIVE
from convergan.recipes.networks import ModuleSettings, ResidualSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import (
    FeatureMatchingSettings,
    MinimaxSettings,
    PullAwaySettings,
    RealOrGeneratedSettings,
)
from convergan.train_commands import TrainRecipe
from convergan.training.health import (
    HealthMonitor,
    LossWatch,
    can_be_judged,
    mean_pairwise_distance,
)
from convergan.training.objective import losses_of


def monitor_of(epochs: int) -> HealthMonitor:
    return HealthMonitor(replace(PRESETS["digits"], epochs=epochs))


def test_watch_names_the_first_bad_loss() -> None:
    watch = LossWatch(["a", "b"], interval=3, device=torch.device("cpu"))
    assert watch.add(10, torch.tensor([1.0, 2.0])) is None
    assert watch.add(11, torch.tensor([1.0, float("inf")])) is None
    bad_loss = watch.add(12, torch.tensor([float("nan"), 2.0]))
    assert bad_loss is not None
    assert (bad_loss.step, bad_loss.term, bad_loss.value) == (11, "b", float("inf"))
    assert watch.add(13, torch.tensor([1.0, 2.0])) is None
    assert watch.look() is None


def test_watch_looks_on_demand() -> None:
    watch = LossWatch(["a"], interval=100, device=torch.device("cpu"))
    watch.add(0, torch.tensor([float("nan")]))
    bad_loss = watch.look()
    assert bad_loss is not None and bad_loss.step == 0


def test_pairwise_distance() -> None:
    images = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]).view(3, 1, 1, 2)
    assert mean_pairwise_distance(images) == pytest.approx(10 / 3)


def test_collapse_is_told_once_and_again_after_recovery() -> None:
    monitor = monitor_of(9)
    diversities = [1.0, 0.1, 0.1, 0.1, 0.1, 1.0, 0.1, 0.1, 0.1]
    epochs = [
        epoch
        for epoch, diversity in enumerate(diversities, start=1)
        for warning in monitor.epoch(epoch, diversity, 0.6, 0.4)
        if warning.kind == "collapse" and warning.advice
    ]
    assert epochs == [4, 9]


def test_a_generator_on_its_way_has_not_collapsed() -> None:
    """A generator that was never diverse is reported after two fifths of the run and three epochs."""
    monitor = monitor_of(50)
    epochs = [epoch for epoch in range(1, 40) if monitor.epoch(epoch, 0.1, 0.6, 0.4)]
    assert epochs == [23]


def test_saturation_of_the_discriminator() -> None:
    monitor = monitor_of(9)
    warnings = [monitor.epoch(epoch, 1.0, 0.999, 0.001) for epoch in range(1, 6)]
    assert [len(epoch_warnings) for epoch_warnings in warnings] == [0, 0, 1, 0, 0]
    assert warnings[2][0].kind == "saturation"


OWN_NETWORK = replace(
    PRESETS["folder"],
    networks=ModuleSettings(module="mine.Net"),
    objective=without_classes(PRESETS["folder"].objective),
)


@pytest.mark.parametrize(
    "recipe",
    [
        *(recipe for recipe in PRESETS.values() if "generator" in losses_of(recipe.objective)),
        replace(OWN_NETWORK, networks=ResidualSettings()),
        OWN_NETWORK,
        replace(
            OWN_NETWORK,
            objective=replace(
                OWN_NETWORK.objective,
                feature_matching=FeatureMatchingSettings(weight=0.0),
                real_or_generated=RealOrGeneratedSettings(positive_target=0.9),
                minimax=MinimaxSettings(weight=1.0),
                pull_away=PullAwaySettings(weight=0.1),
            ),
        ),
    ],
    ids=lambda recipe: f"{recipe.name}-{recipe.networks.kind}",
)
@pytest.mark.parametrize("scores", [(0.0, 0.6, 0.4), (1.0, 0.999, 0.001)])
def test_the_options_that_are_advised_are_the_recipes_own(
    scores: tuple[float, float, float], recipe: Recipe
) -> None:
    monitor = HealthMonitor(replace(recipe, epochs=3))
    (warning,) = [warning for epoch in range(1, 5) for warning in monitor.epoch(epoch, *scores)]
    advised = re.findall(r"(--[a-z.-]+)(?: ([\d.]+))?", warning.advice)
    assert advised
    assert ("classifier" in warning.advice) <= recipe.objective.is_supervised
    default = TrainRecipe(recipe=recipe)
    for option, value in advised:
        words = [option, value or "0.75"]
        parsed = parse_options(TrainRecipe, words, program="train", default=default)
        assert parsed.recipe != default.recipe
        assert option.removeprefix("--objective.") not in FORMER_OBJECTIVE


def test_a_discriminator_that_is_sure_of_the_data_alone_is_not_saturated() -> None:
    monitor = monitor_of(9)
    assert not any(monitor.epoch(epoch, 1.0, 0.999, 0.5) for epoch in range(1, 6))


def test_counts_are_kept_over_a_resume() -> None:
    first, second = monitor_of(2), monitor_of(2)
    for epoch in (1, 2):
        first.epoch(epoch, 0.1, 0.6, 0.4)
    second.load_state_dict(first.state_dict())
    assert [warning.kind for warning in second.epoch(3, 0.1, 0.6, 0.4)] == ["collapse"]


def test_a_run_can_be_judged_that_could_have_been_warned_of() -> None:
    """A run is long enough to be judged where a collapse from its first epoch on would have been reported."""
    for epochs in range(1, 30):
        monitor = monitor_of(epochs)
        warned = any([monitor.epoch(epoch, 0.1, 0.5, 0.5) for epoch in range(1, epochs + 1)])
        assert can_be_judged(epochs) == warned
