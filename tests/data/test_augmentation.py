"""Views of images: what they keep, what they change, and by how much."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from convergan.data.augmentation import Augmentation, view_examples
from convergan.recipes.augmentation import AugmentationSettings

RANGES = [(0.0, 1.0), (-1.0, 1.0)]
VIEWS = ["weak", "labelled", "strong"]

NO_CHANGES = {
    **dict.fromkeys(("shift", "rotation", "scale", "shear"), 0.0),
    **dict.fromkeys(("brightness", "contrast", "saturation", "hue", "grey", "cutout"), 0.0),
}
"""Every change switched off."""


def augmentation(kind: str, *, flip: bool = False, **numbers: float) -> Augmentation:
    return Augmentation(AugmentationSettings(kind=kind, **numbers), flip=flip)


def augmentation_with(
    kind: str = "photographs", *, flip: bool = False, **numbers: float
) -> Augmentation:
    """Views with these changes alone."""
    return augmentation(kind, flip=flip, **{**NO_CHANGES, **numbers})


def some_images(
    shape: tuple[int, int, int] = (3, 32, 32),
    *,
    count: int = 50,
    low: float = 0.0,
    high: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    torch.manual_seed(0)
    return low + (high - low) * torch.rand(count, *shape, dtype=dtype)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", ["digits", "photographs"])
@pytest.mark.parametrize("pixel_range", RANGES)
@pytest.mark.parametrize(
    "shape", [(1, 28, 28), (3, 32, 32), (3, 8, 24), (1, 20, 9), (3, 8, 8), (1, 256, 40)]
)
def test_views_keep_shape_dtype_layout_and_range(
    view: str, kind: str, pixel_range: tuple[float, float], shape: tuple[int, int, int]
) -> None:
    low, high = pixel_range
    images = some_images(shape, count=6, low=low, high=high)
    # The extremes, too.
    images[0], images[1] = low, high
    make = getattr(augmentation(kind, flip=True, rotation=30, contrast=0.9, grey=0.5), view)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        batch = images.contiguous(memory_format=memory_format)
        views = make(batch, pixel_range)
        assert views.shape == images.shape and views.dtype == images.dtype
        assert views.is_contiguous(memory_format=memory_format)
        assert low <= views.min() and views.max() <= high
        assert not torch.equal(views, images)
    assert make(images.double(), pixel_range).dtype == torch.float64


@pytest.mark.parametrize(
    ("kind", "flip", "mode", "largest"),
    [
        ("digits", False, "replicate", (2, 3)),
        ("digits", True, "replicate", (2, 3)),
        ("photographs", False, "reflect", (4, 5)),
        ("photographs", True, "reflect", (4, 5)),
    ],
)
def test_a_weak_view_is_a_shift_and_where_allowed_a_mirror_image(
    kind: str, flip: bool, mode: str, largest: tuple[int, int]
) -> None:
    size = (28, 42)
    images = some_images((3, *size), count=300)
    views = augmentation(kind, flip=flip).weak(images, (0, 1))
    vertical, horizontal = largest
    padded = F.pad(images, (horizontal, horizontal, vertical, vertical), mode=mode)
    shifts, mirrored = [], 0
    for image, view in zip(padded, views, strict=True):
        # Whole images, pixel for pixel.
        windows = torch.stack([image, image.flip(2)]).unfold(2, size[0], 1).unfold(3, size[1], 1)
        equal = (windows == view[None, :, None, None]).flatten(4).all(dim=4).all(dim=1)
        ((way, *place),) = equal.nonzero().tolist()
        shifts.append(tuple(place))
        mirrored += way
    # All shifts come, each as often as any other: of 300 at least half of the share.
    for axis, limit in enumerate(largest):
        counts = np.bincount([shift[axis] for shift in shifts], minlength=2 * limit + 1)
        assert len(counts) == 2 * limit + 1
        assert counts.min() > 150 / (2 * limit + 1)
    # Both axes on their own.
    assert len(set(shifts)) > 0.6 * (2 * vertical + 1) * (2 * horizontal + 1)
    # Only photographs may be mirrored; half of them, to within four standard deviations.
    assert 115 < mirrored < 185 if flip and kind == "photographs" else mirrored == 0


@pytest.mark.parametrize("size", [(32, 32), (20, 48)])
def test_digits_are_turned_scaled_and_slanted_about_their_centre(size: tuple[int, int]) -> None:
    height, width = size
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2,
        torch.arange(width) - (width - 1) / 2,
        indexing="ij",
    )
    # A pixel of such an image tells its place.
    places = torch.stack([x, y]).double()
    images = places.expand(200, -1, -1, -1)
    views = augmentation_with("digits", rotation=15.0, scale=0.1, shear=0.1).labelled(
        images, (-99.0, 99.0)
    )
    inner = (slice(height // 3, -(height // 3)), slice(width // 3, -(width // 3)))
    targets = places[:, *inner].flatten(1)
    measured = []
    for view in views:
        solution = torch.linalg.lstsq(targets.T, view[:, *inner].flatten(1).T)
        matrix = solution.solution.T
        # Linear, and the centre stays where it is.
        torch.testing.assert_close(matrix @ targets, view[:, *inner].flatten(1), atol=1e-6, rtol=0)
        angle = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
        zoom = 1 / matrix.det().sqrt()
        turned_back = _rotation(-angle) @ matrix * zoom
        torch.testing.assert_close(turned_back[:, 0], torch.tensor([1.0, 0.0]).double())
        measured.append((angle, zoom.item(), turned_back[0, 1].item()))
    lowest, highest = np.min(measured, axis=0), np.max(measured, axis=0)
    assert (lowest >= (-15.001, 0.8999, -0.1001)).all() and (lowest < (-13, 0.91, -0.09)).all()
    assert (highest <= (15.001, 1.1001, 0.1001)).all() and (highest > (13, 1.09, 0.09)).all()
    # Drawn independently of each other.
    assert abs(np.corrcoef(np.transpose(measured)) - np.eye(3)).max() < 0.3


def _rotation(degrees: float) -> Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


def test_photographs_have_another_brightness_contrast_saturation_and_hue() -> None:
    # So faint that nothing is clamped.
    images = some_images((3, 16, 12), count=300, low=0.45, high=0.55, dtype=torch.float64)
    settings = {"brightness": 0.2, "contrast": 0.4, "saturation": 0.3, "hue": 0.05}
    views = augmentation_with(**settings).labelled(images, (0.0, 1.0))
    grey_axis = torch.full((3,), 1 / math.sqrt(3), dtype=torch.float64)
    plane = torch.tensor([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]], dtype=torch.float64)
    plane = F.normalize(plane)
    measured = []
    for image, view in zip(images.flatten(2), views.flatten(2), strict=True):
        colours = torch.cat([image - image.mean(), torch.ones(1, image.shape[1])])
        solution = torch.linalg.lstsq(colours.T, view.T).solution.T
        # One map of all colours of an image.
        torch.testing.assert_close(solution @ colours, view, atol=1e-9, rtol=0)
        matrix, offset = solution[:, :3], solution[:, 3]
        # Grey stays grey, and brightness is alike in all channels.
        contrast = (matrix @ grey_axis)[0] / grey_axis[0]
        torch.testing.assert_close(matrix @ grey_axis, contrast * grey_axis)
        torch.testing.assert_close(offset, offset[:1].expand(3))
        # Colours are turned about the grey axis, and stretched.
        turn = plane @ matrix @ plane.T / contrast
        saturation = turn.det().sqrt()
        torch.testing.assert_close(turn @ turn.T, saturation**2 * torch.eye(2, dtype=torch.float64))
        hue = torch.atan2(turn[1, 0], turn[0, 0]) / (2 * math.pi)
        brightness = offset[0] - image.mean()
        measured.append(
            [float(change) for change in (brightness, contrast - 1, saturation - 1, hue)]
        )
    limits = np.array(list(settings.values()))
    for extreme in (np.min(measured, axis=0), np.max(measured, axis=0)):
        assert (abs(extreme) <= limits + 1e-6).all()
        assert (abs(extreme) > 0.9 * limits).all()
    assert abs(np.corrcoef(np.transpose(measured)) - np.eye(4)).max() < 0.25


def test_grey_images_have_another_brightness_and_contrast() -> None:
    images = some_images((1, 8, 8), count=100, low=-0.05, high=0.05, dtype=torch.float64)
    views = augmentation("photographs", shift=0, cutout=0).strong(images, (-1.0, 1.0))
    spread = views.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    moved = (views - images).mean(dim=(1, 2, 3))
    assert 0.6 <= spread.min() < 0.7 and 1.3 < spread.max() <= 1.4
    # A share of the range, which is 2.
    assert -0.4 <= moved.min() < -0.3 and 0.3 < moved.max() <= 0.4


def test_a_share_of_strong_views_is_grey() -> None:
    images = some_images((3, 8, 8), count=1000)
    views = augmentation("photographs")
    assert 150 < grey_images(views.strong(images, (0.0, 1.0))) < 255
    assert grey_images(views.labelled(images, (0.0, 1.0))) == 0
    assert grey_images(augmentation_with(grey=1.0).strong(images, (0.0, 1.0))) == 1000
    assert grey_images(augmentation("photographs", grey=0).strong(images, (0.0, 1.0))) == 0


def grey_images(images: Tensor) -> int:
    spread = images.amax(dim=1) - images.amin(dim=1)
    return int((spread.amax(dim=(1, 2)) < 1e-5).sum())


@pytest.mark.parametrize(
    ("kind", "size", "side"), [("digits", (28, 42), 8), ("photographs", (32, 32), 12)]
)
def test_a_strong_view_lacks_a_square(kind: str, size: tuple[int, int], side: int) -> None:
    images = some_images((3, *size), count=400)
    cutout = AugmentationSettings(kind=kind).amount("cutout")
    views = augmentation_with(kind, cutout=cutout).strong(images, (0.0, 1.0))
    differs = (views != images).any(dim=1)
    areas, centres = [], []
    for image, view, changed in zip(images, views, differs, strict=True):
        rows, columns = changed.any(dim=1).nonzero(), changed.any(dim=0).nonzero()
        top, bottom = int(rows.min()), int(rows.max()) + 1
        left, right = int(columns.min()), int(columns.max()) + 1
        # A whole square, of the colour of the image's mean.
        assert changed[top:bottom, left:right].all()
        means = image.mean(dim=(1, 2))[:, None, None].expand(-1, bottom - top, right - left)
        torch.testing.assert_close(view[:, top:bottom, left:right], means)
        areas.append(int(changed.sum()))
        centres.append(((top + bottom) / 2, (left + right) / 2))
    assert max(areas) == side**2
    # Some lie partly outside, about a corner a quarter remains.
    assert side**2 / 5 < min(areas) < side**2 / 2
    assert np.std(centres, axis=0) == pytest.approx(np.array(size) / math.sqrt(12), rel=0.2)
    # The labelled and the weak views are whole.
    for view in (
        augmentation_with(kind, cutout=cutout).weak,
        augmentation_with(kind, cutout=cutout).labelled,
    ):
        assert torch.equal(view(images, (0.0, 1.0)), images)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", ["digits", "photographs"])
def test_each_image_of_a_batch_has_draws_of_its_own_from_torchs_generator(
    view: str, kind: str
) -> None:
    image = some_images((3, 16, 16), count=1)
    make = getattr(augmentation(kind, flip=True), view)
    torch.manual_seed(1)
    first, second = (make(image.expand(8, -1, -1, -1), (0.0, 1.0)) for _ in range(2))
    views = torch.cat([first, second]).flatten(1)
    distinct = len(torch.unique(views, dim=0))
    # A weak view of 16 px has 9 or 50 variants.
    assert distinct > 5 if view == "weak" else distinct == 16
    torch.manual_seed(1)
    assert torch.equal(make(image.expand(8, -1, -1, -1), (0.0, 1.0)), first)


@pytest.mark.parametrize("view", VIEWS)
def test_without_augmentation_images_are_themselves_and_nothing_is_drawn(view: str) -> None:
    images = some_images()
    state = torch.get_rng_state()
    assert getattr(augmentation("none", flip=True), view)(images, (0.0, 1.0)) is images
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", ["digits", "photographs"])
def test_views_are_differentiable(view: str, kind: str) -> None:
    images = some_images((3, 8, 9), count=2, low=0.4, high=0.6, dtype=torch.float64)
    # No value is clamped: a clamp has no slope beyond its ends.
    make = getattr(augmentation(kind, flip=True, brightness=0.1, rotation=20.0, shift=0.2), view)

    def drawn_alike(images: Tensor) -> Tensor:
        torch.manual_seed(3)
        return make(images, (0.0, 1.0))

    images.requires_grad_()
    assert torch.autograd.gradcheck(drawn_alike, (images,), fast_mode=True)
    (slope,) = torch.autograd.grad(drawn_alike(images).sum(), images)
    assert (slope != 0).double().mean() > 0.5


def test_examples_are_what_training_sees_in_levels() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (5, 16, 20, 3), dtype=np.uint8)
    settings = AugmentationSettings(kind="photographs")
    state = torch.get_rng_state()
    examples, repeated, different = (
        view_examples(levels, settings, flip=True, seed=seed) for seed in (7, 7, 8)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert list(examples) == ["images", *VIEWS]
    assert examples["images"] is levels
    for name in VIEWS:
        assert examples[name].shape == levels.shape and examples[name].dtype == np.uint8
        assert np.array_equal(examples[name], repeated[name])
        assert not np.array_equal(examples[name], different[name])
    # A shift makes no levels that were not there.
    for image, view in zip(levels, examples["weak"], strict=True):
        assert {tuple(pixel) for pixel in view.reshape(-1, 3)} <= {
            tuple(pixel) for pixel in image.reshape(-1, 3)
        }
    unchanged = view_examples(levels, replace(settings, kind="none"), flip=True, seed=7)
    assert list(unchanged) == ["images"]


def test_examples_of_grey_images() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    examples = view_examples(levels, AugmentationSettings(kind="digits"), flip=False, seed=0)
    assert all(views.shape == levels.shape for views in examples.values())


@pytest.mark.parametrize("view", VIEWS)
def test_a_large_view_takes_no_more_arithmetic_for_a_pixel_than_a_small_one(
    view: str, operations: Callable[[Callable[[], object]], int]
) -> None:
    make = getattr(augmentation("photographs", flip=True, rotation=10), view)
    small, large = (
        operations(lambda side=side: make(some_images((3, side, side), count=1), (0.0, 1.0)))
        for side in (32, 256)
    )
    assert large <= 64 * small


@pytest.fixture
def operations() -> Callable[[Callable[[], object]], int]:
    """Counts the elements that the operations of a task write."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for part in result if isinstance(result, tuple | list) else (result,):
                self.elements += part.numel() if isinstance(part, Tensor) else 0
            return result

    def count(task: Callable[[], object]) -> int:
        with Counting() as counting:
            task()
        return counting.elements

    return count
