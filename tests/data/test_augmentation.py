"""Views of images: what they keep, and what they change."""

import pytest
import torch

from convergan.data.augmentation import CUTOUT, SHIFT, strong_view, weak_view

RANGES = [(0.0, 1.0), (-1.0, 1.0)]


def some_images(low: float, high: float, *, height: int = 28, width: int = 42) -> torch.Tensor:
    torch.manual_seed(0)
    return low + (high - low) * torch.rand(50, 3, height, width)


@pytest.mark.parametrize("pixel_range", RANGES)
def test_a_weak_view_is_a_shift(pixel_range: tuple[float, float]) -> None:
    images = some_images(*pixel_range)
    views = weak_view(images, pixel_range)
    assert views.shape == images.shape
    down, right = round(SHIFT * 28), round(SHIFT * 42)
    assert (down, right) == (2, 3)
    found = set()
    for image, view in zip(images, views, strict=True):
        inner = view[:, down:-down, right:-right]
        shifts = [
            (y, x)
            for y in range(-down, down + 1)
            for x in range(-right, right + 1)
            if torch.equal(inner, image[:, down + y : 28 - down + y, right + x : 42 - right + x])
        ]
        assert len(shifts) == 1
        found.update(shifts)
    # Each image has a shift of its own, in all directions.
    assert len(found) > 20
    assert {y for y, _ in found} == set(range(-down, down + 1))


@pytest.mark.parametrize("pixel_range", RANGES)
def test_a_strong_view_has_a_grey_square_and_stays_in_the_range(
    pixel_range: tuple[float, float],
) -> None:
    images = some_images(*pixel_range, height=32, width=32)
    views = strong_view(images, pixel_range)
    low, high = pixel_range
    assert views.shape == images.shape
    assert views.min() >= low and views.max() <= high
    grey = (views == (low + high) / 2).all(dim=1).sum(dim=(1, 2))
    side = 2 * int(CUTOUT * 32 / 2) + 1
    assert grey.max() == side**2
    # Some squares lie partly outside.
    assert 0 < grey.min() < side**2


def test_views_are_differentiable_and_follow_torchs_seed() -> None:
    images = some_images(0, 1).requires_grad_()
    torch.manual_seed(1)
    view = strong_view(images, (0, 1))
    (gradient,) = torch.autograd.grad(view.sum(), images)
    assert (gradient != 0).float().mean() > 0.3
    torch.manual_seed(1)
    assert torch.equal(strong_view(images, (0, 1)), view)
    assert not torch.equal(strong_view(images, (0, 1)), view)


def test_a_constant_image_keeps_its_level_under_a_weak_view() -> None:
    images = torch.full((3, 1, 8, 8), 0.25)
    assert torch.equal(weak_view(images, (0, 1)), images)
