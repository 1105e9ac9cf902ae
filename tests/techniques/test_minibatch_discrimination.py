import math

import pytest
import torch

from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination


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
            others = [j for j in half if j != i]
            for b in range(4):
                closeness = [math.exp(-distance(m, i, j, b)) for j in others]
                expected[i, h, b] = sum(closeness) / len(others)
    output = layer(features, group_sizes)
    assert output.shape == (7, layer.out_features) == (7, 14)
    torch.testing.assert_close(output[:, :6], features)
    torch.testing.assert_close(output[:, 6:], expected.flatten(1) + layer.bias.detach())


def test_a_collapsed_group_reaches_the_maximum_and_a_spread_one_the_minimum():
    layer = layer_in_float64()
    collapsed = torch.randn(1, 6, dtype=torch.float64).expand(5, 6)
    spread = 1e6 * torch.randn(3, 6, dtype=torch.float64)
    closeness = layer(torch.cat([collapsed, spread]), [5, 3])[:, 6:] - layer.bias
    torch.testing.assert_close(closeness[:5], torch.full_like(closeness[:5], 4.0))
    torch.testing.assert_close(closeness[5:], torch.zeros_like(closeness[5:]))


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


@pytest.mark.parametrize(
    ("options", "group_sizes"),
    [({}, [2, 4]), ({"compare": "both_halves"}, [2, 4]), ({}, None)],
)
def test_gradients(options, group_sizes):
    layer = layer_in_float64(kernels=3, kernel_size=2, **options)
    features = torch.randn(6, 6, dtype=torch.float64, requires_grad=True)

    def outputs(features, *parameters):
        names = dict(layer.named_parameters())
        values = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, values, (features, group_sizes))

    assert torch.autograd.gradcheck(outputs, (features, *layer.parameters()))


def test_the_gradient_is_finite_at_equal_points():
    layer = layer_in_float64()
    with torch.no_grad():  # whole numbers: equal features have products equal to the last bit
        layer.theta.copy_(torch.randint_like(layer.theta, 1, 9))
    features = torch.tensor([[1.0, -2, 3, 0, 5, -1]] * 5, dtype=torch.float64, requires_grad=True)
    layer(features)[:, 6:].sum().backward()
    assert torch.equal(features.grad, torch.zeros_like(features))
    assert torch.isfinite(layer.theta.grad).all()


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
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with pytest.raises(ValueError, match=r"features must differ .* got equal ones in 4 of 4"):
        layer.initialize_from_data(features)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name])


def test_memory_never_holds_all_pairs_times_all_dimensions():
    n, kernels, kernel_size = 64, 50, 40
    layer = MinibatchDiscrimination(30, kernels, kernel_size)
    saved = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(torch.randn(n, 30))
    assert max(saved) <= max(n * n * kernels, n * kernels * kernel_size)
    assert sum(saved) <= 4 * (n * n * kernels + n * kernels * kernel_size)


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
