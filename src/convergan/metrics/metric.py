"""Every metric as one kind of thing: numbers, and the same numbers on bootstrap replicates.

A metric looks at images as a network sees them (`Embedded`) and at a reference. What it measures can be had
again for replicates, which are rows of weights (`bootstrap_weights`): how often each image counts. So two
sets of images can be compared on the same replicates of the reference.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from convergan.errors import UserError
from convergan.metrics.steps import Progress
from convergan.statistics.bootstrap import bootstrap_weights
from convergan.statistics.intervals import (
    ANY_NUMBER,
    Interval,
    centred_interval,
    interval_of_difference,
)


@dataclass(frozen=True)
class Embedded:
    """Images as a network sees them."""

    features: Float[Tensor, "images features"]
    logits: Float[Tensor, "images classes"]

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class GaussianStatistics:
    """Mean and covariance of features."""

    mean: Float[Tensor, "features"]
    """float64."""

    covariance: Float[Tensor, "features features"]
    """float64; divided by the number of images less one."""

    count: int | None = None
    """The number of images, where it is known."""


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


def require_images(metric: str, fewest: int, images: Embedded, reference: Reference) -> None:
    """Refuses fewer images than a metric needs.

    Raises:
        UserError: there are fewer, of the images or of the reference.
    """
    for what, some in (("images", images), ("reference", reference)):
        if isinstance(some, Embedded) and len(some) < fewest:
            raise UserError(f"{metric}: expected at least {fewest} {what}, got {len(some)}")


def images_of(reference: Reference, name: str) -> Embedded:
    """The reference of a metric that needs its images, and not only their statistics.

    Raises:
        UserError: there is none, or statistics alone.
    """
    if isinstance(reference, Embedded):
        return reference
    got = "none" if reference is None else "statistics alone"
    raise UserError(f"{name}: expected --reference with images, got {got}")
