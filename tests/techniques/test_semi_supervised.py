import pytest
import torch
from torch.nn import functional as F

from convergan.techniques.semi_supervised import real_probability_logit, semi_supervised_loss


def batches(dtype=torch.float64, classes=4, scale=3.0):
    labelled, unlabelled, generated = (
        (scale * torch.randn(n, classes, dtype=dtype)).requires_grad_() for n in (5, 7, 6)
    )
    return labelled, torch.tensor([0, 1, 2, 3, 1]) % classes, unlabelled, generated


def explicit_loss(labelled, labels, unlabelled, generated):
    """Section 5 word for word: a (K+1)-way softmax with the last logit 0."""

    def probabilities(logits):
        return torch.softmax(F.pad(logits.double(), (0, 1)), dim=1)

    classes = labelled.shape[1]
    p = probabilities(labelled)
    given_real = p[:, :classes] / p[:, :classes].sum(1, keepdim=True)
    return (
        -given_real[torch.arange(len(labels)), labels].log().mean(),
        -(1 - probabilities(unlabelled)[:, classes]).log().mean(),
        -probabilities(generated)[:, classes].log().mean(),
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("classes", [1, 4])
def test_equals_the_softmax_of_k_plus_1_classes(dtype, classes):
    arguments = batches(dtype, classes)
    loss = semi_supervised_loss(*arguments)
    for actual, expected in zip(loss, explicit_loss(*arguments), strict=True):
        torch.testing.assert_close(actual.double(), expected, atol=1e-6, rtol=1e-6)


def test_the_total_is_the_sum_of_the_parts():
    arguments = batches()
    loss = semi_supervised_loss(*arguments)
    assert loss.total.item() == (loss.supervised + loss.unlabelled + loss.generated).item()
    torch.testing.assert_close(loss.total, sum(explicit_loss(*arguments)))


def test_half_the_weight_is_the_authors_code():
    labelled, labels, unlabelled, generated = arguments = batches()
    loss = semi_supervised_loss(*arguments, unsupervised_weight=0.5)
    z_unlabelled, z_generated = (
        real_probability_logit(unlabelled),
        real_probability_logit(generated),
    )
    expected = F.cross_entropy(labelled, labels) + 0.5 * (
        -z_unlabelled.mean() + F.softplus(z_unlabelled).mean() + F.softplus(z_generated).mean()
    )
    torch.testing.assert_close(loss.total, expected)


def test_discriminator_is_z_over_z_plus_1():
    logits = torch.randn(6, 4, dtype=torch.float64)
    z = logits.exp().sum(1)
    torch.testing.assert_close(torch.sigmoid(real_probability_logit(logits)), z / (z + 1))


def test_a_constant_added_to_all_logits_moves_only_the_unsupervised_parts():
    labelled, labels, unlabelled, generated = batches()
    losses = semi_supervised_loss(labelled, labels, unlabelled, generated)
    shifted = semi_supervised_loss(labelled + 1, labels, unlabelled + 1, generated + 1)
    torch.testing.assert_close(shifted.supervised, losses.supervised)
    assert shifted.unlabelled < losses.unlabelled
    assert shifted.generated > losses.generated


def test_gradients():
    labelled, labels, unlabelled, generated = batches()
    assert torch.autograd.gradcheck(
        lambda a, b, c: semi_supervised_loss(a, labels, b, c, unsupervised_weight=0.5).total,
        (labelled, unlabelled, generated),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_finite_with_finite_gradients_at_extreme_logits(dtype, size):
    def logits(n):
        return (torch.tensor([[1, -1, 0, 1]] * n, dtype=dtype) * size).requires_grad_()

    def all_equal(n):
        return torch.full((n, 4), size, dtype=dtype).requires_grad_()

    for make in (logits, all_equal):
        labelled, unlabelled, generated = make(4), make(3), make(3)
        total = semi_supervised_loss(labelled, torch.arange(4), unlabelled, generated).total
        total.backward()
        assert torch.isfinite(total)
        for batch in (labelled, unlabelled, generated):
            assert torch.isfinite(batch.grad).all()
            # Every term's gradient with respect to a sample's logits is at most 2 / its batch.
            assert batch.grad.abs().sum() <= 2 * (1 + 1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("position", "value", "error", "message"),
    [
        (0, torch.zeros(5), ValueError, r"labelled_logits must be \[batch, classes\]"),
        (0, torch.zeros(0, 4), ValueError, r"labelled_logits must be .* got shape \(0, 4\)"),
        (1, torch.zeros(5, dtype=torch.int32), TypeError, "labels must be int64, got torch.int32"),
        (
            1,
            torch.zeros(4, dtype=torch.int64),
            ValueError,
            r"labels must be .* \[5\], got .*\(4,\)",
        ),
        (1, torch.tensor([0, 1, 2, 3, 4]), ValueError, r"labels must be in \[0, 4\), got 4"),
        (1, torch.tensor([0, 1, 2, 3, -100]), ValueError, r"labels must be in \[0, 4\), got -100"),
        (2, torch.zeros(7, 3), ValueError, r"unlabelled_logits must be \[batch, 4\].*\(7, 3\)"),
        (3, torch.zeros(0, 4), ValueError, r"generated_logits must be .* got shape \(0, 4\)"),
    ],
)
def test_errors_name_the_argument(position, value, error, message):
    arguments = list(batches())
    arguments[position] = value
    with pytest.raises(error, match=message):
        semi_supervised_loss(*arguments)


def test_a_negative_weight_is_an_error():
    with pytest.raises(ValueError, match="unsupervised_weight must be >= 0, got -1"):
        semi_supervised_loss(*batches(), unsupervised_weight=-1.0)
