"""The files that `convergan score` writes: JSON, statistics, figures."""

from pathlib import Path
from typing import Any

import numpy as np

from convergan.data.image_stream import ImageStream, Size
from convergan.errors import UserError
from convergan.images.decode import Unreadable
from convergan.inference.embedding import Embedding
from convergan.inference.score import Scored
from convergan.inference.score_inputs import SavedReference, ScoreInputs
from convergan.inference.score_protocol import network_name
from convergan.json_files import json_text
from convergan.metrics.frechet import gaussian_statistics
from convergan.metrics.memorization import Neighbours
from convergan.metrics.reference_statistics import write_statistics
from convergan.outputs import require_output, require_output_folder, write_output
from convergan.recipes.score_settings import ScoreFiles, ScoreSettings
from convergan.report.score_figures import (
    FIGURES,
    NEAREST,
    Parts,
    write_figures,
    write_neighbours,
)
from convergan.report.scores import Earlier, scores_as_dict

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


def write_outputs(
    files: ScoreFiles,
    settings: ScoreSettings,
    inputs: ScoreInputs,
    embedding: Embedding,
    scored: Scored,
) -> list[Path]:
    """Writes what is asked for, and gives its paths."""
    written = []
    if files.json is not None:
        write_output(files.json, json_text(_content(settings, inputs, scored)))
        written.append(files.json)
    if files.save_statistics is not None:
        statistics = gaussian_statistics(scored.images.images.features)
        write_statistics(files.save_statistics, statistics, network_name(embedding))
        written.append(files.save_statistics)
    if files.figures is not None:
        parts = Parts(settings.protocol, settings.splits, settings.split_seed)
        logits = scored.images.images.logits
        written += write_figures(files.figures, logits, embedding.classes, parts)
        if inputs.training is not None and scored.memorization is not None:
            written.append(files.figures / NEAREST)
            _write_nearest(written[-1], inputs.images, inputs.training, scored, scored.memorization)
    return written


def _content(settings: ScoreSettings, inputs: ScoreInputs, scored: Scored) -> dict[str, Any]:
    """The JSON: what was looked at, how often, and what came out."""
    content: dict[str, Any] = {}
    for name, given in vars(inputs).items():
        if isinstance(given, ImageStream):
            seen = scored.sets[name]
            content[name] = {
                "place": given.place,
                "count": seen.count,
                "skipped": [{"name": one.name, "reason": one.reason} for one in seen.skipped],
                "split": given.split,
                "pixel_range": given.pixel_range,
                "seed": given.seed,
            }
        elif isinstance(given, Earlier):
            content[name] = {"place": given.images, "scores": given.place}
        elif isinstance(given, SavedReference):
            content[name] = {"place": given.place, "count": given.statistics.count}
    content["bootstrap_seed"] = settings.seed
    content["scores"] = scores_as_dict(scored.estimates, scored.comparisons, scored.fingerprints)
    if scored.memorization is not None:
        content["authenticity"] = scored.memorization.authenticity
    return content


def _write_nearest(
    path: Path, images: ImageStream, training: ImageStream, scored: Scored, nearest: Neighbours
) -> None:
    """The images that look most like copies, each above its nearest training image."""
    closest = nearest.closest(_PAIRS)
    samples = _pick(images, scored.images.places[closest].tolist(), None)
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
