"""Selection of a run's best samples, as Section 6.2 of the paper selects the top 1 % by Inception score."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from convergan.errors import UserError
from convergan.metrics.inception_score import divergences
from convergan.scoring.embedding import Embedding, Progress, embed
from convergan.scoring.run_images import images_of_run


def best_samples(
    run: Path,
    count: int,
    share: float,
    embedding: Embedding,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Sequence[int]:
    """Draw count / share images, and select the `count` best ones.

    An image's score is KL( p(y|x) || p(y) ), in nats, p(y) being the mean over all images drawn: the
    Inception score is the exponential of its mean.

    Args:
        run: the folder of a finished run.
        count: images to keep, 1 or more.
        share: share of the drawn images to keep, above 0 and at most 1.
        embedding: the classifier that computes p(y|x).
        seed: seed of the images' noise.
        progress: called with the number of images scored and of all.

    Returns:
        Their indices among all images of the seed, the best first.

    Raises:
        UserError: `run` is no finished run, or a number is out of its range.
    """
    if count < 1:
        raise UserError(f"count: expected 1 or more, got {count}")
    if not 0 < share <= 1:
        raise UserError(f"best: expected a share above 0 and at most 1, got {share:g}")
    # A hundredth is no binary fraction, but 100 / .01 must be 10,000.
    drawn_count = max(count, math.floor(count / share + 1e-6))
    images = images_of_run(run, drawn_count, seed)
    embedded = embed(embedding, images, logits_alone=True, progress=progress)
    ranked = torch.argsort(divergences(embedded.images.logits), descending=True, stable=True)
    best: list[int] = ranked[:count].tolist()
    return best
