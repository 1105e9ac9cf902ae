"""Statistics of each group of a batch apart: a group is normalized as if it were alone."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from convergan.networks.classification import classified
from convergan.networks.grouped_batch_norm import GroupedBatchNorm, groups_of_batch
from convergan.networks.imagenet import ImageNetDiscriminator
from convergan.networks.layers import BatchNormWithoutGain
from convergan.recipes.networks import ImageNetSettings

SIZES = (3, 5, 4)
BUILDERS: dict[str, tuple[Callable[[], _BatchNorm], tuple[int, ...]]] = {
    "dense": (lambda: nn.BatchNorm1d(2), ()),
    "maps": (lambda: nn.BatchNorm2d(2), (3, 3)),
    "without gain": (lambda: BatchNormWithoutGain(2), (3,)),
    "synchronized": (lambda: nn.SyncBatchNorm(2), (3, 3)),
}
every_norm = pytest.mark.parametrize("name", BUILDERS)


def layer_and_inputs(name: str) -> tuple[GroupedBatchNorm, Tensor]:
    """A layer with any gain and bias, and groups that differ in mean and variance."""
    build, positions = BUILDERS[name]
    norm = build().double()
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.normal_()
    inputs = torch.cat(
        [
            torch.randn(size, 2, *positions, dtype=torch.float64) * (1 + number) + 10 * number
            for number, size in enumerate(SIZES)
        ]
    )
    return GroupedBatchNorm(norm), inputs


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@every_norm
def test_each_group_is_normalized_as_if_it_were_alone(name: str) -> None:
    layer, inputs = layer_and_inputs(name)
    alone = [copy.deepcopy(layer.norm)(group) for group in inputs.split(SIZES)]
    assert torch.equal(layer(inputs, SIZES), torch.cat(alone))
    # One batch normalized as a whole gives another result.
    assert not torch.allclose(layer(inputs), torch.cat(alone), atol=0.1)
    assert torch.equal(layer(inputs), copy.deepcopy(layer.norm)(inputs))


@every_norm
@pytest.mark.parametrize("running", [(0,), (0, 1), (2,), ()])
def test_running_statistics_are_those_of_the_groups_that_are_named(
    name: str, running: tuple[int, ...]
) -> None:
    layer, inputs = layer_and_inputs(name)
    expected = copy.deepcopy(layer.norm)
    for _ in range(3):
        layer(inputs, SIZES, running)
        for position in running:
            expected(inputs.split(SIZES)[position])
    for buffer in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(layer.norm, buffer), getattr(expected, buffer))
    assert layer.norm.track_running_stats
    assert torch.equal(layer.eval()(inputs), expected.eval()(inputs))


@every_norm
def test_gradients(name: str) -> None:
    layer, inputs = layer_and_inputs(name)
    assert torch.autograd.gradcheck(lambda x: layer(x, SIZES), inputs.requires_grad_())
    parameters = list(layer.parameters())
    cotangent = torch.randn_like(inputs)
    actual = torch.autograd.grad(layer(inputs, SIZES), parameters, cotangent)
    parts = [
        torch.autograd.grad(layer.norm(group), parameters, part)
        for group, part in zip(inputs.split(SIZES), cotangent.split(SIZES), strict=True)
    ]
    torch.testing.assert_close(actual, tuple(sum(column) for column in zip(*parts, strict=True)))


@every_norm
def test_in_evaluation_no_sample_depends_on_others(name: str) -> None:
    layer, inputs = layer_and_inputs(name)
    layer(inputs, SIZES)
    layer.eval()
    outputs = layer(inputs, SIZES)
    torch.testing.assert_close(
        torch.cat([layer(sample) for sample in inputs.split(1)]), outputs, rtol=1e-12, atol=1e-12
    )


def test_layers_within_a_network_are_told_of_the_groups() -> None:
    shared = nn.BatchNorm1d(4)
    plain = nn.Sequential(
        nn.Linear(3, 4), shared, nn.Sequential(nn.ReLU(), shared), nn.Dropout(0.0)
    )
    network = GroupedBatchNorm.convert(copy.deepcopy(plain))
    layers = [layer for layer in network.modules() if isinstance(layer, GroupedBatchNorm)]
    assert len(layers) == 1 and network[1] is network[2][1]
    assert list(network.state_dict())[2] == "1.norm.weight"
    # Nothing is wrapped twice.
    assert GroupedBatchNorm.convert(network) is network
    assert isinstance(network[1].norm, nn.BatchNorm1d)
    inputs = torch.randn(12, 3) * 5
    with groups_of_batch(network, SIZES, running=[0, 1]):
        grouped = network(inputs)
    assert torch.equal(grouped, torch.cat([plain(group) for group in inputs.split(SIZES)]))
    # Two passes of two groups each.
    assert network[1].norm.num_batches_tracked == 4
    with pytest.raises(KeyError), groups_of_batch(network, SIZES):
        raise KeyError
    assert torch.equal(network(inputs), plain(inputs))
    assert isinstance(GroupedBatchNorm.convert(nn.BatchNorm1d(2)), GroupedBatchNorm)


def test_synchronized_batch_normalization_keeps_the_groups() -> None:
    layer, inputs = layer_and_inputs("maps")
    expected = layer(inputs, SIZES)
    synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
    assert isinstance(synchronized.norm, nn.SyncBatchNorm)
    assert torch.equal(synchronized(inputs, SIZES), expected)


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_compiled_network_has_the_groups_too() -> None:
    torch._dynamo.reset()
    network = GroupedBatchNorm.convert(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    original = copy.deepcopy(network)
    compiled = torch.compile(original, backend="eager")
    inputs = torch.randn(12, 3)
    for sizes in (SIZES, (6, 6), None, SIZES):
        with groups_of_batch(network, sizes):
            expected = network(inputs)
        with groups_of_batch(compiled, sizes):
            assert torch.equal(compiled(inputs), expected)
    for name, value in network.state_dict().items():
        assert torch.equal(original.state_dict()[name], value)


def test_a_classifier_beside_generated_images_is_that_of_real_ones_alone() -> None:
    """Groups that are not named as running ones do not move the running statistics."""
    settings = ImageNetSettings(width=2, dense_multiple=4, minibatch_kernels=0, input_noise=0.0)
    network = ImageNetDiscriminator(settings, (3, 32, 32), 4)
    GroupedBatchNorm.convert(network)
    alone = copy.deepcopy(network)
    real, generated = torch.rand(8, 3, 32, 32), torch.rand(16, 3, 32, 32) - 100
    with groups_of_batch(network, [8, 16], running=[0]):
        network(torch.cat([real, generated]))
    alone(real)
    assert torch.equal(classified(network, real).logits, classified(alone, real).logits)


@pytest.mark.parametrize(
    ("sizes", "running", "message"),
    [
        ((3, 5), (0,), r"group_sizes must be >= 1 and add up to the batch of 12, got \[3, 5\]"),
        ((12, 0), (0,), r"group_sizes must be >= 1 and add up to the batch of 12, got \[12, 0\]"),
        ((6, 6), (2,), r"running must be positions among 2 groups, from 0, got \[2\]"),
        ((6, 6), (-1,), r"running must be positions among 2 groups, from 0, got \[-1\]"),
    ],
)
def test_mistakes(sizes: tuple[int, ...], running: tuple[int, ...], message: str) -> None:
    layer, inputs = layer_and_inputs("dense")
    with pytest.raises(ValueError, match=message):
        layer(inputs, sizes, running)
