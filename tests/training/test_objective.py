"""The terms of the objective: against their formulas, and in real runs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch.nn import functional as F

from convergan.recipes.settings import ObjectiveSettings, Recipe
from convergan.runs.metrics import read_metrics
from convergan.techniques.historical_averaging import HistoricalAveraging
from convergan.training.objective import (
    DiscriminatorStep,
    GeneratorStep,
    discriminator_terms,
    generator_terms,
    parts_of,
    total,
)
from convergan.training.run import train


def logits(rows: int, classes: int) -> torch.Tensor:
    return torch.randn(rows, classes, dtype=torch.float64)


def test_binary_is_the_loss_of_the_first_gans() -> None:
    torch.manual_seed(0)
    step = DiscriminatorStep(None, None, logits(7, 1), logits(5, 1))
    settings = ObjectiveSettings(discriminator="binary", unsupervised_weight=1.0)
    real = F.binary_cross_entropy_with_logits(step.unlabelled_logits, torch.ones(7, 1).double())
    generated = F.binary_cross_entropy_with_logits(
        step.generated_logits, torch.zeros(5, 1).double()
    )
    torch.testing.assert_close(
        total(parts_of(discriminator_terms(settings, None), step)), real + generated
    )


def test_semi_supervised_has_the_authors_weight() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 2, 1])
    step = DiscriminatorStep(logits(3, 4), labels, logits(7, 4), logits(5, 4))
    parts = parts_of(discriminator_terms(ObjectiveSettings(), None), step)
    lse_real, lse_generated = (
        step.unlabelled_logits.logsumexp(1),
        step.generated_logits.logsumexp(1),
    )
    # The authors' code: .5 (softplus(lse) - lse) and .5 softplus(lse).
    torch.testing.assert_close(parts["unlabelled"], 0.5 * (F.softplus(lse_real) - lse_real).mean())
    torch.testing.assert_close(parts["generated"], 0.5 * F.softplus(lse_generated).mean())
    torch.testing.assert_close(parts["supervised"], F.cross_entropy(step.labelled_logits, labels))


def test_smoothing_without_smoothing_is_the_plain_loss() -> None:
    torch.manual_seed(0)
    step = DiscriminatorStep(logits(3, 4), torch.tensor([0, 2, 1]), logits(7, 4), logits(5, 4))
    plain = total(parts_of(discriminator_terms(ObjectiveSettings(), None), step))
    nearly = ObjectiveSettings(positive_target=1 - 1e-12)
    assert [*parts_of(discriminator_terms(nearly, None), step)] == [
        "supervised",
        "real_or_generated",
    ]
    torch.testing.assert_close(total(parts_of(discriminator_terms(nearly, None), step)), plain)


def test_generators_losses() -> None:
    torch.manual_seed(0)
    step = GeneratorStep(logits(6, 8), logits(5, 8), logits(5, 4))
    score = torch.sigmoid(step.generated_logits.logsumexp(1))
    minimax = parts_of(generator_terms(ObjectiveSettings(generator="minimax"), None), step)
    torch.testing.assert_close(minimax["minimax"], torch.log(1 - score).mean())
    other = parts_of(generator_terms(ObjectiveSettings(generator="non-saturating"), None), step)
    torch.testing.assert_close(other["non_saturating"], -torch.log(score).mean())
    assert step.unlabelled_features is not None
    difference = step.unlabelled_features.mean(0) - step.generated_features.mean(0)
    for distance, expected in (("squared", difference**2), ("absolute", difference.abs())):
        settings = ObjectiveSettings(feature_distance=distance)  # type: ignore[arg-type]
        parts = parts_of(generator_terms(settings, None), step)
        torch.testing.assert_close(parts["feature_matching"], expected.mean())


def test_historical_averaging_is_weighted() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    history = HistoricalAveraging([weight])
    history.update()
    with torch.no_grad():
        weight += 2
    settings = ObjectiveSettings(historical_averaging=0.25, generator="minimax")
    step = GeneratorStep(None, logits(5, 8), logits(5, 4))
    parts = parts_of(generator_terms(settings, history), step)
    assert parts["historical_averaging"].item() == pytest.approx(0.25 * 3 * 4)


@pytest.mark.parametrize(
    ("changes", "terms"),
    [
        (
            {"generator": "minimax", "generator_steps": 2},
            {
                "discriminator/supervised", "discriminator/unlabelled",
                "discriminator/generated", "generator/minimax",
            },
        ),
        (
            {"generator": "non-saturating", "positive_target": 0.9, "historical_averaging": 0.01},
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
