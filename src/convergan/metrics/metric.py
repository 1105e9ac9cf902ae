"""Every metric as one kind of thing: numbers of images, and how these numbers vary from sample to sample.

A metric looks at one or several sets of images as a network sees them (`Embedded`), all beside the same
reference. What its numbers would be for other images of the same kind is in their `Spread`: so a number has
an interval, and two sets that are measured together have one of their difference.
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

ROUNDING = 1e-7
"""Of features, which are float32."""

NOT_ASKED_FOR = "not asked for"
"""Why numbers have no interval."""


@dataclass(frozen=True)
class Spread:
    """How a number of each of several sets would vary if all images were drawn anew.

    `plug_in` is the covariance by the numbers' first derivatives at the sample. As these are of the sample
    themselves it counts what is due to second derivatives twice; `second_order` is that part once:

        covariance = plug_in - second_order
    """

    plug_in: Float[np.ndarray, "sets sets"]
    second_order: Float[np.ndarray, "sets sets"]
    degrees_of_freedom: float = math.inf
    intervals: tuple[Interval, ...] | None = None
    """Of each set's number, where these are not of its variance alone."""
    of_difference: DifferenceSpread | None = None
    """Of the numbers of two sets, where these are squared distances."""

    def variance(self, contrast: Sequence[float] | np.ndarray) -> float:
        """Of a sum of the numbers, each times its number in `contrast`."""
        weights = np.asarray(contrast, dtype=np.float64)
        plug_in, second = (
            float(weights @ part @ weights) for part in (self.plug_in, self.second_order)
        )
        # Of both orders together there is never less than of the second.
        return max(plug_in - second, second, 0.0)


@dataclass(frozen=True)
class Measured:
    """One number of each of several sets of images."""

    name: str
    values: Sequence[float]
    spread: Spread | None
    method: str
    """How the spread was found; without one, why there is none."""
    stdevs: Sequence[float | None] = ()
    """Over splits or subsets, as the metric's paper reports it."""
    share_of: int | None = None
    """The number is a share of so many images; None: it is none."""
    scale: float = 0.0
    """Of what the number is a sum of: by `ROUNDING` times this two numbers may differ that are the same."""


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A metric and its settings."""

    intervals: bool = True
    """Whether numbers have intervals."""

    needs_reference: ClassVar[bool] = True

    possible: ClassVar[Mapping[str, Interval]] = {}
    """The lowest and the highest that its numbers can be, where there are such."""

    @abstractmethod
    def measure(
        self,
        sets: Sequence[Embedded],
        reference: Reference,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> list[Measured]:
        """Looks at sets of images, each beside the reference.

        Raises:
            UserError: there are too few, or no reference of the kind that it needs.
        """

    def settings(self) -> dict[str, Any]:
        """For the fingerprint: whatever changes its numbers, and not only their intervals."""
        return {name: value for name, value in asdict(self).items() if name != "intervals"}


@dataclass(frozen=True)
class Estimate:
    """One number with its interval."""

    name: str
    value: float
    interval: Interval | None
    """Of 95 %; None where none is known to hold."""
    method: str = ""
    """How the interval was found; without one, why there is none."""
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
    """Of the difference alone, 95 %."""
    p_value: float | None = None
    """That the two sets are of the same kind; below .05 where the interval leaves 0 out."""
    p_holm: float | None = None
    """Corrected (Holm) for the number of comparisons that were made together."""

    @property
    def distinguishable(self) -> bool | None:
        """Whether the difference is more than chance, corrected; None without an interval."""
        return None if self.p_holm is None else self.p_holm < SIGNIFICANCE


@dataclass(frozen=True)
class Outcome:
    """What metrics say of images, and of how they compare with others."""

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
    """A metric's numbers, each with its interval.

    Args:
        metric: which.
        images: of which images.
        reference: beside which; its images vary too, unless it is only statistics.
        seed: of the groups that images are put into where the spread comes from such.
        progress: called with what is done and all there is to do.

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
    """A metric's numbers of two sets of images, and the interval of their difference.

    What both owe to the images of the same reference cancels. See `estimate`.
    """
    measured = metric.measure([first, second], reference, seed=seed, progress=progress)
    return corrected(outcome(metric, measured).comparisons)


def outcome(metric: Metric, measured: Sequence[Measured]) -> Outcome:
    """Numbers of the first set, and where there are two their comparisons, not yet corrected."""
    found = Outcome([])
    for one in measured:
        estimates = [_estimate(metric, one, number) for number in range(len(one.values))]
        found.estimates.append(estimates[0])
        if len(estimates) == 2:
            found.comparisons.append(_comparison(one, *estimates))
    return found


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons with their p-values corrected for how many there are."""
    tested = [one.p_value for one in comparisons if one.p_value is not None]
    adjusted = iter(holm(np.array(tested)))
    return [
        one if one.p_value is None else replace(one, p_holm=float(next(adjusted)))
        for one in comparisons
    ]


def compare_estimates(first: Estimate, second: Estimate) -> Comparison:
    """The same number of two sets of images that were measured apart, and the interval of their difference.

    From the two intervals alone (`interval_of_difference`), as if the two had nothing in common: what both
    owe to the same reference does not cancel, as it does in `compare`.
    """
    between = None
    if first.interval is not None and second.interval is not None:
        between = interval_of_difference(first.value, first.interval, second.value, second.interval)
    return _compared(first, second, between)


def _estimate(metric: Metric, measured: Measured, number: int) -> Estimate:
    value = float(measured.values[number])
    stdev = measured.stdevs[number] if measured.stdevs else None
    between = None
    spread = measured.spread
    possible = metric.possible.get(measured.name, ANY_NUMBER)
    if spread is not None and math.isfinite(value):
        contrast = np.zeros(len(measured.values))
        contrast[number] = 1
        variance = spread.variance(contrast)
        if measured.share_of is not None:
            between = effective_wilson(
                value, variance, measured.share_of, spread.degrees_of_freedom
            )
        elif spread.intervals is not None:
            between = holding(value, *spread.intervals[number], possible)
        else:
            between = student_interval(value, variance, spread.degrees_of_freedom, possible)
    return Estimate(measured.name, value, between, measured.method, stdev)


def _comparison(measured: Measured, first: Estimate, second: Estimate) -> Comparison:
    between = None
    spread = measured.spread
    if spread is not None and first.interval is not None and second.interval is not None:
        if measured.share_of is not None:
            # Near 0 and 1 a share's interval is not symmetric: that of a difference comes from both.
            between = interval_of_difference(
                first.value,
                first.interval,
                second.value,
                second.interval,
                correlation=_correlation(spread),
            )
        elif spread.of_difference is not None:
            between = interval_of_difference_of_distances(
                first.value - second.value, spread.of_difference
            )
        else:
            between = student_interval(
                first.value - second.value, spread.variance([1, -1]), spread.degrees_of_freedom
            )
    return _compared(first, second, between, measured.scale)


def _compared(
    first: Estimate, second: Estimate, between: Interval | None, scale: float = 0.0
) -> Comparison:
    difference = first.value - second.value
    p_value = None if between is None else p_value_of_interval(difference, between)
    if p_value is not None and abs(difference) <= ROUNDING * scale:
        p_value = 1.0
    return Comparison(first.name, first, second, difference, between, p_value, p_value)


def _correlation(spread: Spread) -> float:
    """Of the first two numbers; 0 where one of them does not vary."""
    one, other = spread.variance([1, 0]), spread.variance([0, 1])
    if min(one, other) <= 0:
        return 0.0
    covariance = (spread.variance([1, 1]) - spread.variance([1, -1])) / 4
    return float(np.clip(covariance / math.sqrt(one * other), -1, 1))


def require_images(
    metric: str, fewest: int, sets: Sequence[Embedded], reference: Reference
) -> None:
    """Refuses fewer images than a metric needs.

    Raises:
        UserError: there are fewer, of the images or of the reference.
    """
    for what, some in (*(("images", images) for images in sets), ("reference", reference)):
        if isinstance(some, Embedded) and len(some) < fewest:
            raise UserError(f"{metric}: expected at least {fewest} {what}, got {len(some)}")


def fewest_images(sets: Sequence[Embedded], reference: Reference) -> int:
    """The number of images in the smallest of the sets and the reference."""
    counts = [len(images) for images in sets]
    return min(counts + ([len(reference)] if isinstance(reference, Embedded) else []))


def images_of(reference: Reference, name: str) -> Embedded:
    """The reference of a metric that needs its images, and not only their statistics.

    Raises:
        UserError: there is none, or statistics alone.
    """
    if isinstance(reference, Embedded):
        return reference
    got = "none" if reference is None else "statistics alone"
    raise UserError(f"{name}: expected --reference with images, got {got}")
