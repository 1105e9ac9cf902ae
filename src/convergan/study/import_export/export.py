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
from convergan.json_files import json_text
from convergan.outputs import require_output_folder, write_output
from convergan.study.analysis.thresholds import Thresholds
from convergan.study.analysis.votes import Votes
from convergan.study.collect.joining import SIMULATED
from convergan.study.collect.progress import progress_of
from convergan.study.design.plan import CONTROL
from convergan.study.import_export import record
from convergan.study.import_export.tables import write_table
from convergan.study.storage.audit import note
from convergan.study.storage.database import Database
from convergan.study.storage.opening import open_study
from convergan.study.storage.schema import Arm, Image, Participant, Trial, Vote

_VOTES, _PARTICIPANTS = ("votes.csv", "votes.parquet"), "participants.csv"
_SCRIPT = "mixed_model.R"
_RECORD = (
    "answers.csv", "stages.csv", "images.csv", "record.csv", "plan.json", "consent.txt", "codebook.md",
)  # fmt: skip

_MEANINGS = {
    "participant": "a code",
    "arm": "the arm",
    "images": "its set of generated images",
    "image": "set and file of the image shown",
    "trial": "1, 2, ... within the participant",
    "generated": "the truth",
    "answered_generated": "the answer",
    "response_seconds": "from the image's appearance to the answer",
    "feedback": "whether the arm is told after each answer if it was right",
    "control": "an obvious fake, which counts in no result",
    "exposure_ms": "timed studies: the exposure that was asked for",
    "shown_ms": "timed studies: the exposure as it was",
    "frames": "timed studies: frames of the display that it took",
    "frame_ms": "timed studies: length of a frame",
}
"""Of the columns of votes."""

_MEANINGS_OF_PARTICIPANTS = {
    "participant": "a code",
    "arm": "the arm",
    "came_by": "personal, open or prolific: the kind of link",
    "state": "completed; attention: finished, and missed two or more checks; under way; left",
    "started_at": "when they consented, in seconds since 1970 (UTC)",
    "answered": "answers given, practice and checks included",
    "missed_checks": "attention checks answered wrongly",
    "replaced_images": "timed images that were shown and not answered, and replaced",
    "threshold_ms": "timed studies: the exposure that the participant needs",
    "flags": "reasons to doubt that the participant did the task",
}

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
    columns = _columns(study, simulated=simulated)
    if not len(columns["trial"]):
        whose = "simulated participants" if simulated else "participants"
        raise UserError(
            f"{Database(study)}: expected votes of {whose} who have finished, got none yet"
        )
    return _as_votes(columns)


def export_study(study: str, out: Path, *, simulated: bool = False, overwrite: bool = False) -> int:
    """Writes all that is known of a study, finished or not; gives the number of votes that count.

    votes.csv and votes.parquet have the votes that count, answers.csv every answer of everybody; the others
    are participants.csv, stages.csv, images.csv, record.csv, plan.json, consent.txt, a script for R, and
    codebook.md, which says what the columns hold. The export is noted in the study's record.

    Args:
        study: as for `open_study`.
        out: a folder, made if need be.
        simulated: as for `read_votes`.
        overwrite: replace files of these names that are in it.

    Raises:
        UserError: no study; or such a file exists, and `overwrite` is off.
    """
    names = (*_VOTES, _PARTICIPANTS, _SCRIPT, *_RECORD)
    require_output_folder(out, names, name="out", overwrite=overwrite)
    columns = _columns(study, simulated=simulated)
    out.mkdir(parents=True, exist_ok=True)
    for name in _VOTES:
        write_table(out / name, columns)
    participants = _participants(study, columns, simulated=simulated)
    with closing(open_study(study)) as database:
        with database.writing() as session:
            whose = " of simulated participants" if simulated else ""
            note(session, "exported", f"{len(columns['trial'])} votes{whose}")
        with database.reading() as session:
            participants |= record.sessions(session, participants["participant"].tolist())
            everyone = progress_of(session, time.time()).participants
            tables = {
                "answers.csv": record.answers(session, simulated=simulated),
                "stages.csv": record.stages(session, everyone, simulated=simulated),
                "images.csv": record.images(session),
                "record.csv": record.record_of(session),
            }
            plan = record.plan_as_json(session)
    for name, table in {_PARTICIPANTS: participants, **tables}.items():
        write_table(out / name, table)
    write_output(out / "plan.json", json_text(plan))
    write_output(out / "consent.txt", plan["plan"]["consent"] + "\n")
    meanings = {name: _MEANINGS[name] for name in columns}
    of_participants = {
        name: _MEANINGS_OF_PARTICIPANTS[name]
        for name in participants
        if name in _MEANINGS_OF_PARTICIPANTS
    }
    write_output(out / "codebook.md", record.codebook(meanings, of_participants))
    script = files("convergan.study.import_export").joinpath(_SCRIPT).read_text(encoding="utf-8")
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
    columns = record.columns_of(rows, {name: kind for name, (_, kind) in _COLUMNS.items()})
    if simulated:
        columns["arm"] = np.char.add(SIMULATED, columns["arm"])
    return columns
