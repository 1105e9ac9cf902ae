import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convergan.techniques.virtual_batch_norm import (
    ReferenceBatch,
    VirtualBatchNorm1d,
    VirtualBatchNorm2d,
)

REFERENCE, BATCH, CHANNELS = 6, 4, 3

both_kinds = pytest.mark.parametrize(
    ("kind", "space"), [(VirtualBatchNorm1d, ()), (VirtualBatchNorm2d, (5, 4))]
)


def layer_and_input(kind, space, **options):
    layer = kind(CHANNELS, REFERENCE, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer, 2 + 3 * torch.randn(REFERENCE + BATCH, CHANNELS, *space, dtype=torch.float64)


def batch_norm(layer, x):
    return F.batch_norm(x, None, None, layer.gain, layer.bias, training=True, eps=layer.eps)


@both_kinds
@pytest.mark.parametrize("gain", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_sample_is_batch_normalized_with_the_reference_and_itself(kind, space, gain, bias):
    layer, joint = layer_and_input(kind, space, gain=gain, bias=bias, eps=1e-3)
    reference, batch = joint[:REFERENCE], joint[REFERENCE:]
    output = layer(joint)
    for index in range(BATCH):
        expected = batch_norm(layer, torch.cat([reference, batch[index : index + 1]]))[-1]
        torch.testing.assert_close(output[REFERENCE + index], expected, rtol=1e-10, atol=1e-10)


@both_kinds
def test_the_reference_is_normalized_by_its_own_statistics(kind, space):
    layer, joint = layer_and_input(kind, space)
    expected = batch_norm(layer, joint[:REFERENCE])
    torch.testing.assert_close(layer(joint)[:REFERENCE], expected, rtol=1e-10, atol=1e-10)


@both_kinds
def test_is_independent_of_batch_mates(kind, space):
    network = nn.Sequential(
        kind(CHANNELS, REFERENCE), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5), nn.Tanh()
    )
    network.append(VirtualBatchNorm1d(5, REFERENCE))
    generator = ReferenceBatch(network, torch.randn(REFERENCE, CHANNELS, *space))
    batch = torch.randn(BATCH, CHANNELS, *space)
    together = generator(batch)
    other_mates = generator(torch.cat([batch[:1], 100 * torch.randn_like(batch)]))
    torch.testing.assert_close(other_mates[:1], together[:1], rtol=0, atol=1e-6)
    alone = torch.cat([generator(sample) for sample in batch.split(1)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)


@both_kinds
def test_gradients_flow_through_the_references_statistics_too(kind, space):
    layer, joint = layer_and_input(kind, space and (2, 2))
    joint.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x)[REFERENCE:], joint)
    (gradient,) = torch.autograd.grad(layer(joint)[REFERENCE:].square().sum(), joint)
    assert gradient[:REFERENCE].abs().max() > 0


@both_kinds
@pytest.mark.parametrize("keep_reference", [True, False])
def test_can_be_differentiated_twice(kind, space, keep_reference):
    layer, joint = layer_and_input(kind, space and (2, 1), keep_reference=keep_reference)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[-BATCH:], joint.requires_grad_())


@both_kinds
def test_the_reference_can_be_left_out_of_the_output(kind, space):
    layer, joint = layer_and_input(kind, space)
    joint.requires_grad_()
    kept = layer(joint)[REFERENCE:]
    gradients = torch.autograd.grad(kept.square().sum(), [joint, *layer.parameters()])
    layer.keep_reference = False
    left_out = layer(joint)
    torch.testing.assert_close(left_out, kept)
    others = torch.autograd.grad(left_out.square().sum(), [joint, *layer.parameters()])
    torch.testing.assert_close(others, gradients)


def test_the_layout_in_memory_does_not_matter():
    layer, joint = layer_and_input(VirtualBatchNorm2d, (5, 4))
    output = layer(joint.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(output, layer(joint))


def test_does_not_cancel_in_single_precision_when_the_mean_is_large():
    layer = VirtualBatchNorm2d(CHANNELS, REFERENCE, gain=False, bias=False)
    joint = 1000 + torch.randn(REFERENCE + BATCH, CHANNELS, 5, 4, dtype=torch.float64).float()
    exact = layer(joint.double())
    torch.testing.assert_close(layer(joint).double(), exact, rtol=0, atol=1e-3)


def test_half_precision_uses_single_precision_statistics():
    layer = VirtualBatchNorm2d(CHANNELS, REFERENCE)
    joint = (30 + torch.randn(REFERENCE + BATCH, CHANNELS, 5, 4)).bfloat16()
    output = layer(joint)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output, layer(joint.float()).bfloat16())


def make_generator(seed):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(3, 8), VirtualBatchNorm1d(8, REFERENCE), nn.Linear(8, 2))
    return ReferenceBatch(network, torch.randn(REFERENCE, 3))


def test_the_reference_is_saved_and_restored_with_the_module():
    first, second = make_generator(seed=1), make_generator(seed=2)
    batch = torch.randn(BATCH, 3)
    assert not torch.equal(first(batch), second(batch))
    assert "reference" in first.state_dict()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(batch), second(batch))


def test_the_reference_is_fixed_when_its_source_changes():
    source = torch.randn(REFERENCE, 3)
    generator = ReferenceBatch(nn.Linear(3, 2), source)
    source.zero_()
    assert generator.reference.abs().max() > 0


def test_training_and_evaluation_compute_the_same():
    generator, batch = make_generator(seed=1), torch.randn(BATCH, 3)
    assert torch.equal(generator.train()(batch), generator.eval()(batch))


def test_the_network_is_called_once_with_reference_and_batch():
    calls = []
    generator = make_generator(seed=1)
    generator.network.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0]))
    batch = torch.randn(BATCH, 3)
    assert generator(batch).shape == (BATCH, 2)
    (joint,) = calls
    assert torch.equal(joint, torch.cat([generator.reference, batch]))


def test_later_layers_do_no_work_for_a_reference_that_is_left_out():
    whole = make_generator(seed=1)
    rows = []
    whole.network[2].register_forward_hook(lambda _, __, output: rows.append(len(output)))
    batch = torch.randn(BATCH, 3)
    expected = whole(batch)
    whole.network[1].keep_reference = False
    torch.testing.assert_close(ReferenceBatch(whole.network, whole.reference)(batch), expected)
    assert rows == [REFERENCE + BATCH, BATCH]


@both_kinds
def test_a_joint_batch_of_the_reference_alone_is_an_error(kind, space):
    layer = kind(CHANNELS, REFERENCE)
    with pytest.raises(
        ValueError, match=r"joint must have more rows than the reference's 6.* got 6"
    ):
        layer(torch.zeros(REFERENCE, CHANNELS, *space))


@pytest.mark.usefixtures("unchecked_shapes")
def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="reference_size must be at least 2, got 1"):
        VirtualBatchNorm1d(3, 1)
    with pytest.raises(ValueError, match="num_features must be at least 1, got 0"):
        VirtualBatchNorm2d(0, 4)
    with pytest.raises(ValueError, match=r"eps must be >= 0, got -0\.1"):
        VirtualBatchNorm2d(3, 4, eps=-0.1)
    with pytest.raises(ValueError, match="joint must have 3 channels, got 2"):
        VirtualBatchNorm1d(3, 4)(torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"joint must be \[rows, features\]"):
        VirtualBatchNorm1d(3, 4)(torch.zeros(5, 3, 1, 1))
    with pytest.raises(ValueError, match=r"joint must be \[rows, channels, height, width\]"):
        VirtualBatchNorm2d(3, 4)(torch.zeros(5, 3))
    network = nn.Sequential(nn.Linear(3, 8), VirtualBatchNorm1d(8, 5))
    with pytest.raises(ValueError, match=r"reference must have the 5 rows that layer '1' .* got 6"):
        ReferenceBatch(network, torch.zeros(6, 3))
    with pytest.raises(ValueError, match=r"batch must be \[batch, 3\] .* got shape \(4, 2\)"):
        ReferenceBatch(nn.Linear(3, 2), torch.zeros(6, 3))(torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"network must return a row .* 10 inputs, got 30"):
        ReferenceBatch(nn.Flatten(0, 1), torch.zeros(6, 3, 2))(torch.zeros(4, 3, 2))
    without = VirtualBatchNorm1d(3, 6, keep_reference=False)
    network = nn.Sequential(without, VirtualBatchNorm1d(3, 6))
    with pytest.raises(
        ValueError, match=r"keep_reference must be True .* before the last, '1' here"
    ):
        ReferenceBatch(network, torch.zeros(6, 3))
    network = nn.Sequential(without, nn.Flatten(0))
    with pytest.raises(ValueError, match=r"for each of its 4 samples beside .*, got 12"):
        ReferenceBatch(network, torch.zeros(6, 3))(torch.zeros(4, 3))
    with pytest.raises(TypeError, match="network must return a tensor, got tuple"):
        ReferenceBatch(nn.LSTM(3, 2), torch.zeros(6, 3))(torch.zeros(4, 3))
