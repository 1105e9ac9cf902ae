import math

import pytest
import torch

from convergan.techniques.conditional_entropy import conditional_entropy


def test_is_the_mean_entropy_written_out() -> None:
    logits = 3 * torch.randn(20, 5, dtype=torch.float64)
    total = 0.0
    for row in logits.tolist():
        exponentials = [math.exp(value) for value in row]
        probabilities = [value / sum(exponentials) for value in exponentials]
        total -= sum(p * math.log(p) for p in probabilities)
    assert conditional_entropy(logits).item() == pytest.approx(total / 20, rel=1e-12)


def test_is_0_where_sure_and_log_k_where_all_are_alike() -> None:
    sure = torch.tensor([[1e4, 0.0, -1e4], [0.0, 0.0, 1e4]], requires_grad=True)
    loss = conditional_entropy(sure)
    loss.backward()
    assert loss.item() == 0 and sure.grad is not None and sure.grad.isfinite().all()
    assert conditional_entropy(torch.full((4, 7), -3.0)).item() == pytest.approx(math.log(7))


def test_its_gradient_sharpens() -> None:
    logits = torch.randn(30, 4, dtype=torch.float64, requires_grad=True)
    confidence = logits.softmax(dim=1).amax(dim=1)
    (gradient,) = torch.autograd.grad(conditional_entropy(logits), logits)
    sharpened = (logits - 0.1 * gradient).softmax(dim=1).amax(dim=1)
    assert (sharpened > confidence).all()
    assert torch.autograd.gradcheck(conditional_entropy, (logits,))


def test_is_that_of_the_classes_alone() -> None:
    """A function of x that is added to all logits changes nothing, and leaves D(x) free."""
    logits = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    shifted = logits + torch.randn(9, 1, dtype=torch.float64)
    torch.testing.assert_close(conditional_entropy(shifted), conditional_entropy(logits))
    (gradient,) = torch.autograd.grad(conditional_entropy(logits), logits)
    torch.testing.assert_close(gradient.sum(dim=1), torch.zeros(9, dtype=torch.float64))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_errors_name_the_argument(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"logits must be \[batch, classes\], neither of them 0, got"
    ):
        conditional_entropy(torch.zeros(shape))
