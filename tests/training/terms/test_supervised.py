"""The cross-entropy of the labelled images, with weights of the classes where they are unbalanced."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import SupervisedSettings
from convergan.runs.tensor_files import load_tensors
from convergan.training.objective import losses_of
from convergan.training.run import train
from convergan.training.terms.term import TermContext, TermOutputs
from support import equal_states

BALANCED = ObjectiveSettings(supervised=SupervisedSettings(class_weights="balanced", weight=0.5))
LABELS = torch.tensor([0] * 10 + [1] * 2 + [2] * 4)


def losses(counts: list[int], logits: Tensor, labels: Tensor) -> list[Tensor]:
    """The loss of the labelled images for discriminator and baseline, where labels are so many."""
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
    # Of a part of the labels the weights stay: the mean over all batches is that over all labels.
    batches = [losses([10, 2, 4], logits[i : i + 4], LABELS[i : i + 4])[0] for i in (0, 4, 8, 12)]
    torch.testing.assert_close(torch.stack(batches).mean(), expected, rtol=1e-6, atol=0)


def test_labels_that_are_balanced_are_not_weighted() -> None:
    logits, labels = torch.randn(9, 3), torch.arange(9) % 3
    for value in losses([20, 20, 20], logits, labels):
        assert torch.equal(value, 0.5 * F.cross_entropy(logits, labels))


@pytest.mark.parametrize("labels", [100, None])
def test_weights_change_what_unbalanced_labels_teach_and_nothing_else(
    labels: int | None, quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    supervised = SupervisedSettings(class_weights="balanced")
    weighted = replace(quick_recipe.objective, supervised=supervised)
    weights = []
    for name, objective in (("plain", quick_recipe.objective), ("weighted", weighted)):
        recipe = replace(quick_recipe, epochs=1, labels=labels, objective=objective)
        train(recipe, tmp_path / name, console=quiet)
        weights.append(load_tensors(tmp_path / name / "model" / "classifier.safetensors")[0])
    # All labels of digits are not quite balanced, a hundred of them are.
    assert equal_states([weights[0]], [weights[1]]) is (labels is not None)
