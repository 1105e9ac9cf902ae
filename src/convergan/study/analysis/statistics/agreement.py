"""Whether participants see the same in an image: Krippendorff's alpha."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from convergan.statistics.intervals import Interval
from convergan.statistics.levels import LEVEL


@dataclass(frozen=True)
class Agreement:
    """1: all agree; 0: as chance would have it; below 0: they contradict each other."""

    alpha: float
    interval: Interval
    images: int
    """Images with at least two votes: only these tell."""


def agreement(image: np.ndarray, answer: np.ndarray) -> Agreement | None:
    """Krippendorff's alpha of nominal answers, any of them missing.

    With n_uc answers c on image u, m_u in all on it (at least 2), n_c answers c on all of these images and n
    in all:

        alpha = 1 - (n - 1) sum_u [(m_u^2 - sum_c n_uc^2) / (m_u - 1)] / (n^2 - sum_c n_c^2)

    Source: Krippendorff, Computing Krippendorff's alpha-reliability (2011). The 95 % interval is the
    jackknife's over images, which keeps its level better than the customary bootstrap (Hughes 2022,
    arXiv 2210.13265).

    Args:
        image: [n], what each answer is about.
        answer: [n].

    Returns:
        None where alpha has no value, or would have none without some image: fewer than two images
        with two answers, or (nearly) all answers equal.
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
    without_one = alpha(disagreement.sum() - disagreement, counts.sum(0) - counts)
    if np.isnan(value) or np.isnan(without_one).any():
        return None
    error = np.sqrt((size - 1) / size * ((without_one - without_one.mean()) ** 2).sum())
    reach = t.ppf((1 + LEVEL) / 2, size - 1) * error
    return Agreement(
        float(value), Interval(float(value - reach), float(min(1, value + reach))), size
    )
