"""Images from a run's generator, as an array."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from convergan.errors import UserError
from convergan.inference.best_samples import best_samples
from convergan.inference.sample_files import (
    Count,
    chosen_samples,
    require_number,
    require_room,
    write_samples,
)
from convergan.paths import StrPath, as_path
from convergan.progress_bar import progress_bar
from convergan.ranges import BestShare, Seed
from convergan.scoring.networks import open_embedding
from convergan.scoring.run_images import draw


def sample(
    run: StrPath,
    count: int,
    *,
    seed: int = 0,
    best: float | None = None,
    classifier: StrPath | nn.Module | None = None,
    weights: StrPath | None = None,
    out: StrPath | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> np.ndarray:
    """Draw images from the generator of a run.

    The same run, seed and device give the same images; a smaller count gives the first of them.

    Args:
        run: the folder of a finished run.
        count: number of images to draw, 1 or more; all are held in memory.
        seed: seed of their noise, 0 or more.
        best: draw more, and keep this share of them, 0.0001 to 1, the best first, by an image's
            contribution to the Inception score: Section 6.2 of the paper keeps 0.01.
        classifier: the classifier for `best`, as in `score`.
        weights: the Inception network's weights for `best`, as in `score`.
        out: a new or empty folder to write the images to as well: 000000.png, 000001.png and so on, and the
            first hundred as `<out>-grid.png` next to it.
        overwrite: replace an existing grid; `out` must be new or empty all the same.
        progress: show a progress bar on the standard error.

    Returns:
        uint8 [count, height, width, channels], 1 or 3 channels.

    Raises:
        UserError: `run` is no finished run, a number is out of its range, `out` holds something, or the grid
            exists.

    Example:
        >>> from convergan import sample
        >>> images = sample("runs/mine", 16, seed=1)
        >>> len(images), images.dtype
        (16, dtype('uint8'))
    """
    run = as_path(run, "run")
    folder = None if out is None else as_path(out, "out")
    count = require_number(count, Count, "count")
    seed = require_number(seed, Seed, "seed")
    if best is not None:
        best = require_number(best, BestShare, "best")
    if folder is not None:
        require_room(folder, overwrite=overwrite)
    if best is None:
        require_no_choice(classifier=classifier, weights=weights)
    indices = None
    if best is not None:
        indices = choose_best(
            run, count, best, seed=seed, classifier=classifier, weights=weights, quiet=not progress
        )
    with progress_bar("sampling", quiet=not progress) as report:
        images = _draw_images(run, count, seed, indices, report)
    if folder is not None:
        write_samples(folder, enumerate(images), count, overwrite=overwrite)
    return images


def require_no_choice(**options: object) -> None:
    """Check that no option is set that only a choice of the best uses.

    Raises:
        UserError: one is.
    """
    for name, value in options.items():
        if value is not None:
            raise UserError(f"{name}: expected --best with it, got none")


def choose_best(
    run: Path,
    count: int,
    best: float,
    *,
    seed: int,
    classifier: StrPath | nn.Module | None,
    weights: StrPath | None,
    quiet: bool = False,
) -> Sequence[int]:
    """Indices of the best samples, as from `best_samples`; the arguments are those of `sample`."""
    with progress_bar("the network's weights", unit="bytes", quiet=quiet) as report:
        embedding = open_embedding(
            classifier=classifier, weights=weights, precision="fp32", progress=report
        )
    with progress_bar("rating samples", quiet=quiet) as report:
        return best_samples(run, count, best, embedding, seed=seed, progress=report)


def _draw_images(
    run: Path,
    count: int,
    seed: int,
    indices: Sequence[int] | None,
    progress: Callable[[int, int], None],
) -> np.ndarray:
    """All images in one array, uint8 [count, height, width, channels]."""
    indices = range(count) if indices is None else indices
    images = np.empty(0)
    numbered = chosen_samples(draw(run, max(indices) + 1, seed=seed), indices)
    for done, (number, image) in enumerate(numbered, 1):
        if done == 1:
            images = np.empty((count, *image.shape), dtype=np.uint8)
        images[number] = image
        progress(done, count)
    return images
