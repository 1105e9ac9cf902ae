import pytest
import torch

from convergan.techniques.label_smoothing import one_sided_smoothing_loss

# Six points, as how often each occurs among ten samples of the data and ten of the model.
DATA_COUNTS = torch.tensor([4, 3, 2, 1, 0, 0])
MODEL_COUNTS = torch.tensor([1, 0, 2, 1, 4, 2])


def trained_discriminator(**targets) -> torch.Tensor:
    """D at the six points, one logit each, trained on the twenty samples."""
    data = torch.repeat_interleave(torch.arange(6), DATA_COUNTS)
    model = torch.repeat_interleave(torch.arange(6), MODEL_COUNTS)
    logits = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = one_sided_smoothing_loss(logits[data], logits[model], **targets)
        loss.backward()
        return loss

    optimizer.step(closure)
    return torch.sigmoid(logits.detach())


@pytest.mark.parametrize("alpha", [0.9, 0.75, 1.0])
def test_the_optimum_is_alpha_p_data_over_p_data_plus_p_model(alpha):
    p_data, p_model = DATA_COUNTS / 10, MODEL_COUNTS / 10
    expected = (alpha * p_data / (p_data + p_model)).double()
    actual = trained_discriminator(positive_target=alpha)
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=0)


def test_smoothing_the_negatives_too_puts_p_model_into_the_numerator():
    p_data, p_model = DATA_COUNTS / 10, MODEL_COUNTS / 10
    expected = ((0.9 * p_data + 0.1 * p_model) / (p_data + p_model)).double()
    actual = trained_discriminator(negative_target=0.1, allow_negative_smoothing=True)
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=0)


def test_equals_cross_entropy_with_logits():
    positive = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    negative = torch.randn(7, dtype=torch.float64, requires_grad=True)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    expected = cross_entropy(positive, torch.full_like(positive, 0.9)) + cross_entropy(
        negative, torch.zeros_like(negative)
    )
    torch.testing.assert_close(one_sided_smoothing_loss(positive, negative), expected)
    assert torch.autograd.gradcheck(one_sided_smoothing_loss, (positive, negative))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stable_at_logits_of_any_size(dtype):
    positive = torch.tensor([-1e4, 1e4], dtype=dtype, requires_grad=True)
    negative = torch.tensor([-1e4, 1e4], dtype=dtype, requires_grad=True)
    loss = one_sided_smoothing_loss(positive, negative)
    loss.backward()
    assert loss.item() == pytest.approx((0.9e4 + 0.1e4) / 2 + 1e4 / 2)
    torch.testing.assert_close(positive.grad, torch.tensor([-0.45, 0.05], dtype=dtype))
    torch.testing.assert_close(negative.grad, torch.tensor([0.0, 0.5], dtype=dtype))


def test_smoothed_negatives_need_an_explicit_argument():
    logits = torch.zeros(3)
    with pytest.raises(ValueError, match=r"negative_target must be 0, got 0\.1: .*Section 3\.4"):
        one_sided_smoothing_loss(logits, logits, negative_target=0.1)
    one_sided_smoothing_loss(logits, logits, negative_target=0.1, allow_negative_smoothing=True)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"positive_target": 0.0}, r"positive_target must be in \(0, 1\], got 0"),
        ({"positive_target": 1.1}, r"positive_target must be in \(0, 1\], got 1\.1"),
        ({"positive_target": float("nan")}, "positive_target must be .* got nan"),
        ({"negative_target": -0.1}, r"negative_target must be in \[0, .*\), got -0\.1"),
        ({"negative_target": 0.9}, r"negative_target must be in \[0, .*\), got 0\.9"),
    ],
)
def test_ranges_of_the_targets(targets, message):
    with pytest.raises(ValueError, match=message):
        one_sided_smoothing_loss(
            torch.zeros(3), torch.zeros(3), allow_negative_smoothing=True, **targets
        )


def test_each_positive_may_have_its_own_target():
    positive, negative = torch.randn(5, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    targets = torch.linspace(0.7, 1.0, 5, dtype=torch.float64)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    expected = cross_entropy(positive, targets) + cross_entropy(negative, 0 * negative)
    loss = one_sided_smoothing_loss(positive, negative, positive_target=targets)
    torch.testing.assert_close(loss, expected)
    scalar_loss = one_sided_smoothing_loss(
        positive, negative, positive_target=torch.tensor(0.75).double()
    )
    torch.testing.assert_close(
        scalar_loss, one_sided_smoothing_loss(positive, negative, positive_target=0.75)
    )
    for wrong in (0.0, 1.2, float("nan")):
        targets[2] = wrong
        with pytest.raises(ValueError, match=rf"positive_target must be in \(0, 1\], got {wrong}"):
            one_sided_smoothing_loss(positive, negative, positive_target=targets)
    # Every positive beside every target would be another loss.
    with pytest.raises(
        ValueError, match=r"positive_target must broadcast to .*\(5,\), got .*\(5, 1"
    ):
        one_sided_smoothing_loss(positive, negative, positive_target=torch.full((5, 1), 0.9))
    with pytest.raises(ValueError, match=r"negative_target must be in \[0, .*0\.1.*\), got 0\.2"):
        one_sided_smoothing_loss(
            positive,
            negative,
            positive_target=torch.tensor([0.9, 0.1, 0.9, 0.9, 0.9]),
            negative_target=0.2,
            allow_negative_smoothing=True,
        )


def test_an_empty_batch_is_an_error():
    with pytest.raises(ValueError, match="negative_logits must hold at least one logit"):
        one_sided_smoothing_loss(torch.zeros(3), torch.zeros(0))
