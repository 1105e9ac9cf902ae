"""Claim: the 95 % intervals of scores, and of differences of two, hold the truth in 93 to 97 % of draws.

    python benchmarks/score_coverage.py [--parts 40] [--metrics is fid kid pr] [--table] [--any-code]

Every draw is two sets of images and a reference, all new. The features are normal, the k-th with the standard
deviation k^(-1/2), or such features mixed and cut off at 0, as a network's last layer has them. Logits are
mixtures of them; of "labelled" images one logit, drawn at random, is higher by 6 on average, as a classifier
has it of images of one object each. "Sorted" images are those of normal features, in the order of their
classes; they have no interval. The sets differ from the reference by nothing, or in their first coordinate by
.1, .3 or 1 of its standard deviation, both alike, or by .1 in opposite directions. The truth is
what a number is on average over the draws, 0 for differences and for KID of equal sets; FID infinity's is
that of infinitely many images, which is known where features are normal. Every row has the mean width of the
intervals over 2 x 1.96 true standard deviations.

Draws come in parts of 25: the first part of every setting, then the second, and so on up to `--parts`; 50,000
images, precision and recall of 5,000, and sorted images have fewer parts and come last. Each
is written when it is done: a killed call loses a single part, and the next call continues. The JSON, and the
table of docs/scores.md by `benchmarks/score_tables.py`, are of all parts that there are; with `--table`
nothing is drawn.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convergan.metrics.frechet_metric import FrechetMetric
from convergan.metrics.inception_score_metric import InceptionScoreMetric
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.manifold import OverlapMetric
from convergan.metrics.metric import Comparison, Embedded, Metric, compare
from convergan.statistics.intervals import wilson
from harness.cells import ROOT, Cell, Cells
from harness.command_line import command_parser
from harness.rows import row, write_rows

METRICS: dict[str, Metric] = {
    "is": InceptionScoreMetric(),
    "fid": FrechetMetric(),
    "kid": KernelMetric(),
    "pr": OverlapMetric(),
}
SHIFTS = {"equal": 0.0, "near": 0.1, "opposite": 0.1, "apart": 0.3, "far": 1.0}
"""Shifts of the sets; the second set of "opposite" has the negative one."""

DRAWS = 25
"""Draws of a part."""

SHARED_CODE = ("metrics/metric.py", "statistics/intervals.py", "statistics/student.py")
METRIC_CODE = {
    "is": (
        "metrics/inception_score.py",
        "metrics/inception_score_metric.py",
        "metrics/splits_check.py",
    ),
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
    """Metric, and kind and number of the images that are drawn."""

    metric: str
    family: str
    count: int
    features: int
    closeness: str
    classes: int = 10
    parts: int = 40
    """Largest number of parts."""

    def __str__(self) -> str:
        features = f"{self.features} {self.family} features"
        features_or_classes = (
            f"{self.classes:,} classes of {self.family} images" if self.metric == "is" else features
        )
        return f"{self.count:,} images, {features_or_classes}, {self.closeness}"

    def cell(self, part: int) -> Cell:
        """The cell of a part of the draws."""
        names = (self.metric, self.family, str(self.count), str(self.features), self.closeness)
        return Cell(
            (*names, str(part)),
            {**asdict(self), "parts": None, "part": part, "draws": DRAWS, "shifts": SHIFTS},
            [
                ROOT / "src" / "convergan" / name
                for name in (*SHARED_CODE, *METRIC_CODE[self.metric])
            ],
        )


def _settings() -> Iterator[Setting]:
    # The Inception score has no reference to be near to.
    for count in (1000, 5000):
        yield Setting("is", "normal", count, 64, "equal")
        yield Setting("is", "sorted", count, 64, "equal", parts=4)
    for count, parts in ((1000, 40), (5000, 40), (50_000, 4)):
        yield Setting("is", "labelled", count, 64, "equal", 1000, parts)
    for closeness in SHIFTS:
        if closeness == "opposite":
            for features in (16, 64):
                yield Setting("fid", "normal", 1000, features, closeness)
                yield Setting("kid", "normal", 1000, features, closeness)
            continue
        for family, features in (("normal", 16), ("normal", 64), ("rectified", 64)):
            yield Setting("fid", family, 1000, features, closeness)
            yield Setting("kid", family, 1000, features, closeness)
    for closeness in ("equal", "near", "apart", "far"):
        yield Setting("fid", "normal", 5000, 64, closeness)
    yield Setting("kid", "normal", 5000, 16, "near")
    for closeness in ("equal", "far"):
        for family, features in (("normal", 16), ("rectified", 64)):
            yield Setting("pr", family, 1000, features, closeness)
    yield Setting("pr", "normal", 5000, 16, "far", parts=4)
    for closeness in ("equal", "near", "apart", "far"):
        yield Setting("fid", "normal", 1000, 250, closeness)


SETTINGS = tuple(_settings())


class Family:
    """A kind of images, as a network sees them.

    Args:
        name: normal, rectified, labelled, or sorted.
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
        logits = normal @ self.head
        if self.name == "labelled":
            labels = torch.randint(self.head.shape[1], (count, 1), generator=generator)
            logits = logits / 3 + torch.zeros_like(logits).scatter_(
                1, labels, 6 + 2 * torch.randn(count, 1, generator=generator)
            )
        if self.name == "sorted":
            order = logits.argmax(dim=1).argsort(stable=True)
            features, logits = features[order], logits[order]
        return Embedded(features, logits)


def draw(setting: Setting, part: int, draws: int = DRAWS) -> dict[str, Any]:
    """Results of a part of the draws: in `numbers`, by name, `first` and `second`, [draws] of value, low and
    high, `difference` likewise, and the `methods`, each once.
    """
    begun = time.process_time(), time.perf_counter()
    images = Family(setting.family, setting.features, setting.classes)
    generator = torch.Generator().manual_seed(part)
    numbers: dict[str, dict[str, Any]] = {}
    for number in range(draws):
        shift = SHIFTS[setting.closeness]
        shifts = (shift, -shift if setting.closeness == "opposite" else shift)
        sets = [images.draw(generator, setting.count, set_shift) for set_shift in shifts]
        reference = images.draw(generator, setting.count, 0.0)
        for comparison in compare(
            METRICS[setting.metric], *sets, reference, seed=part * draws + number
        ):
            number_lines = numbers.setdefault(
                comparison.name, {"first": [], "second": [], "difference": [], "methods": []}
            )
            _keep(number_lines, comparison)
    return {
        "draws": draws,
        "cpu_seconds": time.process_time() - begun[0],
        "wall_seconds": time.perf_counter() - begun[1],
        "numbers_of": str(setting),
        "numbers": numbers,
    }


def _keep(number_lines: dict[str, Any], comparison: Comparison) -> None:
    for name, value, interval in (
        ("first", comparison.first.value, comparison.first.interval),
        ("second", comparison.second.value, comparison.second.interval),
        ("difference", comparison.difference, comparison.interval),
    ):
        number_lines[name].append([value, *(interval or (None, None))])
    if comparison.first.method not in number_lines["methods"]:
        number_lines["methods"].append(comparison.first.method)


def rows_of(setting: Setting, parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each number of a metric, of all draws that there are."""
    rows = []
    for name in parts[0]["numbers"]:
        number_lines = [part["numbers"][name] for part in parts]
        first, second, differences = (
            np.array(
                [line for part_lines in number_lines for line in part_lines[side]], dtype=float
            )
            for side in ("first", "second", "difference")
        )
        truth = None
        if name == "FID infinity" and setting.family == "normal":
            truth = SHIFTS[setting.closeness] ** 2
        elif name == "KID" and setting.closeness == "equal":
            truth = 0.0
        methods = dict.fromkeys(
            method for part_lines in number_lines for method in part_lines["methods"]
        )
        rows.append(_row(name, setting, first, second, differences, truth, list(methods)))
        # The row's own commit is that of the code that prints: with --any-code, older code may have drawn.
        commits = dict.fromkeys(part.get("git_commit") for part in parts)
        rows[-1]["measured_at_commits"] = [commit for commit in commits if commit]
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
    lines = np.concatenate([first, second])
    truth = float(lines[:, 0].mean()) if truth is None else truth
    spread = float(np.sqrt((first[:, 0].var(ddof=1) + second[:, 0].var(ddof=1)) / 2))
    too_high, too_low = _missed(lines, truth)
    holding = _coverage(lines, truth)
    result = row(
        claim="95 % intervals hold the truth in 93 to 97 % of draws",
        setting=f"{name}, {setting}",
        device="cpu",
        precision="64-true",
        ours=holding,
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
        mean=float(lines[:, 0].mean()),
        truth=truth,
        interval_of_rate=_interval_of_rate(holding, len(first)),
        too_high=too_high,
        too_low=too_low,
        width=_width(lines, spread),
        coverage_of_difference=_coverage(differences, 0.0),
        interval_of_rate_of_difference=_interval_of_rate(_coverage(differences, 0.0), len(first)),
        width_of_difference=_width(differences, float(differences[:, 0].std(ddof=1))),
        given=float(np.isfinite(lines[:, 1]).mean()),
        methods=methods,
    )
    print(
        f"{result['setting']}: {result['ours']:.3f} at {result['width']:.2f} times the width; difference"
        f" {result['coverage_of_difference']:.3f} at {result['width_of_difference']:.2f};"
        f" {result['repeats']} draws",
        flush=True,
    )
    return result


def _finite_lines(lines: np.ndarray) -> np.ndarray:
    """Lines that have an interval, [lines, 3]."""
    return lines[np.isfinite(lines[:, 1])]


def _missed(lines: np.ndarray, truth: float) -> tuple[float, float]:
    """Shares of intervals above the truth and below it; NaN without intervals."""
    finite = _finite_lines(lines)
    if not len(finite):
        return np.nan, np.nan
    return float(np.mean(finite[:, 1] > truth)), float(np.mean(finite[:, 2] < truth))


def _coverage(lines: np.ndarray, truth: float) -> float:
    return 1 - sum(_missed(lines, truth))


def _interval_of_rate(rate: float, draws: int) -> list[float]:
    """Wilson's, of so many draws: the two sets of one have a reference in common."""
    return [np.nan, np.nan] if np.isnan(rate) else list(wilson(round(rate * draws), draws))


def _width(lines: np.ndarray, spread: float) -> float:
    finite = _finite_lines(lines)
    if not len(finite):
        return np.nan
    return float(np.mean(finite[:, 2] - finite[:, 1]) / (2 * 1.96 * spread))


def main(words: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--parts", type=int, default=40, help=f"of {DRAWS} draws, of each setting")
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--table", action="store_true", help="draw nothing, print what there is")
    parser.add_argument(
        "--any-code", action="store_true", help="what earlier code measured counts as well"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/score-coverage"))
    arguments = parser.parse_args(words)
    cells = Cells(arguments.runs / "cells", any_code=arguments.any_code)
    by_cell: dict[str, tuple[Setting, int]] = {}
    todo = []
    for part in range(0 if arguments.table else arguments.parts):
        for setting in SETTINGS:
            if setting.metric in arguments.metrics and part < setting.parts:
                cell = setting.cell(part)
                by_cell[cell.name] = (setting, part)
                todo.append(cell)
    todo.sort(key=lambda cell: -by_cell[cell.name][0].parts)
    failed = cells.run(todo, lambda cell: draw(*by_cell[cell.name]))
    rows = []
    for setting in SETTINGS:
        parts = [cells.load(setting.cell(part)) for part in range(setting.parts)]
        finished = [part for part in parts if part is not None]
        if finished:
            rows += rows_of(setting, finished)
    print(write_rows("score-coverage", rows))
    if failed:
        raise SystemExit(f"{failed} parts failed")


if __name__ == "__main__":
    main()
