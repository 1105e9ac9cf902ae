"""Test of whether the splits of an Inception score differ by more than chance, as in sorted images."""

from dataclasses import dataclass

import numpy as np
import torch

from convergan.metrics.inception_score import (
    InceptionScoreMetric,
    marginal_of,
    negative_entropy,
    probabilities_of_images,
    scores_of_sums,
    split_of_images,
)
from convergan.metrics.metric import Embedded


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


def check_splits(metric: InceptionScoreMetric, images: Embedded) -> SplitsCheck:
    """Compare the splits of an Inception score with each other."""
    count, logits = len(images), images.logits
    parts = split_of_images(count, metric.protocol, splits=metric.splits, seed=metric.split_seed)
    marginal = marginal_of(logits)
    scale = marginal.clamp_min(1e-300).rsqrt()
    moments = torch.zeros(logits.shape[1], logits.shape[1], dtype=torch.float64)
    statistic, scores = 0.0, []
    for part in range(metric.splits):
        places = torch.from_numpy(np.flatnonzero(parts == part))
        total = torch.zeros_like(marginal)
        entropy = 0.0
        for _, probabilities in probabilities_of_images(logits, places):
            scaled = (probabilities - marginal) * scale
            total += probabilities.sum(dim=0)
            moments.addmm_(scaled.T, scaled)
            entropy += float(negative_entropy(probabilities).sum())
        mean = total / len(places)
        statistic += len(places) * float(((mean - marginal) * scale).square().sum())
        scores.append(float(scores_of_sums(mean, torch.tensor(entropy / len(places)))))
    moments /= count
    return SplitsCheck(
        float(np.mean(scores)),
        metric.splits,
        statistic,
        float(moments.trace()),
        float(moments.square().sum()),
    )
