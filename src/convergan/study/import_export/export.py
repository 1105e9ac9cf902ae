"""Export of a study's votes and records from its database."""

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
from convergan.study.import_export.table_files import write_table
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
    "participant": "code of the participant",
    "arm": "the participant's arm",
    "images": "set of generated images that the arm shows",
    "image": "set and file of the image shown",
    "trial": "number of the trial, 1, 2, ... for each participant",
    "generated": "whether the image is generated",
    "answered_generated": "whether the answer was 'generated'",
    "response_seconds": "time from the image's appearance to the answer",
    "feedback": "whether the arm's participants are told after each answer if it was right",
    "control": "whether the image is an obvious fake, which counts in no result",
    "exposure_ms": "timed studies: requested exposure",
    "shown_ms": "timed studies: measured exposure",
    "frames": "timed studies: measured exposure, in frames of the display",
    "frame_ms": "timed studies: duration of a frame",
}
"""Meanings of the columns of votes, for the codebook."""

_MEANINGS_OF_PARTICIPANTS = {
    "participant": "code of the participant",
    "arm": "the participant's arm",
    "came_by": "kind of link: personal, open or prolific",
    "state": "completed; attention (finished, but missed two or more checks); under way; left",
    "started_at": "time of the consent, in seconds since 1970 (UTC)",
    "answered": "number of answers, practice and checks included",
    "missed_checks": "number of attention checks answered wrongly",
    "replaced_images": "timed studies: number of images that were shown, not answered and replaced",
    "threshold_ms": "timed studies: exposure threshold of the participant",
    "flags": "signs that the participant did not do the task carefully",
}
"""Meanings of the columns of participants, for the codebook."""

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
    """Read the votes of a study that count: on trials, of participants who finished and passed the checks.

    Args:
        study: file or URL of the database, as for `open_study`.
        simulated: votes of simulated participants instead; the names of their arms say that they are.

    Raises:
        UserError: there is no such study, or there are no votes in it yet.
    """
    columns = _columns(study, simulated=simulated)
    if not len(columns["trial"]):
        voters = "simulated participants" if simulated else "participants"
        raise UserError(
            f"{Database(study)}: expected votes of {voters} who have finished, got none yet"
        )
    return _as_votes(columns)


def export_study(study: str, out: Path, *, simulated: bool = False, overwrite: bool = False) -> int:
    """Export all data of a study, finished or not.

    votes.csv and votes.parquet hold the votes that count, answers.csv every answer of every participant. The
    other files are participants.csv, stages.csv, images.csv, record.csv, plan.json, consent.txt, a script for
    R, and codebook.md, which explains the columns. The export is noted in the study's record.

    Args:
        study: file or URL of the database, as for `open_study`.
        out: folder for the files, created if it does not exist.
        simulated: the data of simulated participants instead.
        overwrite: replace existing files of these names.

    Returns:
        The number of votes that count.

    Raises:
        UserError: there is no such study; or a file exists, and `overwrite` is off.
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
            suffix = " of simulated participants" if simulated else ""
            note(session, "exported", f"{len(columns['trial'])} votes{suffix}")
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
    participant_meanings = {
        name: _MEANINGS_OF_PARTICIPANTS[name]
        for name in participants
        if name in _MEANINGS_OF_PARTICIPANTS
    }
    write_output(out / "codebook.md", record.codebook(meanings, participant_meanings))
    script = files("convergan.study.import_export").joinpath(_SCRIPT).read_text(encoding="utf-8")
    write_output(out / _SCRIPT, script)
    return len(columns["trial"])


def picture_of(session: Session, image: str) -> bytes | None:
    """Return an image as participants saw it, by its name in votes; None if there is no such image."""
    return session.scalar(select(Image.content).where(Image.images + "/" + Image.name == image))


def left_out(study: str) -> tuple[str, ...]:
    """Return sentences on participants whose votes `read_votes` leaves out: how many, and why."""
    with closing(open_study(study)) as database, database.reading() as session:
        arms = progress_of(session, time.time()).arms
    attention = sum(arm.attention for arm in arms)
    unfinished = sum(arm.under_way + arm.left for arm in arms)
    return tuple(
        f"Not counted: {number:,} participant{'s' * (number > 1)} who {reason}."
        for number, reason in (
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
    """Make the table of participants; only timed participants who count have a threshold."""
    with closing(open_study(study)) as database, database.reading() as session:
        everyone = progress_of(session, time.time()).participants
    people = [person for person in reversed(everyone) if person.simulated == simulated]
    thresholds = Thresholds(_as_votes(votes)).by_participant()
    return {
        "participant": np.array([person.code for person in people]),
        "arm": np.array([person.arm for person in people]),
        "came_by": np.array([person.way for person in people]),
        "state": np.array([person.status for person in people]),
        "started_at": np.array([person.started_at for person in people]),
        "answered": np.array([person.answered for person in people]),
        "missed_checks": np.array([person.missed_checks for person in people]),
        "replaced_images": np.array([person.replaced_images for person in people]),
        "threshold_ms": np.array([thresholds.get(person.code, np.nan) for person in people]),
        "flags": np.array([", ".join(person.flags) for person in people], str),
    }


def _columns(study: str, *, simulated: bool) -> dict[str, np.ndarray]:
    query: Any = (
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
        rows = session.execute(query).all()
    columns = record.columns_of(rows, {name: kind for name, (_, kind) in _COLUMNS.items()})
    if simulated:
        columns["arm"] = np.char.add(SIMULATED, columns["arm"])
    return columns
