import math

import pytest
import torch

from convergan.techniques.pull_away import pull_away_loss


def test_is_the_mean_squared_cosine_of_pairs_written_out() -> None:
    features = torch.randn(7, 3, dtype=torch.float64)
    rows, total = features.tolist(), 0.0
    for i, first in enumerate(rows):
        for j, second in enumerate(rows):
            if i != j:
                product = sum(a * b for a, b in zip(first, second, strict=True))
                total += (product / (math.hypot(*first) * math.hypot(*second))) ** 2
    assert pull_away_loss(features).item() == pytest.approx(total / 42, rel=1e-12)


def test_is_1_where_all_are_one_and_0_where_they_are_orthogonal() -> None:
    direction = torch.randn(1, 5)
    scales = torch.tensor([[0.01], [1.0], [-3.0], [500.0]])
    assert pull_away_loss(scales * direction).item() == pytest.approx(1, abs=1e-6)
    assert pull_away_loss(7 * torch.eye(6)).item() == 0


def test_more_samples_than_features_have_a_lower_bound() -> None:
    def bound(samples: int, features: int) -> float:
        return (samples / features - 1) / (samples - 1)

    # A tight frame: 5 directions, evenly around the half circle.
    angles = torch.arange(5, dtype=torch.float64) * torch.pi / 5
    frame = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert pull_away_loss(frame).item() == pytest.approx(bound(5, 2), rel=1e-12)
    for _ in range(20):
        assert pull_away_loss(torch.randn(9, 4, dtype=torch.float64)) >= bound(9, 4)


def test_its_gradient_pulls_apart() -> None:
    features = (1 + 0.1 * torch.randn(8, 16, dtype=torch.float64)).requires_grad_()
    optimizer = torch.optim.SGD([features], lr=20.0)
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = pull_away_loss(features)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.9 and losses[-1] < 0.01


def test_differentiable_at_equal_features_and_at_zeros() -> None:
    for features in (torch.ones(3, 4), torch.zeros(3, 4), torch.eye(3, 4)):
        x = features.double().requires_grad_()
        (gradient,) = torch.autograd.grad(pull_away_loss(x), x)
        assert gradient.isfinite().all()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pull_away_loss, (x,))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(1, 4), (0, 4), (4, 0), (4,)])
def test_errors_name_the_argument(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"features must be \[batch, features\] with at least two rows"
    ):
        pull_away_loss(torch.zeros(shape))
