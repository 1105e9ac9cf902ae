"""Losses of half-precision inputs are those of the same numbers in float32, under autocast too."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from convergan.techniques.conditional_entropy import conditional_entropy
from convergan.techniques.consistency import align_distribution, consistency_loss
from convergan.techniques.feature_matching import feature_matching_loss
from convergan.techniques.generator_losses import (
    minimax_generator_loss,
    non_saturating_generator_loss,
    target_generator_loss,
)
from convergan.techniques.label_smoothing import one_sided_smoothing_loss
from convergan.techniques.pull_away import pull_away_loss
from convergan.techniques.semi_supervised import real_probability_logit, semi_supervised_loss

LABELS = torch.arange(64) % 5
LOGITS = torch.linspace(-3, 3, 320).view(64, 5).mul(9).sin().mul(3)
MEAN = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.4])


def logits(columns: int = 5) -> Tensor:
    return 3 * torch.randn(64, columns)


LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[[], list[Tensor]]]] = {
    # Features of a saturated layer, whose means differ by little.
    "feature matching": (
        lambda real, generated: feature_matching_loss(real, generated, reduction="mean"),
        lambda: [0.8 + 0.2 * torch.rand(100, 250), 0.803 + 0.2 * torch.rand(100, 250)],
    ),
    "absolute feature matching": (
        lambda real, generated: feature_matching_loss(real, generated, distance="absolute"),
        lambda: [100 + torch.randn(100, 9), 100.05 + torch.randn(100, 9)],
    ),
    "semi-supervised": (
        lambda first, second, third: semi_supervised_loss(first, LABELS, second, third).total,
        lambda: [logits(), logits(), logits()],
    ),
    "smoothing": (one_sided_smoothing_loss, lambda: [logits(), logits()]),
    "logit of D": (lambda rows: real_probability_logit(rows).mean(), lambda: [logits()]),
    "minimax": (minimax_generator_loss, lambda: [logits()]),
    "non-saturating": (non_saturating_generator_loss, lambda: [logits()]),
    "target": (target_generator_loss, lambda: [logits()]),
    "consistency": (
        lambda student: consistency_loss(student, 2 * LOGITS, threshold=0.5),
        lambda: [logits()],
    ),
    "soft consistency": (
        lambda student: consistency_loss(student, LOGITS, threshold=0.25, temperature=0.5),
        lambda: [logits()],
    ),
    "alignment": (
        lambda rows: align_distribution(rows, MEAN, MEAN.flip(0)).square().mean(),
        lambda: [logits()],
    ),
    "conditional entropy": (conditional_entropy, lambda: [logits()]),
    "pull-away": (pull_away_loss, lambda: [1 + torch.randn(64, 5)]),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_loses_nothing(name: str, autocast: bool, dtype: torch.dtype) -> None:
    loss_of, batches = LOSSES[name]
    halves = [batch.to(dtype).requires_grad_() for batch in batches()]
    wide = [half.detach().float().requires_grad_() for half in halves]
    expected = loss_of(*wide)
    with torch.autocast("cpu", dtype=dtype, enabled=autocast):
        loss = loss_of(*halves)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    # As by a GradScaler: small gradients are not in the range of float16.
    (1024 * loss).backward()
    (1024 * expected).backward()
    for half, reference in zip(halves, wide, strict=True):
        # Only the gradient itself is rounded, to eight or eleven digits.
        difference = (half.grad.float() - reference.grad).norm() / reference.grad.norm()
        assert difference < 2**-8


@pytest.mark.parametrize("name", LOSSES)
def test_double_precision_stays(name: str) -> None:
    loss_of, batches = LOSSES[name]
    assert loss_of(*(batch.double() for batch in batches())).dtype == torch.float64


def test_large_features_in_half_precision_do_not_overflow() -> None:
    real = torch.full((4, 1000), 300.0, dtype=torch.float16)
    assert feature_matching_loss(real, torch.zeros_like(real)).item() == 1000 * 300**2
