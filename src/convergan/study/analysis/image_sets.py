"""What people make of each set of generated images, and of each image in it."""

from collections.abc import Mapping

import numpy as np

from convergan.errors import UserError
from convergan.statistics.correlation import Correlation, rank_correlation
from convergan.statistics.intervals import Interval
from convergan.study.analysis.findings import ImageRate, ImageSet
from convergan.study.analysis.rates import Rates
from convergan.study.analysis.statistics.image_rates import image_rates
from convergan.study.analysis.votes import Votes


def image_sets(
    rates: Rates,
    votes: Votes | None,
    image_scores: Mapping[str, float],
    set_scores: Mapping[str, float],
    rng: np.random.Generator,
) -> list[ImageSet]:
    """Every set of images that participants were shown, over all arms that show it.

    Raises:
        UserError: scores of none of the images, or not of all sets.
    """
    names = [str(name) for name in np.unique(rates.images)]
    if set_scores and (missing := [name for name in names if name not in set_scores]):
        raise UserError(
            f"set scores: expected one for each set of images, got none for {', '.join(missing)}"
        )
    if votes is not None and image_scores:
        shown = np.unique(votes.image[votes.generated])
        if not any(image in image_scores for image in shown.tolist()):
            raise UserError(
                f"image scores: expected some for the generated images, such as {shown[0]}, "
                f"got others, such as {next(iter(image_scores))}"
            )
    return [
        _image_set(
            name,
            rates.chosen(rates.images == name),
            None if votes is None else votes.chosen((votes.images == name) & votes.generated),
            image_scores,
            set_scores.get(name),
            rng,
        )
        for name in names
    ]


def set_correlation(
    sets: list[ImageSet], error: str, rng: np.random.Generator
) -> Correlation | None:
    """Of the scores of sets with their `error` or `error_on_generated`; None where there is no ranking."""
    pairs = [(each.score, getattr(each, error)) for each in sets]
    pairs = [pair for pair in pairs if None not in pair]
    if not pairs:
        return None
    scores, errors = np.array(pairs, float).T
    return rank_correlation(scores, errors, rng)


def _image_set(
    name: str,
    rates: Rates,
    votes: Votes | None,
    image_scores: Mapping[str, float],
    score: float | None,
    rng: np.random.Generator,
) -> ImageSet:
    """`votes`: those on the generated images of this set."""
    images: list[ImageRate] = []
    stdev = correlation = None
    if votes is not None and len(votes):
        names, row = np.unique(votes.image, return_inverse=True)
        tries = np.bincount(row)
        fooled = np.bincount(row[votes.wrong], minlength=len(names))
        found = image_rates(fooled, tries, rng)
        if found is not None:
            stdev = found.stdev
            images = [
                ImageRate(
                    image=str(names[place]),
                    votes=int(tries[place]),
                    fooled=int(fooled[place]),
                    rate=float(found.rate[place]),
                    interval=Interval(float(found.low[place]), float(found.high[place])),
                    score=image_scores.get(str(names[place])),
                )
                for place in np.argsort(-found.rate, kind="stable")
            ]
            scored = [each for each in images if each.score is not None]
            correlation = rank_correlation(
                np.array([each.score for each in scored], float),
                np.array([each.rate for each in scored]),
                rng,
            )
    known = rates.error_on_generated[~np.isnan(rates.error_on_generated)]
    return ImageSet(
        name=name,
        participants=len(rates),
        error=float(1 - rates.accuracy.mean()),
        error_on_generated=float(known.mean()) if known.size else None,
        score=score,
        images=images,
        stdev_between_images=stdev,
        correlation=correlation,
    )
