"""Claim: the 95 % intervals of scores, and of differences of two, hold the truth in 93 to 97 % of draws.

    python benchmarks/score_coverage.py [--draws 1000] [--metrics is fid kid pr] [--sizes 1000 5000]
        [--features 16 64] [--seed 0]

Every draw is two sets of images and a reference, all new. The features are normal, the k-th with the standard
deviation k^(-1/2), or such features mixed and cut off at 0, as a network's last layer has them; logits are
mixtures of them. The sets differ from the reference by nothing, by a little (a tenth of the first standard
deviation) or by much (the whole of it). The truth is what a number is on average over the draws, and 0 for
differences; FID infinity's is that of infinitely many images, which is known where features are normal.
Beside coverage stands the mean width of the intervals over 2 x 1.96 true standard deviations.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convergan.metrics.frechet import FEWEST_PER_FEATURE_FOR_INTERVAL, FrechetMetric
from convergan.metrics.inception_score import InceptionScoreMetric
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.manifold import OverlapMetric
from convergan.metrics.metric import Comparison, Embedded, Metric, compare
from rows import row, write_rows

METRICS: dict[str, Metric] = {
    "is": InceptionScoreMetric(),
    "fid": FrechetMetric(),
    "kid": KernelMetric(),
    "pr": OverlapMetric(),
}
SHIFTS = {"equal": 0.0, "near": 0.1, "far": 1.0}
FAMILIES = ("normal", "rectified")
_CLASSES = 10


class Family:
    """A kind of images, as a network sees them.

    Args:
        name: one of FAMILIES.
        features: how many.
    """

    def __init__(self, name: str, features: int) -> None:
        generator = torch.Generator().manual_seed(features)
        self.name, self.features = name, features
        self.scale = torch.arange(1, features + 1) ** -0.5
        self.mixing = torch.randn(features, features, generator=generator)
        self.head = torch.randn(features, _CLASSES, generator=generator) * 3 / features**0.5

    def draw(self, generator: torch.Generator, count: int, shift: float) -> Embedded:
        """New images, the first coordinate of each moved by `shift`."""
        normal = torch.randn(count, self.features, generator=generator)
        normal[:, 0] += shift
        features: Tensor = normal * self.scale
        if self.name == "rectified":
            features = (features @ self.mixing).relu()
        return Embedded(features, normal @ self.head)


def coverage(
    name: str, family: str, count: int, features: int, closeness: str, draws: int, seed: int
) -> list[dict[str, Any]]:
    """A row for each number of a metric."""
    images = Family(family, features)
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[Comparison]] = {}
    for number in range(draws):
        sets = [images.draw(generator, count, SHIFTS[closeness]) for _ in range(2)]
        reference = images.draw(generator, count, 0.0)
        for one in compare(METRICS[name], *sets, reference, seed=number):
            found.setdefault(one.name, []).append(one)
    rows = []
    for number_name, compared in found.items():
        truth = None
        if number_name == "FID infinity" and family == "normal":
            truth = SHIFTS[closeness] ** 2
        rows.append(_row(number_name, family, count, features, closeness, compared, truth))
    return rows


def _row(
    name: str,
    family: str,
    count: int,
    features: int,
    closeness: str,
    compared: Sequence[Comparison],
    truth: float | None,
) -> dict[str, Any]:
    sides = [side for one in compared for side in (one.first, one.second)]
    values = np.array([side.value for side in sides])
    own = np.array([side.interval or (np.nan, np.nan) for side in sides])
    of_difference = np.array([one.interval or (np.nan, np.nan) for one in compared])
    truth = float(values.mean()) if truth is None else truth
    spread = np.sqrt((values[::2].var(ddof=1) + values[1::2].var(ddof=1)) / 2)
    details = {
        "width": _width(own, spread),
        "coverage_of_difference": _share(of_difference, 0.0),
        "width_of_difference": _width(
            of_difference, np.std([one.difference for one in compared], ddof=1)
        ),
        "mean": float(values.mean()),
        "method": sides[0].method,
    }
    setting = f"{name}, {count:,} images, {features} {family} features, {closeness}"
    print(
        f"{setting}: {_share(own, truth):.3f} at {details['width']:.2f} times the width;"
        f" difference {details['coverage_of_difference']:.3f} at {details['width_of_difference']:.2f}",
        flush=True,
    )
    return row(
        claim="95 % intervals hold the truth in 93 to 97 % of draws",
        setting=setting,
        device="cpu",
        precision="64-true",
        ours=_share(own, truth),
        peer=0.95,
        peer_name="what they say",
        unit="share of intervals that hold the truth",
        repeats=len(compared),
        **details,
    )


def _share(intervals: np.ndarray, truth: float) -> float:
    return float(np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])))


def _width(intervals: np.ndarray, spread: float) -> float:
    return float(np.mean(intervals[:, 1] - intervals[:, 0]) / (2 * 1.96 * spread))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--features", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    found = []
    for name in arguments.metrics:
        for family in arguments.families:
            for count in arguments.sizes:
                for features in arguments.features:
                    if name == "fid" and count < FEWEST_PER_FEATURE_FOR_INTERVAL * features:
                        continue
                    for closeness in SHIFTS:
                        # The Inception score has no reference to be near to.
                        if name == "is" and closeness != "equal":
                            continue
                        found += coverage(
                            *(name, family, count, features, closeness),
                            draws=arguments.draws,
                            seed=arguments.seed,
                        )
    print(write_rows("score-coverage", found))


if __name__ == "__main__":
    main()
