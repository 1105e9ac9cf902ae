"""What varies where both kinds of images are the same is told by some of them."""

import numpy as np
import pytest
import torch

from convergan.metrics.frechet import frechet_distance, gaussian_statistics
from convergan.metrics.frechet_metric import FrechetMetric, _Gaussians
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.metric import Embedded, Metric, estimate
from convergan.metrics.second_order import SUBSET, second_order, subset

SCALE = torch.arange(1, 7, dtype=torch.float64) ** -0.5


def draw(generator: torch.Generator, count: int) -> torch.Tensor:
    return torch.randn(count, 6, generator=generator, dtype=torch.float64) * SCALE + 2


def test_terms_are_those_of_the_covariance() -> None:
    """Of the kernel x . y the weights are the eigenvalues of the covariance itself."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(30):
        both = torch.cat([subset(draw(generator, 400)), subset(draw(generator, 200))])
        found.append(second_order(both @ both.T, SUBSET, (400, 200)))
    weights = (SCALE**2 * (1 / 400 + 1 / 200)).numpy()
    assert np.mean([one.trace for one in found]) == pytest.approx(weights.sum(), rel=0.05)
    assert np.mean([one.variance for one in found]) == pytest.approx(
        2 * (weights**2).sum(), rel=0.1
    )
    assert np.mean([one.third for one in found]) == pytest.approx(8 * (weights**3).sum(), rel=0.15)
    parts = np.mean(
        [[one.first_square, one.cross_square, one.second_square] for one in found], axis=0
    )
    assert parts == pytest.approx(parts[0] * np.array([1, 2, 4]), rel=0.1)


def test_statistics_alone_do_not_vary() -> None:
    some = draw(torch.Generator().manual_seed(0), 100)
    found = second_order(some @ some.T, 100, (400, None))
    assert found.second_square == found.cross_square == 0 < found.first_square


def test_images_come_from_all_over_their_order() -> None:
    assert subset(torch.arange(1000.0).unsqueeze(1)).flatten().tolist()[::149] == [0, 999]
    assert len(subset(torch.zeros(7, 2))) == 7


def test_fid_of_equal_sets_varies_as_they_say() -> None:
    generator = torch.Generator().manual_seed(1)
    count, values, said = 600, [], []
    for number in range(200):
        sets = [draw(generator, count) for _ in range(2)]
        values.append(frechet_distance(*map(gaussian_statistics, sets)))
        if number < 10:
            images, reference = (Embedded(some, some[:, :0]) for some in sets)
            said.append(_Gaussians([images.features], reference)._orders(0).total)
    assert np.mean([one.trace for one in said]) == pytest.approx(np.mean(values), rel=0.05)
    assert np.mean([one.variance for one in said]) == pytest.approx(np.var(values), rel=0.4)


@pytest.mark.parametrize(
    ("metric", "counts"),
    # FID of more images is lower, and would differ.
    [
        (FrechetMetric(), (1000, 1000)),
        (KernelMetric(), (300, 300)),
        (KernelMetric(), (700, 300)),
    ],
)
def test_the_difference_of_two_of_one_kind_is_normal_with_the_variance_that_the_sample_says(
    metric: Metric, counts: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    deviations = []
    for _ in range(80):
        sets = [draw(generator, count) + 0.1 for count in counts]
        images = [Embedded(some, some[:, :0]) for some in (*sets, draw(generator, counts[1]))]
        (found, *_) = metric.measure(images[:2], images[2])
        assert found.spread is not None and found.spread.of_difference is not None
        difference = found.values[0] - found.values[1]
        deviations.append(difference / found.spread.of_difference.by_first**0.5)
    # Three standard deviations of the mean of as many squares of normal numbers.
    assert np.square(deviations).mean() == pytest.approx(1, abs=3 * (2 / len(deviations)) ** 0.5)


def test_fid_infinity_has_no_interval_where_fid_is_on_no_line() -> None:
    generator = torch.Generator().manual_seed(0)
    images, reference = (torch.randn(1000, 200, generator=generator) for _ in range(2))
    for features, is_line in ((6, True), (200, False)):
        fid, infinity = estimate(
            FrechetMetric(),
            *(Embedded(some[:, :features], some[:, :0]) for some in (images, reference)),
        )
        assert fid.interval is not None
        assert (infinity.interval is not None) == is_line
        assert ("not linear enough" in infinity.method) != is_line
