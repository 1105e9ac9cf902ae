"""Krippendorff's alpha: how far participants agree about each image."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from convergan.statistics.intervals import Interval
from convergan.statistics.levels import LEVEL


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha: 1 full agreement, 0 agreement by chance, below 0 less agreement than that."""

    alpha: float

    interval: Interval
    """95 %, over images."""

    images: int
    """Number of images with at least two votes: only these count."""


def agreement(image: np.ndarray, answer: np.ndarray) -> Agreement | None:
    """Compute Krippendorff's alpha of nominal answers, any of which may be missing.

    With n_uc answers c on image u, m_u answers on it in all (at least 2), n_c answers c on all of these
    images and n answers in all:

        alpha = 1 - (n - 1) sum_u [(m_u^2 - sum_c n_uc^2) / (m_u - 1)] / (n^2 - sum_c n_c^2)

    Source: Krippendorff, Computing Krippendorff's alpha-reliability (2011). The 95 % interval is a
    jackknife over images, whose coverage is better than that of the customary bootstrap (Hughes 2022,
    arXiv 2210.13265).

    Args:
        image: [n], the image that each answer is about.
        answer: [n], the answers.

    Returns:
        Alpha and its interval; None where alpha is undefined, or would be without one of the images: fewer
        than two images with two answers, or (nearly) all answers equal.
    """
    images, row = np.unique(image, return_inverse=True)
    answers, column = np.unique(answer, return_inverse=True)
    counts = np.zeros((len(images), len(answers)))
    np.add.at(counts, (row, column), 1)
    counts = counts[counts.sum(1) >= 2]
    size = len(counts)
    if size < 2:
        return None
    votes = counts.sum(1)
    disagreement = (votes**2 - (counts**2).sum(1)) / (votes - 1)

    def alpha(disagreements: np.ndarray, totals: np.ndarray) -> np.ndarray:
        n = totals.sum(-1)
        with np.errstate(invalid="ignore"):
            return 1 - (n - 1) * disagreements / (n**2 - (totals**2).sum(-1))

    value = alpha(disagreement.sum(), counts.sum(0))
    leave_one_out = alpha(disagreement.sum() - disagreement, counts.sum(0) - counts)
    if np.isnan(value) or np.isnan(leave_one_out).any():
        return None
    error = np.sqrt((size - 1) / size * ((leave_one_out - leave_one_out.mean()) ** 2).sum())
    half_width = t.ppf((1 + LEVEL) / 2, size - 1) * error
    return Agreement(
        float(value), Interval(float(value - half_width), float(min(1, value + half_width))), size
    )
