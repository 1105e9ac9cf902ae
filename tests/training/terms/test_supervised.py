"""The cross-entropy of the labelled images, with weights of the classes where they are unbalanced."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from convergan.data.training_data import TrainingData
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import SupervisedSettings
from convergan.training.loop import fit
from convergan.training.objective import losses_of
from convergan.training.terms.term import TermContext, TermOutputs
from support import equal_states

BALANCED = ObjectiveSettings(supervised=SupervisedSettings(class_weights="balanced", weight=0.5))
LABELS = torch.tensor([0] * 10 + [1] * 2 + [2] * 4)


def losses(counts: list[int], logits: Tensor, labels: Tensor) -> list[Tensor]:
    """The labelled images' loss for discriminator and baseline, with labels in these numbers by class."""
    context = TermContext(labels_of_class=tuple(counts), device=torch.device("cpu"))
    labelled = DiscriminatorOutput(logits, torch.zeros(len(logits), 1))
    values = []
    for player in ("discriminator", "baseline"):
        loss = losses_of(BALANCED)[player]
        loss.begin(context)
        (term,) = (term for term in loss.terms if term.name == "supervised")
        step = TermOutputs(groups={"labelled": labelled}, labels=labels)
        values.append(term.weighted_parts(step)["supervised"])
    return values


def test_balanced_weights_are_the_weighted_cross_entropy() -> None:
    torch.manual_seed(0)
    logits = torch.randn(16, 3, dtype=torch.float64)
    weights = torch.tensor([16 / 30, 16 / 6, 16 / 12], dtype=torch.float64)
    expected = 0.5 * F.cross_entropy(logits, LABELS, weight=weights)
    for value in losses([10, 2, 4], logits, LABELS):
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
    # A batch has the weights of all labels: the mean over all batches is that over all labels.
    batches = [losses([10, 2, 4], logits[i : i + 4], LABELS[i : i + 4])[0] for i in (0, 4, 8, 12)]
    torch.testing.assert_close(torch.stack(batches).mean(), expected, rtol=1e-6, atol=0)


def test_labels_that_are_balanced_are_not_weighted() -> None:
    logits, labels = torch.randn(9, 3), torch.arange(9) % 3
    for value in losses([20, 20, 20], logits, labels):
        assert torch.equal(value, 0.5 * F.cross_entropy(logits, labels))


@pytest.mark.parametrize("counts", [(4, 3, 2), (3, 3, 3)])
def test_weights_change_what_unbalanced_labels_teach_and_nothing_else(
    counts: tuple[int, ...], quick_recipe: Recipe
) -> None:
    data = TrainingData(
        images=np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), dtype=np.uint8),
        labelled=np.arange(9),
        labels=np.arange(3).repeat(counts),
        unlabelled=np.arange(20),
        validation=np.arange(0),
        validation_labels=np.arange(0),
        classes=("a", "b", "c"),
    )
    weighted = replace(
        quick_recipe.objective, supervised=SupervisedSettings(class_weights="balanced")
    )
    weights = []
    for objective in (quick_recipe.objective, weighted):
        recipe = replace(quick_recipe, epochs=2, batch_size=8, objective=objective)
        fitted = fit(torch.device("cpu"), recipe, data)
        assert fitted.baseline is not None
        weights.append([fitted.discriminator.state_dict(), fitted.baseline.state_dict()])
    for plain, balanced in zip(*weights, strict=True):
        assert equal_states(plain, balanced) is (len(set(counts)) == 1)
