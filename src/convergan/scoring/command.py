"""`convergan score`: from paths to a table, JSON, statistics, features and figures."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from convergan.data.image_stream import ImageStream, Size
from convergan.errors import UserError, printable
from convergan.images.decode import Unreadable
from convergan.json_files import json_text
from convergan.metrics.frechet import gaussian_statistics
from convergan.metrics.inception_score_metric import IN_ORDER
from convergan.metrics.memorization import Neighbours
from convergan.metrics.reference_statistics import write_statistics
from convergan.outputs import (
    is_standard_output,
    require_output,
    require_output_folder,
    write_output,
)
from convergan.scoring.features import write_features
from convergan.scoring.figures import (
    FIGURES,
    NEAREST,
    Parts,
    write_figures,
    write_neighbours,
)
from convergan.scoring.inputs import open_inputs
from convergan.scoring.protocol import METRICS, network_name
from convergan.scoring.score import score_inputs
from convergan.scoring.scores import Scores
from convergan.scoring.settings import ScoreFiles, ScoreSettings
from convergan.scoring.table import print_scores
from convergan.terminal import standard_console

_PAIRS = 8
"""Pairs of a sample and its nearest training image in the figure."""


def score_paths(
    images: Path, files: ScoreFiles, settings: ScoreSettings, console: Console | None = None
) -> Scores:
    """Score the images at a path, print a table, and write the requested files.

    Under torchrun the processes share the images; the first one prints and writes.

    Raises:
        UserError: something is missing, cannot be read, or does not fit. Nothing is written then.
    """
    console = console or standard_console(
        stderr=files.json is not None and is_standard_output(files.json)
    )
    with _processes() as rank:
        quiet = rank > 0
        require_writable(files)
        inputs = open_inputs(
            images,
            settings,
            reference=files.reference,
            versus=files.versus,
            training=files.training,
        )
        if files.save_statistics is not None and len(inputs.images) < 2:
            raise UserError("save_statistics: expected at least 2 images, got 1")
        scores = score_inputs(
            inputs, settings, classifier=files.classifier, weights=files.weights, quiet=quiet
        )
        if quiet:
            return scores
        notes = [
            f"{METRICS[note.metric][0]}: {note.message}" if note.metric else note.message
            for note in scores.notes
        ]
        if files.figures is not None and len(scores.images.images) < settings.splits:
            notes.append(
                f"the figure of the score by number of images is left out: expected at least"
                f" {settings.splits} images, one for each split, got {len(scores.images.images)}"
            )
        _print(console, scores, notes)
        for path in write_outputs(files, scores):
            _say(console, f"wrote {path}")
        return scores


def _print(console: Console, scores: Scores, notes: list[str]) -> None:
    speed = scores.images.images_per_second
    place, count = scores.inputs.images.place, len(scores.images.images)
    measured = (
        f"{count:,} images, {speed:,.0f} a second" if speed else f"features of {count:,} images"
    )
    _say(console, f"{place}: {measured}")
    for name, image_set in scores.sets.items():
        if image_set.skipped:
            first, count = image_set.skipped[0], len(image_set.skipped)
            _say(
                console,
                f"{name}: skipped {count:,} unreadable image{'s' if count > 1 else ''}, the first"
                f" {first.name}: {first.reason}",
            )
    print_scores(console, list(scores.numbers.values()), list(scores.comparisons.values()))
    if scores.authenticity is not None:
        console.print(
            f"authenticity {scores.authenticity:.3f}: the share of images that are no closer to their"
            " nearest training image than another training image is; about 0.5 for real images, 0 for copies"
        )
    for note in dict.fromkeys(notes):
        console.print(printable(f"note: {note}"), markup=False, emoji=False, highlight=False)


def _say(console: Console, text: str) -> None:
    """Print text unchanged and unbroken, so that the paths in it can be copied."""
    console.out(printable(text), highlight=False)


@contextmanager
def _processes() -> Iterator[int]:
    """Join the other processes of torchrun, if there are any, and yield the rank of this one."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield 0
        return
    torch.distributed.init_process_group("gloo")
    try:
        yield torch.distributed.get_rank()
    finally:
        torch.distributed.destroy_process_group()


def require_writable(files: ScoreFiles) -> None:
    """Check that all output files can be written.

    Raises:
        UserError: a file exists already or its folder does not, a folder is a file, two outputs have the same
            path, or a path is not writable.
    """
    names_by_path: dict[Path, str] = {}
    overwrite = files.overwrite
    for name in ("json", "save_statistics", "save_features", "figures"):
        path: Path | None = getattr(files, name)
        if path is None:
            continue
        if name in ("save_statistics", "save_features") and path.suffix != ".npz":
            raise UserError(f"{name}: expected a file named .npz, got {path}")
        if path.resolve() in names_by_path:
            raise UserError(
                f"{name}: expected another path than that of {names_by_path[path.resolve()]}, got {path}"
            )
        names_by_path[path.resolve()] = name
        if name == "figures":
            require_output_folder(path, FIGURES, name=name, overwrite=overwrite)
        else:
            require_output(path, name=name, overwrite=overwrite)


def write_outputs(files: ScoreFiles, scores: Scores) -> list[Path]:
    """Write the requested files, and return their paths."""
    inputs, settings = scores.inputs, scores.settings
    paths = []
    if files.json is not None:
        write_output(files.json, json_text(scores.as_dict()))
        paths.append(files.json)
    if files.save_statistics is not None:
        statistics = gaussian_statistics(scores.images.images.features)
        write_statistics(
            files.save_statistics,
            statistics,
            network_name(scores.embedding),
            scores.images.sizes,
        )
        paths.append(files.save_statistics)
    if files.save_features is not None:
        embeddings = scores.images
        write_features(
            files.save_features,
            embeddings.images,
            scores.embedding.fingerprint,
            embeddings.sha256,
            embeddings.sizes,
        )
        paths.append(files.save_features)
    if files.figures is not None:
        parts = Parts(settings.protocol, settings.splits, settings.split_seed)
        logits = scores.images.images.logits
        score = scores.numbers.get("Inception score")
        in_order = score is not None and score.method == IN_ORDER
        paths += write_figures(
            files.figures, logits, scores.embedding.classes, parts, in_order=in_order
        )
        images, training = inputs.images, inputs.training
        # Saved features have no images to draw.
        if (
            scores.memorization is not None
            and isinstance(images, ImageStream)
            and isinstance(training, ImageStream)
        ):
            paths.append(files.figures / NEAREST)
            _write_nearest(paths[-1], images, training, scores, scores.memorization)
    return paths


def _write_nearest(
    path: Path, images: ImageStream, training: ImageStream, scores: Scores, nearest: Neighbours
) -> None:
    """Write the figure of the images that look most like copies, each above its nearest training image."""
    closest = nearest.closest(_PAIRS)
    samples = _pick(images, scores.images.indices[closest].tolist(), None)
    originals = _pick(training, nearest.indices[closest].tolist(), samples[0].shape[:2])
    write_neighbours(path, samples, originals)


def _pick(images: ImageStream, indices: list[int], size: Size | None) -> list[np.ndarray]:
    """Read single images again, in colour, all of one size: that of the first if `size` is None."""
    picked = []
    for index in indices:
        image = next(images.decoded(3, size, slice(index, index + 1)))
        if isinstance(image, Unreadable):
            raise UserError(f"{images.names[index]}: expected a readable image, got {image}")
        size = size or image.shape[:2]
        picked.append(image)
    return picked
