import copy
from concurrent.futures import ThreadPoolExecutor

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
    ("kind", "space"),
    [(VirtualBatchNorm1d, ()), (VirtualBatchNorm1d, (7,)), (VirtualBatchNorm2d, (5, 4))],
)


def layer_and_input(kind, space, **options):
    layer = kind(CHANNELS, REFERENCE, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer, 2 + 3 * torch.randn(REFERENCE + BATCH, CHANNELS, *space, dtype=torch.float64)


def batch_norm(layer, x):
    return F.batch_norm(x, None, None, layer.weight, layer.bias, training=True, eps=layer.eps)


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
    outputs = generator(batch)
    other_mates = generator(torch.cat([batch[:1], 100 * torch.randn_like(batch)]))
    torch.testing.assert_close(other_mates[:1], outputs[:1], rtol=0, atol=1e-6)
    alone = torch.cat([generator(sample) for sample in batch.split(1)])
    torch.testing.assert_close(alone, outputs, rtol=0, atol=1e-6)


@both_kinds
def test_gradients_flow_through_the_references_statistics_too(kind, space):
    layer, joint = layer_and_input(kind, space and (2,) * len(space))
    joint.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x)[REFERENCE:], joint)
    (gradient,) = torch.autograd.grad(layer(joint)[REFERENCE:].square().sum(), joint)
    assert gradient[:REFERENCE].abs().max() > 0


@both_kinds
@pytest.mark.parametrize("keep_reference", [True, False])
def test_can_be_differentiated_twice(kind, space, keep_reference):
    layer, joint = layer_and_input(
        kind, space and (2, 1)[: len(space)], keep_reference=keep_reference
    )
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[-BATCH:], joint.requires_grad_())


@both_kinds
def test_the_reference_can_be_left_out_of_the_output(kind, space):
    layer, joint = layer_and_input(kind, space)
    joint.requires_grad_()
    output = layer(joint)[REFERENCE:]
    gradients = torch.autograd.grad(output.square().sum(), [joint, *layer.parameters()])
    layer.keep_reference = False
    left_out = layer(joint)
    torch.testing.assert_close(left_out, output)
    actual = torch.autograd.grad(left_out.square().sum(), [joint, *layer.parameters()])
    torch.testing.assert_close(actual, gradients)


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
    expected = generator.train()(batch)
    assert torch.equal(generator.eval()(batch), expected)
    with torch.no_grad():
        torch.testing.assert_close(generator(batch), expected)


def test_the_network_is_called_once_with_reference_and_batch():
    calls = []
    generator = make_generator(seed=1)
    generator.network.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0]))
    batch = torch.randn(BATCH, 3)
    assert generator(batch).shape == (BATCH, 2)
    (joint,) = calls
    assert torch.equal(joint, torch.cat([generator.reference, batch]))


def deep_generator(seed=0):
    """Maps of two sizes, sequences and features, the last layer without the reference, in evaluation."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(5, 16),
        VirtualBatchNorm1d(16, REFERENCE),
        nn.Unflatten(1, (4, 2, 2)),
        nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1),
        VirtualBatchNorm2d(3, REFERENCE),
        nn.ReLU(),
        nn.Flatten(2),
        nn.Conv1d(3, 2, 3),
        VirtualBatchNorm1d(2, REFERENCE, keep_reference=False),
        nn.Tanh(),
    )
    return ReferenceBatch(network, torch.randn(REFERENCE, 5)).eval()


def rows_of_calls(generator):
    """The rows of every batch that the network is given from now on."""
    rows = []
    generator.network.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    return rows


def in_one_pass(generator, batch):
    with torch.enable_grad():
        return generator(batch).detach()


@torch.no_grad()
def test_in_evaluation_the_references_statistics_are_kept():
    generator, batch = deep_generator(), torch.randn(BATCH, 5)
    expected = in_one_pass(generator, batch)
    initial = {name: value.clone() for name, value in generator.state_dict().items()}
    rows = rows_of_calls(generator)
    for _ in range(3):
        torch.testing.assert_close(generator(batch), expected)
    torch.testing.assert_close(generator(batch[:1]), expected[:1])
    assert generator(batch[:0]).shape == (0, 2, 14)
    assert rows == [REFERENCE, BATCH, BATCH, BATCH, 1, 0]
    final = generator.state_dict()
    assert list(final) == list(initial) and all(torch.equal(final[k], initial[k]) for k in initial)


def bend(weight):
    """Change a weight by more than its scale, which alone would be normalized away."""
    weight.copy_(weight.square() - weight.sin())


CHANGES = {
    "in place": lambda g: bend(g.network[3].weight),
    "through data": lambda g: bend(g.network[3].weight.data),
    "through data of a bias": lambda g: g.network[4].bias.data.add_(1),
    "another tensor": lambda g: setattr(g.network[4], "bias", nn.Parameter(torch.ones(3))),
    "data assigned": lambda g: setattr(g.network[4].bias, "data", torch.ones(3)),
    "load_state_dict": lambda g: g.load_state_dict(deep_generator(seed=5).state_dict()),
    "assigned": lambda g: g.load_state_dict(deep_generator(seed=5).state_dict(), assign=True),
    "of the reference": lambda g: bend(g.reference),
    "in inference mode": lambda g: torch.inference_mode()(bend)(g.network[3].weight),
    "by an optimizer": lambda g: stepped(g),
    "in another precision": lambda g: bend(g.double().network[3].weight.data) or g.float(),
}


def stepped(generator):
    optimizer = torch.optim.Adam(generator.parameters(), lr=0.1)
    with torch.enable_grad():
        generator(torch.randn(BATCH, 5)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("change", CHANGES)
@torch.no_grad()
def test_statistics_are_taken_anew_after_a_change(change):
    generator, batch = deep_generator(), torch.randn(BATCH, 5)
    initial = generator(batch)
    CHANGES[change](generator)
    expected = in_one_pass(generator, batch)
    assert (expected - initial).abs().max() > 1e-3
    torch.testing.assert_close(generator(batch), expected)


@torch.no_grad()
def test_statistics_are_taken_anew_after_train_and_eval():
    generator, batch = deep_generator(), torch.randn(BATCH, 5)
    rows = rows_of_calls(generator)
    for mode in (generator.eval, generator.train, generator.eval, lambda: generator):
        mode()(batch)
    generator.network.train()
    generator(batch)
    assert rows == [REFERENCE, BATCH, REFERENCE + BATCH, REFERENCE, BATCH, BATCH, REFERENCE + BATCH]


@torch.no_grad()
def test_a_copy_keeps_no_statistics():
    generator, batch = deep_generator(), torch.randn(BATCH, 5)
    generator(batch)
    twin = copy.deepcopy(generator)
    for weight in twin.parameters():
        weight.data.mul_(1.5)
    torch.testing.assert_close(twin(batch), in_one_pass(twin, batch))
    torch.testing.assert_close(generator(batch), in_one_pass(generator, batch))


def test_gradients_in_evaluation_flow_through_the_references_pass():
    generator, batch = deep_generator(), torch.randn(BATCH, 5)
    with torch.no_grad():
        generator(batch)
    weights = list(generator.parameters())
    gradients = torch.autograd.grad(generator(batch).sin().sum(), weights)
    expected = torch.autograd.grad(generator.train()(batch).sin().sum(), weights)
    torch.testing.assert_close(gradients, expected)


@torch.no_grad()
def test_threads_do_not_disturb_each_other():
    generator = deep_generator()
    batches = [torch.randn(BATCH, 5) for _ in range(60)]
    expected = [in_one_pass(generator, batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(torch.no_grad()(generator), batches))
    for result, reference in zip(results, expected, strict=True):
        torch.testing.assert_close(result, reference)


class Conditional(nn.Module):
    """Latent, label and, by keyword, a second latent and a factor that is no tensor."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(4, 3)
        self.dense, self.norm = nn.Linear(6, 8), VirtualBatchNorm1d(8, REFERENCE)

    def forward(self, latent, label, *, style, truncation=1.0):
        x = self.dense(torch.cat([truncation * latent, self.embedding(label)], 1))
        return self.norm(x) * style


def inputs_of(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, 3, generator=generator),
        torch.randint(0, 4, (rows,), generator=generator),
        torch.randn(rows, 1, generator=generator),
    )


def conditional_generator():
    latent, label, style = inputs_of(REFERENCE, seed=1)
    return ReferenceBatch(Conditional(), latent, label, style=style)


@pytest.mark.parametrize("truncation", [{}, {"truncation": 0.5}])
@torch.no_grad()
def test_a_network_of_several_inputs(truncation):
    generator = conditional_generator()
    latent, label, style = inputs_of(BATCH, seed=2)
    joint = [
        torch.cat(pair)
        for pair in zip(inputs_of(REFERENCE, 1), (latent, label, style), strict=True)
    ]
    expected = generator.network(*joint[:2], style=joint[2], **truncation)[REFERENCE:]
    assert torch.equal(generator(latent, label, style=style, **truncation), expected)
    generator.eval()
    for _ in range(2):
        torch.testing.assert_close(generator(latent, label, style=style, **truncation), expected)
    # What is no tensor changes the reference's statistics too.
    generator(latent, label, style=style, truncation=3.0)
    torch.testing.assert_close(generator(latent, label, style=style, **truncation), expected)
    assert [name for name in generator.state_dict() if name.startswith("reference")] == [
        "reference", "reference_1", "reference_style",
    ]  # fmt: skip


def test_inputs_that_do_not_fit_are_named():
    generator = conditional_generator()
    latent, label, style = inputs_of(BATCH, seed=2)
    with pytest.raises(TypeError, match=r"must get 2 inputs by position, .* got 1"):
        generator(latent, style=style)
    with pytest.raises(TypeError, match="style must be given: there is a reference"):
        generator(latent, label)
    with pytest.raises(TypeError, match="mask must be no tensor, or have a reference"):
        generator(latent, label, style=style, mask=style)
    with pytest.raises(ValueError, match=r"style must be \[batch, 1\] .* got shape \(4, 3\)"):
        generator(latent, label, style=latent)
    with pytest.raises(ValueError, match=r"input 1 must have the 4 rows of the first input, got 3"):
        generator(latent, label[:3], style=style)
    with pytest.raises(ValueError, match=r"reference_1 must have the 6 rows of the first, got 4"):
        ReferenceBatch(nn.Identity(), inputs_of(REFERENCE, 1)[0], label)


def test_weights_under_their_usual_names():
    """DCGAN's initialization, and a batch normalization that was trained."""

    def weights_init(layer):
        if "BatchNorm" in type(layer).__name__:
            nn.init.normal_(layer.weight.data, 1.0, 0.02)
            nn.init.constant_(layer.bias.data, 0)

    generator = deep_generator()
    generator.apply(weights_init)
    assert 0 < (generator.network[4].weight - 1).abs().max() < 0.2
    trained = nn.BatchNorm2d(CHANNELS)
    trained(3 + torch.randn(BATCH, CHANNELS, 5, 4))
    nn.init.normal_(trained.weight)
    layer = VirtualBatchNorm2d(CHANNELS, REFERENCE)
    layer.load_state_dict(trained.state_dict())
    assert torch.equal(layer.weight, trained.weight) and torch.equal(layer.bias, trained.bias)


def test_a_state_of_version_0_1_is_loaded():
    generator = deep_generator(seed=1)
    state = generator.state_dict()
    layers = (1, 4, 8)
    old = {
        name.replace("weight", "gain") if any(f".{k}." in name for k in layers) else name: value
        for name, value in state.items()
    }
    assert sum("gain" in name for name in old) == 3
    restored = deep_generator(seed=2)
    restored.load_state_dict(old)
    batch = torch.randn(BATCH, 5)
    assert torch.equal(restored(batch), generator(batch))
    assert sum("gain" in name for name in old) == 3


@both_kinds
def test_torch_func(kind, space):
    layer, joint = layer_and_input(kind, space)
    parameters = (layer.weight.detach(), layer.bias.detach())

    def outputs(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))[REFERENCE:]

    def loss(*inputs):
        return outputs(*inputs).sin().sum()

    inputs = [value.clone().requires_grad_() for value in (joint, *parameters)]
    expected = torch.autograd.grad(loss(*inputs), inputs)
    gradients = torch.func.grad(loss, argnums=(0, 1, 2))(joint, *parameters)
    torch.testing.assert_close(gradients, expected)
    tangents = tuple(torch.randn_like(value) for value in (joint, *parameters))
    slope = sum(
        (gradient * tangent).sum() for gradient, tangent in zip(gradients, tangents, strict=True)
    )
    torch.testing.assert_close(torch.func.jvp(loss, (joint, *parameters), tangents)[1], slope)
    with torch.autograd.forward_ad.dual_level():
        duals = map(torch.autograd.forward_ad.make_dual, (joint, *parameters), tangents)
        forward = torch.autograd.forward_ad.unpack_dual(loss(*duals)).tangent
    torch.testing.assert_close(forward, slope)
    # Over inputs, and over parameters: of an ensemble, say.
    stacked = torch.stack([joint, 2 * joint + 1])
    mapped = torch.vmap(outputs, in_dims=(0, None, None))(stacked, *parameters)
    torch.testing.assert_close(
        mapped, torch.stack([outputs(rows, *parameters) for rows in stacked])
    )
    biases = torch.randn(3, CHANNELS, dtype=torch.float64)
    mapped = torch.vmap(outputs, in_dims=(None, None, 0))(joint, parameters[0], biases)
    separate = torch.stack([outputs(joint, parameters[0], bias) for bias in biases])
    torch.testing.assert_close(mapped, separate)
    output = outputs(*inputs)
    cotangents = torch.randn(3, *output.shape, dtype=torch.float64)

    def gradient(cotangent):
        return torch.autograd.grad(output, inputs[0], cotangent, retain_graph=True)[0]

    torch.testing.assert_close(
        torch.vmap(gradient)(cotangents), torch.stack([gradient(g) for g in cotangents])
    )


def test_torch_func_through_the_reference_batch():
    generator, batch = deep_generator().double(), torch.randn(BATCH, 5, dtype=torch.float64)
    weights = dict(generator.named_parameters())

    def loss(weights, batch):
        return torch.func.functional_call(generator, weights, (batch,)).sin().sum()

    with torch.no_grad():
        generator(batch)
    gradients = torch.func.grad(loss)({name: w.detach() for name, w in weights.items()}, batch)
    expected = torch.autograd.grad(generator.train()(batch).sin().sum(), weights.values())
    torch.testing.assert_close(tuple(gradients.values()), expected)
    one_by_one = torch.vmap(lambda sample: generator(sample.unsqueeze(0)).squeeze(0))(batch)
    torch.testing.assert_close(one_by_one, generator(batch))


def test_later_layers_do_no_work_for_a_reference_that_is_left_out():
    generator = make_generator(seed=1)
    rows = []
    generator.network[2].register_forward_hook(lambda _, __, output: rows.append(len(output)))
    batch = torch.randn(BATCH, 3)
    expected = generator(batch)
    generator.network[1].keep_reference = False
    torch.testing.assert_close(
        ReferenceBatch(generator.network, generator.reference)(batch), expected
    )
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
    with pytest.raises(
        ValueError, match=r"joint must be \[rows, features\] or \[rows, features, l"
    ):
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
    layer = VirtualBatchNorm1d(3, 6, keep_reference=False)
    network = nn.Sequential(layer, VirtualBatchNorm1d(3, 6))
    with pytest.raises(
        ValueError, match=r"keep_reference must be True .* before the last, '1' here"
    ):
        ReferenceBatch(network, torch.zeros(6, 3))
    network = nn.Sequential(layer, nn.Flatten(0))
    with pytest.raises(ValueError, match=r"for each of its 4 samples beside .*, got 12"):
        ReferenceBatch(network, torch.zeros(6, 3))(torch.zeros(4, 3))
    with pytest.raises(TypeError, match="network must return a tensor, got tuple"):
        ReferenceBatch(nn.LSTM(3, 2), torch.zeros(6, 3))(torch.zeros(4, 3))
