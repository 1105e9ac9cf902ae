"""Adam's epsilon in its three places, against Adam written out; and resuming from a checkpoint."""

from typing import Any

import pytest
import torch
from torch import Tensor

from authors.adam import Adam
from convergan.recipes.settings import OptimizerSettings
from convergan.training.adam import PlacedEpsilonAdam, build_optimizer

CPU = torch.device("cpu")


def weights_and_gradients(steps: int) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Two weights, and gradients of very different sizes, some as small as epsilon's root."""
    generator = torch.Generator().manual_seed(0)

    def random_tensor(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    shapes = ((4, 3), (5,))
    scales = [10.0 ** -(number % 7) for number in range(steps)]
    return [random_tensor(*shape) for shape in shapes], [
        [scale * random_tensor(*shape) for shape in shapes] for scale in scales
    ]


def settings_of(place: Any) -> OptimizerSettings:
    return OptimizerSettings(learning_rate=0.01, epsilon=1e-8, epsilon_place=place)


def moved(optimizer: torch.optim.Optimizer, weights: list[Tensor], gradients: list[Tensor]) -> None:
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone()
    optimizer.step()


@pytest.mark.parametrize(
    ("place", "form"),
    [("outside", "outside"), ("inside", "theano"), ("uncorrected", "tensorflow")],
)
def test_epsilon_stands_where_it_is_to_stand(place: str, form: str) -> None:
    start, gradients = weights_and_gradients(20)
    weights, expected_weights = (
        [weight.clone().requires_grad_() for weight in start] for _ in range(2)
    )
    optimizer = build_optimizer(weights, settings_of(place), CPU)
    expected = Adam(expected_weights, form=form, epsilon=1e-8)
    for step_gradients in gradients:
        moved(optimizer, weights, step_gradients)
        expected.move(step_gradients, 0.01)
    for weight, expected_weight in zip(weights, expected_weights, strict=True):
        torch.testing.assert_close(weight, expected_weight, rtol=1e-12, atol=1e-13)


def test_places_differ() -> None:
    start, gradients = weights_and_gradients(20)
    ends = []
    for place in ("outside", "inside", "uncorrected"):
        weights = [weight.clone().requires_grad_() for weight in start]
        optimizer = build_optimizer(weights, settings_of(place), CPU)
        for step_gradients in gradients:
            moved(optimizer, weights, step_gradients)
        ends.append(torch.cat([weight.detach().flatten() for weight in weights]))
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert not torch.allclose(ends[first], ends[second], rtol=1e-9, atol=0)


def test_going_on_equals_not_stopping_and_no_gradient_moves_nothing() -> None:
    start, gradients = weights_and_gradients(6)
    ends = []
    for stops in (False, True):
        weights = [weight.clone().requires_grad_() for weight in start]
        optimizer = build_optimizer(weights, settings_of("inside"), CPU)
        for number, step_gradients in enumerate(gradients):
            if stops and number == 3:
                state = optimizer.state_dict()
                optimizer = build_optimizer(weights, settings_of("inside"), CPU)
                optimizer.load_state_dict(state)
            moved(optimizer, weights, step_gradients)
        ends.append([weight.detach().clone() for weight in weights])
    assert all(torch.equal(first, second) for first, second in zip(*ends, strict=True))
    assert isinstance(optimizer, PlacedEpsilonAdam)
    weights[0].grad = None
    optimizer.step()
    assert torch.equal(weights[0], ends[0][0]) and not torch.equal(weights[1], ends[0][1])


def test_weights_decay_apart_from_the_gradient() -> None:
    settings = OptimizerSettings(
        learning_rate=0.5, weight_decay=0.1, epsilon=1e-8, epsilon_place="inside"
    )
    weight = torch.ones(3, requires_grad=True)
    optimizer = build_optimizer([weight], settings, CPU)
    moved(optimizer, [weight], [torch.zeros(3)])
    torch.testing.assert_close(weight.detach(), torch.full((3,), 0.95))
