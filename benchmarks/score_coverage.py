"""Claim: the 95 % intervals of scores, and of differences of two, hold the truth in 93 to 97 % of draws.

    python benchmarks/score_coverage.py [--parts 10] [--metrics is fid kid pr] [--table]

Every draw is two sets of images and a reference, all new. The features are normal, the k-th with the standard
deviation k^(-1/2), or such features mixed and cut off at 0, as a network's last layer has them; logits are
mixtures of them. The sets differ from the reference by nothing, or in their first coordinate by .1, .3 or 1
of its standard deviation. The truth is what a number is on average over the draws, 0 for differences and for
KID of equal sets; FID infinity's is that of infinitely many images, which is known where features are normal.
Beside coverage stands the mean width of the intervals over 2 x 1.96 true standard deviations.

Draws come in parts of 100: the first part of every setting, then the second, and so on up to `--parts`. Each
is written when it is done: a call that is killed loses the part that it was at, and the next one goes on. The
JSON, and the table of docs/scores.md by `benchmarks/score_tables.py`, are of all parts that there are; with
`--table` nothing is drawn.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convergan.metrics.frechet_metric import FrechetMetric
from convergan.metrics.inception_score import InceptionScoreMetric
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.manifold import OverlapMetric
from convergan.metrics.metric import Comparison, Embedded, Metric, compare
from harness.cells import ROOT, Cell, Cells
from harness.rows import row, write_rows

METRICS: dict[str, Metric] = {
    "is": InceptionScoreMetric(),
    "fid": FrechetMetric(),
    "kid": KernelMetric(),
    "pr": OverlapMetric(),
}
SHIFTS = {"equal": 0.0, "near": 0.1, "apart": 0.3, "far": 1.0}

DRAWS = 100
"""Of a part."""

_OF_ALL = ("metrics/metric.py", "statistics/intervals.py", "statistics/student.py")
_OF_METRIC = {
    "is": ("metrics/inception_score.py",),
    "fid": ("metrics/frechet.py", "metrics/second_order.py", "statistics/squared_distances.py"),
    "kid": (
        "metrics/kernel_distance.py",
        "metrics/pairs.py",
        "metrics/second_order.py",
        "statistics/squared_distances.py",
    ),
    "pr": ("metrics/manifold.py", "metrics/neighbours.py", "metrics/pairs.py"),
}


@dataclass(frozen=True)
class Setting:
    """What is drawn, and of which metric."""

    metric: str
    family: str
    count: int
    features: int
    closeness: str
    classes: int = 10
    parts: int = 10
    """At most."""

    def __str__(self) -> str:
        features = f"{self.features} {self.family} features"
        shown = f"{self.classes:,} classes" if self.metric == "is" else features
        return f"{self.count:,} images, {shown}, {self.closeness}"

    def cell(self, part: int) -> Cell:
        """Of a part of its draws."""
        names = (self.metric, self.family, str(self.count), str(self.features), self.closeness)
        return Cell(
            (*names, str(part)),
            {**asdict(self), "parts": None, "part": part, "draws": DRAWS, "shifts": SHIFTS},
            [ROOT / "src" / "convergan" / name for name in (*_OF_ALL, *_OF_METRIC[self.metric])],
        )


def _settings() -> Iterator[Setting]:
    for count, classes, parts in ((1000, 10, 10), (5000, 10, 10), (1000, 1000, 5)):
        # The Inception score has no reference to be near to.
        yield Setting("is", "normal", count, 64, "equal", classes, parts)
    for closeness in SHIFTS:
        for family, features in (("normal", 16), ("normal", 64), ("rectified", 64)):
            yield Setting("fid", family, 1000, features, closeness)
            yield Setting("kid", family, 1000, features, closeness)
        yield Setting("fid", "normal", 1000, 250, closeness, parts=2)
        yield Setting("fid", "normal", 5000, 64, closeness, parts=3)
    for closeness in ("equal", "far"):
        for family, features in (("normal", 16), ("rectified", 64)):
            yield Setting("pr", family, 1000, features, closeness)
    yield Setting("kid", "normal", 5000, 16, "near", parts=1)
    yield Setting("pr", "normal", 5000, 16, "far", parts=1)


SETTINGS = tuple(_settings())


class Family:
    """A kind of images, as a network sees them.

    Args:
        name: normal, or rectified.
        features: how many.
        classes: how many.
    """

    def __init__(self, name: str, features: int, classes: int = 10) -> None:
        generator = torch.Generator().manual_seed(features)
        self.name, self.features = name, features
        self.scale = torch.arange(1, features + 1) ** -0.5
        self.mixing = torch.randn(features, features, generator=generator)
        self.head = torch.randn(features, classes, generator=generator) * 3 / features**0.5

    def draw(self, generator: torch.Generator, count: int, shift: float) -> Embedded:
        """New images, the first coordinate of each moved by `shift`."""
        normal = torch.randn(count, self.features, generator=generator)
        normal[:, 0] += shift
        features: Tensor = normal * self.scale
        if self.name == "rectified":
            features = (features @ self.mixing).relu()
        return Embedded(features, normal @ self.head)


def draw(setting: Setting, part: int, draws: int = DRAWS) -> dict[str, Any]:
    """What a part of the draws gives: in `numbers`, by name, `first` and `second`, [draws] of value, low and
    high, `difference` likewise, and the `methods`, each once."""
    begun = time.process_time(), time.perf_counter()
    images = Family(setting.family, setting.features, setting.classes)
    generator = torch.Generator().manual_seed(part)
    found: dict[str, dict[str, Any]] = {}
    for number in range(draws):
        shift = SHIFTS[setting.closeness]
        sets = [images.draw(generator, setting.count, shift) for _ in range(2)]
        reference = images.draw(generator, setting.count, 0.0)
        for one in compare(METRICS[setting.metric], *sets, reference, seed=part * draws + number):
            of_number = found.setdefault(
                one.name, {"first": [], "second": [], "difference": [], "methods": []}
            )
            _keep(of_number, one)
    return {
        "draws": draws,
        "cpu_seconds": time.process_time() - begun[0],
        "wall_seconds": time.perf_counter() - begun[1],
        "numbers_of": str(setting),
        "numbers": found,
    }


def _keep(of_number: dict[str, Any], one: Comparison) -> None:
    for name, value, interval in (
        ("first", one.first.value, one.first.interval),
        ("second", one.second.value, one.second.interval),
        ("difference", one.difference, one.interval),
    ):
        of_number[name].append([value, *(interval or (None, None))])
    if one.first.method not in of_number["methods"]:
        of_number["methods"].append(one.first.method)


def rows_of(setting: Setting, parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each number of a metric, of all draws that there are."""
    rows = []
    for name in parts[0]["numbers"]:
        of_number = [part["numbers"][name] for part in parts]
        first, second, differences = (
            np.array([line for one in of_number for line in one[which]], dtype=float)
            for which in ("first", "second", "difference")
        )
        truth = None
        if name == "FID infinity" and setting.family == "normal":
            truth = SHIFTS[setting.closeness] ** 2
        elif name == "KID" and setting.closeness == "equal":
            truth = 0.0
        methods = dict.fromkeys(method for one in of_number for method in one["methods"])
        rows.append(_row(name, setting, first, second, differences, truth, list(methods)))
    return rows


def _row(
    name: str,
    setting: Setting,
    first: np.ndarray,
    second: np.ndarray,
    differences: np.ndarray,
    truth: float | None,
    methods: list[str],
) -> dict[str, Any]:
    both = np.concatenate([first, second])
    truth = float(both[:, 0].mean()) if truth is None else truth
    spread = float(np.sqrt((first[:, 0].var(ddof=1) + second[:, 0].var(ddof=1)) / 2))
    below, above = _missed(both, truth)
    found = row(
        claim="95 % intervals hold the truth in 93 to 97 % of draws",
        setting=f"{name}, {setting}",
        device="cpu",
        precision="64-true",
        ours=_coverage(both, truth),
        peer=0.95,
        peer_name="what they say",
        unit="share of intervals that hold the truth",
        repeats=len(first),
        number=name,
        images=setting.count,
        features=setting.features,
        classes=setting.classes,
        family=setting.family,
        closeness=setting.closeness,
        mean=float(both[:, 0].mean()),
        truth=truth,
        too_high=below,
        too_low=above,
        width=_width(both, spread),
        coverage_of_difference=_coverage(differences, 0.0),
        width_of_difference=_width(differences, float(differences[:, 0].std(ddof=1))),
        given=float(np.isfinite(both[:, 1]).mean()),
        methods=methods,
    )
    print(
        f"{found['setting']}: {found['ours']:.3f} at {found['width']:.2f} times the width; difference"
        f" {found['coverage_of_difference']:.3f} at {found['width_of_difference']:.2f};"
        f" {found['repeats']} draws",
        flush=True,
    )
    return found


def _given(lines: np.ndarray) -> np.ndarray:
    """[given, 3]: those with an interval."""
    return lines[np.isfinite(lines[:, 1])]


def _missed(lines: np.ndarray, truth: float) -> tuple[float, float]:
    """Shares of intervals above the truth and below it; NaN without intervals."""
    given = _given(lines)
    if not len(given):
        return np.nan, np.nan
    return float(np.mean(given[:, 1] > truth)), float(np.mean(given[:, 2] < truth))


def _coverage(lines: np.ndarray, truth: float) -> float:
    return 1 - sum(_missed(lines, truth))


def _width(lines: np.ndarray, spread: float) -> float:
    given = _given(lines)
    if not len(given):
        return np.nan
    return float(np.mean(given[:, 2] - given[:, 1]) / (2 * 1.96 * spread))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, default=10, help="of 100 draws, of each setting")
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--table", action="store_true", help="draw nothing, print what there is")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/score-coverage"))
    arguments = parser.parse_args(words)
    cells = Cells(arguments.runs / "cells")
    by_cell: dict[str, tuple[Setting, int]] = {}
    todo = []
    for part in range(0 if arguments.table else arguments.parts):
        for setting in SETTINGS:
            if setting.metric in arguments.metrics and part < setting.parts:
                cell = setting.cell(part)
                by_cell[cell.name] = (setting, part)
                todo.append(cell)
    failed = cells.run(todo, lambda cell: draw(*by_cell[cell.name]))
    found = []
    for setting in SETTINGS:
        parts = [cells.found(setting.cell(part)) for part in range(setting.parts)]
        there = [part for part in parts if part is not None]
        if there:
            found += rows_of(setting, there)
    print(write_rows("score-coverage", found))
    if failed:
        raise SystemExit(f"{failed} parts failed")


if __name__ == "__main__":
    main()
