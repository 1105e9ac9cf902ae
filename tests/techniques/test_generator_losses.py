import math

import pytest
import torch

from convergan.techniques.generator_losses import (
    minimax_generator_loss,
    non_saturating_generator_loss,
    target_generator_loss,
)

LOSSES = [minimax_generator_loss, non_saturating_generator_loss, target_generator_loss]


def test_each_is_its_formula() -> None:
    logits = 2 * torch.randn(7, 2, dtype=torch.float64)
    d = torch.sigmoid(logits)
    torch.testing.assert_close(minimax_generator_loss(logits), (1 - d).log().mean())
    torch.testing.assert_close(non_saturating_generator_loss(logits), -d.log().mean())
    expected = -(0.3 * d.log() + 0.7 * (1 - d).log()).mean()
    torch.testing.assert_close(target_generator_loss(logits, 0.3), expected)


def test_where_the_discriminator_is_sure_only_the_minimax_gradient_vanishes() -> None:
    logits = torch.tensor([-20.0], requires_grad=True)
    slopes = [torch.autograd.grad(loss(logits), logits)[0].item() for loss in LOSSES]
    assert slopes == pytest.approx([0, -1, -0.375], abs=1e-6)


def test_the_target_is_where_the_loss_is_lowest() -> None:
    logits = torch.tensor([math.log(0.3 / 0.7)], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(target_generator_loss(logits, 0.3), logits)
    assert slope.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_finite_for_logits_of_any_size(loss) -> None:
    logits = torch.tensor([-1e6, 1e6], requires_grad=True)
    loss(logits).backward()
    assert loss(logits).isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
def test_an_empty_batch_is_an_error(loss) -> None:
    with pytest.raises(ValueError, match="generated_logits must hold at least one logit, got none"):
        loss(torch.zeros(0))


@pytest.mark.parametrize("target", [0.0, 1.1, -0.2, float("nan")])
def test_impossible_targets(target: float) -> None:
    with pytest.raises(ValueError, match=rf"target must be in \(0, 1\], got {target}"):
        target_generator_loss(torch.zeros(3), target)
