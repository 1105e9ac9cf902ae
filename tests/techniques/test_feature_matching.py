import pytest
import torch

from convergan.techniques.feature_matching import feature_matching_loss


def test_is_the_distance_between_batch_means_by_hand():
    real = torch.tensor([[1.0, 2.0], [3.0, 6.0]], dtype=torch.float64)  # mean 2, 4
    generated = torch.tensor([[0.0, 1.0], [1.0, 7.0], [2.0, 13.0]], dtype=torch.float64)  # 1, 7
    assert feature_matching_loss(real, generated).item() == 10  # 1 + 9
    assert feature_matching_loss(real, generated, reduction="mean").item() == 5
    assert feature_matching_loss(real, generated, distance="absolute").item() == 4
    authors_cifar10 = feature_matching_loss(real, generated, distance="absolute", reduction="mean")
    assert authors_cifar10.item() == 2


@pytest.mark.parametrize("distance", ["squared", "absolute"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_only_batch_means_matter(distance, reduction):
    real, generated = torch.randn(2, 8, 5, dtype=torch.float64)
    options = {"distance": distance, "reduction": reduction}
    loss = feature_matching_loss(real, generated, **options)
    another_pairing = feature_matching_loss(real, generated[torch.randperm(8)], **options)
    torch.testing.assert_close(another_pairing, loss)
    # Every sample differs from every other, and yet the loss is 0.
    spread = generated - generated.mean(0) + real.mean(0)
    assert feature_matching_loss(real, spread, **options).item() < 1e-12


@pytest.mark.parametrize("distance", ["squared", "absolute"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradients(distance, reduction):
    real = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    generated = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, b: feature_matching_loss(a, b, distance=distance, reduction=reduction),
        (real, generated),
    )


def test_gradient_is_that_of_eq_1():
    real = torch.randn(4, 3, dtype=torch.float64)
    generated = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    feature_matching_loss(real, generated).backward()
    expected = 2 * (generated.mean(0) - real.mean(0)) / 6
    torch.testing.assert_close(generated.grad, expected.detach().expand(6, 3))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("real", "generated", "options", "message"),
    [
        ((4, 3), (4, 2), {}, "generated_features must have as many .* 3, got 2"),
        ((4, 3, 2), (4, 3), {}, r"real_features must be \[batch, features\].*\(4, 3, 2\)"),
        ((4, 3), (0, 3), {}, r"generated_features must .* at least one row, got shape \(0, 3\)"),
        ((4, 3), (4, 3), {"distance": "cosine"}, "distance must be .* got 'cosine'"),
        ((4, 3), (4, 3), {"reduction": "none"}, "reduction must be .* got 'none'"),
    ],
)
def test_errors_name_the_argument(real, generated, options, message):
    with pytest.raises(ValueError, match=message):
        feature_matching_loss(torch.zeros(real), torch.zeros(generated), **options)
