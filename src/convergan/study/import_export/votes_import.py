"""Import of votes, or of error rates, collected elsewhere; docs/study-statistics.md lists the columns."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from convergan.errors import UserError, first_of, shortened
from convergan.outputs import require_output
from convergan.study.analysis.rates import Rates
from convergan.study.analysis.unavailable import unavailable
from convergan.study.analysis.votes import Votes
from convergan.study.import_export.cells import Cells
from convergan.study.import_export.table_files import read_table, write_table

_VOTE_COLUMNS = ("participant", "image", "generated", "answered_generated")
_RATE_COLUMNS = ("participant", "error_on_generated", "error_on_real")
_DGM_EVAL_COLUMNS = ("id", "model", "num_correct", "err_rt", "f_err_rt", "r_err_rt")


def import_votes(
    source: Path, out: Path, columns: Sequence[str] = (), *, overwrite: bool = False
) -> str:
    """Convert a file of votes or error rates into one with the column names that `read_collected` expects.

    Args:
        source: CSV or Parquet file to read.
        out: CSV or Parquet file to write.
        columns: names of columns in the source, such as `participant=worker_id`, where they differ.
        overwrite: replace an existing file.

    Returns:
        A summary: a line on the data that were read, and a line for each number that they cannot give.

    Raises:
        UserError: see `read_collected`; or `out` exists, and `overwrite` is off.
    """
    require_output(out, name="out", overwrite=overwrite)
    data = read_collected(source, columns)
    write_collected(out, data)
    people, arms = len(np.unique(data.participant)), len(np.unique(data.arm))
    kind = f"{len(data):,} votes" if isinstance(data, Votes) else "error rates"
    lines = [f"{out}: {kind} of {people:,} participants in {arms:,} arm{'s' * (arms > 1)}"]
    lines += [f"not available: {name} ({reason})" for name, reason in unavailable(data).items()]
    return "\n".join(lines)


def read_collected(path: Path, columns: Sequence[str] = ()) -> Votes | Rates:
    """Read a CSV or Parquet file of single votes, or of error rates of participants.

    The files of github.com/layer6ai-labs/dgm-eval can be read without conversion.

    Args:
        path: the file.
        columns: names of columns in the file, such as `participant=worker_id`, where they differ.

    Raises:
        UserError: a column is missing, or a cell cannot be parsed; a participant is in two arms, an arm shows
            two sets of images, an image is both generated and real, or a trial or a participant's rates occur
            twice.
    """
    table = read_table(path)
    columns_of_file = table.columns
    for pair in columns:
        name, equals, source_name = pair.partition("=")
        if not equals or source_name not in columns_of_file:
            raise UserError(
                f"columns: expected NAME=NAME_IN_FILE, with one of {first_of(columns_of_file, 20)} in the "
                f"file, got {shortened(pair)}"
            )
        columns_of_file[name] = columns_of_file.pop(source_name)
    if "answered_generated" in columns_of_file:
        return _votes(Cells(path, table, _VOTE_COLUMNS))
    if "error_on_generated" in columns_of_file:
        return _rates(Cells(path, table, _RATE_COLUMNS))
    if columns_of_file.keys() >= set(_DGM_EVAL_COLUMNS):
        return _dgm_eval(Cells(path, table, _DGM_EVAL_COLUMNS))
    raise UserError(
        f"{path}: expected the columns {', '.join(_VOTE_COLUMNS)} of votes, or {', '.join(_RATE_COLUMNS)} "
        f"of rates, got {first_of(columns_of_file, 20) or 'none'}"
    )


def write_collected(path: Path, data: Votes | Rates) -> None:
    """Write a CSV or Parquet file that `read_collected` can read: a column for each field that is given."""
    columns = {field.name: getattr(data, field.name) for field in fields(data)}
    write_table(path, {name: cells for name, cells in columns.items() if cells is not None})


def read_scores(path: Path, column: str) -> dict[str, float]:
    """Read scores from a CSV or Parquet file.

    Args:
        path: the file, with this column and a column "score".
        column: "image" for scores of images, "images" for scores of sets.

    Returns:
        Scores by the id of the image or by the name of the set.

    Raises:
        UserError: a column is missing, a score is not a number, or something is scored twice.
    """
    cells = Cells(path, read_table(path), (column, "score"))
    names, scores = cells.text(column), cells.numbers("score")
    scored = "image" if column == "image" else "set of images"
    cells.require_once(f"one score for each {scored}", names)
    return dict(zip(names.tolist(), scores.tolist(), strict=True))


def _votes(cells: Cells) -> Votes:
    participant, arm, images = _assignment(cells)
    image, generated = cells.text("image"), cells.truths("generated")
    trial = cells.counts("trial") if "trial" in cells else _trial_numbers(participant)
    cells.require_once("each trial of a participant once", participant, trial)
    cells.require_one("every image generated or real", generated, image)
    control = _truths_or_false(cells, "control")
    cells.require_one("every image a control or none", control, image)
    cells.require_generated(control, generated)
    return Votes(
        participant=participant,
        arm=arm,
        images=images,
        image=image,
        trial=trial,
        generated=generated,
        answered_generated=cells.truths("answered_generated"),
        response_seconds=_numbers_or_nan(cells, "response_seconds"),
        feedback=_truths_or_false(cells, "feedback"),
        control=control,
        exposure_ms=_numbers_or_nan(cells, "exposure_ms"),
        shown_ms=_numbers_or_nan(cells, "shown_ms"),
        frame_ms=_numbers_or_nan(cells, "frame_ms"),
    )


def _rates(cells: Cells) -> Rates:
    participant, arm, images = _assignment(cells)
    cells.require_once("each participant once", participant)
    return Rates(
        participant=participant,
        arm=arm,
        images=images,
        generated_trials=_numbers_or_nan(cells, "generated_trials"),
        real_trials=_numbers_or_nan(cells, "real_trials"),
        error_on_generated=cells.numbers("error_on_generated", low=0, high=1),
        error_on_real=cells.numbers("error_on_real", low=0, high=1),
        response_seconds=_numbers_or_nan(cells, "response_seconds")
        if "response_seconds" in cells
        else None,
    )


def _dgm_eval(cells: Cells) -> Rates:
    """Convert a file of dgm-eval (Stein et al. 2023).

    Right answers and the overall error rate give the number of trials; half of the images are generated,
    because that rate is the mean of the two others. `resp_time` is the sum of a participant's response times
    in seconds, each from the end of the image's short display.
    """
    participant, model = cells.text("id"), cells.text("model")
    cells.require_once("each participant once", participant)
    right = cells.numbers("num_correct", low=0)
    error, fooled, doubted = (
        cells.numbers(name, low=0, high=1) for name in ("err_rt", "f_err_rt", "r_err_rt")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.round(right / (1 - error)) / 2
    half[(error == 1) | (np.abs(error - (fooled + doubted) / 2) > 1e-6)] = np.nan
    return Rates(
        participant=participant,
        arm=model,
        images=model,
        generated_trials=half,
        real_trials=half,
        error_on_generated=fooled,
        error_on_real=doubted,
        response_seconds=_numbers_or_nan(cells, "resp_time") / (2 * half)
        if "resp_time" in cells
        else None,
    )


def _assignment(cells: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return participant, arm and images.

    Without a column "arm" all participants are in one arm; without "images" the set is named like the arm.
    """
    participant = cells.text("participant")
    arm = cells.text("arm") if "arm" in cells else np.full(cells.size, "all")
    images = cells.text("images") if "images" in cells else arm
    cells.require_one("every participant in one arm", arm, participant)
    cells.require_one("one set of images in every arm", images, arm)
    return participant, arm, images


def _truths_or_false(cells: Cells, name: str) -> np.ndarray:
    """Return a column of truths, false where there is no such column."""
    return cells.truths(name) if name in cells else np.zeros(cells.size, dtype=bool)


def _numbers_or_nan(cells: Cells, name: str) -> np.ndarray:
    """Return a column of numbers, at least 0; NaN where a cell is empty or there is no such column."""
    if name not in cells:
        return np.full(cells.size, np.nan)
    return cells.numbers(name, low=0, empty=True)


def _trial_numbers(participant: np.ndarray) -> np.ndarray:
    """Number the rows of each participant 1, 2, ... in their order."""
    _, row, counts = np.unique(participant, return_inverse=True, return_counts=True)
    place = np.empty(len(participant), np.int64)
    starts = np.cumsum(counts) - counts
    place[np.argsort(row, kind="stable")] = np.arange(len(participant)) - np.repeat(starts, counts)
    return place + 1
