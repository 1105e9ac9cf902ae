"""Batch normalization without a gain agrees with torch's, and goes through torch's conversions."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from convergan.networks.build import NetworkSettings, build_discriminator, build_generator
from convergan.networks.layers import BatchNormWithoutGain
from convergan.recipes.networks import ConvSettings, ImageNetSettings, MLPSettings

SHAPE = (3, 32, 32)
SETTINGS: dict[str, NetworkSettings] = {
    "mlp": MLPSettings(hidden=(30, 20), generator_hidden=(25, 15), latent_size=10),
    "conv": ConvSettings(width=4, generator_width=16, latent_size=10),
    "imagenet": ImageNetSettings(
        width=2,
        dense_multiple=4,
        generator_width=16,
        latent_size=6,
        noise_maps=(2, 2, 1, 1, 1, 1),
        reference_size=4,
        minibatch_kernels=3,
        minibatch_kernel_size=2,
        input_noise=0.0,
    ),
}
"""Networks without noise in those parts that have batch normalization."""

# Numbers of batch normalizations in generator and discriminator.
NORMALIZATIONS = {"mlp": (2, 0), "conv": (3, 0), "imagenet": (0, 8)}


def networks_of(kind: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    generator = build_generator(SETTINGS[kind], SHAPE)
    return generator, build_discriminator(SETTINGS[kind], SHAPE, 4)


def outputs_and_gradients(network: nn.Module, inputs: Tensor) -> list[Tensor]:
    torch.manual_seed(1)
    outputs = network(inputs)
    outputs = outputs if isinstance(outputs, Tensor) else torch.cat(list(outputs), dim=1)
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    return [outputs, *torch.autograd.grad(outputs.sin().sum(), trained)]


@pytest.mark.parametrize("kind", SETTINGS)
def test_synchronized_batch_normalization_takes_the_place_of_every_one(kind: str) -> None:
    generator, discriminator = networks_of(kind)
    inputs = (
        generator.latent(6, "cpu"),  # type: ignore[operator]
        torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(2)) * 2 - 1,
    )
    for network, count, batch in zip(
        (generator, discriminator), NORMALIZATIONS[kind], inputs, strict=True
    ):
        network.double()
        synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(network))
        left = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
        converted = [layer for layer in synchronized.modules() if isinstance(layer, _BatchNorm)]
        assert len(left) == len(converted) == count
        assert all(isinstance(layer, nn.SyncBatchNorm) for layer in converted)
        expected, actual = (
            outputs_and_gradients(model, batch.double()) for model in (network, synchronized)
        )
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
        for old, new in zip(left, converted, strict=True):
            torch.testing.assert_close(
                (new.running_mean, new.running_var), (old.running_mean, old.running_var)
            )
        expected, actual = (model.eval()(batch.double()) for model in (network, synchronized))
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_the_gain_stays_1_after_conversion_and_weights_go_both_ways() -> None:
    network = nn.Sequential(nn.Linear(4, 5), BatchNormWithoutGain(5), nn.Linear(5, 3))
    network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.5)
    bias = network[1].bias.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
    # Without a gain torch's synchronized layer, on a GPU, would leave the bias without a gradient, too.
    assert isinstance(network[1].weight, nn.Parameter)
    assert torch.equal(network[1].weight, torch.ones(5))
    assert not torch.equal(network[1].bias, bias)

    restored = nn.Sequential(nn.Linear(4, 5), BatchNormWithoutGain(5), nn.Linear(5, 3))
    restored.load_state_dict(network.state_dict())
    inputs = torch.randn(8, 4)
    assert torch.equal(restored.eval()(inputs), network.eval()(inputs))
    synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(restored)).eval()
    missing = synchronized.load_state_dict(restored.state_dict(), strict=False)
    assert missing.missing_keys == ["1.weight"] and not missing.unexpected_keys
    assert torch.equal(synchronized(inputs), network(inputs))

    trained = network.state_dict() | {"1.weight": torch.full((5,), 2.0)}
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "1.weight"'):
        restored.load_state_dict(trained)


def test_names_of_the_weights_are_those_of_former_versions() -> None:
    layer = BatchNormWithoutGain(5)
    assert list(layer.state_dict()) == ["bias", "running_mean", "running_var"]
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    assert list(copy.deepcopy(layer).state_dict()) == list(layer.state_dict())
    # As from a file, which knows no versions.
    layer.load_state_dict(dict(layer.state_dict()))
    # An initialization by names, such as DCGAN's, has no effect on the gain.
    nn.init.normal_(layer.weight, 1.0, 0.02)
    assert torch.equal(layer.weight, torch.ones(5))
    with pytest.raises(KeyError, match="weight"):
        layer.weight = nn.Parameter(torch.zeros(5))


@pytest.mark.parametrize("shape", [(20, 5), (6, 5, 4), (6, 5, 3, 2), (2, 5, 2, 2, 2)])
def test_it_is_torchs_with_a_gain_of_1(shape: tuple[int, ...]) -> None:
    build = [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d][len(shape) - 2]
    gainless, reference = BatchNormWithoutGain(5), build(5)
    for _ in range(3):
        inputs = torch.randn(shape) * 3 + 1
        assert torch.equal(gainless(inputs), reference(inputs))
    assert torch.equal(gainless.eval()(inputs), reference.eval()(inputs))


def test_running_statistics_can_be_taken_anew_over_all_data() -> None:
    """`update_bn` finds the layer, and wants the mean over batches in place of the moving average."""
    gainless, reference = BatchNormWithoutGain(5), nn.BatchNorm1d(5)
    batches = [torch.randn(20, 5) * 3 + 1 for _ in range(4)]
    for layer in (gainless, reference):
        layer(torch.randn(20, 5))
        update_bn(batches, layer)
    torch.testing.assert_close(gainless.running_mean, torch.stack(batches).mean(dim=(0, 1)))
    assert torch.equal(gainless.running_mean, reference.running_mean)
    assert torch.equal(gainless.running_var, reference.running_var)
    assert gainless.momentum == 0.1


def test_an_input_without_channels() -> None:
    with pytest.raises(ValueError, match=r"inputs must be \[batch, 5, \.\.\.\], got shape \(5,\)"):
        BatchNormWithoutGain(5)._check_input_dim(torch.zeros(5))
