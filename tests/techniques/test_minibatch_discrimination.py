import math

import pytest
import torch
import torch.distributed
from torch.utils._python_dispatch import TorchDispatchMode

from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.techniques.minibatch_discrimination.sums import (
    _CdistSums,
    _plain_sums,
    _sums_pair_by_pair,
    sums_over_others,
)
from support import on_two_ranks


def layer_in_float64(in_features=6, kernels=4, kernel_size=3, **options):
    layer = MinibatchDiscrimination(in_features, kernels, kernel_size, **options).double()
    with torch.no_grad():  # nothing at its initial value, so that nothing cancels
        layer.log_scale.normal_()
        layer.bias.normal_()
    return layer


def projections(layer, features):
    """M_i, with the effective weight written out."""
    theta = layer.theta.detach()
    weight = theta * layer.log_scale.detach().exp() / theta.square().sum(0).sqrt()
    return torch.einsum("na,abc->nbc", features, weight)


def plainly(layer, m, group_sizes):
    """The new features of projections m, by broadcasting."""
    similarity = torch.exp(-(m.unsqueeze(1) - m).abs().sum(3))
    group = torch.arange(len(group_sizes)).repeat_interleave(torch.tensor(group_sizes))
    distinct = ~torch.eye(len(m), dtype=torch.bool)
    if layer.compare == "own_group":
        return (similarity * (distinct & (group == group[:, None])).unsqueeze(2)).sum(
            1
        ) + layer.bias
    halves = [(distinct & (group == half)).unsqueeze(2) for half in (0, 1)]
    means = [(similarity * half).sum(1) / half.sum(1) for half in halves]
    return torch.cat(means, 1) + layer.bias


def distance(m, i, j, b):
    return sum(abs(float(m[i, b, c]) - float(m[j, b, c])) for c in range(m.shape[2]))


@pytest.mark.parametrize("group_sizes", [None, [7], [3, 4], [2, 1, 4], [0, 3, 4]])
def test_equals_the_triple_loop_within_groups(group_sizes):
    layer, features = layer_in_float64(), torch.randn(7, 6, dtype=torch.float64)
    m = projections(layer, features)
    group = [g for g, size in enumerate(group_sizes or [7]) for _ in range(size)]
    expected = torch.zeros(7, 4, dtype=torch.float64)
    for i in range(7):
        for b in range(4):
            for j in range(7):
                if j != i and group[j] == group[i]:
                    expected[i, b] += math.exp(-distance(m, i, j, b))
    output = layer(features, group_sizes)
    assert output.shape == (7, layer.out_features) == (7, 10)
    torch.testing.assert_close(output[:, :6], features)
    torch.testing.assert_close(output[:, 6:], expected + layer.bias.detach())


@pytest.mark.parametrize("group_sizes", [[3, 4], [2, 5]])
def test_both_halves_equal_the_literal_loop(group_sizes):
    layer = layer_in_float64(compare="both_halves")
    features = torch.randn(7, 6, dtype=torch.float64)
    m = projections(layer, features)
    real, generated = range(group_sizes[0]), range(group_sizes[0], 7)
    expected = torch.zeros(7, 2, 4, dtype=torch.float64)
    for i in range(7):
        for h, half in enumerate((real, generated)):
            partners = [j for j in half if j != i]
            for b in range(4):
                similarity = [math.exp(-distance(m, i, j, b)) for j in partners]
                expected[i, h, b] = sum(similarity) / len(partners)
    output = layer(features, group_sizes)
    assert output.shape == (7, layer.out_features) == (7, 14)
    torch.testing.assert_close(output[:, :6], features)
    torch.testing.assert_close(output[:, 6:], expected.flatten(1) + layer.bias.detach())


@pytest.mark.parametrize("options", [{}, {"compare": "both_halves"}, {"projection": "plain"}])
def test_a_row_is_compared_with_fixed_samples_as_in_the_place_of_one_of_them(options):
    if options.get("projection"):
        layer = MinibatchDiscrimination(6, 4, 3, compare="both_halves", projection="plain").double()
        torch.nn.init.normal_(layer.theta)
    else:
        layer = layer_in_float64(**options)
    sizes = [5] if layer.compare == "own_group" else [5, 3]
    references = [torch.randn(size, 6, dtype=torch.float64) for size in sizes]
    features = torch.randn(7, 6, dtype=torch.float64)
    output = layer.compare_with(features, references, torch.tensor(sizes, dtype=torch.float64))
    for row in range(7):
        replaced = torch.cat(references).repeat(5, 1, 1)
        replaced[range(5), range(5)] = features[row]
        expected = torch.stack([layer(replaced[place], sizes)[place] for place in range(5)])
        torch.testing.assert_close(output[row], expected.mean(0))
        alone = layer.compare_with(
            features[row : row + 1], references, torch.tensor(sizes, dtype=torch.float64)
        )
        torch.testing.assert_close(alone[0], output[row])


def test_fixed_samples_are_sets_as_the_layer_compares_them():
    with pytest.raises(
        ValueError, match=r"^references and group_sizes must be of 1 set\(s\) .*, got 2 and"
    ):
        layer_in_float64().compare_with(torch.randn(2, 6), 2 * [torch.randn(2, 6)], torch.ones(2))


def test_a_collapsed_group_reaches_the_maximum_and_a_spread_one_the_minimum():
    layer = layer_in_float64()
    collapsed = torch.randn(1, 6, dtype=torch.float64).expand(5, 6)
    spread = 1e6 * torch.randn(3, 6, dtype=torch.float64)
    similarity = layer(torch.cat([collapsed, spread]), [5, 3])[:, 6:] - layer.bias
    torch.testing.assert_close(similarity[:5], torch.full_like(similarity[:5], 4.0))
    torch.testing.assert_close(similarity[5:], torch.zeros_like(similarity[5:]))


def test_groups_do_not_see_each_other():
    layer = layer_in_float64()
    features = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)
    output = layer(features, [2, 3, 4])
    alone = torch.cat([layer(part) for part in features.split([2, 3, 4])])
    torch.testing.assert_close(output, alone)
    (gradient,) = torch.autograd.grad(output[2:5].square().sum(), features)
    assert gradient[2:5].abs().min() > 0
    assert gradient[:2].abs().max() == gradient[5:].abs().max() == 0
    # Without groups they do.
    assert (layer(features) - output).abs().max() > 1e-3


def test_the_order_of_a_groups_rows_does_not_matter():
    layer, features = layer_in_float64(), torch.randn(7, 6, dtype=torch.float64)
    order = torch.randperm(7)
    torch.testing.assert_close(layer(features[order]), layer(features)[order])


@pytest.mark.parametrize("kernel_size", [1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize(
    ("compare", "group_sizes"),
    [
        ("own_group", [2]),
        ("own_group", [12]),
        ("own_group", [5, 0, 1, 6]),
        ("both_halves", [6, 6]),
        ("both_halves", [2, 11]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 100, 2**18])
def test_equals_the_plain_formula_and_its_gradients(
    compare, group_sizes, kernel_size, chunk, monkeypatch
):
    # Few kernels, and few places of the ring, at a time.
    sums_file = "convergan.techniques.minibatch_discrimination.sums"
    monkeypatch.setattr(f"{sums_file}._CHUNK_NUMBERS", chunk)
    monkeypatch.setattr(f"{sums_file}._OPERATION_DIFFERENCES", 3 * chunk)
    layer = layer_in_float64(9, 7, kernel_size, compare=compare)
    features = torch.randn(9, sum(group_sizes), dtype=torch.float64).T.requires_grad_()
    output = layer(features, group_sizes)[:, 9:]
    expected = plainly(layer, layer._project(features), group_sizes)
    torch.testing.assert_close(output, expected)
    inputs = (features, layer.theta, layer.log_scale)
    torch.testing.assert_close(
        torch.autograd.grad(output.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
    )


@pytest.mark.parametrize("kernel_size", [2, 6])
@pytest.mark.parametrize(
    ("options", "group_sizes"),
    [({}, [2, 4]), ({"compare": "both_halves"}, [2, 4]), ({}, None)],
)
def test_gradients(options, group_sizes, kernel_size):
    layer = layer_in_float64(kernels=3, kernel_size=kernel_size, **options)
    features = torch.randn(6, 6, dtype=torch.float64, requires_grad=True)

    def outputs(features, *parameters):
        names = dict(layer.named_parameters())
        values = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, values, (features, group_sizes))

    assert torch.autograd.gradcheck(outputs, (features, *layer.parameters()))


@pytest.mark.parametrize("kernel_size", [3, 9])
def test_the_gradient_is_0_at_equal_points(kernel_size):
    layer = layer_in_float64(kernel_size=kernel_size)
    with torch.no_grad():  # whole numbers: equal features have products equal to the last bit
        layer.theta.copy_(torch.randint_like(layer.theta, 1, 9))
    features = torch.tensor([[1.0, -2, 3, 0, 5, -1]] * 5, dtype=torch.float64, requires_grad=True)
    layer(features)[:, 6:].sum().backward()
    assert torch.equal(features.grad, torch.zeros_like(features))
    assert torch.isfinite(layer.theta.grad).all()


@pytest.mark.parametrize("kernel_size", [3, 9])
def test_equal_components_of_different_points_have_no_gradient_either(kernel_size):
    m = torch.randint(0, 2, (8, 4, kernel_size)).double().requires_grad_()
    (sums,) = sums_over_others(m, [8])
    (gradient,) = torch.autograd.grad(sums.sum(), m)
    similarity = torch.exp(-(m.unsqueeze(1) - m).abs().sum(3))  # abs has the gradient 0 at 0
    (expected,) = torch.autograd.grad(similarity.sum(), m)
    torch.testing.assert_close(gradient, expected)


every_way = pytest.mark.parametrize(
    ("options", "group_sizes", "kernel_size"),
    [({}, [2, 4], 2), ({}, None, 6), ({"compare": "both_halves"}, [2, 4], 2)],
)


def outputs_of(layer, group_sizes):
    """The layer as a function of features and parameters."""

    def outputs(features, *parameters):
        names = dict(layer.named_parameters())
        values = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, values, (features, group_sizes))

    return outputs


@every_way
def test_second_gradients(options, group_sizes, kernel_size):
    layer = layer_in_float64(kernels=2, kernel_size=kernel_size, **options)
    features = torch.randn(6, 6, dtype=torch.float64, requires_grad=True)
    inputs = (features, *layer.parameters())
    assert torch.autograd.gradgradcheck(outputs_of(layer, group_sizes), inputs)


def test_a_gradient_penalty_trains():
    layer, features = layer_in_float64(), torch.randn(7, 6, dtype=torch.float64, requires_grad=True)

    def penalty(outputs):
        (slope,) = torch.autograd.grad(outputs.tanh().sum(), features, create_graph=True)
        return (slope.norm(dim=1) - 1).square().mean()

    actual = penalty(layer(features)[:, 6:])
    expected = penalty(plainly(layer, layer._project(features), [7]))
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(
        torch.autograd.grad(actual, layer.theta), torch.autograd.grad(expected, layer.theta)
    )


@every_way
def test_torch_func(options, group_sizes, kernel_size):
    layer = layer_in_float64(kernels=2, kernel_size=kernel_size, **options)
    outputs = outputs_of(layer, group_sizes)
    parameters = tuple(p.detach() for p in layer.parameters())
    features = torch.randn(6, 6, dtype=torch.float64)

    def loss(*inputs):
        return outputs(*inputs).sin().sum()

    inputs = [value.clone().requires_grad_() for value in (features, *parameters)]
    expected = torch.autograd.grad(loss(*inputs), inputs)
    gradients = torch.func.grad(loss, argnums=tuple(range(4)))(features, *parameters)
    torch.testing.assert_close(gradients, expected)
    tangents = tuple(torch.randn_like(value) for value in (features, *parameters))
    slope = sum(
        (gradient * tangent).sum() for gradient, tangent in zip(gradients, tangents, strict=True)
    )
    _, forward = torch.func.jvp(loss, (features, *parameters), tangents)
    torch.testing.assert_close(forward, slope)
    with torch.autograd.forward_ad.dual_level():
        duals = map(torch.autograd.forward_ad.make_dual, (features, *parameters), tangents)
        forward = torch.autograd.forward_ad.unpack_dual(loss(*duals)).tangent
    torch.testing.assert_close(forward, slope)
    stacked = torch.randn(3, 6, 6, dtype=torch.float64)
    separate = torch.stack([outputs(rows, *parameters) for rows in stacked])
    mapped = torch.vmap(outputs, in_dims=(0, None, None, None))(stacked, *parameters)
    torch.testing.assert_close(mapped, separate)
    # Several gradients of one pass: the backward is transformed, the forward was not.
    output = outputs(inputs[0], *parameters)
    cotangents = torch.randn(3, *output.shape, dtype=torch.float64)

    def gradient(cotangent):
        return torch.autograd.grad(output, inputs[0], cotangent, retain_graph=True)[0]

    mapped, separate = (
        torch.vmap(gradient)(cotangents),
        [gradient(cotangent) for cotangent in cotangents],
    )
    torch.testing.assert_close(mapped, torch.stack(separate))


@pytest.mark.parametrize("sizes", [[9], [4, 5]])
def test_the_way_of_other_devices_equals_the_plain_formula(sizes):
    projected = torch.randn(9, 5, 3, dtype=torch.float64, requires_grad=True)
    cotangents = torch.randn(len(sizes), 9, 5, dtype=torch.float64)
    ways = (
        _CdistSums.apply,
        _sums_pair_by_pair,
        _plain_sums,
    )
    results = [
        (sums := way(projected, sizes), *torch.autograd.grad(sums, projected, cotangents))
        for way in ways
    ]
    torch.testing.assert_close(results[0], results[2])
    torch.testing.assert_close(results[1], results[2])
    assert torch.autograd.gradgradcheck(lambda x: ways[0](x, sizes), projected)


def test_a_direction_of_length_0_gives_no_nan():
    layer, features = layer_in_float64(), torch.randn(7, 6, dtype=torch.float64)
    with torch.no_grad():
        layer.theta[:, 1, 2] = 0
    output = layer(features)
    output.sum().backward()
    assert torch.isfinite(output).all()
    assert all(torch.isfinite(weight.grad).all() for weight in layer.parameters())


@pytest.mark.parametrize("group_sizes", [None, [5, 7]])
def test_initialization_from_data_is_the_authors(group_sizes):
    layer, features = layer_in_float64(), 3 + 2 * torch.randn(12, 6, dtype=torch.float64)
    m = projections(layer, features)
    group = [g for g, size in enumerate(group_sizes or [12]) for _ in range(size)]
    log_scale = layer.log_scale.detach().clone()
    expected_scale = log_scale.clone()
    for b in range(4):
        nearest = [
            min(distance(m, i, j, b) for j in range(12) if j != i and group[j] == group[i])
            for i in range(12)
        ]
        expected_scale[b] = log_scale[b] - math.log(0.5 * sum(nearest) / 12)

    output = layer.initialize_from_data(features, group_sizes)
    torch.testing.assert_close(layer.log_scale.detach(), expected_scale)
    torch.testing.assert_close(output[:, 6:].mean(0), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(output, layer(features, group_sizes).detach())
    # So half the mean distance to the nearest other sample is now 1, whatever the data's scale.
    m = projections(layer, features)
    for b in range(4):
        nearest = [
            min(distance(m, i, j, b) for j in range(12) if j != i and group[j] == group[i])
            for i in range(12)
        ]
        assert sum(nearest) / 12 == pytest.approx(2)


def test_initialization_of_both_halves_centres_all_outputs():
    layer = layer_in_float64(compare="both_halves")
    output = layer.initialize_from_data(torch.randn(12, 6, dtype=torch.float64), [5, 7])
    torch.testing.assert_close(output[:, 6:].mean(0), torch.zeros(8, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_initialization_from_a_collapsed_minibatch_is_an_error(dtype):
    layer = MinibatchDiscrimination(50, 4, 3).to(dtype)
    features = torch.randn(1, 50, dtype=dtype).repeat(33, 1)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    with pytest.raises(ValueError, match=r"features must differ .* got equal ones in 4 of 4"):
        layer.initialize_from_data(features)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, state[name])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_initialization_from_what_is_not_finite_is_an_error(value):
    layer, features = MinibatchDiscrimination(6, 4, 3), torch.randn(7, 6)
    state = {name: parameter.clone() for name, parameter in layer.state_dict().items()}
    features[2, 3] = value
    with pytest.raises(ValueError, match=r"features and .* must be finite .* in 4 of 4 kernels"):
        layer.initialize_from_data(features)
    for name, parameter in layer.state_dict().items():
        assert torch.equal(parameter, state[name])


def initialize_on(rank, folder):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(6, 4, 3)
    rows = slice(0, 10) if rank == 0 else slice(10, 30)
    features = torch.randn(30, 6, generator=torch.Generator().manual_seed(1))
    layer.initialize_from_data(features[rows], [10] * (1 + rank))
    torch.save(layer.state_dict(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.xdist_group("two ranks")
def test_every_rank_is_initialized_alike_from_the_data_of_all(tmp_path):
    on_two_ranks(initialize_on, str(tmp_path))
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(6, 4, 3)
    features = torch.randn(30, 6, generator=torch.Generator().manual_seed(1))
    layer.initialize_from_data(features, [10, 10, 10])
    for name, value in layer.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value)


class LargestTensor(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation returns, forward or backward."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        returned = function(*args, **(kwargs or {}))
        # An expanded view holds no more than what it views.
        for tensor in torch.utils._pytree.tree_leaves(returned):
            if isinstance(tensor, torch.Tensor):
                size = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.elements = max(self.elements, size)
        return returned


@pytest.mark.parametrize(("n", "kernels", "kernel_size"), [(64, 50, 40), (128, 100, 5)])
@pytest.mark.parametrize("options", [{}, {"compare": "both_halves"}])
def test_memory_never_holds_all_pairs_times_all_dimensions(n, kernels, kernel_size, options):
    layer = MinibatchDiscrimination(30, kernels, kernel_size, **options)
    features = torch.randn(n, 30, requires_grad=True)
    saved = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    with LargestTensor() as largest:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = layer(features, [n // 2, n // 2] if options else None)
        output.sum().backward()
    assert max(saved) <= max(n * n * kernels, n * kernels * kernel_size)
    assert sum(saved) <= 4 * (n * n * kernels + n * kernels * kernel_size)
    assert largest.elements <= max(n * n * kernels, 2 * n * kernels * kernel_size)


@pytest.mark.parametrize("kernel_size", [3, 9])
def test_autocast_leaves_distances_in_single_precision(kernel_size):
    layer, features = MinibatchDiscrimination(6, 4, kernel_size), torch.randn(7, 6)
    with torch.autocast("cpu", torch.bfloat16):
        output, projected = layer(features), layer._project(features)
    assert output.dtype == torch.float32
    expected = plainly(layer, projected.double(), [7])
    torch.testing.assert_close(output[:, 6:].double(), expected, rtol=1e-5, atol=1e-5)


def test_half_precision_in_half_precision_out():
    layer, features = MinibatchDiscrimination(6, 4, 3), torch.randn(7, 6)
    half = MinibatchDiscrimination(6, 4, 3)
    half.load_state_dict(layer.state_dict())
    output = half.bfloat16()(features.bfloat16())
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), layer(features), atol=0.1, rtol=0.05)


@pytest.mark.parametrize(
    ("group_sizes", "compare", "message"),
    [
        ([3, 3], "own_group", r"group_sizes must .* add up to the batch of 7, got \[3, 3\]"),
        ([8, -1], "own_group", r"group_sizes must be >= 0 .* got \[8, -1\]"),
        (None, "both_halves", r"group_sizes must be two .* got \[7\]"),
        ([6, 1], "both_halves", r"group_sizes must be two of at least 2 .* got \[6, 1\]"),
        ([2, 2, 3], "both_halves", r"group_sizes must be two .* got \[2, 2, 3\]"),
    ],
)
def test_wrong_group_sizes_are_errors(group_sizes, compare, message):
    layer = MinibatchDiscrimination(6, 4, 3, compare=compare)
    with pytest.raises(ValueError, match=message):
        layer(torch.zeros(7, 6), group_sizes)


def test_initialization_needs_others_to_compare_with():
    layer = MinibatchDiscrimination(6, 4, 3)
    with pytest.raises(ValueError, match=r"at least 2 each to initialize, got \[6, 1\]"):
        layer.initialize_from_data(torch.randn(7, 6), [6, 1])


@pytest.mark.usefixtures("unchecked_shapes")
def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="kernels must be at least 1, got 0"):
        MinibatchDiscrimination(6, 0)
    with pytest.raises(ValueError, match=r"compare must be .* got 'all'"):
        MinibatchDiscrimination(6, compare="all")
    with pytest.raises(ValueError, match=r"features must be \[batch, 6\], got shape \(7, 5\)"):
        MinibatchDiscrimination(6)(torch.zeros(7, 5))
