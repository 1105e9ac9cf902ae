"""Scores as figures: by the number of images, by class; samples above what they may copy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from convergan.metrics.inception_score import Protocol, scores_of_sums, split_of_images
from convergan.page.figure_file import write_figure
from convergan.page.images import write_sample_grid

_CLASSES, _BY_COUNT = "classes.svg", "score-by-count.svg"

NEAREST = "nearest.png"
"""Samples above the training images that they may be copies of."""

FIGURES = (_CLASSES, _BY_COUNT, NEAREST)
"""Names of all figures."""

_MOST_NAMED_CLASSES = 20


@dataclass(frozen=True)
class Parts:
    """How images are split; see `split_of_images`."""

    protocol: Protocol
    splits: int
    seed: int


def write_figures(folder: Path, logits: Tensor, classes: Sequence[str], parts: Parts) -> list[Path]:
    """Inception score by the number of images, and the histogram of p(y), as SVG.

    Args:
        folder: where to; made if need be.
        logits: of all images, [images, classes].
        classes: their names; empty where these are not known.
        parts: of the score. The first figure is left out where there are fewer images than parts.

    Returns:
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probabilities = logits.double().softmax(dim=1)
    written = [folder / _CLASSES]
    write_figure(written[0], lambda axes: _draw_classes(axes, probabilities.mean(dim=0), classes))
    if len(logits) >= parts.splits:
        written.append(folder / _BY_COUNT)
        write_figure(written[1], lambda axes: _draw_by_count(axes, probabilities, parts))
    return written


def score_by_count(
    probabilities: Float[Tensor, "images classes"], parts: Parts
) -> list[tuple[int, float, float]]:
    """A number of images, the Inception score of the first so many, and its spread over their parts.

    Args:
        probabilities: of at least as many images as there are parts.
        parts: how those images are split.
    """
    points = []
    for some in sorted({max(parts.splits, len(probabilities) >> shift) for shift in range(8)}):
        split = split_of_images(some, parts.protocol, splits=parts.splits, seed=parts.seed)
        scores = []
        for part in range(parts.splits):
            of_part = probabilities[:some][torch.from_numpy(split == part)]
            negative = torch.special.xlogy(of_part, of_part).sum(dim=1).mean()
            scores.append(float(scores_of_sums(of_part.mean(dim=0), negative)))
        points.append((some, float(np.mean(scores)), float(np.std(scores))))
    return points


def write_neighbours(
    path: Path,
    samples: Sequence[np.ndarray],
    training: Sequence[np.ndarray],
) -> None:
    """Samples, each above its nearest training image: uint8 [height, width, channels], all of one size."""
    write_sample_grid(path, np.stack([*samples, *training]), columns=len(samples))


def _draw_by_count(axes: Any, probabilities: Tensor, parts: Parts) -> None:
    counts, means, spreads = zip(*score_by_count(probabilities, parts), strict=True)
    axes.errorbar(counts, means, yerr=spreads, marker="o", markersize=4, capsize=3, linewidth=1.5)
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{some:,}" for some in counts], rotation=30)
    axes.minorticks_off()
    axes.set_xlabel("images (the first so many)")
    axes.set_ylabel(f"Inception score ({parts.splits} splits, {parts.protocol})")
    axes.set_ylim(bottom=0)


def _draw_classes(axes: Any, marginal: Tensor, classes: Sequence[str]) -> None:
    values = marginal.numpy()
    named = classes if len(classes) == len(values) <= _MOST_NAMED_CLASSES else ()
    if named:
        axes.bar(range(len(values)), values)
        axes.set_xticks(range(len(values)), named, rotation=30 if max(map(len, named)) > 3 else 0)
    else:
        axes.plot(range(1, len(values) + 1), np.sort(values)[::-1], linewidth=1.5)
        axes.set_xlabel("classes, the most frequent first")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.axhline(1 / len(values), color="0.5", linewidth=1, linestyle="--")
    axes.annotate(
        "uniform",
        (1, 1 / len(values)),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color="0.4",
    )
    axes.set_ylabel("p(y), mean over the images")
    axes.set_ylim(bottom=0)
