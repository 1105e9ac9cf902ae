"""Tell-tale differences between generated and real images that come from their files, not from the generator.

Whole distributions are compared, not typical values: if half of the real images alone have some size,
participants can learn that.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from convergan.images.header import jpeg_quality
from convergan.study.design.plan import CONTROL, REAL
from convergan.study.preparation.image_files import ImageFile

_CHANCE = 0.001
"""Significance level of each comparison: the probability of a warning about sets that were made alike."""

_LEAST_SHARE = 0.1
"""Smallest share of a set's images that must differ; people do not learn from fewer."""

_LEAST_CORRECT = 0.7
"""Smallest share of images that the best cut on sharpness, or blockiness, must classify correctly; one half
is chance."""

_BLOCK_PX = 8
"""Side of JPEG's blocks, in pixels."""

_LEARNED = "participants may learn to go by that, not by what the images show"
_PREPARED = (
    "if this comes from resizing or compression, not from the generator, prepare both sets alike"
)


@dataclass(frozen=True)
class Looks:
    """Features of an image that do not depend on what it shows."""

    images: str
    """Name of the set."""
    format: str | None
    size: str | None
    colour: str
    quality: str | None
    """Quality of a JPEG file, in words; None for other formats."""
    sharpness: float
    """Logarithm of the strength of visible edges, relative to contrast; NaN without contrast."""
    blockiness: float
    """Mean step in brightness at the borders of JPEG's blocks, over that elsewhere; 1 without blocks, NaN for
    an image that was resized, which blurs them."""


def looks_of(file: ImageFile, pixels: np.ndarray) -> Looks:
    """Measure the features of an image.

    Args:
        file: the image's file.
        pixels: uint8 [height, width, channels], as participants see it.
    """
    header = file.header
    quality = jpeg_quality(file.path) if header and header.format == "JPEG" else None
    grey = pixels.mean(axis=2)
    original_size = header is not None and (header.height, header.width) == grey.shape
    return Looks(
        images=file.images,
        format=header and header.format,
        size=header and f"{header.width}x{header.height}",
        colour="grey" if pixels.shape[2] == 1 else "colour",
        quality=None if quality is None else f"JPEG of quality {quality}",
        sharpness=_sharpness(grey),
        blockiness=_blockiness(grey) if original_size else nan,
    )


def tell_tales(looks: Sequence[Looks]) -> list[str]:
    """Describe the differences of each set from the real images, in sentences.

    Obvious fakes are ignored: anything may give them away.

    Args:
        looks: the features of all images of all sets.
    """
    by_set: dict[str, list[Looks]] = {}
    for look in looks:
        by_set.setdefault(look.images, []).append(look)
    real = by_set.pop(REAL)
    by_set.pop(CONTROL, None)
    sentences = []
    for feature in ("format", "size", "colour", "quality"):
        for name, generated in by_set.items():
            values = [[getattr(look, feature) for look in group] for group in (generated, real)]
            differing = _differing_value(*values)
            if differing is not None:
                share, real_share = (_percent(group, differing) for group in values)
                sentences.append(
                    f"{feature}: {share} of the images of {name} are {differing}, {real_share} of the real"
                    f" ones; {_LEARNED}"
                )
    for feature, high, low in (
        ("sharpness", "sharper", "softer"),
        ("blockiness", "more cut into JPEG's blocks", "less cut into JPEG's blocks"),
    ):
        for name, generated in by_set.items():
            numbers = [[getattr(look, feature) for look in group] for group in (generated, real)]
            cut = _best_cut(*numbers)
            if cut is not None:
                correct, higher = cut
                sentences.append(
                    f"{feature}: images of {name} tend to be {high if higher else low} than the real ones;"
                    f" this alone classifies {100 * correct:.0f} % of images correctly; {_PREPARED}"
                )
    return sentences


def _differing_value(generated: Sequence[str | None], real: Sequence[str | None]) -> str | None:
    """Find the value whose shares differ most between two sets; None if they differ only by chance.

    The distance is the total variation. A few images, too few for the test, differ if the most common values
    of the sets do.
    """
    values = [[value for value in group if value is not None] for group in (generated, real)]
    if not all(values):
        return None
    counts = [Counter(group) for group in values]
    names = sorted(counts[0] | counts[1])
    if len(names) < 2:
        return None
    table = np.array([[count[name] for name in names] for count in counts])
    shares = table / table.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    by_test = distance >= _LEAST_SHARE and chi2_contingency(table).pvalue < _CHANCE
    by_modes = distance > 0.5 and shares[0].argmax() != shares[1].argmax()
    if not (by_test or by_modes):
        return None
    # Of several, a value that is common among the generated images says most.
    gap = shares[0] - shares[1]
    return names[int(gap.argmax() if gap.max() > -gap.min() - 1e-9 else gap.argmin())]


def _percent(group: Sequence[str | None], value: str) -> str:
    values = [entry for entry in group if entry is not None]
    return f"{100 * values.count(value) / len(values):.0f} %"


def _best_cut(generated: Sequence[float], real: Sequence[float]) -> tuple[float, bool] | None:
    """Find the best cut between low and high numbers; None if it classifies hardly more than by chance.

    Returns the share of images that it classifies correctly, with the same number of either set, and whether
    the generated images are those above it. With D the largest distance between the two distribution
    functions, that of Kolmogorov and Smirnov, the share is (1 + D) / 2: a part of one set that differs is
    enough, even if the means are equal.
    """
    numbers = [
        np.array([number for number in group if not np.isnan(number)])
        for group in (generated, real)
    ]
    if not all(len(group) for group in numbers):
        return None
    test = ks_2samp(*numbers)
    share = (1 + float(test.statistic)) / 2
    if share < _LEAST_CORRECT or test.pvalue >= _CHANCE:
        return None
    return share, bool(test.statistic_sign < 0)


def _sharpness(grey: np.ndarray) -> float:
    """Compute log(mean squared Laplacian / variance); NaN without contrast."""
    contrast = grey.var()
    if contrast == 0 or min(grey.shape) < 3:
        return nan
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return float(np.log(np.mean(laplacian**2) / contrast + 1e-12))


def _blockiness(grey: np.ndarray) -> float:
    """Divide the mean step at borders of blocks by that elsewhere, in rows and columns."""
    if min(grey.shape) < 2 * _BLOCK_PX:
        return nan
    at_border, elsewhere = [], []
    for steps in (np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0)).T):
        border = np.arange(steps.shape[1]) % _BLOCK_PX == _BLOCK_PX - 1
        at_border.append(steps[:, border].mean())
        elsewhere.append(steps[:, ~border].mean())
    return float(sum(at_border) / sum(elsewhere)) if sum(elsewhere) else nan
