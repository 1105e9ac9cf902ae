"""Taking the votes of a study elsewhere."""

import time
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from convergan.errors import UserError
from convergan.outputs import require_output_folder, write_output
from convergan.study.joining import SIMULATED
from convergan.study.opening import open_study
from convergan.study.plan import CONTROL
from convergan.study.progress import progress_of
from convergan.study.schema import Arm, Image, Participant, Trial, Vote
from convergan.study.tables import write_table
from convergan.study.thresholds import Thresholds
from convergan.study.votes import Votes

_VOTES, _PARTICIPANTS = ("votes.csv", "votes.parquet"), "participants.csv"
_SCRIPT = "mixed_model.R"

_COLUMNS = {
    "participant": (Participant.code, str),
    "arm": (Arm.name, str),
    "images": (Arm.images, str),
    "image": (Image.images + "/" + Image.name, str),
    "trial": (Trial.number, np.int64),
    "generated": (Trial.generated, bool),
    "answered_generated": (Vote.answered_generated, bool),
    "response_seconds": (Vote.response_ms / 1000, np.float64),
    "feedback": (Arm.feedback, bool),
    "control": (Image.images == CONTROL, bool),
    "exposure_ms": (Trial.exposure_ms, np.float64),
    "shown_ms": (Vote.shown_ms, np.float64),
    "frames": (Vote.frames, np.float64),
    "frame_ms": (Vote.frame_ms, np.float64),
}


def read_votes(study: str, *, simulated: bool = False) -> Votes:
    """The votes of a study that count: on trials, of participants who finished and passed the checks.

    Args:
        study: as for `open_study`.
        simulated: those of simulated participants instead; the names of their arms then say so.

    Raises:
        UserError: no study, or no votes in it yet.
    """
    return _as_votes(_columns(study, simulated=simulated))


def export_study(study: str, out: Path, *, simulated: bool = False, overwrite: bool = False) -> int:
    """Writes votes.csv, votes.parquet, participants.csv, and a script for R; gives the number of votes.

    participants.csv has those who do not count, too.

    Args:
        study: as for `open_study`.
        out: a folder, made if need be.
        simulated: as for `read_votes`.
        overwrite: replace files of these names that are in it.

    Raises:
        UserError: as `read_votes`; or such a file exists, and `overwrite` is off.
    """
    require_output_folder(out, (*_VOTES, _PARTICIPANTS, _SCRIPT), name="out", overwrite=overwrite)
    columns = _columns(study, simulated=simulated)
    out.mkdir(parents=True, exist_ok=True)
    for name in _VOTES:
        write_table(out / name, columns)
    write_table(out / _PARTICIPANTS, _participants(study, columns, simulated=simulated))
    script = files("convergan.study").joinpath(_SCRIPT).read_text(encoding="utf-8")
    write_output(out / _SCRIPT, script)
    return len(columns["trial"])


def picture_of(session: Session, image: str) -> bytes | None:
    """An image as participants saw it, by the name that votes call it; None if it is not there."""
    return session.scalar(select(Image.content).where(Image.images + "/" + Image.name == image))


def left_out(study: str) -> tuple[str, ...]:
    """Who is not among the votes of `read_votes`, and why, in sentences."""
    with closing(open_study(study)) as database, database.reading() as session:
        arms = progress_of(session, time.time()).arms
    attention = sum(arm.attention for arm in arms)
    unfinished = sum(arm.under_way + arm.left for arm in arms)
    return tuple(
        f"Not counted: {number:,} participant{'s' * (number > 1)} who {why}."
        for number, why in (
            (attention, "missed two or more attention checks"),
            (unfinished, "did not finish"),
        )
        if number
    )


def _as_votes(columns: dict[str, np.ndarray]) -> Votes:
    return Votes(**{name: columns[name] for name in Votes.__dataclass_fields__})


def _participants(
    study: str, votes: dict[str, np.ndarray], *, simulated: bool
) -> dict[str, np.ndarray]:
    """A column for each fact about participants; the threshold is that of timed ones who count."""
    with closing(open_study(study)) as database, database.reading() as session:
        everyone = progress_of(session, time.time()).participants
    found = [each for each in reversed(everyone) if each.simulated == simulated]
    known = Thresholds(_as_votes(votes)).by_participant()
    return {
        "participant": np.array([each.code for each in found]),
        "arm": np.array([each.arm for each in found]),
        "came_by": np.array([each.way for each in found]),
        "state": np.array([each.status for each in found]),
        "started_at": np.array([each.started_at for each in found]),
        "answered": np.array([each.answered for each in found]),
        "missed_checks": np.array([each.missed_checks for each in found]),
        "replaced_images": np.array([each.replaced_images for each in found]),
        "threshold_ms": np.array([known.get(each.code, np.nan) for each in found]),
        "flags": np.array([", ".join(each.flags) for each in found], str),
    }


def _columns(study: str, *, simulated: bool) -> dict[str, np.ndarray]:
    found: Any = (
        select(*(column.label(name) for name, (column, _) in _COLUMNS.items()))
        .select_from(Vote)
        .join(Trial)
        .join(Participant, Participant.id == Trial.participant_id)
        .join(Arm)
        .join(Image, Image.id == Trial.image_id)
        .where(
            Trial.kind == "trial",
            Participant.outcome == "completed",
            Participant.simulated == simulated,
        )
        .order_by(Participant.id, Trial.position)
    )
    with closing(open_study(study)) as database, database.reading() as session:
        rows = session.execute(found).all()
    if not rows:
        whose = "simulated participants" if simulated else "participants"
        raise UserError(f"{database}: expected votes of {whose} who have finished, got none yet")
    cells = zip(*rows, strict=True)
    columns: dict[str, np.ndarray] = {
        name: np.array(column, dtype=kind)
        for (name, (_, kind)), column in zip(_COLUMNS.items(), cells, strict=True)
    }
    if simulated:
        columns["arm"] = np.char.add(SIMULATED, columns["arm"])
    return columns
