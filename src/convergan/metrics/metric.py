"""Interface of all metrics: numbers of sets of images, with intervals and comparisons.

A metric measures one or several sets of images by their features and logits (`Embedded`), all with the same
reference. `Spread` describes how its numbers vary from sample to sample. From it comes the interval of each
number, and of the difference between two sets that are measured together.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from convergan.errors import UserError
from convergan.metrics.steps import Progress
from convergan.statistics.intervals import (
    ANY_NUMBER,
    Interval,
    effective_wilson,
    holding,
    interval_of_difference,
    p_value_of_interval,
    student_interval,
)
from convergan.statistics.levels import SIGNIFICANCE
from convergan.statistics.multiplicity import holm
from convergan.statistics.squared_distances import (
    DifferenceSpread,
    interval_of_difference_of_distances,
)


@dataclass(frozen=True)
class Embedded:
    """Features and logits of images, as a network computes them."""

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
    """float64; unbiased: divided by the number of images less one."""

    count: int | None = None
    """Number of images; None: not known."""


Reference = Embedded | GaussianStatistics | None

ROUNDING = 1e-7
"""Relative rounding error of features, which are float32."""

NOT_ASKED_FOR = "not asked for"
"""Reason for missing intervals if they are switched off."""


@dataclass(frozen=True)
class Spread:
    """Variation of a number of several sets if all images were drawn again.

    `plug_in` is the covariance by the numbers' first derivatives at the sample. Since these are estimated
    from the same sample, it counts the part of second order twice; `second_order` is that part:

        covariance = plug_in - second_order
    """

    plug_in: Float[np.ndarray, "sets sets"]
    second_order: Float[np.ndarray, "sets sets"]
    degrees_of_freedom: float = math.inf
    intervals: tuple[Interval, ...] | None = None
    """Interval of each set's number; None: it follows from the variance alone."""
    difference: DifferenceSpread | None = None
    """Spread of the difference of the numbers of two sets, if these are squared distances."""

    def variance(self, contrast: Sequence[float] | np.ndarray) -> float:
        """Variance of a linear combination of the numbers, with the coefficients `contrast` [sets]."""
        weights = np.asarray(contrast, dtype=np.float64)
        plug_in, second = (
            float(weights @ part @ weights) for part in (self.plug_in, self.second_order)
        )
        # The variance of both orders together is never less than that of the second.
        return max(plug_in - second, second, 0.0)


@dataclass(frozen=True)
class Measured:
    """One number, measured for each of several sets of images."""

    name: str
    values: Sequence[float]
    spread: Spread | None
    method: str
    """Method of the spread, or the reason why there is none."""
    stdevs: Sequence[float | None] = ()
    """Standard deviations over splits or subsets, as the metric's paper reports them."""
    share_of: int | None = None
    """Number of images of which the number is a share; None: it is not a share."""
    scale: float = 0.0
    """Size of the terms that the number is a sum of: equal numbers may differ by `ROUNDING` times this."""


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A metric and its settings."""

    intervals: bool = True
    """True to compute intervals."""

    needs_reference: ClassVar[bool] = True

    possible: ClassVar[Mapping[str, Interval]] = {}
    """Range of each number that is bounded."""

    @abstractmethod
    def measure(
        self,
        sets: Sequence[Embedded],
        reference: Reference,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> list[Measured]:
        """Measure sets of images, each with the same reference.

        Raises:
            UserError: there are too few images, or no reference of the kind that the metric needs.
        """

    def settings(self) -> dict[str, Any]:
        """Settings for the fingerprint: those that change the numbers, not only their intervals."""
        return {name: value for name, value in asdict(self).items() if name != "intervals"}


@dataclass(frozen=True)
class Estimate:
    """One number with its interval."""

    name: str
    value: float
    interval: Interval | None
    """Confidence interval of 95 %; None if no valid method is known."""
    method: str = ""
    """Method of the interval, or the reason why there is none."""
    stdev: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Comparison of one number of two sets of images."""

    name: str
    first: Estimate
    second: Estimate
    difference: float
    """First number less the second."""
    interval: Interval | None
    """Confidence interval of the difference, 95 %, for this comparison alone."""
    p_value: float | None = None
    """p-value of no difference; below 0.05 exactly if the interval excludes 0."""
    p_holm: float | None = None
    """p-value corrected by Holm's method for the number of comparisons made together."""

    @property
    def distinguishable(self) -> bool | None:
        """True if the difference exceeds chance, corrected (`p_holm` below 5 %); None without an interval."""
        return None if self.p_holm is None else self.p_holm < SIGNIFICANCE


@dataclass(frozen=True)
class Outcome:
    """Estimates of a set of images, and comparisons with a second set."""

    estimates: list[Estimate]
    comparisons: list[Comparison] = field(default_factory=list)


def estimate(
    metric: Metric,
    images: Embedded,
    reference: Reference = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Estimate]:
    """Compute a metric's numbers, each with its interval.

    Args:
        metric: the metric.
        images: the images to measure.
        reference: the reference. Its images count as a random sample too, unless it is statistics alone.
        seed: the seed of the random groups behind some intervals.
        progress: called with the number of steps done and the total.

    Raises:
        UserError: there are too few images, or no reference of the kind that the metric needs.
    """
    measured = metric.measure([images], reference, seed=seed, progress=progress)
    return outcome(metric, measured).estimates


def compare(
    metric: Metric,
    first: Embedded,
    second: Embedded,
    reference: Reference = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Comparison]:
    """Compare a metric's numbers of two sets of images, with the interval of their difference.

    The variation that both share through the images of the reference cancels. See `estimate` for arguments.
    """
    measured = metric.measure([first, second], reference, seed=seed, progress=progress)
    return corrected(outcome(metric, measured).comparisons)


def outcome(metric: Metric, measured: Sequence[Measured]) -> Outcome:
    """Estimates of the first set, and, if there are two sets, their comparisons, not yet corrected."""
    result = Outcome([])
    for quantity in measured:
        estimates = [_estimate(metric, quantity, number) for number in range(len(quantity.values))]
        result.estimates.append(estimates[0])
        if len(estimates) == 2:
            result.comparisons.append(_comparison(quantity, *estimates))
    return result


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons with their p-values corrected for the number of comparisons (Holm)."""
    tested = [comparison.p_value for comparison in comparisons if comparison.p_value is not None]
    adjusted = iter(holm(np.array(tested)))
    return [
        comparison
        if comparison.p_value is None
        else replace(comparison, p_holm=float(next(adjusted)))
        for comparison in comparisons
    ]


def compare_estimates(first: Estimate, second: Estimate) -> Comparison:
    """Compare a number of two sets of images that were measured separately.

    The interval of the difference comes from the two intervals alone (`interval_of_difference`), as if the
    two estimates were independent: unlike in `compare`, the variation shared through a common reference does
    not cancel.
    """
    interval = None
    if first.interval is not None and second.interval is not None:
        interval = interval_of_difference(
            first.value, first.interval, second.value, second.interval
        )
    return _compared(first, second, interval)


def _estimate(metric: Metric, measured: Measured, number: int) -> Estimate:
    value = float(measured.values[number])
    stdev = measured.stdevs[number] if measured.stdevs else None
    interval = None
    spread = measured.spread
    possible = metric.possible.get(measured.name, ANY_NUMBER)
    if spread is not None and math.isfinite(value):
        contrast = np.zeros(len(measured.values))
        contrast[number] = 1
        variance = spread.variance(contrast)
        if measured.share_of is not None:
            interval = effective_wilson(
                value, variance, measured.share_of, spread.degrees_of_freedom
            )
        elif spread.intervals is not None:
            interval = holding(value, *spread.intervals[number], possible)
        else:
            interval = student_interval(value, variance, spread.degrees_of_freedom, possible)
    return Estimate(measured.name, value, interval, measured.method, stdev)


def _comparison(measured: Measured, first: Estimate, second: Estimate) -> Comparison:
    interval = None
    spread = measured.spread
    if spread is not None and first.interval is not None and second.interval is not None:
        if measured.share_of is not None:
            # Intervals of shares are not symmetric near 0 and 1: the difference's comes from both.
            interval = interval_of_difference(
                first.value,
                first.interval,
                second.value,
                second.interval,
                correlation=_correlation(spread),
            )
        elif spread.difference is not None:
            interval = interval_of_difference_of_distances(
                first.value - second.value, spread.difference
            )
        else:
            interval = student_interval(
                first.value - second.value, spread.variance([1, -1]), spread.degrees_of_freedom
            )
    return _compared(first, second, interval, measured.scale)


def _compared(
    first: Estimate, second: Estimate, interval: Interval | None, scale: float = 0.0
) -> Comparison:
    difference = first.value - second.value
    p_value = None if interval is None else p_value_of_interval(difference, interval)
    if p_value is not None and abs(difference) <= ROUNDING * scale:
        p_value = 1.0
    return Comparison(first.name, first, second, difference, interval, p_value, p_value)


def _correlation(spread: Spread) -> float:
    """Correlation of the numbers of the first two sets; 0 if one of them does not vary."""
    first, second = spread.variance([1, 0]), spread.variance([0, 1])
    if min(first, second) <= 0:
        return 0.0
    covariance = (spread.variance([1, 1]) - spread.variance([1, -1])) / 4
    return float(np.clip(covariance / math.sqrt(first * second), -1, 1))


def require_images(
    metric: str, fewest: int, sets: Sequence[Embedded], reference: Reference
) -> None:
    """Check that every set and the reference have the images that a metric needs.

    Raises:
        UserError: a set or the reference has fewer than `fewest` images.
    """
    for kind, image_set in (
        *(("images", images) for images in sets),
        ("reference images", reference),
    ):
        if isinstance(image_set, Embedded) and len(image_set) < fewest:
            raise UserError(f"{metric}: expected at least {fewest} {kind}, got {len(image_set)}")


def fewest_images(sets: Sequence[Embedded], reference: Reference) -> int:
    """Number of images in the smallest of the sets and the reference."""
    counts = [len(images) for images in sets]
    return min(counts + ([len(reference)] if isinstance(reference, Embedded) else []))


def images_of(reference: Reference, name: str) -> Embedded:
    """Reference of a metric that needs its images, not only their statistics.

    Raises:
        UserError: there is no reference, or only statistics.
    """
    if isinstance(reference, Embedded):
        return reference
    problem = "none" if reference is None else "statistics alone"
    raise UserError(f"{name}: expected --reference with images, got {problem}")
