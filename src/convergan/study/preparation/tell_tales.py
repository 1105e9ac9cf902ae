"""What tells a set of generated images from the real ones whatever the generator can do: how files were made.

Distributions are compared, not usual values: that half of the real images alone are of some size is enough
for participants to learn it.
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
"""So seldom is something said of two sets that were made alike, for each thing that is compared."""

_LEAST_SHARE = 0.1
"""Of the images of a set by which it differs; less is nothing that people learn."""

_LEAST_TOLD = 0.7
"""Of the images, that are told by whether their sharpness, or blockiness, is above the best cut; one half is
chance."""

_BLOCK_PX = 8
"""The side of JPEG's blocks."""

_LEARNED = "participants may learn to tell that, not the images"
_PREPARED = (
    "if that comes from resizing or compression, not from the generator, prepare both sets alike"
)


@dataclass(frozen=True)
class Looks:
    """What is known of an image beside what it shows."""

    images: str
    """The set's name."""
    format: str | None
    size: str | None
    colour: str
    quality: str | None
    """Of a JPEG file."""
    sharpness: float
    """Logarithm of the strength of edges as participants see them, relative to contrast; NaN without it."""
    blockiness: float
    """Steps of brightness at the borders of JPEG's blocks against those elsewhere, 1 without blocks; NaN for
    an image that was scaled, in which they are blurred."""


def looks_of(file: ImageFile, pixels: np.ndarray) -> Looks:
    """What an image looks like.

    Args:
        file: the image's.
        pixels: uint8 [height, width, channels], as participants see it.
    """
    header = file.header
    quality = jpeg_quality(file.path) if header and header.format == "JPEG" else None
    grey = pixels.mean(axis=2)
    as_it_is = header is not None and (header.height, header.width) == grey.shape
    return Looks(
        images=file.images,
        format=header and header.format,
        size=header and f"{header.width}x{header.height}",
        colour="grey" if pixels.shape[2] == 1 else "colour",
        quality=None if quality is None else f"JPEG of quality {quality}",
        sharpness=_sharpness(grey),
        blockiness=_blockiness(grey) if as_it_is else nan,
    )


def tell_tales(looks: Sequence[Looks]) -> list[str]:
    """What tells each set from the real images, in sentences.

    Nothing is said of obvious fakes, which may be told by anything.

    Args:
        looks: of all images of all sets.
    """
    by_set: dict[str, list[Looks]] = {}
    for each in looks:
        by_set.setdefault(each.images, []).append(each)
    real = by_set.pop(REAL)
    by_set.pop(CONTROL, None)
    found = []
    for what in ("format", "size", "colour", "quality"):
        for name, generated in by_set.items():
            values = [[getattr(each, what) for each in group] for group in (generated, real)]
            differing = _differing_value(*values)
            if differing is not None:
                of_set, of_real = (_percent(group, differing) for group in values)
                found.append(
                    f"{what}: {of_set} of the images of {name} are {differing}, {of_real} of the real ones;"
                    f" {_LEARNED}"
                )
    for what, more, less in (
        ("sharpness", "sharper", "softer"),
        ("blockiness", "more cut into JPEG's blocks", "less cut into JPEG's blocks"),
    ):
        for name, generated in by_set.items():
            numbers = [[getattr(each, what) for each in group] for group in (generated, real)]
            told = _told_by_a_cut(*numbers)
            if told is not None:
                share, higher = told
                found.append(
                    f"{what}: images of {name} tend to be {more if higher else less} than the real ones, by"
                    f" which alone {100 * share:.0f} % of images can be told; {_PREPARED}"
                )
    return found


def _differing_value(generated: Sequence[str | None], real: Sequence[str | None]) -> str | None:
    """The value whose shares differ most between two sets that differ by more than chance; None else.

    The distance is the total variation. Of a few images, for which no test can tell, sets without a usual
    value in common differ.
    """
    known = [[each for each in group if each is not None] for group in (generated, real)]
    if not all(known):
        return None
    counts = [Counter(group) for group in known]
    names = sorted(counts[0] | counts[1])
    if len(names) < 2:
        return None
    table = np.array([[count[name] for name in names] for count in counts])
    shares = table / table.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    by_test = distance >= _LEAST_SHARE and chi2_contingency(table).pvalue < _CHANCE
    apart = distance > 0.5 and shares[0].argmax() != shares[1].argmax()
    if not (by_test or apart):
        return None
    # Of several, one that is usual among the generated images says most.
    gap = shares[0] - shares[1]
    return names[int(gap.argmax() if gap.max() > -gap.min() - 1e-9 else gap.argmin())]


def _percent(group: Sequence[str | None], value: str) -> str:
    known = [each for each in group if each is not None]
    return f"{100 * known.count(value) / len(known):.0f} %"


def _told_by_a_cut(generated: Sequence[float], real: Sequence[float]) -> tuple[float, bool] | None:
    """The share of images, as many of one set as of the other, that the best cut between low and high numbers
    tells right, and whether the generated are those above it; None near one half.

    With D the largest distance of the two distribution functions, Kolmogorov and Smirnov's, it is
    (1 + D) / 2: a part of one set that differs counts, not the middles alone.
    """
    known = [
        np.array([each for each in group if not np.isnan(each)]) for group in (generated, real)
    ]
    if not all(len(group) for group in known):
        return None
    test = ks_2samp(*known)
    share = (1 + float(test.statistic)) / 2
    if share < _LEAST_TOLD or test.pvalue >= _CHANCE:
        return None
    return share, bool(test.statistic_sign < 0)


def _sharpness(grey: np.ndarray) -> float:
    """log(mean squared Laplacian / variance)"""
    contrast = grey.var()
    if contrast == 0 or min(grey.shape) < 3:
        return nan
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return float(np.log(np.mean(laplacian**2) / contrast + 1e-12))


def _blockiness(grey: np.ndarray) -> float:
    """The mean step at borders of blocks over that elsewhere, across and down."""
    if min(grey.shape) < 2 * _BLOCK_PX:
        return nan
    at_border, elsewhere = [], []
    for steps in (np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0)).T):
        border = np.arange(steps.shape[1]) % _BLOCK_PX == _BLOCK_PX - 1
        at_border.append(steps[:, border].mean())
        elsewhere.append(steps[:, ~border].mean())
    return float(sum(at_border) / sum(elsewhere)) if sum(elsewhere) else nan
