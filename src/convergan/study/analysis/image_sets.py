"""The findings about sets of generated images, and about the images in them."""

from collections.abc import Mapping

import numpy as np

from convergan.errors import UserError
from convergan.statistics.correlation import Correlation, rank_correlation
from convergan.statistics.intervals import Interval
from convergan.study.analysis.findings import GeneratedImages, ImageRate
from convergan.study.analysis.rates import Rates
from convergan.study.analysis.statistics.image_rates import image_rates
from convergan.study.analysis.votes import Votes


def image_sets(
    rates: Rates,
    votes: Votes | None,
    image_scores: Mapping[str, float],
    set_scores: Mapping[str, float],
    rng: np.random.Generator,
) -> list[GeneratedImages]:
    """Collect the findings about every set of generated images, over all arms that show it.

    Args:
        rates: error rates of all participants.
        votes: votes on images other than controls; None where only rates are known.
        image_scores: scores by the id of the image; empty for none.
        set_scores: scores by the name of the set; empty for none.
        rng: for posterior draws and permutations.

    Raises:
        UserError: none of the images has a score, or a set has none.
    """
    names = [str(name) for name in np.unique(rates.images)]
    if set_scores and (missing := [name for name in names if name not in set_scores]):
        raise UserError(
            f"set scores: expected one for each set of images, got none for {', '.join(missing)}"
        )
    if votes is not None and image_scores:
        judged = np.unique(votes.image[votes.generated])
        if not any(image in image_scores for image in judged.tolist()):
            raise UserError(
                f"image scores: expected some for the generated images, such as {judged[0]}, "
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
    sets: list[GeneratedImages], error: str, rng: np.random.Generator
) -> Correlation | None:
    """Correlate the scores of sets with their errors.

    Args:
        sets: the sets.
        error: name of the error, "error" or "error_on_generated".
        rng: for permutations.

    Returns:
        The rank correlation; None without a ranking.
    """
    pairs = [(image_set.score, getattr(image_set, error)) for image_set in sets]
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
) -> GeneratedImages:
    """Collect the findings about one set; `votes` are those on its generated images."""
    images: list[ImageRate] = []
    stdev = correlation = None
    if votes is not None and len(votes):
        names, row = np.unique(votes.image, return_inverse=True)
        tries = np.bincount(row)
        fooled = np.bincount(row[votes.wrong], minlength=len(names))
        estimates = image_rates(fooled, tries, rng)
        if estimates is not None:
            stdev = estimates.stdev
            images = [
                ImageRate(
                    image=str(names[place]),
                    votes=int(tries[place]),
                    fooled=int(fooled[place]),
                    rate=float(estimates.rate[place]),
                    interval=Interval(float(estimates.low[place]), float(estimates.high[place])),
                    score=image_scores.get(str(names[place])),
                )
                for place in np.argsort(-estimates.rate, kind="stable")
            ]
            scored = [image for image in images if image.score is not None]
            correlation = rank_correlation(
                np.array([image.score for image in scored], float),
                np.array([image.rate for image in scored]),
                rng,
            )
    errors = rates.error_on_generated[~np.isnan(rates.error_on_generated)]
    return GeneratedImages(
        name=name,
        participants=len(rates),
        error=float(1 - rates.accuracy.mean()),
        error_on_generated=float(errors.mean()) if errors.size else None,
        score=score,
        images=images,
        stdev_between_images=stdev,
        correlation=correlation,
    )
