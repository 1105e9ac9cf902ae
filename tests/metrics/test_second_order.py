"""The variation of distances between equal distributions is estimated from a subset of the images."""

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
    """The weights of the kernel x . y are the eigenvalues of the covariance itself."""
    generator = torch.Generator().manual_seed(0)
    estimates = []
    for _ in range(30):
        features = torch.cat([subset(draw(generator, 400)), subset(draw(generator, 200))])
        estimates.append(second_order(features @ features.T, SUBSET, (400, 200)))
    weights = (SCALE**2 * (1 / 400 + 1 / 200)).numpy()
    assert np.mean([terms.trace for terms in estimates]) == pytest.approx(weights.sum(), rel=0.05)
    assert np.mean([terms.variance for terms in estimates]) == pytest.approx(
        2 * (weights**2).sum(), rel=0.1
    )
    assert np.mean([terms.third for terms in estimates]) == pytest.approx(
        8 * (weights**3).sum(), rel=0.15
    )
    parts = np.mean(
        [[terms.first_square, terms.cross_square, terms.second_square] for terms in estimates],
        axis=0,
    )
    assert parts == pytest.approx(parts[0] * np.array([1, 2, 4]), rel=0.1)


def test_statistics_alone_do_not_vary() -> None:
    features = draw(torch.Generator().manual_seed(0), 100)
    terms = second_order(features @ features.T, 100, (400, None))
    assert terms.second_square == terms.cross_square == 0 < terms.first_square


def test_images_come_from_all_over_their_order() -> None:
    assert subset(torch.arange(1000.0).unsqueeze(1)).flatten().tolist()[::149] == [0, 999]
    assert len(subset(torch.zeros(7, 2))) == 7


def test_fid_of_equal_sets_varies_as_they_say() -> None:
    generator = torch.Generator().manual_seed(1)
    count, values, estimates = 600, [], []
    for number in range(200):
        sets = [draw(generator, count) for _ in range(2)]
        values.append(frechet_distance(*map(gaussian_statistics, sets)))
        if number < 10:
            images, reference = (Embedded(features, features[:, :0]) for features in sets)
            estimates.append(_Gaussians([images.features], reference)._orders(0).total)
    assert np.mean([terms.trace for terms in estimates]) == pytest.approx(np.mean(values), rel=0.05)
    assert np.mean([terms.variance for terms in estimates]) == pytest.approx(
        np.var(values), rel=0.4
    )


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
        images = [
            Embedded(features, features[:, :0]) for features in (*sets, draw(generator, counts[1]))
        ]
        (measurement, *_) = metric.measure(images[:2], images[2])
        assert measurement.spread is not None and measurement.spread.difference is not None
        difference = measurement.values[0] - measurement.values[1]
        deviations.append(difference / measurement.spread.difference.by_first**0.5)
    # Three standard deviations of the mean of as many squares of normal numbers.
    assert np.square(deviations).mean() == pytest.approx(1, abs=3 * (2 / len(deviations)) ** 0.5)


def test_fid_infinity_has_no_interval_where_fid_is_on_no_line() -> None:
    generator = torch.Generator().manual_seed(0)
    images, reference = (torch.randn(1000, 200, generator=generator) for _ in range(2))
    for features, is_line in ((6, True), (200, False)):
        fid, infinity = estimate(
            FrechetMetric(),
            *(Embedded(points[:, :features], points[:, :0]) for points in (images, reference)),
        )
        assert fid.interval is not None
        assert (infinity.interval is not None) == is_line
        assert ("not linear enough" in infinity.method) != is_line
