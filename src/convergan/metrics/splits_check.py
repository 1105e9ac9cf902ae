"""Test of whether the splits of an Inception score differ by more than chance, as in sorted images."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int16
from scipy.stats import chi2
from torch import Tensor

from convergan.metrics.inception_score import (
    marginal_of,
    negative_entropy,
    probabilities_of_images,
    scores_of_sums,
)

_CHANCE = 1e-4
"""Probability of the differences in random order below which they count as more than chance."""

_ROUNDING = 1e-10
"""Trace up to which images differ by no more than rounding: p(y|x) varies by 1e-5 of itself. Such images,
copies of one, are in no order."""


@dataclass(frozen=True)
class SplitsCheck:
    """Differences between the splits of a score, and those expected by chance."""

    score: float
    splits: int
    statistic: float
    """Sum over splits, each of n images, of n |p(y) of the split - p(y)|^2 / p(y)."""
    trace: float
    """Trace of the covariance of p(y|x) / p(y)^(1/2).

    In random order the statistic is about (splits - 1) times the trace, and the relative bias of a score with
    n images in each split is about -trace / (2 n)."""
    squares: float
    """Sum of the squares of that covariance; in random order the statistic has the variance
    2 (splits - 1) times this."""

    @property
    def chance(self) -> float:
        """Probability that splits of images in random order differ as much.

        It is that of a scaled chi-square distribution with the mean and variance of the statistic.
        """
        if self.trace <= _ROUNDING or self.squares <= 0 or self.splits < 2:
            return 1.0
        scale = self.squares / self.trace
        degrees = (self.splits - 1) * self.trace / scale
        return float(chi2.sf(self.statistic / scale, degrees))

    @property
    def beyond_chance(self) -> bool:
        """True if the splits differ by more than chance; also of about 1 in 10,000 sets in random order."""
        return self.chance < _CHANCE


def check_splits(
    logits: Float[Tensor, "images classes"], parts: Int16[np.ndarray, "images"]
) -> SplitsCheck:
    """Compare the splits of an Inception score with each other.

    Args:
        logits: logits of all images.
        parts: split of each image, of `split_of_images`.
    """
    count, splits = len(logits), int(parts.max()) + 1
    marginal = marginal_of(logits)
    scale = marginal.clamp_min(1e-300).rsqrt()
    moments = torch.zeros(logits.shape[1], logits.shape[1], dtype=torch.float64)
    statistic, scores = 0.0, []
    for part in range(splits):
        indices = torch.from_numpy(np.flatnonzero(parts == part))
        total = torch.zeros_like(marginal)
        entropy = 0.0
        for _, probabilities in probabilities_of_images(logits, indices):
            scaled = (probabilities - marginal) * scale
            total += probabilities.sum(dim=0)
            moments.addmm_(scaled.T, scaled)
            entropy += float(negative_entropy(probabilities).sum())
        mean = total / len(indices)
        statistic += len(indices) * float(((mean - marginal) * scale).square().sum())
        scores.append(float(scores_of_sums(mean, torch.tensor(entropy / len(indices)))))
    moments /= count
    return SplitsCheck(
        float(np.mean(scores)),
        splits,
        statistic,
        float(moments.trace()),
        float(moments.square().sum()),
    )
