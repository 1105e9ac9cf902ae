"""Copies are found, and real images that were never trained on are not taken for copies."""

import pytest
import torch

from convergan.errors import UserError
from convergan.metrics.memorization import nearest_training_images


@pytest.fixture
def training() -> torch.Tensor:
    return torch.randn(400, 8, generator=torch.Generator().manual_seed(0))


def test_copies_are_found(training: torch.Tensor) -> None:
    indices = torch.tensor([7, 300, 7])
    result = nearest_training_images(training[indices] + 1e-3, training)
    assert torch.equal(result.indices, indices)
    assert result.copies.all()
    assert result.authenticity == 0


def test_new_images_of_the_same_kind_are_no_copies(training: torch.Tensor) -> None:
    new = torch.randn(400, 8, generator=torch.Generator().manual_seed(1))
    share = nearest_training_images(new, training).authenticity
    assert 0.4 < share < 0.7
    assert nearest_training_images(new + 50, training).authenticity == 1


def test_the_closest_come_first(training: torch.Tensor) -> None:
    samples = training[:5] + torch.tensor([0.3, 0.01, 0.2, 0.0, 0.1]).unsqueeze(1)
    assert nearest_training_images(samples, training).closest(3).tolist() == [3, 1, 4]


def test_equal_training_images_are_each_others_neighbours(training: torch.Tensor) -> None:
    twice = torch.cat([training, training[:1]])
    result = nearest_training_images(training[:1] + 1e-4, twice)
    assert float(result.usual_distances) == pytest.approx(0, abs=1e-6)
    assert result.authenticity == 1


def test_too_few_training_images(training: torch.Tensor) -> None:
    with pytest.raises(UserError, match="training: expected at least 2 images, got 1"):
        nearest_training_images(training[:1], training[:1])
