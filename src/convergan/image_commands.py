"""`convergan predict`, `evaluate`, `sample` and `score`: commands for finished runs and for images.

Heavy imports wait until one runs.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Interval
from tyro.conf import AvoidSubcommands, Positional, arg

from convergan.errors import UserError, printable
from convergan.outputs import STANDARD_OUTPUT, is_standard_output
from convergan.progress_bar import progress_bar
from convergan.ranges import BestShare, Checked, Seed
from convergan.scoring.settings import ScoreFiles, ScoreSettings

if TYPE_CHECKING:
    from convergan.images.read_images import SkippedImage


@dataclass(kw_only=True)
class Predict(Checked):
    """Classify images with a finished run and write a CSV file."""

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a finished run."""

    images: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="IMAGES", help_behavior_hint="(required)")
    ]
    """Images, or folders of images, including their subfolders."""

    out: Path = field(default=Path("predictions.csv"))
    """CSV file to write, with the columns path, label, confidence and one per class. `-`: the standard
    output."""

    overwrite: bool = False
    """Replace an existing file."""

    skip_unreadable: bool = False
    """Leave out images that cannot be read; they are counted and listed."""

    def run(self) -> None:
        from convergan.images.read_images import SkippedImage, skipped_files
        from convergan.images.skipped_files import count_skipped
        from convergan.inference.predict_csv import predict_to_csv

        if not self.images:
            raise UserError("images: expected an image or a folder of images, got nothing")
        skipped: list[SkippedImage] = []
        with progress_bar("predicting") as progress:
            count = predict_to_csv(
                self.run_folder,
                self.images,
                self.out,
                overwrite=self.overwrite,
                unreadable=skipped.append if self.skip_unreadable else None,
                progress=progress,
            )
        other_files = [name for place in self.images for name in skipped_files(place)]
        if note := count_skipped(other_files):
            print(note, file=sys.stderr)
        _list_unreadable(skipped)
        unreadable = f", {len(skipped):,} unreadable skipped" if skipped else ""
        _report_on(self.out, f"{count:,} images{unreadable}")


@dataclass(kw_only=True)
class Evaluate(Checked):
    """Count the errors of a finished run on another folder of labelled images."""

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a finished run."""

    images: Annotated[Positional[Path], arg(metavar="IMAGES")]
    """Folder with a folder of images for each class, or with a metadata.csv, as for training. If it has test
    images, only these are evaluated."""

    json: Path | None = None
    """JSON file to write the numbers and the confusion matrix to. `-`: the standard output."""

    overwrite: bool = False
    """Replace an existing file."""

    skip_unreadable: bool = False
    """Leave out images that cannot be read; they are counted and listed."""

    def run(self) -> None:
        from convergan.inference.evaluate import evaluate, print_evaluation
        from convergan.json_files import json_text
        from convergan.outputs import require_output, write_output
        from convergan.terminal import standard_console

        if self.json is not None:
            require_output(self.json, name="json", overwrite=self.overwrite)
        evaluation = evaluate(
            self.run_folder, self.images, skip_unreadable=self.skip_unreadable, progress=True
        )
        to_output = self.json is not None and is_standard_output(self.json)
        print_evaluation(standard_console(stderr=to_output), evaluation)
        _list_unreadable(evaluation.predictions.skipped)
        if self.json is not None:
            write_output(self.json, json_text(evaluation.as_dict()))


@dataclass(kw_only=True)
class Sample(Checked):
    """Draw images from the generator of a finished run."""

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a finished run."""

    count: Annotated[int, Interval(ge=1, le=10**8)]
    """Number of images to draw."""

    out: Path
    """New or empty folder for the PNG files."""

    seed: Seed = 0
    """Seed of the noise that the images are generated from."""

    best: BestShare | None = None
    """Draw more images and keep only this fraction, the best; the paper keeps 0.01."""

    by: Literal["inception"] | None = None  # words: the setting --by
    """Criterion for --best. Unset: inception, the contribution of an image to the Inception score."""

    classifier: Path | None = None
    """Folder of a run whose classifier computes the score for --best. Unset: the Inception network of
    2015."""

    weights: Path | None = None
    """File with the weights of the Inception network for --best. Unset: from the cache, or downloaded into
    it."""

    overwrite: bool = False
    """Replace an existing <out>-grid.png, the grid of images next to the folder. The folder itself must be
    new or empty."""

    def run(self) -> None:
        from convergan.inference.sample import choose_best, require_no_choice
        from convergan.inference.sample_files import require_room, sample_to_folder

        indices = None
        if self.best is None:
            require_no_choice(by=self.by, classifier=self.classifier, weights=self.weights)
        else:
            require_room(self.out, overwrite=self.overwrite)
            indices = choose_best(
                self.run_folder,
                self.count,
                self.best,
                seed=self.seed,
                classifier=self.classifier,
                weights=self.weights,
            )
        with progress_bar("sampling") as progress:
            grid = sample_to_folder(
                self.run_folder,
                self.count,
                self.out,
                seed=self.seed,
                indices=indices,
                overwrite=self.overwrite,
                progress=progress,
            )
        print(printable(f"{self.out}: {self.count:,} images; the first of them are in {grid}"))


@dataclass(kw_only=True)
class Score(Checked):
    """Compute the Inception score, FID, KID and related metrics, with intervals."""

    images: Annotated[Positional[Path], arg(metavar="IMAGES")]
    """Folder of images, parquet files, a .npy or .npz file, or the folder of a run."""

    files: Annotated[ScoreFiles, arg(name=""), AvoidSubcommands]
    """Files to compare with, and files to write."""

    settings: Annotated[ScoreSettings, arg(name=""), AvoidSubcommands]
    """Settings of the scores."""

    def run(self) -> None:
        from convergan.scoring.command import score_paths

        score_paths(self.images, self.files, self.settings)


def _report_on(out: Path, text: str) -> None:
    """Print what has been written, to the standard error if the output is the standard output."""
    print(
        f"{'standard output' if out == STANDARD_OUTPUT else printable(str(out))}: {text}",
        file=sys.stderr if is_standard_output(out) else sys.stdout,
    )


def _list_unreadable(images: "Iterable[SkippedImage]") -> None:
    for image in images:
        print(f"skipped: {printable(f'{image.name}: {image.reason}')}", file=sys.stderr)
