"""Tables of all data of a study, finished or not, and a codebook of their columns."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from convergan.study.collect.progress import ParticipantProgress
from convergan.study.design.plan import CONTROL
from convergan.study.storage.audit import events
from convergan.study.storage.schema import Arm, Image, Participant, Study, Trial, Vote

Table = dict[str, np.ndarray]
"""Columns of equal length, by name."""

# Name: source, type, meaning.
_ANSWERS: dict[str, tuple[Any, Any, str]] = {
    "participant": (Participant.code, str, "code of the participant"),
    "arm": (Arm.name, str, "the participant's arm"),
    "position": (
        Trial.position,
        np.int64,
        "number in the session, 1, 2, ..., practice and checks included",
    ),
    "kind": (Trial.kind, str, "practice, trial or check"),
    "number": (Trial.number, np.int64, "number among those of its kind, 1, 2, ..."),
    "image": (
        case((Image.id.is_(None), ""), else_=Image.images + "/" + Image.name),
        str,
        "set and file of the image shown; empty for a check",
    ),
    "control": (
        case((Image.images == CONTROL, True), else_=False),
        bool,
        "whether the image is an obvious fake, which counts in no result",
    ),
    "generated": (
        Trial.generated,
        bool,
        "whether the image is generated; for a check, whether it asks for 'generated'",
    ),
    "answered_generated": (Vote.answered_generated, bool, "whether the answer was 'generated'"),
    "response_seconds": (
        Vote.response_ms / 1000,
        np.float64,
        "time from the image's appearance to the answer, by the browser's clock",
    ),
    "recorded_at": (
        Vote.recorded_at,
        np.float64,
        "time at which the answer was stored, in seconds since 1970 (UTC)",
    ),
    "exposure_ms": (
        Trial.exposure_ms,
        np.float64,
        "timed studies: requested exposure",
    ),
    "shown_ms": (Vote.shown_ms, np.float64, "timed studies: measured exposure"),
    "frames": (
        Vote.frames,
        np.float64,
        "timed studies: measured exposure, in frames of the display",
    ),
    "frame_ms": (Vote.frame_ms, np.float64, "timed studies: duration of a frame"),
    "input": (Vote.input, str, "key, mouse, touch or pen; empty where unknown"),
    "device": (Vote.device, str, "phone, tablet or computer; empty where unknown"),
    "window_width": (Vote.window_width, np.float64, "width of the page, in CSS pixels"),
    "window_height": (Vote.window_height, np.float64, "height of the page, in CSS pixels"),
}

_IMAGES: dict[str, tuple[Any, Any, str]] = {
    "image": (Image.images + "/" + Image.name, str, "set and file, as in the other tables"),
    "images": (Image.images, str, "set of the image"),
    "generated": (Image.generated, bool, "whether the image is generated"),
    "practice": (Image.practice, bool, "whether the image is for practice only"),
    "sha256": (
        Image.sha256,
        str,
        "SHA-256 of the file; empty for studies of versions that did not store it",
    ),
}

_SESSIONS = {
    "finished_at": "time of the last answer, in seconds since 1970 (UTC); empty unless finished",
    "seconds": "time from the start to the latest answer",
    "last_answer_at": "time at which the latest answer was stored, in seconds since 1970 (UTC)",
    "inputs": "all inputs used: key, mouse, touch, pen",
    "devices": "all devices used: phone, tablet, computer",
    "windows": "all sizes of the page, in CSS pixels",
    "median_response_seconds": "median response time over the trials that count",
}

_STAGES = {
    "arm": "name of the arm; 'all' for the sum of all arms",
    "consented": "number of participants who consented and started a session",
    "answered": "number who gave an answer, be it in practice",
    "began_trials": "number who answered a trial that counts, with the first of which they take a place",
    "finished": "number who answered everything",
    "missed_checks": "number of these who missed two or more attention checks",
    "counted": "number of these who passed: their votes are in votes.csv",
}

_EVENTS = {
    "at": "time of the event, in seconds since 1970 (UTC)",
    "what": "kind of event: created, quota, paused, opened, exported, deleted or forgotten",
    "detail": "details of the event",
}


def answers(session: Session, *, simulated: bool) -> Table:
    """Read all answers: practice, trials and checks, also of participants who left or failed."""
    query = (
        select(*_labelled(_ANSWERS))
        .select_from(Vote)
        .join(Trial)
        .join(Participant, Participant.id == Trial.participant_id)
        .join(Arm)
        .outerjoin(Image, Image.id == Trial.image_id)
        .where(Participant.simulated == simulated)
        .order_by(Participant.id, Trial.position)
    )
    return columns_of(
        session.execute(query).all(), {name: kind for name, (_, kind, _) in _ANSWERS.items()}
    )


def images(session: Session) -> Table:
    """Read the list of images, with hashes of their files."""
    query = select(*_labelled(_IMAGES)).order_by(Image.images, Image.name)
    return columns_of(
        session.execute(query).all(), {name: kind for name, (_, kind, _) in _IMAGES.items()}
    )


def record_of(session: Session) -> Table:
    """Read the record of what researchers did."""
    rows = [(event.at, event.what, event.detail) for event in events(session)]
    return columns_of(rows, {"at": np.float64, "what": str, "detail": str})


def sessions(session: Session, codes: Sequence[str]) -> Table:
    """Read further columns of participants, a row for each of these codes."""
    latest = dict(
        session.execute(
            select(Vote.participant_id, func.max(Vote.recorded_at)).group_by(Vote.participant_id)
        ).all()
    )
    browsers = select(
        Vote.participant_id, Vote.input, Vote.device, Vote.window_width, Vote.window_height
    ).distinct()
    browsers_by_participant: dict[int, list[tuple[Any, ...]]] = {}
    for participant, *browser in session.execute(browsers):
        browsers_by_participant.setdefault(participant, []).append(tuple(browser))
    times: dict[int, list[float]] = {}
    timed = (
        select(Trial.participant_id, Vote.response_ms / 1000)
        .join(Trial.vote)
        .join(Image, Image.id == Trial.image_id)
        .where(Trial.kind == "trial", Image.images != CONTROL)
    )
    for participant, seconds in session.execute(timed):
        if seconds is not None:
            times.setdefault(participant, []).append(seconds)
    people = {person.code: person for person in session.scalars(select(Participant))}
    rows: list[tuple[Any, ...]] = []
    for code in codes:
        person = people.get(code)
        if person is None:  # deleted a moment ago
            rows.append((None,) * len(_SESSIONS))
            continue
        last = latest.get(person.id)
        own = browsers_by_participant.get(person.id, [])
        rows.append(
            (
                person.finished_at,
                None if last is None else last - person.started_at,
                last,
                _distinct_values(kind for kind, *_ in own),
                _distinct_values(device for _, device, *_ in own),
                _distinct_values(
                    f"{width}x{height}" for *_, width, height in own if width is not None
                ),
                float(np.median(times[person.id])) if person.id in times else None,
            )
        )
    kinds = {name: np.float64 for name in _SESSIONS} | {
        name: str for name in ("inputs", "devices", "windows")
    }
    return columns_of(rows, kinds)


def stages(
    session: Session, participants: Sequence[ParticipantProgress], *, simulated: bool
) -> Table:
    """Count the participants of each arm who reached each stage, as in a CONSORT flow diagram.

    Nothing is stored about people who opened a link and did not consent.
    """
    began = set(
        session.scalars(
            select(Participant.code)
            .join(Trial, Trial.participant_id == Participant.id)
            .join(Trial.vote)
            .where(Trial.kind == "trial", Trial.number == 1)
        )
    )
    counts: dict[str, Counter[str]] = {
        arm: Counter() for arm in session.scalars(select(Arm.name).order_by(Arm.id))
    }
    for person in participants:
        if person.simulated == simulated:
            finished = person.status in ("completed", "attention")
            reached = {
                "consented": True,
                "answered": person.answered > 0,
                "began_trials": person.code in began,
                "finished": finished,
                "missed_checks": person.status == "attention",
                "counted": person.status == "completed",
            }
            counts[person.arm].update(stage for stage, passed in reached.items() if passed)
    counts["all"] = sum(counts.values(), Counter())
    rows = [(arm, *(count[stage] for stage in list(_STAGES)[1:])) for arm, count in counts.items()]
    return columns_of(rows, {name: str if name == "arm" else np.int64 for name in _STAGES})


def plan_as_json(session: Session) -> dict[str, Any]:
    """Read the fixed plan, with arms, sizes and numbers of images, for JSON."""
    study = session.get_one(Study, 1)
    counted = select(Image.images, func.count()).group_by(Image.images).order_by(Image.images)
    return {
        "schema": 1,
        "convergan": version("convergan"),
        "created_at": study.created_at,
        "plan": study.plan,
        "quota": study.quota,
        "size_px": study.size_px,
        "arms": [
            {"name": arm.name, "images": arm.images, "feedback": arm.feedback}
            for arm in session.scalars(select(Arm).order_by(Arm.id))
        ],
        "images": dict(session.execute(counted).all()),
        "key_fingerprint": study.key_fingerprint,
    }


def codebook(votes: dict[str, str], participants: dict[str, str]) -> str:
    """Write the codebook of an export in Markdown: the meaning of each column of each table.

    Args:
        votes: meanings of the columns of votes.csv, by name.
        participants: meanings of those columns of participants.csv that `sessions` does not read.
    """
    tables = {
        "votes.csv, votes.parquet": (
            "The votes that count: on trials, of participants who finished and passed the checks.",
            votes,
        ),
        "answers.csv": (
            "All answers: practice, trials and checks, also of participants who left or failed.",
            {name: meaning for name, (_, _, meaning) in _ANSWERS.items()},
        ),
        "participants.csv": ("All participants who consented.", participants | _SESSIONS),
        "stages.csv": ("Numbers of participants who reached each stage.", _STAGES),
        "images.csv": (
            "The images of the study.",
            {name: meaning for name, (_, _, meaning) in _IMAGES.items()},
        ),
        "record.csv": ("What the researchers did.", _EVENTS),
    }
    parts = ["# Codebook\n"]
    for name, (summary, columns) in tables.items():
        rows = "\n".join(f"| `{column}` | {meaning} |" for column, meaning in columns.items())
        parts.append(f"## {name}\n\n{summary}\n\n| column | meaning |\n|---|---|\n{rows}\n")
    parts.append(
        "## Other files\n\n`plan.json`: the plan, frozen when the study was created, its arms, and the number"
        " of images in each set. `consent.txt`: the text that participants agreed to. `mixed_model.R`: a"
        " script that fits a mixed model to `votes.csv`.\n\nA cell is empty where the value is unknown or"
        " does not apply.\n"
    )
    return "\n".join(parts)


def columns_of(rows: Sequence[Any], kinds: dict[str, Any]) -> Table:
    """Make columns of these types from rows; None becomes NaN, or "" in text."""
    cells = zip(*rows, strict=True) if rows else ((),) * len(kinds)
    return {
        name: np.array(["" if cell is None else cell for cell in column], dtype=str)
        if kind is str
        else np.array(column, dtype=kind)
        for (name, kind), column in zip(kinds.items(), cells, strict=True)
    }


def _labelled(columns: dict[str, tuple[Any, Any, str]]) -> list[Any]:
    return [column.label(name) for name, (column, _, _) in columns.items()]


def _distinct_values(values: Any) -> str:
    return " ".join(sorted({value for value in values if value}))
