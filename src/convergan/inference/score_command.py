"""`convergan score`: from paths to a table, JSON and figures."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console

from convergan.errors import UserError, printable
from convergan.inference.score import score_inputs
from convergan.inference.score_inputs import open_inputs
from convergan.inference.score_outputs import require_writable, write_outputs
from convergan.inference.scores import Scores
from convergan.outputs import is_standard_output
from convergan.recipes.score_settings import ScoreFiles, ScoreSettings
from convergan.report.scores import print_scores
from convergan.terminal import standard_console


def score_paths(
    images: Path, files: ScoreFiles, settings: ScoreSettings, console: Console | None = None
) -> Scores:
    """Scores what is at `images`; prints a table, and writes the files that are asked for.

    Under torchrun the processes share the images; the first of them prints and writes.

    Raises:
        UserError: something is missing, cannot be read, or does not fit; nothing is written then.
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
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            scores = score_inputs(
                inputs, settings, classifier=files.classifier, weights=files.weights, quiet=quiet
            )
        if quiet:
            return scores
        notes = [str(warning.message) for warning in told]
        if files.figures is not None and len(scores.images.images) < settings.splits:
            notes.append(
                f"no figure of the score by the number of images: expected {settings.splits} images"
                f" or more, one a split, got {len(scores.images.images)}"
            )
        _print(console, scores, notes)
        for path in write_outputs(files, scores):
            _say(console, f"wrote {path}")
        return scores


def _print(console: Console, scores: Scores, notes: list[str]) -> None:
    speed = scores.images.images_per_second
    place, count = scores.inputs.images.place, len(scores.images.images)
    _say(console, f"{place}: {count:,} images, {speed:,.0f} a second")
    for name, seen in scores.sets.items():
        if seen.skipped:
            first = seen.skipped[0]
            _say(
                console,
                f"{name}: left out {len(seen.skipped):,} that cannot be read, the first {first.name}:"
                f" {first.reason}",
            )
    print_scores(console, list(scores.numbers.values()), list(scores.comparisons.values()))
    if scores.authenticity is not None:
        console.print(
            f"authenticity {scores.authenticity:.3f}: the share of images that are no closer"
            " to a training image than another training image is; about .5 for real ones, 0 for copies"
        )
    for note in dict.fromkeys(notes):
        console.print(printable(f"note: {note}"), markup=False, emoji=False, highlight=False)


def _say(console: Console, text: str) -> None:
    """Prints text with paths in it: as it is, and unbroken, so that they can be copied."""
    console.out(printable(text), highlight=False)


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
