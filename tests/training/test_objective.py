"""The terms of the objective: against their formulas, and in real runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.nn import functional as F

from convergan.errors import UserError
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import (
    FeatureMatchingSettings,
    HistoricalAveragingSettings,
    MinimaxSettings,
    NonSaturatingSettings,
    RealOrGeneratedSettings,
    SupervisedSettings,
)
from convergan.runs.metrics import read_metrics
from convergan.techniques.historical_averaging import HistoricalAveraging
from convergan.training.objective import losses_of, total
from convergan.training.run import train
from convergan.training.terms.term import TermOutputs

NO_MATCHING = FeatureMatchingSettings(weight=0)


def outputs(classes: int = 4, **changes: Any) -> TermOutputs:
    """TermOutputs for 3 labelled, 7 unlabelled and 5 generated images."""
    torch.manual_seed(0)
    groups = {
        name: DiscriminatorOutput(
            torch.randn(rows, classes, dtype=torch.float64),
            torch.randn(rows, 8, dtype=torch.float64),
        )
        for name, rows in (("labelled", 3), ("unlabelled", 7), ("generated", 5))
    }
    return TermOutputs(groups=groups, labels=torch.tensor([0, 2, 1]) % classes, **changes)


def test_binary_is_the_loss_of_the_first_gans() -> None:
    step = outputs(classes=1)
    settings = ObjectiveSettings(
        supervised=SupervisedSettings(weight=0), real_or_generated=RealOrGeneratedSettings(weight=1)
    )
    real = F.binary_cross_entropy_with_logits(
        step["unlabelled"].logits, torch.ones(7, 1, dtype=torch.float64)
    )
    generated = F.binary_cross_entropy_with_logits(
        step["generated"].logits, torch.zeros(5, 1, dtype=torch.float64)
    )
    loss = losses_of(settings)["discriminator"]
    torch.testing.assert_close(total(loss(step)), real + generated)


def test_semi_supervised_has_the_authors_weight() -> None:
    step = outputs()
    parts = losses_of(ObjectiveSettings())["discriminator"](step)
    assert step.labels is not None
    lse_real, lse_generated = (
        step[name].logits.logsumexp(1) for name in ("unlabelled", "generated")
    )
    # The authors' code: .5 (softplus(lse) - lse) and .5 softplus(lse).
    torch.testing.assert_close(parts["unlabelled"], 0.5 * (F.softplus(lse_real) - lse_real).mean())
    torch.testing.assert_close(parts["generated"], 0.5 * F.softplus(lse_generated).mean())
    supervised = F.cross_entropy(step["labelled"].logits, step.labels)
    torch.testing.assert_close(parts["supervised"], supervised)
    assert list(parts) == ["supervised", "unlabelled", "generated"]


def test_smoothing_without_smoothing_is_the_plain_loss() -> None:
    step = outputs()
    plain = total(losses_of(ObjectiveSettings())["discriminator"](step))
    nearly = ObjectiveSettings(real_or_generated=RealOrGeneratedSettings(positive_target=1 - 1e-12))
    parts = losses_of(nearly)["discriminator"](step)
    assert list(parts) == ["supervised", "real_or_generated"]
    torch.testing.assert_close(total(parts), plain)


def test_generators_losses() -> None:
    step = outputs()
    score = torch.sigmoid(step["generated"].logits.logsumexp(1))
    minimax = ObjectiveSettings(feature_matching=NO_MATCHING, minimax=MinimaxSettings(weight=1))
    parts = losses_of(minimax)["generator"](step)
    torch.testing.assert_close(parts["minimax"], torch.log(1 - score).mean())
    non_saturating = ObjectiveSettings(
        feature_matching=NO_MATCHING, non_saturating=NonSaturatingSettings(weight=1)
    )
    parts = losses_of(non_saturating)["generator"](step)
    torch.testing.assert_close(parts["non_saturating"], -torch.log(score).mean())
    difference = step["unlabelled"].features.mean(0) - step["generated"].features.mean(0)
    for distance, expected in (("squared", difference**2), ("absolute", difference.abs())):
        matching = FeatureMatchingSettings(distance=distance)  # type: ignore[arg-type]
        parts = losses_of(ObjectiveSettings(feature_matching=matching))["generator"](step)
        torch.testing.assert_close(parts["feature_matching"], expected.mean())


def test_terms_compose() -> None:
    step = outputs()
    alone = [
        losses_of(ObjectiveSettings())["generator"](step)["feature_matching"],
        losses_of(
            ObjectiveSettings(feature_matching=NO_MATCHING, minimax=MinimaxSettings(weight=1))
        )["generator"](step)["minimax"],
    ]
    mixture = ObjectiveSettings(
        feature_matching=FeatureMatchingSettings(weight=2.0), minimax=MinimaxSettings(weight=0.25)
    )
    loss = losses_of(mixture)["generator"]
    torch.testing.assert_close(total(loss(step)), 2 * alone[0] + 0.25 * alone[1])
    assert loss.needs == {"unlabelled", "generated"}


def test_historical_averaging_is_weighted() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    history = HistoricalAveraging([weight])
    history.update()
    with torch.no_grad():
        weight += 2
    settings = ObjectiveSettings(historical_averaging=HistoricalAveragingSettings(weight=0.25))
    for loss in losses_of(settings).values():
        parts = loss(outputs(history=history))
        assert parts["historical_averaging"].item() == pytest.approx(0.25 * 3 * 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ObjectiveSettings(
                feature_matching=NO_MATCHING,
                historical_averaging=HistoricalAveragingSettings(weight=1),
            ),
            "a term of the generator, feature-matching, minimax, non-saturating, target, got 0",
        ),
        (
            ObjectiveSettings(
                supervised=SupervisedSettings(weight=0),
                real_or_generated=RealOrGeneratedSettings(weight=0),
            ),
            "a term of the discriminator, supervised, real-or-generated, consistency, got 0 for each",
        ),
    ],
)
def test_a_player_without_a_term_is_refused_before_a_run_begins(
    settings: ObjectiveSettings, message: str, quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        train(replace(quick_recipe, objective=settings), tmp_path / "run", console=quiet)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "terms"),
    [
        (
            {"feature_matching": NO_MATCHING, "minimax": MinimaxSettings(weight=1), "generator_steps": 2},
            {
                "discriminator/supervised", "discriminator/unlabelled",
                "discriminator/generated", "generator/minimax",
            },
        ),
        (
            {
                "feature_matching": NO_MATCHING,
                "non_saturating": NonSaturatingSettings(weight=1),
                "real_or_generated": RealOrGeneratedSettings(positive_target=0.9),
                "historical_averaging": HistoricalAveragingSettings(weight=0.01),
            },
            {
                "discriminator/supervised", "discriminator/real_or_generated",
                "discriminator/historical_averaging", "generator/non_saturating",
                "generator/historical_averaging", "baseline/historical_averaging",
            },
        ),
    ],
)  # fmt: skip
def test_every_objective_trains(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, changes: dict, terms: set[str]
) -> None:
    recipe = replace(
        quick_recipe,
        epochs=1,
        objective=replace(quick_recipe.objective, **changes),
        networks=replace(quick_recipe.networks, minibatch_kernels=8),
    )
    train(recipe, tmp_path / "run", console=quiet)
    (line,) = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert set(line.losses) == terms | {"baseline/supervised"}
