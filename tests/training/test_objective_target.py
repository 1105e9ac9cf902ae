"""The generator's cross-entropy to a target, against its formula."""

import math
from dataclasses import replace

import pytest
import torch

from convergan.errors import UserError
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.terms import NonSaturatingSettings, TargetSettings
from convergan.training.terms.non_saturating import NonSaturating
from convergan.training.terms.target import Target
from convergan.training.terms.term import Term, TermOutputs

SETTINGS = TargetSettings(weight=1)


def value_of(term: Term, logits: torch.Tensor) -> torch.Tensor:
    groups = {"generated": DiscriminatorOutput(logits, logits)}
    (part,) = term.weighted_parts(TermOutputs(groups=groups)).values()
    return part


def loss_of(settings: TargetSettings, logits: torch.Tensor) -> torch.Tensor:
    return value_of(Target(settings), logits)


@pytest.mark.parametrize("target", [0.375, 0.1, 0.9, 1.0])
def test_it_is_the_cross_entropy_of_target_and_real_probability(target: float) -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(9, 5, dtype=torch.float64)
    total = logits.exp().sum(dim=1)
    real = total / (total + 1)
    expected = -(target * real.log() + (1 - target) * (1 - real).log()).mean()
    loss = loss_of(replace(SETTINGS, probability=target), logits)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)


def test_the_papers_target() -> None:
    # D = 1/2 where the logsumexp is 0; there every target costs log 2.
    logits = torch.full((4, 2), -math.log(2.0), dtype=torch.float64)
    assert SETTINGS.probability == 0.375
    assert loss_of(SETTINGS, logits).item() == pytest.approx(math.log(2))


def test_it_is_lowest_where_the_discriminator_says_the_target() -> None:
    best = math.log(0.375 / 0.625)
    logits = torch.tensor([[best - 0.5], [best], [best + 0.5]], requires_grad=True)
    losses = torch.stack([loss_of(SETTINGS, row[None]) for row in logits])
    (slope,) = torch.autograd.grad(losses.sum(), logits)
    assert slope[0] < 0 < slope[2]
    assert slope[1].item() == pytest.approx(0, abs=1e-6)


def test_a_target_of_one_is_the_non_saturating_loss() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 3)
    loss = loss_of(replace(SETTINGS, probability=1.0), logits)
    torch.testing.assert_close(
        loss, value_of(NonSaturating(NonSaturatingSettings(weight=1)), logits)
    )


def test_it_is_finite_for_large_logits() -> None:
    logits = torch.tensor([[1e6], [-1e6]], requires_grad=True)
    loss = loss_of(SETTINGS, logits)
    loss.backward()
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize("target", [0.0, -0.1, 1.1])
def test_impossible_targets(target: float) -> None:
    with pytest.raises(
        UserError, match=r"objective.target.probability: expected above 0, at most 1"
    ):
        TargetSettings(probability=target)
