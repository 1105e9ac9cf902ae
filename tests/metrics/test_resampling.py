"""Weights are draws with replacement; intervals have the spread that drawing new images has."""

import numpy as np
import pytest
import torch

from convergan.metrics.estimates import (
    Embedded,
    FrechetMetric,
    InceptionScoreMetric,
    KernelMetric,
    Metric,
    OverlapMetric,
    compare,
    estimate,
)
from convergan.metrics.resampling import bootstrap_weights, interval

DRAWS = 40


def test_weights_are_draws_within_parts() -> None:
    parts = np.array([0] * 30 + [1] * 50)
    weights = bootstrap_weights(80, 200, seed=0, parts=parts)
    assert (weights[:, :30].sum(axis=1) == 30).all()
    assert (weights[:, 30:].sum(axis=1) == 50).all()
    # A share 1 - 1/e is drawn at least once.
    assert (weights > 0).mean() == pytest.approx(1 - (1 - 1 / 40) ** 40, abs=0.01)
    assert (bootstrap_weights(80, 3, seed=0, parts=parts) == weights[:3]).all()


def test_intervals_are_around_the_number() -> None:
    replicates = np.random.default_rng(0).normal(5, 2, size=20_000)
    assert interval(1.0, replicates) == pytest.approx((1 - 3.92, 1 + 3.92), abs=0.1)
    few = interval(1.0, replicates[:20])
    assert few.low + few.high == pytest.approx(2)
    assert few.high - 1 == pytest.approx(2.093 * replicates[:20].std(ddof=1), rel=1e-3)


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


def test_without_replicates_there_is_no_interval() -> None:
    images = draw(torch.Generator().manual_seed(0))
    (one,) = estimate(InceptionScoreMetric(replicates=0), images, None, seed=0)
    assert one.interval is None
    (compared,) = compare(InceptionScoreMetric(replicates=0), images, images, None, seed=0)
    assert compared.distinguishable is None
