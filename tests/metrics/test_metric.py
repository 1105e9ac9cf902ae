"""Intervals of scores are as wide as scores of new images vary, and contain their own value."""

import itertools

import numpy as np
import pytest
import torch

from convergan.errors import UserError
from convergan.metrics.frechet_metric import FrechetMetric
from convergan.metrics.inception_score_metric import InceptionScoreMetric
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.manifold import OverlapMetric
from convergan.metrics.metric import (
    Comparison,
    Embedded,
    Estimate,
    Metric,
    Spread,
    compare,
    compare_estimates,
    estimate,
)
from convergan.statistics.intervals import Interval

METRICS = [InceptionScoreMetric(splits=2), FrechetMetric(), KernelMetric(), OverlapMetric()]


def draw(generator: torch.Generator, count: int = 150, shift: float = 0.0) -> Embedded:
    features = torch.randn(count, 6, generator=generator) + shift
    return Embedded(features, torch.cat([features, -features], dim=1))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("metric", "count", "draws", "shift"),
    [
        (InceptionScoreMetric(splits=2), 300, 100, 0.5),
        (FrechetMetric(), 1000, 60, 0.0),
        (FrechetMetric(), 1000, 60, 0.5),
        (KernelMetric(), 200, 100, 0.0),
        (KernelMetric(), 200, 100, 0.5),
        (OverlapMetric(), 200, 12, 0.5),
    ],
    ids=str,
)
def test_intervals_are_as_wide_as_new_images_vary(
    metric: Metric, count: int, draws: int, shift: float
) -> None:
    generator = seeded()
    repetitions = [
        compare(
            metric, draw(generator, count, shift), draw(generator, count), draw(generator, count)
        )
        for _ in range(draws)
    ]
    for comparisons in zip(*repetitions, strict=True):
        for values, intervals in (
            (
                [comparison.first.value for comparison in comparisons],
                [comparison.first.interval for comparison in comparisons],
            ),
            (
                [comparison.difference for comparison in comparisons],
                [comparison.interval for comparison in comparisons],
            ),
        ):
            widths = [interval.high - interval.low for interval in intervals if interval]
            ratio = np.mean(widths) / (2 * 1.96 * np.std(values, ddof=1))
            # The relative standard error of a standard deviation of n values is 1 / sqrt(2 n).
            slack = 4 / (2 * draws) ** 0.5
            assert 1 - slack < ratio < 1.3 * (1 + slack), (comparisons[0].name, ratio)


@pytest.mark.parametrize(
    "metric",
    [InceptionScoreMetric(splits=2), FrechetMetric(), KernelMetric(), OverlapMetric()],
    ids=lambda metric: type(metric).__name__,
)
def test_degenerate_sets_have_intervals_that_hold_their_value(metric: Metric) -> None:
    """Copies of one image, a few modes, the reference itself: 0, 1 and equal numbers among them."""
    generator = seeded()
    count = 1000 if isinstance(metric, FrechetMetric) else 200
    reference = draw(generator, count)

    def repeated_modes(shift: float, modes: int) -> Embedded:
        images = draw(generator, modes, shift)
        places = torch.randint(0, modes, (count,), generator=generator)
        return Embedded(images.features[places], images.logits[places])

    sets = [reference, repeated_modes(0.0, 1), repeated_modes(0.2, 3), repeated_modes(8.0, 1)]
    equal = 0
    for first, second in itertools.combinations_with_replacement(sets, 2):
        for comparison in compare(metric, first, second, reference):
            for side in (comparison.first, comparison.second):
                assert side.interval is not None, comparison.name
                assert side.interval.low <= side.value <= side.interval.high
            assert comparison.interval is not None
            assert comparison.interval.low <= comparison.difference <= comparison.interval.high
            if comparison.first.value == comparison.second.value:
                equal += 1
                assert comparison.distinguishable is False
    assert equal >= len(sets)


@pytest.mark.parametrize(
    "metric", [InceptionScoreMetric(splits=2), FrechetMetric(), KernelMetric()], ids=str
)
def test_rounding_is_no_difference(metric: Metric) -> None:
    """Copies of one image, and copies that differ from it as float32 rounds: nothing varies."""
    generator = seeded()
    reference, image = draw(generator, 1000), draw(generator, 1)
    first = Embedded(image.features.repeat(1000, 1), image.logits.repeat(1000, 1))
    second = Embedded(first.features.double() * (1 + 1e-9), first.logits.double() * (1 + 1e-9))
    (compared, *_) = compare(metric, first, second, reference)
    assert compared.distinguishable is False


def test_differences_are_told_from_chance() -> None:
    generator = seeded()
    metric = KernelMetric()
    missed, wrong = 0, 0
    for _ in range(60):
        reference, first, second = (draw(generator) for _ in range(3))
        wrong += bool(compare(metric, first, second, reference)[0].distinguishable)
        far = draw(generator, shift=1.0)
        missed += not compare(metric, first, far, reference)[0].distinguishable
    assert missed == 0
    assert wrong <= 8


def test_several_verdicts_are_corrected_for_their_number() -> None:
    generator = seeded(3)
    sets = [draw(generator, 200, shift) for shift in (0.0, 0.05, 0.0)]
    comparisons = compare(OverlapMetric(), *sets)
    p_values = sorted(
        comparison.p_value for comparison in comparisons if comparison.p_value is not None
    )
    adjusted = sorted(
        comparison.p_holm for comparison in comparisons if comparison.p_holm is not None
    )
    assert len(adjusted) == 4
    assert adjusted[0] == pytest.approx(min(1, 4 * p_values[0]))


def test_the_reference_is_shared() -> None:
    generator = seeded()
    images, reference = draw(generator, 400, 0.5), draw(generator, count=100)
    (compared,) = compare(KernelMetric(), images, draw(generator, 400, 0.5), reference)
    assert compared.interval is not None
    assert compared.first.interval is not None
    # Alone, each varies with the few images of the reference; the difference does not.
    alone = compared.first.interval.high - compared.first.interval.low
    assert compared.interval.high - compared.interval.low < alone


def test_terms_of_second_order_are_counted_once() -> None:
    spread = Spread(np.array([[5.0, 1.0], [1.0, 4.0]]), np.array([[2.0, 1.0], [1.0, 3.0]]))
    assert spread.variance([1, 0]) == 3
    # The variance of first order alone would be negative: that of second order remains.
    assert spread.variance([0, 1]) == 3
    assert spread.variance([1, -1]) == 4


def test_nothing_is_told_from_chance_by_an_undefined_interval() -> None:
    kid = Estimate("KID", 1.0, Interval(np.nan, np.nan))
    assert not Comparison("KID", kid, kid, 0.0, Interval(np.nan, np.nan)).distinguishable
    assert not compare_estimates(kid, kid).distinguishable


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
    generator = seeded()
    image, images = draw(generator, count=1), draw(generator, count=20)
    with pytest.raises(UserError, match=message):
        estimate(metric, image, images)
    if metric.needs_reference:
        with pytest.raises(UserError, match=message.replace("images", "reference images")):
            estimate(metric, images, image)


@pytest.mark.parametrize(
    "metric",
    [*METRICS, KernelMetric(subsets=4, subset_size=10)],
    ids=lambda metric: type(metric).__name__,
)
def test_progress_is_told_to_the_end(metric: Metric) -> None:
    generator = seeded()
    calls: list[tuple[int, int]] = []
    images, reference = draw(generator, count=40), draw(generator, count=30)
    estimate(metric, images, reference, progress=lambda *numbers: calls.append(numbers))
    done, total = calls[-1]
    assert done == total > 0
    assert all(0 < done <= total for done, total in calls)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: type(metric).__name__)
def test_where_no_interval_is_known_to_hold_the_words_say_so(metric: Metric) -> None:
    generator = seeded()
    images, reference = draw(generator, count=30), draw(generator, count=30)
    for result in estimate(metric, images, reference):
        assert (
            result.interval is None and "no valid method is known for fewer than" in result.method
        )
    (compared, *_) = compare(metric, images, images, reference)
    assert compared.distinguishable is None


def test_intervals_are_left_out_if_they_are_not_wanted() -> None:
    images = draw(seeded())
    (result,) = estimate(InceptionScoreMetric(intervals=False), images)
    assert result.interval is None and result.method == "not asked for"
    assert result.value == estimate(InceptionScoreMetric(), images)[0].value


def test_fid_infinity_is_what_many_images_have() -> None:
    generator = seeded(1)
    draws = [
        estimate(FrechetMetric(), draw(generator, 1000, 0.3), draw(generator, 1000, 0.0))
        for _ in range(20)
    ]
    fid, infinity = (np.mean([estimates[place].value for estimates in draws]) for place in (0, 1))
    spread = np.std([estimates[1].value for estimates in draws]) / 20**0.5
    assert abs(infinity - 6 * 0.3**2) < 4 * spread < fid
