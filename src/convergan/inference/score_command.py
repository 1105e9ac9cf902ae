"""`convergan score`: from paths to a table, JSON and figures."""

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from convergan.data.image_stream import ImageStream
from convergan.errors import UserError
from convergan.files import write_text
from convergan.inference.embedding import Embedding
from convergan.inference.score import (
    Scored,
    network_name,
    open_embedding,
    open_images,
    open_reference,
    score,
)
from convergan.metrics.estimates import Comparison, Estimate, compare_estimates
from convergan.metrics.fingerprint import require_same
from convergan.metrics.frechet import gaussian_statistics
from convergan.metrics.reference_statistics import write_statistics
from convergan.progress_bar import progress_bar
from convergan.recipes.score_settings import MetricName, ScoreFiles, ScoreSettings
from convergan.report.scores import (
    print_scores,
    read_scores,
    scores_as_dict,
    write_figures,
    write_neighbours,
)

_PAIRS = 8
"""Of a sample and its nearest training image, in the figure."""


def score_paths(
    images: Path, files: ScoreFiles, settings: ScoreSettings, console: Console | None = None
) -> Scored:
    """Scores what is at `images`; prints a table, and writes the files that are asked for.

    Under torchrun the processes share the images; the first of them prints and writes.

    Raises:
        UserError: something is missing, cannot be read, or does not fit; nothing is written then.
    """
    console = console or Console()
    with _processes() as rank:
        quiet = rank > 0
        for name in ("json", "save_statistics"):
            path = getattr(files, name)
            if path is not None and not path.resolve().parent.is_dir():
                raise UserError(f"{name}: expected a file in an existing folder, got {path}")
        stream = open_images(images, settings)
        earlier = None
        if files.versus is not None and files.versus.suffix == ".json":
            earlier = read_scores(files.versus)
        versus, training = (
            None if path is None else open_images(path, settings)
            for path in (None if earlier else files.versus, files.training)
        )
        reference = None
        if files.reference is not None:
            reference = open_reference(files.reference, settings)
        with progress_bar("the network's weights", unit="bytes", quiet=quiet) as progress:
            embedding = open_embedding(
                classifier=files.classifier,
                weights=files.weights,
                precision=settings.precision,
                progress=progress,
            )
        with (
            progress_bar("looking at images", quiet=quiet) as progress,
            warnings.catch_warnings(record=True) as told,
        ):
            warnings.simplefilter("always")
            scored = score(
                stream,
                embedding,
                settings,
                versus=versus,
                reference=reference,
                training=training,
                progress=progress,
            )
        if earlier is not None:
            scored = _beside(scored, earlier)
        if quiet:
            return scored
        _print(console, images, scored, [str(warning.message) for warning in told])
        _write(files, embedding, stream, training, scored, console)
        return scored


def _beside(scored: Scored, earlier: dict[str, tuple[Estimate, dict[str, Any]]]) -> Scored:
    """The scores with those of an earlier call beside them, where both have the same."""
    comparisons: list[tuple[MetricName, Comparison]] = []
    for metric, estimate in scored.estimates:
        if estimate.name in earlier:
            other, fingerprint = earlier[estimate.name]
            require_same(estimate.name, scored.fingerprints[metric], fingerprint)
            comparisons.append((metric, compare_estimates(estimate, other)))
    return replace(scored, comparisons=comparisons)


def _print(console: Console, images: Path, scored: Scored, notes: list[str]) -> None:
    of_images = scored.images
    console.print(
        f"{images}: {len(of_images.images):,} images, {of_images.images_per_second:,.0f} a second",
        highlight=False,
    )
    if of_images.skipped:
        first = of_images.skipped[0]
        console.print(
            f"left out {len(of_images.skipped):,} that cannot be read, the first {first.name}:"
            f" {first.reason}"
        )
    print_scores(
        console,
        [one for _, one in scored.estimates],
        [one for _, one in scored.comparisons],
    )
    if scored.memorization is not None:
        console.print(
            f"authenticity {scored.memorization.authenticity:.3f}: the share of images that are no closer"
            " to a training image than another training image is; about .5 for real ones, 0 for copies"
        )
    for note in dict.fromkeys(notes):
        console.print(f"note: {note}", highlight=False)


def _write(
    files: ScoreFiles,
    embedding: Embedding,
    images: ImageStream,
    training: ImageStream | None,
    scored: Scored,
    console: Console,
) -> None:
    written = []
    if files.json is not None:
        content = {
            "images": images.place,
            "count": len(scored.images.images),
            "skipped": [{"name": one.name, "reason": one.reason} for one in scored.images.skipped],
            "scores": scores_as_dict(scored.estimates, scored.comparisons, scored.fingerprints),
        }
        if scored.memorization is not None:
            content["authenticity"] = scored.memorization.authenticity
        write_text(files.json, json.dumps(content, indent=2) + "\n")
        written.append(files.json)
    if files.save_statistics is not None:
        statistics = gaussian_statistics(scored.images.images.features)
        write_statistics(files.save_statistics, statistics, network_name(embedding))
        written.append(files.save_statistics)
    if files.figures is not None:
        written += write_figures(files.figures, scored.images.images.logits, embedding.classes)
        if scored.memorization is not None and training is not None:
            closest = scored.memorization.closest(_PAIRS)
            nearest = files.figures / "nearest.png"
            size = _size_of(images)
            write_neighbours(
                nearest,
                _pick(images, scored.images.places[closest], size),
                _pick(training, scored.memorization.places[closest].numpy(), size),
            )
            written.append(nearest)
    for path in written:
        console.print(f"wrote {path}", highlight=False)


def _size_of(images: ImageStream) -> tuple[int, int]:
    first = next(images.decoded(3, None, slice(0, 1)))
    assert isinstance(first, np.ndarray)
    return first.shape[0], first.shape[1]


def _pick(images: ImageStream, places: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Single images again, in colour and of one size."""
    picked = []
    for place in places.tolist():
        (image,) = images.decoded(3, size, slice(place, place + 1))
        assert isinstance(image, np.ndarray)
        picked.append(image)
    return picked


@contextmanager
def _processes() -> Iterator[int]:
    """Joins the other processes of torchrun, if there are any; this one's rank."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield 0
        return
    torch.distributed.init_process_group("gloo")
    try:
        yield torch.distributed.get_rank()
    finally:
        torch.distributed.destroy_process_group()
