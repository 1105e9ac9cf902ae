"""`torch.func` and second derivatives of layers and losses agree with autograd and with differences."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from convergan.networks.dense import NoisyDense
from convergan.networks.layers import BatchNormWithoutGain
from convergan.networks.noise import GaussianNoise
from convergan.techniques.conditional_entropy import conditional_entropy
from convergan.techniques.consistency import align_distribution, consistency_loss
from convergan.techniques.feature_matching import feature_matching_loss
from convergan.techniques.generator_losses import (
    minimax_generator_loss,
    non_saturating_generator_loss,
    target_generator_loss,
)
from convergan.techniques.historical_averaging import HistoricalAveraging
from convergan.techniques.label_smoothing import one_sided_smoothing_loss
from convergan.techniques.pull_away import pull_away_loss
from convergan.techniques.semi_supervised import real_probability_logit, semi_supervised_loss
from convergan.techniques.weight_norm import (
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
)

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: WeightNormLinear(3, 2), (4, 3)),
    "convolution": (lambda: WeightNormConv2d(2, 3, 2), (3, 2, 3, 3)),
    "grouped": (lambda: WeightNormConv2d(2, 4, 2, groups=2, dilation=2), (3, 2, 4, 4)),
    "transposed": (lambda: WeightNormConvTranspose2d(2, 3, 2, stride=2), (3, 2, 2, 2)),
    "dense": (lambda: NoisyDense(3, 2, stdev=0.0, relu=False, train_gain=True), (4, 3)),
    "rectified": (lambda: NoisyDense(3, 2, stdev=0.0, relu=True, train_gain=True), (4, 3)),
    "batch norm": (lambda: BatchNormWithoutGain(3).eval(), (4, 3)),
    "noise": (lambda: GaussianNoise(0.5).eval(), (4, 3)),
}
LABELS = torch.tensor([0, 1, 2, 1])
MEAN = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.4], dtype=torch.float64)
TARGETS = torch.arange(20, dtype=torch.float64).view(4, 5).sin() * 3
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "feature matching": lambda x: feature_matching_loss(x.sin(), x),
    "semi-supervised": lambda x: semi_supervised_loss(x, LABELS, x + 1, x - 1).total,
    "smoothing": lambda x: one_sided_smoothing_loss(x, x + 1),
    "logit of D": lambda x: real_probability_logit(x).sum(),
    "minimax": minimax_generator_loss,
    "non-saturating": non_saturating_generator_loss,
    "target": target_generator_loss,
    "consistency": lambda x: consistency_loss(x, 2 * x, threshold=0.5),
    "soft consistency": lambda x: consistency_loss(x, TARGETS, threshold=0.3, temperature=0.5),
    "alignment": lambda x: align_distribution(x, MEAN, MEAN.flip(0)).square().sum(),
    "conditional entropy": conditional_entropy,
    "pull-away": pull_away_loss,
}

layers = pytest.mark.parametrize("name", LAYERS)


def case(name: str) -> tuple[nn.Module, Tensor]:
    build, shape = LAYERS[name]
    layer = build().double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer, torch.randn(shape, dtype=torch.float64)


def loss_of(layer: nn.Module, x: Tensor) -> Callable[[dict[str, Tensor]], Tensor]:
    return lambda parameters: torch.func.functional_call(layer, parameters, (x,)).square().sum()


@layers
def test_grad_is_that_of_autograd(name: str) -> None:
    layer, x = case(name)
    parameters = dict(layer.named_parameters())
    gradients = torch.func.grad(loss_of(layer, x))(parameters)
    input_gradient = torch.func.grad(lambda x: layer(x).square().sum())(x)
    x.requires_grad_()
    layer(x).square().sum().backward()
    torch.testing.assert_close(input_gradient, x.grad)
    for key, parameter in parameters.items():
        torch.testing.assert_close(gradients[key], parameter.grad)


@layers
def test_gradients_of_each_sample_and_of_an_ensemble(name: str) -> None:
    layer, x = case(name)
    parameters = {key: parameter.detach() for key, parameter in layer.named_parameters()}

    def gradient(parameters: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
        return torch.func.grad(loss_of(layer, x[None]))(parameters)

    per_sample = torch.func.vmap(gradient, in_dims=(None, 0))(parameters, x)
    ensemble = {
        key: torch.stack([parameter, 2 - parameter]) for key, parameter in parameters.items()
    }
    outputs = torch.func.vmap(lambda weights: torch.func.functional_call(layer, weights, (x,)))
    for key in parameters:
        expected = torch.stack([gradient(parameters, sample)[key] for sample in x])
        torch.testing.assert_close(per_sample[key], expected)
    if parameters:
        for number, output in enumerate(outputs(ensemble)):
            member = {key: stack[number] for key, stack in ensemble.items()}
            torch.testing.assert_close(output, torch.func.functional_call(layer, member, (x,)))


@layers
def test_forward_mode_without_torch_func(name: str) -> None:
    layer, x = case(name)
    tangent = torch.randn_like(x)
    _, expected = torch.func.jvp(layer, (x,), (tangent,))
    with forward_ad.dual_level():
        output = layer(forward_ad.make_dual(x, tangent))
        torch.testing.assert_close(forward_ad.unpack_dual(output).tangent, expected)


@layers
def test_jvp_is_a_difference_quotient(name: str) -> None:
    layer, x = case(name)
    names = list(dict(layer.named_parameters()))
    point = [parameter.detach() for parameter in layer.parameters()]
    tangents = [torch.randn_like(value) for value in (x, *point)]

    def outputs(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

    _, slope = torch.func.jvp(outputs, (x, *point), tuple(tangents))
    step = 1e-6
    forward, backward = (
        outputs(*(a + sign * step * b for a, b in zip((x, *point), tangents, strict=True))).detach()
        for sign in (1, -1)
    )
    torch.testing.assert_close(
        slope.detach(), (forward - backward) / (2 * step), rtol=1e-6, atol=1e-8
    )


@layers
def test_second_derivatives(name: str) -> None:
    layer, x = case(name)
    names = list(dict(layer.named_parameters()))

    def outputs(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

    point = [parameter.detach().requires_grad_() for parameter in layer.parameters()]
    assert torch.autograd.gradgradcheck(outputs, (x.requires_grad_(), *point))


@layers
def test_jacobians_by_batched_gradients(name: str) -> None:
    """The forward pass is outside of the vmap that the gradients are taken in."""
    layer, x = case(name)
    jacobian = torch.autograd.functional.jacobian
    torch.testing.assert_close(jacobian(layer, x, vectorize=True), jacobian(layer, x))


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_gradient_penalty_trains_a_noisy_discriminator(noise: float) -> None:
    """R1: the gradient of || dD/dx ||^2 is that of the same network of plain layers."""
    network = nn.Sequential(
        NoisyDense(5, 7, stdev=noise, relu=True, train_gain=False),
        NoisyDense(7, 1, stdev=noise, relu=False, train_gain=True),
    ).double()
    plain = nn.Sequential(
        GaussianNoise(noise), WeightNormLinear(5, 7, train_gain=False), nn.ReLU(),
        GaussianNoise(noise), WeightNormLinear(7, 1),
    ).double()  # fmt: skip
    plain[1].load_state_dict(network[0].state_dict())
    plain[4].load_state_dict(network[1].state_dict())
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    gradients = []
    for model in (network, plain):
        torch.manual_seed(1)
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        penalty = slope.square().sum(1).mean()
        assert penalty > 0
        weights = [layer.weight for layer in model if isinstance(layer, WeightNormLinear)]
        gradients.append(torch.autograd.grad(penalty, weights))
    for gradient, reference in zip(*gradients, strict=True):
        assert gradient.abs().max() > 0
        torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    loss = LOSSES[name]
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    losses = torch.func.vmap(loss)(x)
    gradients = torch.func.vmap(torch.func.grad(loss))(x)
    tangent = torch.randn_like(x[0])
    for sample, value, gradient in zip(x, losses, gradients, strict=True):
        sample.requires_grad_()
        torch.testing.assert_close(loss(sample), value)
        torch.testing.assert_close(torch.autograd.grad(loss(sample), sample)[0], gradient)
        _, slope = torch.func.jvp(loss, (sample,), (tangent,))
        torch.testing.assert_close(slope, (gradient * tangent).sum())
    assert torch.autograd.gradgradcheck(loss, (x[0].detach().requires_grad_(),))


class Penalty(nn.Module):
    """A loss of a network's own parameters, for `functional_call`."""

    def __init__(self, network: nn.Module, averaging: HistoricalAveraging) -> None:
        super().__init__()
        self.network = network
        self.averaging = averaging

    def forward(self) -> Tensor:
        return self.averaging.penalty()


def test_the_penalty_of_historical_averaging() -> None:
    network = nn.Linear(3, 2).double()
    averaging = HistoricalAveraging(network)
    averaging.update()
    past = {key: parameter.detach().clone() for key, parameter in network.named_parameters()}
    loss = Penalty(network, averaging)

    def penalty(parameters: dict[str, Tensor]) -> Tensor:
        prefixed = {f"network.{key}": parameter for key, parameter in parameters.items()}
        return torch.func.functional_call(loss, prefixed, ())

    now = {key: torch.randn_like(parameter) for key, parameter in past.items()}
    gradients = torch.func.grad(penalty)(now)
    several = {key: torch.stack([parameter, 3 * parameter]) for key, parameter in now.items()}
    penalties = torch.func.vmap(penalty)(several)
    _, slope = torch.func.jvp(penalty, (now,), (now,))
    for key in now:
        torch.testing.assert_close(gradients[key], 2 * (now[key] - past[key]))
    for number, factor in enumerate((1, 3)):
        expected = sum((factor * now[key] - past[key]).square().sum() for key in now)
        torch.testing.assert_close(penalties[number], expected)
    torch.testing.assert_close(slope, sum((gradients[key] * now[key]).sum() for key in now))


def test_the_penalty_in_forward_mode() -> None:
    network = nn.Linear(3, 2, bias=False).double()
    averaging = HistoricalAveraging(network)
    averaging.update()
    past = network.weight.detach().clone()
    now, tangent = torch.randn_like(past), torch.randn_like(past)
    with forward_ad.dual_level():
        dual = {"network.weight": forward_ad.make_dual(now, tangent)}
        penalty = torch.func.functional_call(Penalty(network, averaging), dual, ())
        slope = forward_ad.unpack_dual(penalty).tangent
    torch.testing.assert_close(slope, (2 * (now - past) * tangent).sum())


def test_second_derivatives_of_the_penalty() -> None:
    theta = torch.randn(3, dtype=torch.float64, requires_grad=True)
    averaging = HistoricalAveraging([theta])
    averaging.update()
    (gradient,) = torch.autograd.grad(averaging.penalty(), theta, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), theta)
    assert second.tolist() == [2, 2, 2]
