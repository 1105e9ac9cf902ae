import copy
import math

import pytest
import torch
from torch import Tensor, nn

from convergan.techniques.consistency import (
    AdaptiveThreshold,
    DistributionAlignment,
    align_distribution,
    consistency_loss,
)


def logits(rows: int = 50, classes: int = 4, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(rows, classes, dtype=torch.float64)


def probabilities_of(row: list[float]) -> list[float]:
    exponentials = [math.exp(value) for value in row]
    return [value / sum(exponentials) for value in exponentials]


@pytest.mark.parametrize("threshold", [0.0, 0.8, 1.0])
def test_is_fixmatch_written_out(threshold: float) -> None:
    student, target = logits(), logits()
    total = 0.0
    for row, target_row in zip(student.tolist(), target.tolist(), strict=True):
        sure = probabilities_of(target_row)
        if max(sure) >= threshold:
            total -= math.log(probabilities_of(row)[sure.index(max(sure))])
    loss = consistency_loss(student, target, threshold=threshold)
    assert loss.item() == pytest.approx(total / len(student), rel=1e-12, abs=0)


def test_soft_targets_are_written_out() -> None:
    student, target = logits(), logits()
    temperature, threshold, total = 0.5, 0.8, 0.0
    for row, target_row in zip(student.tolist(), target.tolist(), strict=True):
        if max(probabilities_of(target_row)) >= threshold:
            # Sharpening: p^(1 / T), normalized.
            powers = [p ** (1 / temperature) for p in probabilities_of(target_row)]
            for power, p in zip(powers, probabilities_of(row), strict=True):
                total -= power / sum(powers) * math.log(p)
    loss = consistency_loss(student, target, threshold=threshold, temperature=temperature)
    assert loss.item() == pytest.approx(total / len(student), rel=1e-12)
    # The sharper they are, the closer they come to the class alone.
    sharpest = consistency_loss(student, target, threshold=threshold, temperature=1e-4)
    torch.testing.assert_close(sharpest, consistency_loss(student, target, threshold=threshold))


def test_no_gradient_comes_from_the_target_nor_from_what_is_not_sure() -> None:
    student, target = logits().requires_grad_(), logits().requires_grad_()
    threshold = torch.full((4,), 0.9, dtype=torch.float64, requires_grad=True)
    for temperature in (0.0, 0.7):
        loss = consistency_loss(student, target, threshold=threshold, temperature=temperature)
        gradients = torch.autograd.grad(loss, (student, target, threshold), allow_unused=True)
        assert gradients[1:] == (None, None)
        assert gradients[0] is not None
        sure = target.softmax(dim=1).amax(dim=1) >= 0.9
        assert 0 < sure.sum() < len(sure)
        assert torch.equal(gradients[0].abs().sum(dim=1) > 0, sure)


def test_it_draws_the_strong_view_to_the_class_of_the_weak_one() -> None:
    target = torch.tensor([[9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    student = torch.zeros(2, 3, requires_grad=True)
    optimizer = torch.optim.SGD([student], lr=1.0)
    for _ in range(20):
        optimizer.zero_grad()
        consistency_loss(student, target).backward()
        optimizer.step()
    assert student.argmax(dim=1).tolist() == [0, 2]


def test_a_mean_over_all_images_weighs_few_sure_ones_less() -> None:
    student, sure, unsure = torch.zeros(1, 4), torch.eye(4)[:1] * 20, torch.zeros(9, 4)
    alone = consistency_loss(student, sure)
    mixed = consistency_loss(student.expand(10, 4), torch.cat([sure, unsure]))
    torch.testing.assert_close(mixed, alone / 10)
    assert alone.item() == pytest.approx(math.log(4))


def test_each_class_has_its_threshold() -> None:
    target = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    student = torch.tensor([[0.0, 1.0], [0.0, 3.0]])
    loss = consistency_loss(student, target, threshold=torch.tensor([0.99, 0.5]))
    # The loss of the second image alone, divided by the number of images.
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-3)) / 2)


def test_extreme_logits_are_finite() -> None:
    student = torch.tensor([[1e30, -1e30], [-1e4, 1e4]], requires_grad=True)
    for temperature in (0.0, 1e-3):
        loss = consistency_loss(student, torch.tensor([[0.0, 1e4]] * 2), temperature=temperature)
        loss.backward()
        assert loss.isfinite() and student.grad is not None and student.grad.isfinite().all()


def test_alignment_is_written_out() -> None:
    rows = logits()
    mean, prior = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.4, 0.1]]).double()
    aligned = align_distribution(rows, mean, prior).softmax(dim=1)
    for row, result in zip(rows.tolist(), aligned.tolist(), strict=True):
        products = [
            p * (q + 1e-6) / (m + 1e-6)
            for p, q, m in zip(probabilities_of(row), prior.tolist(), mean.tolist(), strict=True)
        ]
        assert result == pytest.approx([product / sum(products) for product in products])
    # Rows that have the wanted distribution stay as they are.
    torch.testing.assert_close(align_distribution(rows, prior, prior).softmax(1), rows.softmax(1))


def test_alignment_brings_the_frequencies_of_the_labels() -> None:
    alignment = DistributionAlignment(torch.tensor([10, 30, 60]))
    skewed = torch.randn(4000, 3) + torch.tensor([2.0, 0.0, 0.0])
    skewed_mean = skewed.softmax(dim=1).mean(dim=0)
    for batch in skewed.split(100):
        alignment.update(batch)
        aligned = alignment(batch)
    aligned_mean = alignment(skewed).softmax(dim=1).mean(dim=0)
    prior = torch.tensor([0.1, 0.3, 0.6])
    assert (aligned_mean - prior).abs().sum() < 0.4 * (skewed_mean - prior).abs().sum()
    assert aligned.shape == (100, 3)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_running_mean_is_that_of_all_batches_and_later_of_the_last(momentum: float) -> None:
    alignment = DistributionAlignment(torch.ones(4), momentum=momentum).double()
    expected = [0.0] * 4
    for number in range(1, 30):
        batch = logits(5)
        alignment.update(batch)
        rows = [probabilities_of(row) for row in batch.tolist()]
        for k in range(4):
            mean = sum(row[k] for row in rows) / 5
            expected[k] += max(1 - momentum, 1 / number) * (mean - expected[k])
        assert alignment.mean.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("highest", [1.0, 0.6])
def test_the_adaptive_threshold_is_written_out(highest: float) -> None:
    threshold = AdaptiveThreshold(4, momentum=0.8, highest=highest).double()
    confidence, mean = 0.25, [0.25] * 4
    assert threshold().tolist() == pytest.approx([0.25] * 4)
    for _ in range(20):
        batch = logits(7, scale=5)
        threshold.update(batch)
        rows = [probabilities_of(row) for row in batch.tolist()]
        confidence = 0.8 * confidence + 0.2 * sum(map(max, rows)) / 7
        mean = [0.8 * m + 0.2 * sum(row[k] for row in rows) / 7 for k, m in enumerate(mean)]
        expected = [min(confidence, highest) * m / max(mean) for m in mean]
        assert threshold().tolist() == pytest.approx(expected, rel=1e-6)
    assert confidence > 0.7 and threshold().max().item() == pytest.approx(min(highest, confidence))


def test_the_adaptive_threshold_follows_the_confidence() -> None:
    threshold = AdaptiveThreshold(3, momentum=0.9)
    sure = 30 * torch.eye(3)
    for _ in range(100):
        threshold.update(torch.zeros(6, 3))
    assert threshold().tolist() == pytest.approx([1 / 3] * 3)
    for _ in range(100):
        threshold.update(sure)
    assert threshold().tolist() == pytest.approx([1.0] * 3, abs=1e-4)
    # A class that is rarely predicted has a lower threshold.
    for _ in range(100):
        threshold.update(sure[[0, 1, 1, 0]])
    assert threshold()[2] < 0.01 < 0.9 < threshold()[0]


@pytest.mark.parametrize(
    "module", [DistributionAlignment(torch.tensor([1, 2, 3, 4])), AdaptiveThreshold(4)]
)
def test_what_they_remember_is_saved_copied_and_keeps_its_digits(module: nn.Module) -> None:
    with_memory, restored = copy.deepcopy(module), copy.deepcopy(module)
    with_memory.update(logits())
    states = with_memory.state_dict(), module.state_dict()
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])
    restored.load_state_dict(with_memory.state_dict())
    batch = logits()
    for memory in (with_memory, restored):
        memory.update(batch)
    assert all(map(torch.equal, with_memory.buffers(), restored.buffers()))
    half = copy.deepcopy(restored).half()
    assert {buffer.dtype for buffer in half.buffers()} <= {torch.float32, torch.int64}
    half.update(batch.half())
    assert all(not buffer.requires_grad for buffer in half.buffers())


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: consistency_loss(x[:0], x[:0]), r"student_logits must be .* got shape \(0, 4\)"),
        (lambda x: consistency_loss(x, x[:3]), r"target_logits must have .* \(50, 4\), got \(3, 4\)"),
        (lambda x: consistency_loss(x, x, threshold=1.1), r"threshold must be in \[0, 1\], got 1.1"),
        (
            lambda x: consistency_loss(x, x, threshold=torch.ones(3)),
            r"threshold must be .*, \[4\], got shape \(3,\)",
        ),
        (lambda x: consistency_loss(x, x, temperature=-1), "temperature must be >= 0, got -1"),
        (
            lambda x: align_distribution(x, torch.ones(4), torch.ones(3)),
            r"prior must have one number for each class, \[4\], got shape \(3,\)",
        ),
        (lambda x: align_distribution(x[0], x[0], x[0]), r"logits must be \[batch, classes\]"),
        (lambda x: DistributionAlignment(torch.zeros(3)), r"prior must be .* got \[0.0, 0.0, 0.0\]"),
        (lambda x: DistributionAlignment(x[0], momentum=0.5), r"prior must be \[classes\], of numb"),
        (
            lambda x: DistributionAlignment(torch.ones(3), momentum=1),
            r"momentum must be in \[0, 1\), got 1",
        ),
        (lambda x: AdaptiveThreshold(0), "classes must be >= 1, got 0"),
        (lambda x: AdaptiveThreshold(3, highest=0), r"highest must be in \(0, 1\], got 0"),
        (lambda x: AdaptiveThreshold(4).update(x[:0]), r"logits must be .* got shape \(0, 4\)"),
    ],
)  # fmt: skip
def test_errors_name_the_argument(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call(logits())
