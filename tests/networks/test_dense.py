import pytest
import torch
from torch.nn import functional as F

from convergan.networks.dense import NoisyDense
from convergan.networks.noise import GaussianNoise, NoiseBank, use_bank
from convergan.techniques.weight_norm import WeightNormLinear, initialize_from_data


def layer(*, relu: bool = True, stdev: float = 0.0, double: bool = True) -> NoisyDense:
    torch.manual_seed(0)
    dense = NoisyDense(7, 5, stdev=stdev, relu=relu, train_gain=True)
    with torch.no_grad():
        dense.gain.normal_()
        assert dense.bias is not None
        dense.bias.normal_()
    return dense.double() if double else dense


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("stdev", [0.0, 0.5])
def test_outputs_and_gradients_are_those_of_the_plain_layers(relu: bool, stdev: float) -> None:
    dense = layer(relu=relu, stdev=stdev)
    plain = WeightNormLinear(7, 5).double()
    plain.load_state_dict(dense.state_dict())
    x = torch.randn(6, 7, dtype=torch.float64, requires_grad=True)
    dense.noise.bank = bank = NoiseBank(size=10_000)
    bank.fill(0)
    torch.manual_seed(1)
    noise = bank.cut(x)
    torch.manual_seed(1)
    actual, expected = dense(x), plain(x + stdev * noise)
    expected = torch.relu(expected) if relu else expected
    torch.testing.assert_close(actual, expected)
    cotangent = torch.randn_like(actual)
    gradients = torch.autograd.grad(actual, [x, *dense.parameters()], cotangent)
    references = torch.autograd.grad(expected, [x, *plain.parameters()], cotangent)
    for gradient, reference in zip(gradients, references, strict=True):
        torch.testing.assert_close(gradient, reference)


def test_gradients_of_frozen_weights_and_of_the_input_alone() -> None:
    dense = layer().requires_grad_(False)
    x = torch.randn(6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(dense, (x,))
    dense.requires_grad_(True)
    dense(x.detach()).sum().backward()
    assert dense.weight.grad is not None
    assert x.grad is None


def test_the_weights_of_a_checkpoint_have_the_names_of_weight_norm() -> None:
    assert list(layer().state_dict()) == list(WeightNormLinear(7, 5).state_dict())


def test_noise_is_added_in_training_alone() -> None:
    dense = layer(stdev=0.5)
    x = torch.randn(6, 7, dtype=torch.float64)
    assert not torch.equal(dense(x), dense(x))
    dense.eval()
    assert torch.equal(dense(x), dense(x))


def test_initialization_from_data_sees_noise_and_passes_the_relu_on() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        NoisyDense(7, 50, stdev=0.3, relu=True, train_gain=False),
        NoisyDense(50, 5, stdev=0.0, relu=False, train_gain=True),
    )
    outputs = initialize_from_data(network, torch.rand(4000, 7))
    assert isinstance(outputs, torch.Tensor)
    torch.testing.assert_close(outputs.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs.std(0, correction=0), torch.ones(5), atol=1e-4, rtol=0)


def test_bf16_products_have_gradients_near_those_of_fp32() -> None:
    dense = layer(double=False)
    x = torch.randn(64, 7)
    reference = torch.autograd.grad(dense(x).square().mean(), dense.weight)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = dense(x)
    assert y.dtype == torch.bfloat16
    gradient = torch.autograd.grad(y.float().square().mean(), dense.weight)[0]
    assert gradient.dtype == torch.float32
    assert F.cosine_similarity(gradient.flatten(), reference.flatten(), dim=0) > 0.999


def test_a_bank_is_a_function_of_its_seed() -> None:
    inputs = torch.empty(30, 10)
    cuts = []
    for seed in (1, 1, 2):
        bank = NoiseBank(size=10_000)
        bank.fill(seed)
        torch.manual_seed(5)
        cuts.append(bank.cut(inputs))
    assert torch.equal(cuts[0], cuts[1])
    assert not torch.equal(cuts[0], cuts[2])


def test_cuts_of_a_bank_are_normal_and_differ() -> None:
    torch.manual_seed(0)
    bank = NoiseBank()
    bank.fill(0)
    first, second = bank.cut(torch.empty(300, 1000)), bank.cut(torch.empty(300, 1000))
    for cut in (first, second):
        assert cut.mean().item() == pytest.approx(0, abs=0.01)
        assert cut.std().item() == pytest.approx(1, abs=0.01)
    correlation = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
    assert abs(correlation.item()) < 0.01


def test_a_bank_too_small_for_a_shape_draws_afresh() -> None:
    torch.manual_seed(0)
    bank = NoiseBank(size=100)
    bank.fill(0)
    cut = bank.cut(torch.empty(50, 10))
    assert cut.shape == (50, 10)
    assert len(cut.unique()) == 500


def test_a_bank_serves_every_noise_layer_of_a_network() -> None:
    network = torch.nn.Sequential(
        GaussianNoise(1.0), NoisyDense(7, 5, stdev=1.0, relu=True, train_gain=True)
    )
    bank = NoiseBank(size=10_000)
    bank.fill(0)
    use_bank(network, bank)
    noises = [module for module in network.modules() if isinstance(module, GaussianNoise)]
    assert [noise.bank for noise in noises] == [bank, bank]
    assert "bank" not in str(network.state_dict().keys())
    use_bank(network, None)
    assert [noise.bank for noise in noises] == [None, None]
