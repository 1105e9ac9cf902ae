"""The metric classes refuse what they cannot use, go on from a saved state, and work in half precision."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
import torch.distributed
from torch import Tensor, nn

from convergan import (
    FrechetInceptionDistance,
    InceptionScore,
    KernelInceptionDistance,
    UserError,
    gaussian_statistics,
)
from support import on_two_ranks

pytestmark = pytest.mark.filterwarnings(
    "ignore:Metric `Kernel Inception Distance` will save", "ignore:The ``compute`` method of metric"
)

COUNT = 60


class Linear(nn.Module):
    """A network of six features, all NaN for an image of 1e30."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 6)
        nn.init.orthogonal_(self.layer.weight)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images).masked_fill(images[:, :1] == 1e30, torch.nan)


class Reshaped(nn.Module):
    """A network whose features have another shape."""

    num_features = 6

    def __init__(self, reshape: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.reshape = reshape

    def forward(self, images: Tensor) -> Any:
        return self.reshape(images)


def inception_score(network: nn.Module) -> InceptionScore:
    return InceptionScore(network, count=COUNT, splits=4)


CLASSES = [inception_score, FrechetInceptionDistance, KernelInceptionDistance]


def add(metric: Any, images: Tensor) -> None:
    """Add images; to a distance also others, which are real."""
    if isinstance(metric, InceptionScore):
        metric.update(images)
        return
    metric.update(images, real=False)
    metric.update(1.5 * images.flip(0) - 0.5, real=True)


def value(metric: Any) -> float:
    result = metric.compute()
    return float(result[0] if isinstance(result, tuple) else result)


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(COUNT, 4)


@pytest.mark.parametrize("build", CLASSES)
def test_outputs_that_are_not_finite_name_the_image_and_add_nothing(
    build: Callable, images: Tensor
) -> None:
    metric, untouched = build(Linear()), build(Linear())
    untouched.load_state_dict(metric.state_dict())
    broken = images[:20].clone()
    broken[13] = 1e30
    with pytest.raises(UserError, match=r"of the network: expected finite numbers.* in row 13$"):
        add(metric, broken)
    for started in (metric, untouched):
        add(started, images)
    assert value(metric) == value(untouched)


@pytest.mark.parametrize("build", CLASSES)
@pytest.mark.parametrize(
    ("reshape", "described"),
    [
        (lambda x: x[:, 0], r"float32 \[6\]"),
        (lambda x: x[:, :, None, None], r"float32 \[6, 6, 1, 1\]"),
        (lambda x: x[:5], r"float32 \[5, 6\]"),
        (lambda x: x.byte(), r"uint8 \[6, 6\]"),
        (lambda x: (x, x), "tuple"),
    ],
    ids=["flat", "maps", "rows", "integers", "tuple"],
)
def test_outputs_of_another_shape_are_named(
    build: Callable, reshape: Callable, described: str
) -> None:
    """A batch of as many images as features made a distance of features of one number each."""
    metric = build(Reshaped(reshape))
    with pytest.raises(
        UserError, match=rf"^\w+ of the network: expected floats \[6, \w+\], got {described}$"
    ):
        add(metric, torch.randn(6, 6))


def test_the_number_of_features_is_that_of_the_network(images: Tensor) -> None:
    network = Reshaped(lambda x: x)
    metric = FrechetInceptionDistance(network)
    with pytest.raises(UserError, match=r"expected floats \[60, 6\], got float32 \[60, 4\]"):
        add(metric, images)
    with pytest.raises(UserError, match=r"^statistics: expected statistics of 6 features, got 4$"):
        metric.set_reference(gaussian_statistics(images))
    scores = inception_score(network)
    scores.update(images[:30])
    with pytest.raises(UserError, match=r"expected floats \[30, 4\], got float32 \[30, 3\]"):
        scores.update(images[30:, :3])


@pytest.mark.parametrize("number", [None, 0, "6", torch.tensor([6, 6])], ids=str)
def test_a_network_says_how_many_features_it_has(number: Any) -> None:
    """A guess by an image of 3x299x299 would fail in the middle of a network for grey images."""
    network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Flatten())
    with pytest.raises(UserError, match=r"^network: expected an attribute num_features.*got None;"):
        FrechetInceptionDistance(network)
    network.num_features = number
    with pytest.raises(UserError, match=r"^network: expected an attribute num_features"):
        FrechetInceptionDistance(network)
    network.num_features = torch.tensor(6)
    assert FrechetInceptionDistance(network).real_features_sum.shape == (6,)


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        (FrechetInceptionDistance, {"normalize": True}),
        (FrechetInceptionDistance, {"input_img_size": (1, 28, 28)}),
        (FrechetInceptionDistance, {"antialias": False}),
        (KernelInceptionDistance, {"normalize": True}),
        (KernelInceptionDistance, {"degree": 2}),
        (KernelInceptionDistance, {"coef": 2.0}),
    ],
)
def test_options_without_effect_are_refused(metric: type, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(UserError, match=f"^{name}: expected no such option"):
        metric(Linear(), **options)
    metric(Linear(), normalize=False, reset_real_features=False, sync_on_compute=False)


@pytest.mark.parametrize("build", CLASSES)
def test_a_saved_state_goes_on(build: Callable, images: Tensor, tmp_path: Path) -> None:
    """The images have no indices: those after the restart follow those before."""
    network = Linear()
    uninterrupted, first = build(network), build(network)
    for part in images.split(20):
        add(uninterrupted, part)
    first.persistent(True)
    add(first, images[:20])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    # Twice: what is added after loading does not reach the dictionary.
    for _ in range(2):
        resumed = build(network)
        resumed.load_state_dict(state)
        for part in images[20:].split(20):
            add(resumed, part)
        assert value(resumed) == value(uninterrupted)
    # A result from before loading is not returned again.
    uninterrupted.load_state_dict(state)
    for part in images[20:].split(20):
        add(uninterrupted, part)
    assert value(uninterrupted) == value(resumed)


def test_a_state_of_other_settings_is_refused(images: Tensor) -> None:
    with_five_splits = InceptionScore(nn.Identity(), count=COUNT, splits=5)
    with_five_splits.persistent(True)
    with_five_splits.update(images)
    with pytest.raises(
        UserError, match=r"^state_dict: expected sums of the shape \[4, any\], got \[5, 4\]$"
    ):
        inception_score(nn.Identity()).load_state_dict(with_five_splits.state_dict())


@pytest.mark.parametrize("build", CLASSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("convert", ["to", "set_dtype", "network"])
def test_networks_in_half_precision(
    build: Callable, dtype: torch.dtype, convert: str, images: Tensor
) -> None:
    network = Linear()
    exact = build(network)
    add(exact, images)
    expected = value(exact)
    metric = build(network)
    if convert == "network":
        network.to(dtype)
    else:
        getattr(metric, convert)(dtype)
    add(metric, images.to(dtype))
    states = [metric.metric_state[name] for name in metric.metric_state]
    assert all(not isinstance(state, Tensor) or state.dtype.itemsize == 8 for state in states)
    assert value(metric) == pytest.approx(expected, rel=0.1)
    metric.reset()
    add(metric, images.to(dtype))
    assert value(metric) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("build", CLASSES)
def test_plots_show_values_and_means(build: Callable, images: Tensor) -> None:
    metric = build(Linear())
    add(metric, images)
    result = metric.compute()
    try:
        for values in (None, result):
            _, axes = metric.plot(values)
            (line,) = axes.lines
            assert float(line.get_ydata()[0]) == pytest.approx(value(metric))
        _, axes = metric.plot([result, result, result])
        (line,) = axes.lines
        assert len(line.get_ydata()) == 3
        low, high = axes.get_ylim()
        assert low < value(metric) < high
    finally:
        plt.close("all")


def kernel_distance_metric(**options: Any) -> KernelInceptionDistance:
    return KernelInceptionDistance(nn.Identity(), subsets=5, subset_size=20, **options)


def test_subsets_are_those_of_the_indices(images: Tensor) -> None:
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    results = []
    for places in (torch.arange(COUNT), order):
        metric = kernel_distance_metric(reset_real_features=False)
        for part in places.split(25):
            metric.update(images[part] + 1, real=True, indices=part)
        for _ in range(2):
            for part in places.split(13):
                metric.update(images[part], real=False, indices=part)
            results.append(metric.compute())
            # The real images stay, with their places.
            metric.reset()
    plain, shuffled = kernel_distance_metric(), kernel_distance_metric()
    for metric, places in ((plain, slice(None)), (shuffled, order)):
        metric.update(images[places] + 1, real=True)
        metric.update(images[places], real=False)
    assert all(result == plain.compute() for result in results)
    assert shuffled.compute() != plain.compute()


@pytest.mark.parametrize("build", [FrechetInceptionDistance, KernelInceptionDistance])
def test_real_images_that_are_kept_count_once(build: Callable, images: Tensor) -> None:
    updated, called = (build(Linear(), reset_real_features=False) for _ in range(2))
    called.load_state_dict(updated.state_dict())
    for metric in (updated, called):
        metric.update(images + 1, real=True)
    for part in images.split(20):
        updated.update(part, real=False)
        called(part, real=False)
    assert value(called) == value(updated)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (torch.arange(COUNT).float(), r"expected integers \[60\], got float32 \[60\]"),
        (torch.arange(COUNT - 1), r"expected integers \[60\], got int64 \[59\]"),
        (list(range(COUNT)), r"expected integers \[60\], got list"),
        (torch.arange(COUNT) - 1, "expected indices from 0 "),
    ],
    ids=["floats", "too few", "list", "negative"],
)
def test_indices_are_one_place_for_each_image(indices: Any, message: str, images: Tensor) -> None:
    with pytest.raises(UserError, match=f"^indices: {message}"):
        kernel_distance_metric().update(images, real=True, indices=indices)
    with pytest.raises((UserError, ValueError), match=f"^indices: {message}"):
        inception_score(nn.Identity()).update(images, indices)


def test_no_images_are_an_error(images: Tensor) -> None:
    metric = KernelInceptionDistance(nn.Identity())
    metric.update(images, real=True)
    with pytest.raises(ValueError, match=r"^expected at least 2 generated images, got 0$"):
        metric.compute()


def distances_on(rank: int, folder: str, images: Tensor) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    results = []
    for count in (0, 13, 30):
        places = torch.arange(COUNT).tensor_split([count])[rank]
        for metric in (kernel_distance_metric(), KernelInceptionDistance(nn.Identity())):
            # The processes have different numbers of batches; the first one has none in one case.
            for part in places.flip(0).split(7) if len(places) else ():
                metric.update(images[part] + 1, real=True, indices=part)
                metric.update(images[part], real=False, indices=part)
            results.append(tuple(metric.compute()))
    metric = InceptionScore(nn.Identity(), count=COUNT - 1)
    metric.update(images[rank::2], torch.arange(COUNT - 1)[:30])
    with pytest.raises(
        ValueError, match=r"expected 59 images, got 60; a DistributedSampler repeats"
    ):
        metric.compute()
    with pytest.raises(ValueError, match="got None; a data set that returns each image with its"):
        metric.update(images)
    torch.save(results, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.xdist_group("two ranks")
def test_two_processes_have_the_subsets_of_one(images: Tensor, tmp_path: Path) -> None:
    on_two_ranks(distances_on, str(tmp_path), images)
    expected = []
    for metric in (kernel_distance_metric(), KernelInceptionDistance(nn.Identity())):
        metric.update(images + 1, real=True)
        metric.update(images, real=False)
        expected.append(metric.compute())
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert len(results) == 6
        for number, result in enumerate(results):
            assert torch.stack(result).tolist() == pytest.approx(
                torch.stack(tuple(expected[number % 2])).tolist(), rel=1e-9
            )
