"""The files that `convergan score` writes: JSON, statistics, figures."""

from pathlib import Path

import numpy as np

from convergan.data.image_stream import ImageStream, Size
from convergan.errors import UserError
from convergan.images.decode import Unreadable
from convergan.inference.score_protocol import network_name
from convergan.inference.scores import Scores
from convergan.json_files import json_text
from convergan.metrics.frechet import gaussian_statistics
from convergan.metrics.memorization import Neighbours
from convergan.metrics.reference_statistics import write_statistics
from convergan.outputs import require_output, require_output_folder, write_output
from convergan.recipes.score_settings import ScoreFiles
from convergan.report.score_figures import (
    FIGURES,
    NEAREST,
    Parts,
    write_figures,
    write_neighbours,
)

_PAIRS = 8
"""Of a sample and its nearest training image, in the figure."""


def require_writable(files: ScoreFiles) -> None:
    """Checks that what is to be written can be.

    Raises:
        UserError: a file exists already, is in no folder, a folder is a file, or one is not writable.
    """
    taken: dict[Path, str] = {}
    overwrite = files.overwrite
    for name in ("json", "save_statistics", "figures"):
        path: Path | None = getattr(files, name)
        if path is None:
            continue
        if name == "save_statistics" and path.suffix != ".npz":
            raise UserError(f"{name}: expected a file named .npz, got {path}")
        if path.resolve() in taken:
            raise UserError(
                f"{name}: expected another path than that of {taken[path.resolve()]}, got {path}"
            )
        taken[path.resolve()] = name
        if name == "figures":
            require_output_folder(path, FIGURES, name=name, overwrite=overwrite)
        else:
            require_output(path, name=name, overwrite=overwrite)


def write_outputs(files: ScoreFiles, scores: Scores) -> list[Path]:
    """Writes what is asked for, and gives its paths."""
    inputs, settings = scores.inputs, scores.settings
    written = []
    if files.json is not None:
        write_output(files.json, json_text(scores.as_dict()))
        written.append(files.json)
    if files.save_statistics is not None:
        statistics = gaussian_statistics(scores.images.images.features)
        write_statistics(files.save_statistics, statistics, network_name(scores.embedding))
        written.append(files.save_statistics)
    if files.figures is not None:
        parts = Parts(settings.protocol, settings.splits, settings.split_seed)
        logits = scores.images.images.logits
        written += write_figures(files.figures, logits, scores.embedding.classes, parts)
        if inputs.training is not None and scores.memorization is not None:
            written.append(files.figures / NEAREST)
            _write_nearest(written[-1], inputs.images, inputs.training, scores, scores.memorization)
    return written


def _write_nearest(
    path: Path, images: ImageStream, training: ImageStream, scores: Scores, nearest: Neighbours
) -> None:
    """The images that look most like copies, each above its nearest training image."""
    closest = nearest.closest(_PAIRS)
    samples = _pick(images, scores.images.places[closest].tolist(), None)
    originals = _pick(training, nearest.places[closest].tolist(), samples[0].shape[:2])
    write_neighbours(path, samples, originals)


def _pick(images: ImageStream, places: list[int], size: Size | None) -> list[np.ndarray]:
    """Single images again, in colour; all of the size of the first, if there is none given."""
    picked = []
    for place in places:
        image = next(images.decoded(3, size, slice(place, place + 1)))
        if isinstance(image, Unreadable):
            raise UserError(f"{images.names[place]}: expected a readable image, got {image}")
        size = size or image.shape[:2]
        picked.append(image)
    return picked
