"""Bootstrap intervals: how much a number would vary if other images had been drawn.

Images are drawn with replacement as often as there are, and the number is computed anew. What matters of a
replicate is how often it holds each image: its weights. Numbers such as FID are higher on replicates than on
the images themselves, as drawing twice adds its own noise; so an interval takes the replicates' spread around
their mean, and puts it around the number.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95

_FEWEST_FOR_QUANTILES = 200


class Interval(NamedTuple):
    """Of 95 %."""

    low: float
    high: float


ANY_NUMBER = Interval(-math.inf, math.inf)


def bootstrap_weights(
    count: int,
    replicates: int,
    *,
    seed: int | np.random.SeedSequence,
    parts: np.ndarray | None = None,
) -> np.ndarray:
    """uint8 [replicates, count]: how often each image is drawn.

    Args:
        count: images.
        replicates: how many.
        seed: of the draws.
        parts: [count]: the part that each image falls into, which keeps its number of images. None: one.
    """
    generator = np.random.default_rng(seed)
    weights = np.zeros((replicates, count), dtype=np.uint8)
    groups = [np.arange(count)] if parts is None else _groups(parts)
    for replicate in weights:
        for group in groups:
            drawn = generator.integers(len(group), size=len(group))
            replicate[group] = np.bincount(drawn, minlength=len(group))
    return weights


def interval(
    value: float, replicates: np.ndarray, possible: Interval = ANY_NUMBER
) -> Interval | None:
    """Around `value`: by the replicates' quantiles, or, of fewer than 200, by their standard deviation.

    Args:
        value: of the images themselves.
        replicates: [r]. Those that are not finite are left out: KID of a single image, drawn again and
            again, say.
        possible: the lowest and the highest number that there can be.

    Returns:
        None where fewer than 2 replicates are finite, or `value` is not.
    """
    replicates = replicates[np.isfinite(replicates)]
    if len(replicates) < 2 or not math.isfinite(value):
        return None
    tail = (1 - LEVEL) / 2
    if len(replicates) >= _FEWEST_FOR_QUANTILES:
        low, high = np.quantile(replicates, [tail, 1 - tail]) - replicates.mean()
    else:
        high = stats.t.ppf(1 - tail, len(replicates) - 1) * replicates.std(ddof=1)
        low = -high
    return Interval(max(possible.low, float(value + low)), min(possible.high, float(value + high)))


def _groups(parts: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(parts, kind="stable")
    return np.split(order, np.cumsum(np.bincount(parts))[:-1])
