"""Means over participants where both participants and images are samples.

Every vote belongs to a participant and to an image. An interval that holds the images fixed says nothing of
the generator's other images, and a test that does calls two samples of one generator different (Clark,
Journal of Verbal Learning and Verbal Behavior 12, 1973, 335-359). With e the vote's part in the mean less
what was expected of it, the two-way cluster-robust variance is

    V = sum_participants (sum of their e)^2 + sum_images (sum of their e)^2 - sum_votes e^2

(Cameron, Gelbach and Miller, Journal of Business and Economic Statistics 29, 2011, 238-249; Owen, Annals of
Applied Statistics 1, 2007, 386-411). The first two terms are each divided by (clusters - 1) / clusters of
their stratum.
"""

from dataclasses import dataclass, replace

import numpy as np

from convergan.statistics.student import Student, satterthwaite

MEASURES = ("accuracy", "error_on_generated", "error_on_real")


@dataclass(frozen=True)
class Crossed:
    """A mean over participants, taken apart."""

    numbers: np.ndarray
    """float64 [participants]: of which it is the mean."""

    image: np.ndarray
    """str [votes]; of no votes where the images are not known."""

    stratum: np.ndarray
    """str [votes]: the kind of image, each of which is a sample of its own."""

    effects: np.ndarray
    """float64 [votes]: what the vote adds to the mean beyond what was expected of its stratum."""

    least_variance: float
    """What V cannot be less than: that of independent votes."""

    @property
    def without_images(self) -> "Crossed":
        """The mean over participants alone."""
        nothing = slice(0)
        return replace(
            self,
            image=self.image[nothing],
            stratum=self.stratum[nothing],
            effects=self.effects[nothing],
        )

    @property
    def value(self) -> float:
        return float(self.numbers.mean())


def crossed_estimate(mean: Crossed, minus: Crossed | None = None) -> Student | None:
    """A mean, or the difference of two, over other participants and other images.

    Images that both means are about are the same clusters: what they do to both falls out of the difference.
    V is at least each of its first two terms, and at least the variance of as many independent votes. Its
    degrees of freedom are Satterthwaite's, of the strata's clusters less one.

    Returns:
        None with fewer than two participants on either side, where nothing varies, or with one image alone in
        a stratum. Without images V is that of participants.
    """
    sides = [mean] if minus is None else [mean, minus]
    if min(len(side.numbers) for side in sides) < 2:
        return None
    of_participants = [side.numbers.var(ddof=1) / len(side.numbers) for side in sides]
    parts, freedoms = list(of_participants), [len(side.numbers) - 1.0 for side in sides]
    variance = participants = float(sum(of_participants))
    if all(len(side.image) for side in sides):
        images = image_variances(sides)
        if images is None:
            return None
        variances, images_freedoms, of_votes = images
        variance = max(participants, sum(variances), participants + sum(variances) - of_votes)
        parts += variances
        freedoms += images_freedoms
    freedom = satterthwaite(variance, parts, freedoms) if variance > 0 else min(freedoms)
    variance = max(variance, sum(side.least_variance for side in sides))
    if variance == 0:
        return None
    value = mean.value - (0 if minus is None else minus.value)
    return Student(value, float(variance**0.5), float(freedom))


def image_variances(sides: list[Crossed]) -> tuple[list[float], list[float], float] | None:
    """The variance that images give to a mean, or to the difference of two.

    Returns:
        By stratum the variance and its degrees of freedom; and that of single votes, which is part of it.
        None where a stratum has one image alone.
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
    for each in np.unique(stratum):
        of_images = sums[stratum[first] == each]
        size = len(of_images)
        if size < 2:
            return None
        variances.append(float((of_images**2).sum() * size / (size - 1)))
        freedoms.append(size - 1.0)
    return variances, freedoms, float((effects**2).sum())


def independent_variance(wrong: float, votes: float) -> float:
    """Of the share of wrong answers among so many independent votes; not 0 where none or all are wrong, as
    two more of each are counted (Agresti and Coull, The American Statistician 52, 1998, 119-126)."""
    share = (wrong + 2) / (votes + 4)
    return share * (1 - share) / votes
