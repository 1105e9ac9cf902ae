import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from convergan.networks.dense import NoisyDense
from convergan.networks.layers import BatchNormWithoutGain
from convergan.networks.noise import GaussianNoise
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.techniques.weight_norm import (
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
    initialize_from_data,
)

STRIDED = {"stride": 2, "padding": 1}
UPSAMPLED = {"stride": 2, "padding": (2, 2), "output_padding": 1}

kinds = pytest.mark.parametrize(
    ("kind", "plain_kind", "sizes", "unit_axis", "shape", "options"),
    [
        (WeightNormLinear, nn.Linear, (5, 4), 0, (7, 5), {}),
        (WeightNormLinear, nn.Linear, (5, 4), 0, (7, 2, 5), {}),
        (WeightNormConv2d, nn.Conv2d, (3, 4, 3), 0, (2, 3, 6, 5), STRIDED),
        (WeightNormConv2d, nn.Conv2d, (3, 4, (1, 2)), 0, (2, 3, 6, 5), {}),
        (WeightNormConv2d, nn.Conv2d, (6, 4, 3), 0, (2, 6, 6, 5), {"dilation": 2, "groups": 2}),
        (WeightNormConvTranspose2d, nn.ConvTranspose2d, (3, 4, 5), 1, (2, 3, 4, 3), UPSAMPLED),
    ],
)


@kinds
@pytest.mark.parametrize("bias", [True, False])
def test_equals_normalized_weights_and_so_do_the_gradients(
    kind, plain_kind, sizes, unit_axis, shape, options, bias
):
    layer = kind(*sizes, bias=bias, **options).double()
    with torch.no_grad():
        layer.gain.normal_()
        if bias:
            layer.bias.normal_()
    peer = plain_kind(*sizes, bias=bias, **options).double()
    parametrizations.weight_norm(peer, dim=unit_axis)
    weights = peer.parametrizations.weight
    with torch.no_grad():
        weights.original0.copy_(layer.gain.view_as(weights.original0))
        weights.original1.copy_(layer.weight)
        if bias:
            peer.bias.copy_(layer.bias)

    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    actual, expected = layer(x), peer(x)
    torch.testing.assert_close(actual, expected)

    inputs = [x, layer.weight, layer.gain] + ([layer.bias] if bias else [])
    peer_inputs = [x, weights.original1, weights.original0] + ([peer.bias] if bias else [])
    cotangent = torch.randn_like(actual)
    for gradient, reference in zip(
        torch.autograd.grad(actual, inputs, cotangent),
        torch.autograd.grad(expected, peer_inputs, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(gradient, reference.view_as(gradient))


def test_second_derivatives():
    layer = WeightNormLinear(3, 2).double()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)

    def outputs(x, weight, gain):
        return torch.func.functional_call(layer, {"weight": weight, "gain": gain}, (x,))

    assert torch.autograd.gradgradcheck(outputs, (x, layer.weight, layer.gain))


@kinds
def test_a_weight_of_zero_gives_its_bias_and_can_be_trained(
    kind, plain_kind, sizes, unit_axis, shape, options
):
    layer = kind(*sizes, **options)
    with torch.no_grad():
        layer.weight.select(unit_axis, 0).zero_()
        layer.bias.normal_()
    x = torch.randn(shape, requires_grad=True)
    outputs = layer(x)
    unit_outputs = outputs.select(-1 if isinstance(layer, WeightNormLinear) else 1, 0)
    assert unit_outputs.eq(layer.bias[0]).all()
    outputs.square().sum().backward()
    gradients = [x.grad, *(parameter.grad for parameter in layer.parameters())]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert layer.weight.grad.select(unit_axis, 0).abs().max() > 0
    assert layer.gain.grad[0] == 0
    # The same where torch.func takes plain operations, and in a gradient penalty.
    parameters = dict(layer.named_parameters())
    named_gradients = torch.func.grad(
        lambda weights: torch.func.functional_call(layer, weights, (x,)).square().sum()
    )(parameters)
    torch.testing.assert_close(named_gradients["weight"], layer.weight.grad)
    (input_gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    second = torch.autograd.grad(input_gradient.square().sum(), [x, layer.weight, layer.gain])
    assert all(gradient.isfinite().all() for gradient in second)
    layer.initialize_from_data(torch.randn(shape))
    assert all(value.isfinite().all() for value in layer.state_dict().values())


@kinds
def test_the_length_of_the_weight_does_not_matter(
    kind, plain_kind, sizes, unit_axis, shape, options
):
    layer = kind(*sizes, **options).double()
    x = torch.randn(shape, dtype=torch.float64)
    expected = layer(x)
    with torch.no_grad():
        layer.weight *= 1e3
    torch.testing.assert_close(layer(x), expected)


def test_initial_values():
    linear, conv = WeightNormLinear(300, 200), WeightNormConv2d(50, 60, 5)
    transposed = WeightNormConvTranspose2d(50, 60, 5)
    assert linear.weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert conv.weight.std().item() == pytest.approx(0.05, rel=0.02)
    assert transposed.weight.std().item() == pytest.approx(0.05, rel=0.02)
    for layer in (linear, conv, transposed):
        assert layer.gain.eq(1).all()
        assert layer.bias.eq(0).all()


def deep_network(**options):
    return nn.Sequential(
        WeightNormConv2d(3, 8, 3, padding=1, **options),
        nn.LeakyReLU(0.2),
        WeightNormConvTranspose2d(8, 4, 4, stride=2, padding=1, **options),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        WeightNormLinear(4 * 8 * 8, 10, **options),
        nn.Softplus(),
        WeightNormLinear(10, 5, initial_stdev=0.1, **options),
    ).double()


@pytest.mark.parametrize("train_gain", [True, False])
def test_initialization_gives_each_layer_mean_0_and_variance_1(train_gain):
    network = deep_network(train_gain=train_gain)
    x = 5 + 3 * torch.randn(64, 3, 4, 4, dtype=torch.float64)
    output = initialize_from_data(network, x)

    outputs = {}
    layers = [layer for layer in network if hasattr(layer, "gain")]
    for layer in layers:
        layer.register_forward_hook(lambda module, _, y: outputs.__setitem__(module, y.detach()))
    torch.testing.assert_close(network(x).detach(), output)
    assert len(outputs) == 4
    for layer in layers:
        y = outputs[layer].transpose(0, 1).flatten(1)  # units first
        torch.testing.assert_close(y.mean(1), torch.zeros_like(y[:, 0]), rtol=0, atol=1e-10)
        expected = torch.full_like(y[:, 0], layer.initial_stdev**2)
        torch.testing.assert_close(y.var(1, correction=0), expected)


def test_without_a_bias_only_the_scale_is_set():
    layer = WeightNormLinear(6, 4, bias=False).double()
    output = layer.initialize_from_data(5 + torch.randn(50, 6, dtype=torch.float64))
    torch.testing.assert_close(output.var(0, correction=0), torch.ones(4, dtype=torch.float64))
    assert output.mean(0).abs().min() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_unit_keeps_its_gain(dtype):
    layer = WeightNormLinear(50, 3).to(dtype)
    x = torch.randn(64, 50, dtype=dtype)
    x[:, :25] = torch.randn(25, dtype=dtype)  # half of the features do not vary
    with torch.no_grad():
        layer.weight[1, 25:] = 0  # and unit 1 sees only these
    output = layer.initialize_from_data(x)
    assert layer.gain[1] == 1
    torch.testing.assert_close(output[:, 1], torch.zeros_like(output[:, 1]), rtol=0, atol=1e-5)
    alive = output[:, [0, 2]].std(0, correction=0)
    torch.testing.assert_close(alive, torch.ones_like(alive))
    assert all(torch.isfinite(value).all() for value in layer.state_dict().values())


def test_an_untrained_gain_is_saved_but_not_trained():
    layer = WeightNormLinear(6, 4, train_gain=False)
    assert set(dict(layer.named_parameters())) == {"weight", "bias"}
    initialize_from_data(layer, torch.randn(50, 6))
    trained = WeightNormLinear(6, 4)
    assert set(dict(trained.named_parameters())) == {"weight", "gain", "bias"}
    trained.load_state_dict(layer.state_dict())
    assert torch.equal(trained.gain, layer.gain)
    assert (layer.gain != 1).all()


def test_initializes_other_layers_that_have_the_method():
    network = nn.Sequential(WeightNormLinear(6, 4), nn.ReLU(), MinibatchDiscrimination(4, 3, 2))
    output = initialize_from_data(network, torch.randn(50, 6))
    assert output.shape == (50, 7)
    torch.testing.assert_close(output[:, 4:].mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    assert network[2].log_scale.abs().min() > 0


class Breaking(nn.Module):
    def forward(self, x):
        raise RuntimeError("broken")


def test_forward_is_restored_even_after_an_exception():
    first, second = WeightNormLinear(6, 4), WeightNormLinear(4, 3)
    wrapped = second.forward
    second.forward = wrapped  # as libraries that wrap modules do
    with pytest.raises(RuntimeError, match="broken"):
        initialize_from_data(nn.Sequential(first, Breaking(), second), torch.randn(50, 6))
    assert "forward" not in vars(first)
    assert vars(second)["forward"] is wrapped
    x = torch.randn(7, 6)
    gain = first.gain.clone()
    first(x)
    assert torch.equal(first.gain, gain)


def test_initialization_needs_no_gradients_and_leaves_none():
    network = deep_network()
    output = initialize_from_data(network, torch.randn(8, 3, 4, 4, dtype=torch.float64))
    assert not output.requires_grad
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_outputs_stay_in_half_precision_under_autocast():
    layer, x = WeightNormLinear(6, 4), torch.randn(7, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(x)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), layer(x), rtol=0.05, atol=0.05)


def test_keywords_reach_the_network():
    layer = MinibatchDiscrimination(6, 3, 2)
    output = initialize_from_data(layer, torch.randn(9, 6), group_sizes=[4, 5])
    assert output.shape == (9, 9)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="initial_stdev must be > 0, got -1"):
        WeightNormLinear(6, 4, initial_stdev=-1.0)
    with pytest.raises(ValueError, match=r"sizes must be at least 1, got a weight of \(4, 0\)"):
        WeightNormLinear(0, 4)
    with pytest.raises(ValueError, match=r"groups must divide in_channels, 6, and .*, 4, got 3"):
        WeightNormConv2d(6, 4, 3, groups=3)
    with pytest.raises(ValueError, match=r"x must be a batch, got one sample of shape \(6,\)"):
        WeightNormLinear(6, 4).initialize_from_data(torch.zeros(6))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_data_that_is_not_finite_is_an_error(wrong):
    x = torch.randn(50, 6)
    x[3, 2] = wrong
    network = nn.Sequential(WeightNormLinear(6, 4), nn.ReLU(), WeightNormLinear(4, 3))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=r"x and the weights must be finite .* in 4 of 4 units"):
        initialize_from_data(network, x)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_a_network_without_a_layer_to_initialize_is_an_error():
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)))
    with pytest.raises(ValueError, match=r"network must hold a layer .* got a Sequential without"):
        initialize_from_data(network, torch.randn(50, 6))


def test_half_precision_has_statistics_in_float32():
    x = 300 + torch.randn(200, 6)
    half = WeightNormLinear(6, 4).half()
    wide = WeightNormLinear(6, 4)
    wide.load_state_dict(half.state_dict())
    outputs = half.initialize_from_data(x.half())
    wide.initialize_from_data(x.half().float())
    assert outputs.dtype == torch.float16
    torch.testing.assert_close(half.gain.float(), wide.gain, rtol=0.3, atol=0)
    assert half.bias.isfinite().all()


def weights_init(module):
    """Initialize a layer as DCGAN's examples do, in two of the variants that are in use."""
    name = type(module).__name__
    if "Conv" in name or "Linear" in name:
        nn.init.normal_(module.weight.data, 0.0, 0.02)
        if hasattr(module, "bias") and module.bias is not None:
            nn.init.constant_(module.bias.data, 0)
    elif "BatchNorm" in name:
        nn.init.normal_(module.weight.data, 1.0, 0.02)
        nn.init.constant_(module.bias.data, 0)


def test_initialization_by_names_of_classes():
    network = nn.Sequential(
        WeightNormConvTranspose2d(3, 4, 3), BatchNormWithoutGain(4), GaussianNoise(0.1),
        WeightNormConv2d(4, 5, 3, bias=False), nn.Flatten(), WeightNormLinear(80, 2),
        NoisyDense(2, 2, stdev=0.1, relu=True, train_gain=True),
    ).eval()  # fmt: skip
    with torch.no_grad():
        network[1].bias.fill_(7)
    network.apply(weights_init)
    assert network[0].weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert network[1].bias.eq(0).all()
    # Batch normalization has no gain: what is written into one must not stay, unsaved, in the network.
    x = torch.randn(6, 4, 5, 5)
    torch.testing.assert_close(network[1](x), x / (1 + 1e-5) ** 0.5)


def test_equals_the_formula_literally():
    layer = WeightNormConv2d(3, 4, 3, padding=1).double()
    with torch.no_grad():
        layer.gain.normal_()
        layer.bias.normal_()
    x = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    v = layer.weight
    weight = v * (layer.gain / v.square().sum((1, 2, 3)).sqrt()).view(4, 1, 1, 1)
    torch.testing.assert_close(layer(x), F.conv2d(x, weight, layer.bias, padding=1))


@pytest.mark.parametrize("scale", [1.0, 1e-3, 0.0])
def test_epsilon_is_added_to_the_squared_length(scale: float) -> None:
    layer = WeightNormLinear(4, 3, eps=1e-6).double()
    with torch.no_grad():
        layer.weight.mul_(scale)
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)

    def expected(x: Tensor, weight: Tensor, gain: Tensor) -> Tensor:
        length = (weight.square().sum(1) + 1e-6).sqrt()
        return x @ weight.T * (gain / length) + layer.bias

    inputs = (x, layer.weight, layer.gain)
    torch.testing.assert_close(layer(x), expected(*inputs))
    gradients = (
        torch.autograd.grad(outputs.sin().sum(), inputs)
        for outputs in (layer(x), expected(*inputs))
    )
    for gradient, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, plain)

    def outputs(x: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    # Under a transform of torch.func as outside of it.
    tangents = (torch.ones_like(x), torch.ones_like(layer.weight))
    values, slopes = torch.func.jvp(outputs, (x.detach(), layer.weight.detach()), tangents)
    torch.testing.assert_close(values, layer(x))
    assert torch.isfinite(slopes).all()


def test_epsilon_is_not_negative() -> None:
    with pytest.raises(ValueError, match="eps must be >= 0, got -1"):
        WeightNormConv2d(1, 1, 3, eps=-1.0)
