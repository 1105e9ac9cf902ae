"""Figures of scores: by number of images, by class, and samples above what they may be copies of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from convergan.metrics.inception_score import (
    Protocol,
    marginal_of,
    negative_entropy,
    probabilities_of_images,
    scores_of_sums,
    split_of_images,
)
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
    """Settings of the splits of the Inception score; see `split_of_images`."""

    protocol: Protocol
    splits: int
    seed: int


def write_figures(
    folder: Path,
    logits: Tensor,
    classes: Sequence[str],
    parts: Parts,
    *,
    in_order: bool = False,
) -> list[Path]:
    """Write the Inception score by number of images, and the histogram of p(y), as SVG.

    Args:
        folder: the folder to write to, which is created if necessary.
        logits: the logits of all images, [images, classes].
        classes: the names of the classes; empty if they are not known.
        parts: the splits of the score. With fewer images than splits the first figure is left out.
        in_order: True if the images are in an order on which the score depends; the first figure says so.

    Returns:
        The files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / _CLASSES]
    write_figure(paths[0], lambda axes: _draw_classes(axes, marginal_of(logits), classes))
    if len(logits) >= parts.splits:
        paths.append(folder / _BY_COUNT)
        write_figure(paths[1], lambda axes: _draw_by_count(axes, logits, parts, in_order))
    return paths


def score_by_count(logits: Tensor, parts: Parts) -> list[tuple[int, float, float]]:
    """Inception scores of the first n images, for several n from few to all.

    Args:
        logits: logits of at least as many images as there are splits, [images, classes].
        parts: the splits of the score.

    Returns:
        (n, score, standard deviation over the splits), n increasing.
    """
    points = []
    for count in sorted({max(parts.splits, len(logits) >> shift) for shift in range(8)}):
        split = split_of_images(count, parts.protocol, splits=parts.splits, seed=parts.seed)
        places_of_parts = (np.flatnonzero(split == part) for part in range(parts.splits))
        scores = [_score(logits, torch.from_numpy(places)) for places in places_of_parts]
        points.append((count, float(np.mean(scores)), float(np.std(scores))))
    return points


def _score(logits: Tensor, places: Tensor) -> float:
    """Inception score of some images, from chunks of p(y|x): that of all images may not fit into memory."""
    marginal = torch.zeros(logits.shape[1], dtype=torch.float64)
    entropy = torch.zeros((), dtype=torch.float64)
    for _, probabilities in probabilities_of_images(logits, places):
        marginal += probabilities.sum(dim=0)
        entropy += negative_entropy(probabilities).sum()
    return float(scores_of_sums(marginal / len(places), entropy / len(places)))


def write_neighbours(
    path: Path,
    samples: Sequence[np.ndarray],
    training: Sequence[np.ndarray],
) -> None:
    """Write a grid of samples, each above its nearest training image.

    All images are uint8 [height, width, channels], of one size.
    """
    write_sample_grid(path, np.stack([*samples, *training]), columns=len(samples))


def _draw_by_count(axes: Any, logits: Tensor, parts: Parts, in_order: bool) -> None:
    counts, means, spreads = zip(*score_by_count(logits, parts), strict=True)
    axes.errorbar(counts, means, yerr=spreads, marker="o", markersize=4, capsize=3, linewidth=1.5)
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts], rotation=30)
    axes.minorticks_off()
    axes.set_xlabel("number of images (the first n)")
    axes.set_ylabel(f"Inception score ({parts.splits} splits, {parts.protocol})")
    axes.set_ylim(bottom=0)
    if in_order:
        axes.set_title(
            "the images are in some order, such as by class: no interval", fontsize="small"
        )


def _draw_classes(axes: Any, marginal: Tensor, classes: Sequence[str]) -> None:
    values = marginal.numpy()
    labels = classes if len(classes) == len(values) <= _MOST_NAMED_CLASSES else ()
    if labels:
        axes.bar(range(len(values)), values)
        axes.set_xticks(range(len(values)), labels, rotation=30 if max(map(len, labels)) > 3 else 0)
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
