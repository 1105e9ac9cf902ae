"""Every metric as one kind of thing: numbers, and the same numbers on bootstrap replicates.

A metric looks at images as a network sees them (`Embedded`) and at a reference. What it measures can be had
again for replicates, which are rows of weights (`bootstrap_weights`): how often each image counts. So two
sets of images can be compared on the same replicates of the reference.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from convergan.errors import UserError
from convergan.metrics.frechet import (
    Factors,
    GaussianStatistics,
    distance_of_factors,
    factors_of_images,
    factors_of_statistics,
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
from convergan.metrics.steps import Progress, Steps
from convergan.statistics.bootstrap import bootstrap_weights
from convergan.statistics.intervals import (
    ANY_NUMBER,
    Interval,
    centred_interval,
    interval_of_difference,
)

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

    of_weights: Callable[[np.ndarray, Weights, Progress | None], dict[str, np.ndarray]]
    """Its numbers by name, [replicates] each, for weights of the images and of the reference."""

    values: Mapping[str, float] = field(default_factory=dict)
    """Those that are not the same as of weights that are all 1."""

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

    possible: ClassVar[Mapping[str, Interval]] = {}
    """The lowest and the highest that its numbers can be, where there are such."""

    @abstractmethod
    def measure(
        self, images: Embedded, reference: Reference, progress: Progress | None = None
    ) -> Measured:
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
    possible: ClassVar[Mapping[str, Interval]] = {"Inception score": Interval(1, math.inf)}

    def measure(
        self, images: Embedded, reference: Reference, progress: Progress | None = None
    ) -> Measured:
        if len(images) < self.splits:
            raise UserError(
                f"Inception score: expected at least {self.splits} images, one a split, got {len(images)}"
            )
        parts = split_of_images(
            len(images), self.protocol, splits=self.splits, seed=self.split_seed
        )
        once = np.ones((1, len(images)), dtype=np.uint8)
        stdev = float(_split_scores(images.logits, parts, once).std(correction=0))

        def of_weights(
            weights: np.ndarray, _: Weights, progress: Progress | None
        ) -> dict[str, np.ndarray]:
            scores = _split_scores(images.logits, parts, weights, progress)
            return {"Inception score": scores.mean(dim=1).numpy()}

        return Measured(of_weights, stdev=stdev, parts=parts)


@dataclass(frozen=True, kw_only=True)
class FrechetMetric(Metric):
    """See `frechet`. Every replicate is an eigenvalue problem."""

    replicates: int = 20
    possible: ClassVar[Mapping[str, Interval]] = {"FID": Interval(0, math.inf)}

    def measure(
        self, images: Embedded, reference: Reference, progress: Progress | None = None
    ) -> Measured:
        if reference is None:
            raise UserError("FID: expected --reference, got none")
        _require("FID", 2, images, reference)
        warn_if_few(len(images))
        fixed = (
            factors_of_statistics(reference) if isinstance(reference, GaussianStatistics) else None
        )

        def of_weights(
            weights: np.ndarray, reference_weights: Weights, progress: Progress | None
        ) -> dict[str, np.ndarray]:
            steps = Steps(progress, len(weights))
            values = []
            for number, of_images in enumerate(weights):
                real = fixed
                if isinstance(reference, Embedded):
                    real = _factors(reference, _given(reference_weights)[number])
                assert real is not None
                values.append(distance_of_factors(_factors(images, of_images), real))
                steps.take()
            return {"FID": np.array(values)}

        return Measured(of_weights)


@dataclass(frozen=True, kw_only=True)
class KernelMetric(Metric):
    """See `kernel_distance`. Intervals are of all pairs, also where the number is of subsets."""

    replicates: int = 200
    subsets: int = 0
    """0: one of all images."""
    subset_size: int = SUBSET_SIZE
    subset_seed: int = 0

    def measure(
        self, images: Embedded, reference: Reference, progress: Progress | None = None
    ) -> Measured:
        real = _images_of(reference, "KID")
        _require("KID", 2, images, real)
        values, stdev = {}, None
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
                progress=progress,
            )
            values, stdev = {"KID": float(of_subsets.mean)}, float(of_subsets.stdev)

        def of_weights(
            weights: np.ndarray, reference_weights: Weights, progress: Progress | None
        ) -> dict[str, np.ndarray]:
            distances = kernel_distance(
                images.features,
                real.features,
                torch.from_numpy(weights),
                torch.from_numpy(_given(reference_weights)),
                progress,
            )
            return {"KID": distances.numpy()}

        return Measured(of_weights, values, stdev)


@dataclass(frozen=True, kw_only=True)
class OverlapMetric(Metric):
    """See `manifold`: precision, recall, density, coverage."""

    replicates: int = 1000
    possible: ClassVar[Mapping[str, Interval]] = {
        "precision": Interval(0, 1),
        "recall": Interval(0, 1),
        "density": Interval(0, math.inf),
        "coverage": Interval(0, 1),
    }

    def measure(
        self, images: Embedded, reference: Reference, progress: Progress | None = None
    ) -> Measured:
        real = _images_of(reference, "precision and recall")
        _require("precision and recall", COVERAGE_NEIGHBOURS + 1, images, real)
        balls = find_balls(images.features, real.features, progress)
        return Measured(lambda *weights: overlap(balls, *weights)._asdict())


@dataclass(frozen=True)
class Estimate:
    """One number with its interval."""

    name: str
    value: float
    interval: Interval | None
    """Of 95 %; None without replicates."""
    replicates: int
    """That the interval is made of."""
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
        return None if self.interval is None else self.interval.low > 0 or self.interval.high < 0


def estimate(
    metric: Metric,
    images: Embedded,
    reference: Reference,
    *,
    seed: int,
    progress: Progress | None = None,
) -> list[Estimate]:
    """A metric's numbers, each with its interval.

    Args:
        metric: which.
        images: of which images.
        reference: beside which; it is drawn anew too, unless it is only statistics.
        seed: of the replicates.
        progress: called with what is done and all there is to do, for each part of the work anew.

    Raises:
        UserError: there are too few images, or no reference of the kind that the metric needs.
    """
    return _estimates(metric, images, reference, seed, 0, progress)[0]


def compare(
    metric: Metric,
    first: Embedded,
    second: Embedded,
    reference: Reference,
    *,
    seed: int,
    progress: Progress | None = None,
) -> list[Comparison]:
    """A metric's numbers of two sets of images, and the interval of their difference.

    The sets are drawn anew independently, and both are compared with the same replicate of the reference.
    See `estimate`.
    """
    (ours, of_ours), (theirs, of_theirs) = (
        _estimates(metric, images, reference, seed, number, progress)
        for number, images in enumerate((first, second))
    )
    comparisons = []
    for one, other in zip(ours, theirs, strict=True):
        difference = one.value - other.value
        low, high = metric.possible.get(one.name, ANY_NUMBER)
        between = centred_interval(
            difference, of_ours[one.name] - of_theirs[one.name], Interval(low - high, high - low)
        )
        comparisons.append(Comparison(one.name, one, other, difference, between))
    return comparisons


def compare_estimates(first: Estimate, second: Estimate) -> Comparison:
    """The same number of two sets of images that were measured apart, and the interval of their difference.

    From the two intervals alone (`interval_of_difference`), as if the two had nothing in common: what both
    owe to the same reference does not cancel, as it does in `compare`.
    """
    difference = first.value - second.value
    between = None
    if first.interval is not None and second.interval is not None:
        between = interval_of_difference(first.value, first.interval, second.value, second.interval)
    return Comparison(first.name, first, second, difference, between)


def _estimates(
    metric: Metric,
    images: Embedded,
    reference: Reference,
    seed: int,
    side: int,
    progress: Progress | None,
) -> tuple[list[Estimate], dict[str, np.ndarray]]:
    """Estimates, and the replicates that they are made of, by name."""
    measured = metric.measure(images, reference, progress)
    draw = np.random.SeedSequence(seed).spawn(3)
    weights = _once_and_again(len(images), metric.replicates, draw[side], measured.parts)
    reference_weights = None
    if isinstance(reference, Embedded) and metric.needs_reference:
        reference_weights = _once_and_again(len(reference), metric.replicates, draw[2])
    found = measured.of_weights(weights, reference_weights, progress)
    estimates = []
    for name, (once, *again) in found.items():
        value = float(measured.values.get(name, once))
        between = centred_interval(value, np.array(again), metric.possible.get(name, ANY_NUMBER))
        used = int(np.isfinite(again).sum())
        estimates.append(Estimate(name, value, between, used, measured.stdev))
    return estimates, {name: values[1:] for name, values in found.items()}


def _once_and_again(
    count: int, replicates: int, seed: np.random.SeedSequence, parts: np.ndarray | None = None
) -> np.ndarray:
    """Weights: of the images themselves first, and then of replicates."""
    again = bootstrap_weights(count, replicates, seed=seed, parts=parts)
    return np.concatenate([np.ones((1, count), dtype=np.uint8), again])


def _split_scores(
    logits: Tensor, parts: np.ndarray, weights: np.ndarray, progress: Progress | None = None
) -> Tensor:
    """float64 [replicates, splits]."""
    counts = torch.from_numpy(weights)
    scores = []
    steps = Steps(progress, len(logits))
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
            steps.take(len(some))
        total = counts[:, places].sum(dim=1).double()
        scores.append(scores_of_sums(marginals / total.unsqueeze(1), negative_entropies / total))
    return torch.stack(scores, dim=1)


def _factors(images: Embedded, weights: np.ndarray) -> Factors:
    return factors_of_images(images.features, torch.from_numpy(weights))


def _require(metric: str, fewest: int, images: Embedded, reference: Reference) -> None:
    for what, some in (("images", images), ("reference", reference)):
        if isinstance(some, Embedded) and len(some) < fewest:
            raise UserError(f"{metric}: expected at least {fewest} {what}, got {len(some)}")


def _images_of(reference: Reference, name: str) -> Embedded:
    if isinstance(reference, Embedded):
        return reference
    got = "none" if reference is None else "statistics alone"
    raise UserError(f"{name}: expected --reference with images, got {got}")


def _given(weights: Weights) -> np.ndarray:
    assert weights is not None
    return weights
