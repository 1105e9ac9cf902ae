"""Votes, or error rates of participants, collected elsewhere; docs/study-statistics.md lists the columns."""

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
from convergan.study.import_export.tables import read_table, write_table

_VOTES_NEED = ("participant", "image", "generated", "answered_generated")
_RATES_NEED = ("participant", "error_on_generated", "error_on_real")
_DGM_EVAL = ("id", "model", "num_correct", "err_rt", "f_err_rt", "r_err_rt")


def import_votes(
    source: Path, out: Path, columns: Sequence[str] = (), *, overwrite: bool = False
) -> str:
    """Reads votes or rates whatever their columns are called, and writes them as `read_collected` expects.

    Args:
        source: CSV or Parquet.
        out: CSV or Parquet, to be written.
        columns: `ours=theirs`, such as `participant=worker_id`.
        overwrite: replace a file that is there.

    Returns:
        What was read and what it cannot tell, line by line.

    Raises:
        UserError: see `read_collected`; or `out` exists, and `overwrite` is off.
    """
    require_output(out, name="out", overwrite=overwrite)
    data = read_collected(source, columns)
    write_collected(out, data)
    people, arms = len(np.unique(data.participant)), len(np.unique(data.arm))
    what = f"{len(data):,} votes" if isinstance(data, Votes) else "error rates"
    lines = [f"{out}: {what} of {people:,} participants in {arms:,} arm{'s' * (arms > 1)}"]
    lines += [f"not available: {name} ({why})" for name, why in unavailable(data).items()]
    return "\n".join(lines)


def read_collected(path: Path, columns: Sequence[str] = ()) -> Votes | Rates:
    """Reads a CSV or Parquet file of single votes, or of error rates of participants.

    The files of github.com/layer6ai-labs/dgm-eval are read as they are.

    Args:
        columns: `ours=theirs` where the file calls a column otherwise.

    Raises:
        UserError: columns that are missing; a cell that is not what its column holds; a participant in two
            arms, an arm with two sets of images, an image both generated and real, a trial or a participant's
            rates twice.
    """
    table = read_table(path)
    for each in columns:
        ours, equals, theirs = each.partition("=")
        if not equals or theirs not in table:
            raise UserError(
                f"columns: expected OURS=THEIRS with one of {first_of(table, 20)} for THEIRS, got"
                f" {shortened(each)}"
            )
        table[ours] = table.pop(theirs)
    if "answered_generated" in table:
        return _votes(Cells(path, table, _VOTES_NEED))
    if "error_on_generated" in table:
        return _rates(Cells(path, table, _RATES_NEED))
    if table.keys() >= set(_DGM_EVAL):
        return _dgm_eval(Cells(path, table, _DGM_EVAL))
    raise UserError(
        f"{path}: expected the columns {', '.join(_VOTES_NEED)} of votes, or {', '.join(_RATES_NEED)} "
        f"of rates, got {first_of(table, 20) or 'none'}"
    )


def write_collected(path: Path, data: Votes | Rates) -> None:
    """Writes a CSV or Parquet file that `read_collected` reads: a column for each field."""
    write_table(path, {field.name: getattr(data, field.name) for field in fields(data)})


def read_scores(path: Path, of: str) -> dict[str, float]:
    """Reads a CSV or Parquet file with the columns `of` ("image" or "images") and "score".

    Raises:
        UserError: columns that are missing, a score that is no number, something scored twice.
    """
    cells = Cells(path, read_table(path), (of, "score"))
    names, scores = cells.text(of), cells.numbers("score")
    cells.require_once(f"one score of each of {of}", names)
    return dict(zip(names.tolist(), scores.tolist(), strict=True))


def _votes(cells: Cells) -> Votes:
    participant, arm, images = _who(cells)
    image, generated = cells.text("image"), cells.truths("generated")
    trial = cells.counts("trial") if "trial" in cells else _places(participant)
    cells.require_once("each trial of a participant once", participant, trial)
    cells.require_one("every image generated or real", of=generated, per=image)
    control = _whether(cells, "control")
    cells.require_one("every image a control or none", of=control, per=image)
    cells.require_generated(control, generated)
    return Votes(
        participant=participant,
        arm=arm,
        images=images,
        image=image,
        trial=trial,
        generated=generated,
        answered_generated=cells.truths("answered_generated"),
        response_seconds=_known(cells, "response_seconds"),
        feedback=_whether(cells, "feedback"),
        control=control,
        exposure_ms=_known(cells, "exposure_ms"),
        shown_ms=_known(cells, "shown_ms"),
        frame_ms=_known(cells, "frame_ms"),
    )


def _rates(cells: Cells) -> Rates:
    participant, arm, images = _who(cells)
    cells.require_once("each participant once", participant)
    return Rates(
        participant=participant,
        arm=arm,
        images=images,
        generated_trials=_known(cells, "generated_trials"),
        real_trials=_known(cells, "real_trials"),
        error_on_generated=cells.numbers("error_on_generated", low=0, high=1),
        error_on_real=cells.numbers("error_on_real", low=0, high=1),
    )


def _dgm_eval(cells: Cells) -> Rates:
    """Stein et al. 2023: right answers and the overall error rate give the number of trials; half of them are
    generated, as that rate is the mean of the two others."""
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
    )


def _who(cells: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(participant, arm, images): without a column all are in one arm, and an arm is its set of images."""
    participant = cells.text("participant")
    arm = cells.text("arm") if "arm" in cells else np.full(cells.size, "all")
    images = cells.text("images") if "images" in cells else arm
    cells.require_one("every participant in one arm", of=arm, per=participant)
    cells.require_one("one set of images in every arm", of=images, per=arm)
    return participant, arm, images


def _whether(cells: Cells, name: str) -> np.ndarray:
    """Truths, false where there are none."""
    return cells.truths(name) if name in cells else np.zeros(cells.size, dtype=bool)


def _known(cells: Cells, name: str) -> np.ndarray:
    """Numbers from 0, NaN where there are none."""
    if name not in cells:
        return np.full(cells.size, np.nan)
    return cells.numbers(name, low=0, empty=True)


def _places(participant: np.ndarray) -> np.ndarray:
    """1, 2, ... within each participant, in the order of the rows."""
    _, row, counts = np.unique(participant, return_inverse=True, return_counts=True)
    place = np.empty(len(participant), np.int64)
    starts = np.cumsum(counts) - counts
    place[np.argsort(row, kind="stable")] = np.arange(len(participant)) - np.repeat(starts, counts)
    return place + 1
