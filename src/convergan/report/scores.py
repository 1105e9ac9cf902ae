"""Scores for people and for programs: a table, JSON, figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.console import Console
from rich.table import Table
from torch import Tensor

from convergan.errors import UserError
from convergan.files import written_aside
from convergan.metrics.estimates import Comparison, Estimate
from convergan.metrics.inception_score import SPLITS, scores_of_sums, split_of_images
from convergan.metrics.resampling import Interval
from convergan.page.images import write_sample_grid

_BETTER = {"FID": "lower", "KID": "lower"}
"""Of all others higher is better."""

_PRECISE = {"FID": ".2f", "KID": ".5f", "Inception score": ".3f"}
_MOST_NAMED_CLASSES = 20


def print_scores(
    console: Console, estimates: Sequence[Estimate], comparisons: Sequence[Comparison]
) -> None:
    """A line for every number; with comparisons, also the other's and the difference."""
    table = Table(box=None, pad_edge=False)
    columns = ["score", "95 % interval", "replicates"]
    if comparisons:
        columns = ["score", "versus", "difference", "95 % interval", "verdict"]
    for column in ["", *columns]:
        table.add_column(column, justify="left" if column in ("", "verdict") else "right")
    for comparison in comparisons:
        shown = _shown(comparison.name)
        table.add_row(
            comparison.name,
            shown(comparison.first.value),
            shown(comparison.second.value),
            shown(comparison.difference),
            _interval(comparison.interval, shown),
            _verdict(comparison),
        )
    for estimate in [] if comparisons else estimates:
        shown = _shown(estimate.name)
        spread = "" if estimate.stdev is None else f" ± {shown(estimate.stdev)}"
        table.add_row(
            estimate.name,
            shown(estimate.value) + spread,
            _interval(estimate.interval, shown),
            f"{estimate.replicates:,}",
        )
    console.print(table)


def scores_as_dict(
    estimates: Sequence[tuple[str, Estimate]],
    comparisons: Sequence[tuple[str, Comparison]],
    fingerprints: Mapping[Any, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """One entry a number, with everything that it depends on."""
    compared = {comparison.name: comparison for _, comparison in comparisons}
    entries: list[dict[str, Any]] = []
    for metric, estimate in estimates:
        entry: dict[str, Any] = {
            "name": estimate.name,
            "value": estimate.value,
            "stdev": estimate.stdev,
            "interval": estimate.interval,
            "replicates": estimate.replicates,
            "fingerprint": dict(fingerprints[metric]),
        }
        comparison = compared.get(estimate.name)
        if comparison is not None:
            entry["versus"] = {
                "value": comparison.second.value,
                "interval": comparison.second.interval,
                "difference": comparison.difference,
                "difference_interval": comparison.interval,
                "distinguishable": comparison.distinguishable,
            }
        entries.append(entry)
    return entries


def read_scores(path: Path) -> dict[str, tuple[Estimate, dict[str, Any]]]:
    """The numbers of a JSON file of `convergan score`, each with its fingerprint, by name.

    Raises:
        UserError: the file is not there, or is no such file.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["scores"]
        return {
            entry["name"]: (
                Estimate(
                    entry["name"],
                    float(entry["value"]),
                    None if entry["interval"] is None else Interval(*entry["interval"]),
                    int(entry["replicates"]),
                    entry["stdev"],
                ),
                dict(entry["fingerprint"]),
            )
            for entry in entries
        }
    except OSError as error:
        raise UserError(
            f"{path}: expected the JSON of convergan score, got {error.strerror}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: expected the JSON of convergan score, got another file") from None


def write_figures(folder: Path, logits: Tensor, classes: Sequence[str]) -> list[Path]:
    """Inception score by the number of images, and the histogram of p(y), as SVG.

    Args:
        folder: where to; made if need be.
        logits: of all images, [images, classes].
        classes: their names; empty where these are not known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probabilities = logits.double().softmax(dim=1)
    by_count, histogram = folder / "score-by-count.svg", folder / "classes.svg"
    _write(by_count, lambda axes: _draw_by_count(axes, probabilities))
    _write(histogram, lambda axes: _draw_classes(axes, probabilities.mean(dim=0), classes))
    return [by_count, histogram]


def write_neighbours(
    path: Path,
    samples: Sequence[np.ndarray],
    training: Sequence[np.ndarray],
) -> None:
    """Samples, each above its nearest training image: uint8 [height, width, channels], all of one size."""
    write_sample_grid(path, np.stack([*samples, *training]), columns=len(samples))


def _draw_by_count(axes: Any, probabilities: Tensor) -> None:
    count = len(probabilities)
    counts = sorted({max(SPLITS, count >> shift) for shift in range(8)})
    means, spreads = [], []
    for some in counts:
        if some > count:
            continue
        scores = []
        parts = torch.from_numpy(split_of_images(some, "paper").astype(np.int64))
        for part in range(SPLITS):
            of_part = probabilities[:some][parts == part]
            negative = torch.special.xlogy(of_part, of_part).sum(dim=1).mean()
            scores.append(float(scores_of_sums(of_part.mean(dim=0), negative)))
        means.append(np.mean(scores))
        spreads.append(np.std(scores))
    shown = counts[: len(means)]
    axes.errorbar(shown, means, yerr=spreads, marker="o", markersize=4, capsize=3, linewidth=1.5)
    axes.set_xscale("log")
    axes.set_xticks(shown, [f"{some:,}" for some in shown], rotation=30)
    axes.minorticks_off()
    axes.set_xlabel("images (the first so many)")
    axes.set_ylabel(f"Inception score ({SPLITS} splits)")
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


def _write(path: Path, draw: Any) -> None:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        draw(figure.add_subplot())
        with written_aside(path) as aside:
            figure.savefig(aside, format="svg", metadata={"Date": None})


def _shown(name: str) -> Any:
    return lambda value: format(value, _PRECISE.get(name, ".3f"))


def _interval(interval: Any, shown: Any) -> str:
    return "none" if interval is None else f"{shown(interval.low)} to {shown(interval.high)}"


def _verdict(comparison: Comparison) -> str:
    if comparison.distinguishable is None:
        return "no interval"
    if not comparison.distinguishable:
        return "not distinguishable"
    lower = comparison.difference < 0
    return "better" if lower == (_BETTER.get(comparison.name) == "lower") else "worse"
