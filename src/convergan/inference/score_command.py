"""`convergan score`: from paths to a table, JSON and figures."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console

from convergan.errors import UserError, printable
from convergan.inference.score import Scored, score
from convergan.inference.score_checks import require_sets
from convergan.inference.score_inputs import ScoreInputs, open_embedding, open_inputs
from convergan.inference.score_outputs import require_writable, write_outputs
from convergan.inference.score_protocol import chosen_metrics
from convergan.outputs import is_standard_output
from convergan.progress_bar import progress_bar
from convergan.recipes.score_settings import ScoreFiles, ScoreSettings
from convergan.report.scores import print_scores
from convergan.terminal import standard_console


def score_paths(
    images: Path, files: ScoreFiles, settings: ScoreSettings, console: Console | None = None
) -> Scored:
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
        inputs = open_inputs(images, files, settings)
        if files.save_statistics is not None and len(inputs.images) < 2:
            raise UserError("save_statistics: expected at least 2 images, got 1")
        # Before the network, which may have to be downloaded.
        require_sets(inputs, settings, chosen_metrics(settings, inputs.reference))
        with progress_bar("the network's weights", unit="bytes", quiet=quiet) as progress:
            embedding = open_embedding(
                classifier=files.classifier,
                weights=files.weights,
                precision=settings.precision,
                progress=progress,
            )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            scored = score(
                inputs.images,
                embedding,
                settings,
                versus=inputs.versus,
                reference=inputs.reference,
                training=inputs.training,
                stage=lambda title, unit: progress_bar(title, unit=unit, quiet=quiet),
            )
        if quiet:
            return scored
        notes = [str(warning.message) for warning in told]
        if files.figures is not None and len(scored.images.images) < settings.splits:
            notes.append(
                f"no figure of the score by the number of images: expected {settings.splits} images"
                f" or more, one a split, got {len(scored.images.images)}"
            )
        _print(console, inputs, scored, notes)
        for path in write_outputs(files, settings, inputs, embedding, scored):
            _say(console, f"wrote {path}")
        return scored


def _print(console: Console, inputs: ScoreInputs, scored: Scored, notes: list[str]) -> None:
    speed = scored.images.images_per_second
    place, count = inputs.images.place, len(scored.images.images)
    _say(console, f"{place}: {count:,} images, {speed:,.0f} a second")
    for name, seen in scored.sets.items():
        if seen.skipped:
            first = seen.skipped[0]
            _say(
                console,
                f"{name}: left out {len(seen.skipped):,} that cannot be read, the first {first.name}:"
                f" {first.reason}",
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
        console.print(f"note: {note}", markup=False, emoji=False, highlight=False)


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
