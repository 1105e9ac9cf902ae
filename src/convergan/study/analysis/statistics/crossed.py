"""Means over participants, where both participants and images are samples.

Every vote belongs to a participant and to an image. An interval that takes the images for fixed says nothing
about the generator's other images, and such a test finds differences between two samples of one generator
(Clark, Journal of Verbal Learning and Verbal Behavior 12, 1973, 335-359). With e a vote's contribution to the
mean, minus its expectation, the two-way cluster-robust variance is

    V = sum_participants (sum of their e)^2 + sum_images (sum of their e)^2 - sum_votes e^2

(Cameron, Gelbach and Miller, Journal of Business and Economic Statistics 29, 2011, 238-249; Owen, Annals of
Applied Statistics 1, 2007, 386-411). Each of the first two terms is divided by (clusters - 1) / clusters of
its stratum.
"""

from dataclasses import dataclass, replace

import numpy as np

from convergan.statistics.student import Student, satterthwaite

MEASURES = ("accuracy", "error_on_generated", "error_on_real")


@dataclass(frozen=True)
class Crossed:
    """A mean over participants, with the contributions of participants and of votes."""

    numbers: np.ndarray
    """float64 [participants]: the values whose mean it is."""

    image: np.ndarray
    """str [votes]: the image of each vote; empty where the images are unknown."""

    stratum: np.ndarray
    """str [votes]: the kind of image; each kind is a sample of its own."""

    effects: np.ndarray
    """float64 [votes]: contribution of each vote to the mean, minus the expectation in its stratum."""

    least_variance: float
    """Lower bound of V: the variance of independent votes."""

    @property
    def without_images(self) -> "Crossed":
        """The mean over participants alone."""
        return replace(
            self, image=self.image[:0], stratum=self.stratum[:0], effects=self.effects[:0]
        )

    @property
    def value(self) -> float:
        return float(self.numbers.mean())


def crossed_estimate(mean: Crossed, minus: Crossed | None = None) -> Student | None:
    """Estimate a mean, or the difference of two, for other participants and other images.

    Images that both sides show are the same clusters: effects that they have on both cancel out. V is at
    least each of its first two terms, and at least the variance of as many independent votes. Its degrees of
    freedom are Satterthwaite's, with one less than the number of clusters in each stratum. Without images V
    is the variance over participants.

    Returns:
        The estimate; None with fewer than two participants on either side, without any variation, or where a
        stratum has only one image.
    """
    sides = [mean] if minus is None else [mean, minus]
    if min(len(side.numbers) for side in sides) < 2:
        return None
    participant_variances = [side.numbers.var(ddof=1) / len(side.numbers) for side in sides]
    parts, freedoms = list(participant_variances), [len(side.numbers) - 1.0 for side in sides]
    variance = participants = float(sum(participant_variances))
    if all(len(side.image) for side in sides):
        images = image_variances(sides)
        if images is None:
            return None
        image_terms, image_freedoms, vote_term = images
        variance = max(participants, sum(image_terms), participants + sum(image_terms) - vote_term)
        parts += image_terms
        freedoms += image_freedoms
    freedom = satterthwaite(variance, parts, freedoms) if variance > 0 else min(freedoms)
    variance = max(variance, sum(side.least_variance for side in sides))
    if variance == 0:
        return None
    value = mean.value - (0 if minus is None else minus.value)
    return Student(value, float(variance**0.5), float(freedom))


def image_variances(sides: list[Crossed]) -> tuple[list[float], list[float], float] | None:
    """Compute the second and third terms of V, of a mean or of the difference of two.

    Returns:
        The variance over images and its degrees of freedom, a number for each stratum; the sum over votes of
        e^2. None where a stratum has only one image.
    """
    effects = np.concatenate(
        [sign * side.effects for sign, side in zip((1, -1), sides, strict=False)]
    )
    stratum = np.concatenate([side.stratum for side in sides])
    _, first, image = np.unique(
        np.concatenate([side.image for side in sides]), return_index=True, return_inverse=True
    )
    sums = np.bincount(image, effects)
    variances, freedoms = [], []
    for name in np.unique(stratum):
        stratum_sums = sums[stratum[first] == name]
        size = len(stratum_sums)
        if size < 2:
            return None
        variances.append(float((stratum_sums**2).sum() * size / (size - 1)))
        freedoms.append(size - 1.0)
    return variances, freedoms, float((effects**2).sum())


def independent_variance(wrong: float, votes: float) -> float:
    """Estimate the variance of the share of wrong answers among independent votes.

    p (1 - p) / votes with p = (wrong + 2) / (votes + 4), which is above 0 also where none or all are wrong
    (Agresti and Coull, The American Statistician 52, 1998, 119-126).
    """
    share = (wrong + 2) / (votes + 4)
    return share * (1 - share) / votes
