"""Every metric as one kind of thing: numbers, and the same numbers on bootstrap replicates.

A metric looks at images as a network sees them (`Embedded`) and at a reference. What it measures can be had
again for replicates, which are rows of weights (`resampling`): how often each image counts. So two sets of
images can be compared on the same replicates of the reference.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from convergan.errors import UserError
from convergan.metrics.frechet import (
    GaussianStatistics,
    frechet_distance,
    gaussian_statistics,
    warn_if_few,
)
from convergan.metrics.inception_score import (
    SHUFFLE_SEED,
    SPLITS,
    scores_of_sums,
    split_of_images,
)
from convergan.metrics.inception_score import Protocol as SplitProtocol
from convergan.metrics.kernel_distance import (
    SUBSET_SIZE,
    kernel_distance,
    kernel_distance_of_subsets,
)
from convergan.metrics.manifold import COVERAGE_NEIGHBOURS, find_balls, overlap
from convergan.metrics.resampling import Interval, bootstrap_weights, interval

_CHUNK = 1024


@dataclass(frozen=True)
class Embedded:
    """Images as a network sees them."""

    features: Float[Tensor, "images features"]
    logits: Float[Tensor, "images classes"]

    def __len__(self) -> int:
        return len(self.features)


Reference = Embedded | GaussianStatistics | None
Weights = np.ndarray | None
"""[replicates, images]; None: every image once, or statistics that cannot be drawn anew."""


@dataclass(frozen=True)
class Measured:
    """What a metric says of given images."""

    values: dict[str, float]
    """By name."""

    replicate: Callable[[np.ndarray, Weights], dict[str, np.ndarray]]
    """The same numbers, [replicates] each, for weights of the images and of the reference."""

    stdev: float | None = None
    """Over splits or subsets, as the metric's paper reports it."""

    parts: np.ndarray | None = None
    """The parts within which images are drawn; None: all together."""


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A metric and its settings."""

    replicates: int
    """Bootstrap replicates that its intervals are made of; 0: no intervals."""

    needs_reference: ClassVar[bool] = True

    @abstractmethod
    def measure(self, images: Embedded, reference: Reference) -> Measured:
        """Looks at images.

        Raises:
            UserError: there are too few, or no reference of the kind that it needs.
        """

    def settings(self) -> dict[str, Any]:
        """For the fingerprint: whatever changes its numbers, and not only their intervals."""
        return {name: value for name, value in asdict(self).items() if name != "replicates"}


@dataclass(frozen=True, kw_only=True)
class InceptionScoreMetric(Metric):
    """See `inception_score`."""

    replicates: int = 1000
    protocol: SplitProtocol = "paper"
    splits: int = SPLITS
    split_seed: int = SHUFFLE_SEED
    needs_reference: ClassVar[bool] = False

    def measure(self, images: Embedded, reference: Reference) -> Measured:
        if len(images) < self.splits:
            raise UserError(
                f"Inception score: expected at least {self.splits} images, one a split, got {len(images)}"
            )
        parts = split_of_images(
            len(images), self.protocol, splits=self.splits, seed=self.split_seed
        )
        once = np.ones((1, len(images)), dtype=np.uint8)
        scores = _split_scores(images.logits, parts, once)[0]
        return Measured(
            {"Inception score": float(scores.mean())},
            lambda weights, _: {
                "Inception score": _split_scores(images.logits, parts, weights).mean(dim=1).numpy()
            },
            stdev=float(scores.std(correction=0)),
            parts=parts,
        )


@dataclass(frozen=True, kw_only=True)
class FrechetMetric(Metric):
    """See `frechet`. Every replicate is an eigenvalue problem."""

    replicates: int = 20

    def measure(self, images: Embedded, reference: Reference) -> Measured:
        if reference is None:
            raise UserError("FID: expected --reference, got none")
        warn_if_few(len(images))
        given = reference

        def distance(weights: Weights, reference_weights: Weights) -> float:
            of_reference = given
            if isinstance(of_reference, Embedded):
                of_reference = _statistics(of_reference, reference_weights)
            return frechet_distance(_statistics(images, weights), of_reference)

        def replicate(weights: np.ndarray, reference_weights: Weights) -> dict[str, np.ndarray]:
            of_reference = [None] * len(weights) if reference_weights is None else reference_weights
            values = [distance(*pair) for pair in zip(weights, of_reference, strict=True)]
            return {"FID": np.array(values)}

        return Measured({"FID": distance(None, None)}, replicate)


@dataclass(frozen=True, kw_only=True)
class KernelMetric(Metric):
    """See `kernel_distance`. Intervals are of all pairs, also where the number is of subsets."""

    replicates: int = 200
    subsets: int = 0
    """0: one of all images."""
    subset_size: int = SUBSET_SIZE
    subset_seed: int = 0

    def measure(self, images: Embedded, reference: Reference) -> Measured:
        real = _images_of(reference, "KID")
        stdev = None
        if self.subsets:
            if min(len(images), len(real)) < self.subset_size:
                raise UserError(
                    f"kid-subset-size: expected at most {min(len(images), len(real))}, the number of"
                    f" images, got {self.subset_size}"
                )
            of_subsets = kernel_distance_of_subsets(
                images.features,
                real.features,
                subsets=self.subsets,
                subset_size=self.subset_size,
                seed=self.subset_seed,
            )
            value, stdev = float(of_subsets.mean), float(of_subsets.stdev)
        else:
            value = float(kernel_distance(images.features, real.features))
        return Measured(
            {"KID": value},
            lambda weights, reference_weights: {
                "KID": kernel_distance(
                    images.features,
                    real.features,
                    torch.from_numpy(weights),
                    torch.from_numpy(_given(reference_weights)),
                ).numpy()
            },
            stdev,
        )


@dataclass(frozen=True, kw_only=True)
class OverlapMetric(Metric):
    """See `manifold`: precision, recall, density, coverage."""

    replicates: int = 1000

    def measure(self, images: Embedded, reference: Reference) -> Measured:
        real = _images_of(reference, "precision and recall")
        for what, some in (("images", images), ("reference", real)):
            if len(some) <= COVERAGE_NEIGHBOURS:
                raise UserError(
                    f"precision and recall: expected more than {COVERAGE_NEIGHBOURS} {what}, got"
                    f" {len(some)}"
                )
        balls = find_balls(images.features, real.features)

        def replicate(weights: Weights, reference_weights: Weights) -> dict[str, np.ndarray]:
            return overlap(balls, weights, reference_weights)._asdict()

        values = {name: float(value[0]) for name, value in replicate(None, None).items()}
        return Measured(values, replicate)


@dataclass(frozen=True)
class Estimate:
    """One number with its interval."""

    name: str
    value: float
    interval: Interval | None
    """Of 95 %; None without replicates."""
    replicates: int
    stdev: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The same number of two sets of images."""

    name: str
    first: Estimate
    second: Estimate
    difference: float
    """First less second."""
    interval: Interval | None

    @property
    def distinguishable(self) -> bool | None:
        """Whether the interval leaves 0 out; None without one."""
        return None if self.interval is None else not self.interval.low <= 0 <= self.interval.high


def estimate(
    metric: Metric, images: Embedded, reference: Reference, *, seed: int
) -> list[Estimate]:
    """A metric's numbers, each with its interval.

    Args:
        metric: which.
        images: of which images.
        reference: beside which; it is drawn anew too, unless it is only statistics.
        seed: of the replicates.
    """
    measured = metric.measure(images, reference)
    return _estimates(metric, measured, _replicates(metric, measured, images, reference, seed, 0))


def compare(
    metric: Metric, first: Embedded, second: Embedded, reference: Reference, *, seed: int
) -> list[Comparison]:
    """A metric's numbers of two sets of images, and the interval of their difference.

    The sets are drawn anew independently, and both are compared with the same replicate of the reference.
    """
    sides = []
    for number, images in enumerate((first, second)):
        measured = metric.measure(images, reference)
        replicates = _replicates(metric, measured, images, reference, seed, number)
        sides.append((_estimates(metric, measured, replicates), replicates))
    (ours, of_ours), (theirs, of_theirs) = sides
    comparisons = []
    for one, other in zip(ours, theirs, strict=True):
        difference = one.value - other.value
        between = None
        if metric.replicates:
            between = interval(difference, of_ours[one.name] - of_theirs[one.name])
        comparisons.append(Comparison(one.name, one, other, difference, between))
    return comparisons


def compare_estimates(first: Estimate, second: Estimate) -> Comparison:
    """The same number of two sets of images that were measured apart, and the interval of their difference.

    From the two intervals alone (Zou & Donner 2008, DOI 10.1002/sim.3095), as if the two had nothing in
    common: what both owe to the same reference does not cancel, as it does in `compare`.
    """
    difference = first.value - second.value
    between = None
    if first.interval is not None and second.interval is not None:
        below = math.hypot(first.value - first.interval.low, second.interval.high - second.value)
        above = math.hypot(first.interval.high - first.value, second.value - second.interval.low)
        between = Interval(difference - below, difference + above)
    return Comparison(first.name, first, second, difference, between)


def _replicates(
    metric: Metric,
    measured: Measured,
    images: Embedded,
    reference: Reference,
    seed: int,
    side: int,
) -> dict[str, np.ndarray]:
    if not metric.replicates:
        return {}
    draw = np.random.SeedSequence(seed).spawn(3)
    weights = bootstrap_weights(
        len(images), metric.replicates, seed=draw[side], parts=measured.parts
    )
    reference_weights = None
    if isinstance(reference, Embedded) and metric.needs_reference:
        reference_weights = bootstrap_weights(len(reference), metric.replicates, seed=draw[2])
    return measured.replicate(weights, reference_weights)


def _estimates(
    metric: Metric, measured: Measured, replicates: dict[str, np.ndarray]
) -> list[Estimate]:
    return [
        Estimate(
            name,
            value,
            interval(value, replicates[name]) if replicates else None,
            metric.replicates,
            measured.stdev,
        )
        for name, value in measured.values.items()
    ]


def _split_scores(logits: Tensor, parts: np.ndarray, weights: np.ndarray) -> Tensor:
    """float64 [replicates, splits]."""
    counts = torch.from_numpy(weights)
    scores = []
    for part in range(int(parts.max()) + 1):
        places = torch.from_numpy(np.flatnonzero(parts == part))
        marginals = torch.zeros(len(counts), logits.shape[1], dtype=torch.float64)
        negative_entropies = torch.zeros(len(counts), dtype=torch.float64)
        for some in places.split(_CHUNK):
            probabilities = logits[some].double().softmax(dim=1)
            of_some = counts[:, some].double()
            marginals.addmm_(of_some, probabilities)
            entropies = torch.special.xlogy(probabilities, probabilities).sum(dim=1)
            negative_entropies.addmv_(of_some, entropies)
        total = counts[:, places].sum(dim=1).double()
        scores.append(scores_of_sums(marginals / total.unsqueeze(1), negative_entropies / total))
    return torch.stack(scores, dim=1)


def _statistics(images: Embedded, weights: Weights) -> GaussianStatistics:
    return gaussian_statistics(
        images.features, None if weights is None else torch.from_numpy(weights)
    )


def _images_of(reference: Reference, name: str) -> Embedded:
    if isinstance(reference, Embedded):
        return reference
    got = "none" if reference is None else "statistics alone"
    raise UserError(f"{name}: expected --reference with images, got {got}")


def _given(weights: Weights) -> np.ndarray:
    assert weights is not None
    return weights
