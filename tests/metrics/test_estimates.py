"""Intervals of scores have the spread that drawing new images has."""

import numpy as np
import pytest
import torch

from convergan.errors import UserError
from convergan.metrics.estimates import (
    Comparison,
    Embedded,
    Estimate,
    FrechetMetric,
    InceptionScoreMetric,
    KernelMetric,
    Metric,
    OverlapMetric,
    compare,
    compare_estimates,
    estimate,
)
from convergan.statistics.intervals import Interval

DRAWS = 40
SHARES = ("precision", "recall", "coverage")


def draw(generator: torch.Generator, count: int = 150, shift: float = 0.0) -> Embedded:
    features = torch.randn(count, 6, generator=generator) + shift
    return Embedded(features, torch.cat([features, -features], dim=1))


@pytest.mark.parametrize(
    "metric",
    [
        InceptionScoreMetric(replicates=200, splits=2),
        FrechetMetric(replicates=40),
        KernelMetric(replicates=200),
        OverlapMetric(replicates=200),
    ],
    ids=lambda metric: type(metric).__name__,
)
@pytest.mark.filterwarnings("ignore:FID of")
def test_intervals_are_as_wide_as_new_images_vary(metric: Metric) -> None:
    generator = torch.Generator().manual_seed(0)
    found = [
        estimate(metric, draw(generator, shift=0.5), draw(generator), seed=number)
        for number in range(DRAWS)
    ]
    for of_one in zip(*found, strict=True):
        actual = np.std([one.value for one in of_one], ddof=1)
        widths = [one.interval.high - one.interval.low for one in of_one if one.interval]
        ratio = np.mean(widths) / (2 * 1.96 * actual)
        # The standard deviation of 40 values is itself uncertain by a ninth.
        assert 0.6 < ratio < 1.6, (of_one[0].name, ratio)
        assert all(
            one.interval.low < one.value < one.interval.high for one in of_one if one.interval
        )


@pytest.mark.filterwarnings("ignore:FID of")
def test_differences_are_told_from_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    metric = KernelMetric(replicates=200)
    same, wrong = 0, 0
    for number in range(30):
        reference, first, second = (draw(generator) for _ in range(3))
        wrong += bool(compare(metric, first, second, reference, seed=number)[0].distinguishable)
        far = draw(generator, shift=1.0)
        same += not compare(metric, first, far, reference, seed=number)[0].distinguishable
    assert same == 0
    assert wrong <= 5


def test_the_reference_is_drawn_jointly() -> None:
    generator = torch.Generator().manual_seed(0)
    images, reference = draw(generator, shift=0.5), draw(generator, count=20)
    (compared,) = compare(KernelMetric(), images, draw(generator, shift=0.5), reference, seed=0)
    assert compared.interval is not None
    assert compared.first.interval is not None
    # Alone, each varies with the few images of the reference; the difference does not.
    alone = compared.first.interval.high - compared.first.interval.low
    assert compared.interval.high - compared.interval.low < alone


@pytest.mark.filterwarnings("error")
def test_undefined_replicates_are_left_out() -> None:
    """KID of three images: some replicates hold one of them alone, and no pair."""
    generator = torch.Generator().manual_seed(0)
    first, second, reference = (draw(generator, count=3) for _ in range(3))
    compared = compare(KernelMetric(), first, second, reference, seed=0)[0]
    assert 2 <= compared.first.replicates < 200
    for between in (compared.interval, compared.first.interval):
        assert between is not None and np.isfinite(between).all()


def test_nothing_is_told_from_chance_by_an_undefined_interval() -> None:
    one = Estimate("KID", 1.0, Interval(np.nan, np.nan), 200)
    assert not Comparison("KID", one, one, 0.0, Interval(np.nan, np.nan)).distinguishable
    assert not compare_estimates(one, one).distinguishable


@pytest.mark.filterwarnings("ignore:FID of")
def test_intervals_keep_to_what_is_possible() -> None:
    generator = torch.Generator().manual_seed(0)
    images = draw(generator, count=30)
    same, far = draw(generator, count=30), draw(generator, count=30, shift=2.5)
    low, high = [], []
    for metric in (OverlapMetric(replicates=50), FrechetMetric(replicates=4)):
        for reference in (images, same, far):
            for one in estimate(metric, images, reference, seed=0):
                assert one.interval is not None
                low.append(one.interval.low)
                high.append(one.interval.high if one.name in SHARES else 0)
                assert one.interval.low <= one.value <= one.interval.high
    # Both ends are reached.
    assert min(low) == 0 and max(high) == 1
    assert not any(np.signbit(low))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (FrechetMetric(), "FID: expected at least 2 images, got 1"),
        (KernelMetric(), "KID: expected at least 2 images, got 1"),
        (OverlapMetric(), "precision and recall: expected at least 6 images, got 1"),
        (InceptionScoreMetric(), "Inception score: expected at least 10 images"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_image_is_too_few(metric: Metric, message: str) -> None:
    generator = torch.Generator().manual_seed(0)
    one, many = draw(generator, count=1), draw(generator, count=20)
    with pytest.raises(UserError, match=message):
        estimate(metric, one, many, seed=0)
    if metric.needs_reference:
        with pytest.raises(UserError, match=message.replace("images", "reference")):
            estimate(metric, many, one, seed=0)


@pytest.mark.filterwarnings("ignore:FID of")
@pytest.mark.parametrize(
    "metric",
    [
        InceptionScoreMetric(replicates=5, splits=2),
        FrechetMetric(replicates=5),
        KernelMetric(replicates=5),
        KernelMetric(replicates=5, subsets=4, subset_size=10),
        OverlapMetric(replicates=5),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_progress_is_told_to_the_end(metric: Metric) -> None:
    generator = torch.Generator().manual_seed(0)
    told: list[tuple[int, int]] = []
    images, reference = draw(generator, count=40), draw(generator, count=30)
    estimate(metric, images, reference, seed=0, progress=lambda *numbers: told.append(numbers))
    done, of = told[-1]
    assert done == of > 0
    assert all(0 < done <= of for done, of in told)


def test_without_replicates_there_is_no_interval() -> None:
    images = draw(torch.Generator().manual_seed(0))
    (one,) = estimate(InceptionScoreMetric(replicates=0), images, None, seed=0)
    assert one.interval is None
    (compared,) = compare(InceptionScoreMetric(replicates=0), images, images, None, seed=0)
    assert compared.distinguishable is None
