"""Everything that is known of a study, finished or not, as tables; and what each of their columns holds."""

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

# Name, where it is from, the type, the meaning.
_ANSWERS: dict[str, tuple[Any, Any, str]] = {
    "participant": (Participant.code, str, "a code"),
    "arm": (Arm.name, str, "the participant's arm"),
    "position": (
        Trial.position,
        np.int64,
        "1, 2, ... within the session, practice and checks included",
    ),
    "kind": (Trial.kind, str, "practice, trial or check"),
    "number": (Trial.number, np.int64, "1, 2, ... among those of its kind"),
    "image": (
        case((Image.id.is_(None), ""), else_=Image.images + "/" + Image.name),
        str,
        "set and file of the image shown; empty for a check",
    ),
    "control": (
        case((Image.images == CONTROL, True), else_=False),
        bool,
        "a trial with an obvious fake, which counts in no result",
    ),
    "generated": (Trial.generated, bool, "the truth; of a check, whether it asks for 'generated'"),
    "answered_generated": (Vote.answered_generated, bool, "the answer"),
    "response_seconds": (
        Vote.response_ms / 1000,
        np.float64,
        "from the image's appearance to the answer, by the browser's clock",
    ),
    "recorded_at": (
        Vote.recorded_at,
        np.float64,
        "when the answer was stored, in seconds since 1970 (UTC)",
    ),
    "exposure_ms": (
        Trial.exposure_ms,
        np.float64,
        "timed studies: the exposure that was asked for",
    ),
    "shown_ms": (Vote.shown_ms, np.float64, "timed studies: the exposure as it was"),
    "frames": (Vote.frames, np.float64, "timed studies: frames of the display that it took"),
    "frame_ms": (Vote.frame_ms, np.float64, "timed studies: length of a frame"),
    "input": (Vote.input, str, "key, mouse, touch or pen; empty where unknown"),
    "device": (Vote.device, str, "phone, tablet or computer; empty where unknown"),
    "window_width": (Vote.window_width, np.float64, "of the page, in CSS pixels"),
    "window_height": (Vote.window_height, np.float64, "likewise"),
}

_IMAGES: dict[str, tuple[Any, Any, str]] = {
    "image": (Image.images + "/" + Image.name, str, "set and file, as in the other tables"),
    "images": (Image.images, str, "the set"),
    "generated": (Image.generated, bool, "the truth"),
    "practice": (Image.practice, bool, "only practised on, in no trial"),
    "sha256": (Image.sha256, str, "of the file; empty for a study made before it was kept"),
}

_SESSIONS = {
    "finished_at": "when the last answer was given, in seconds since 1970 (UTC); empty for who left",
    "seconds": "from the start to the last answer",
    "last_answer_at": "when the latest answer was stored",
    "inputs": "all that answered: key, mouse, touch, pen",
    "devices": "all that were used: phone, tablet, computer",
    "windows": "the sizes of the page that were used",
    "median_response_seconds": "over the trials that count",
}

_STAGES = {
    "arm": "the arm; 'all' for their sum",
    "consented": "agreed and got a session",
    "answered": "gave a first answer, which takes a place",
    "began_trials": "answered a trial that counts",
    "finished": "answered everything",
    "missed_checks": "of these, missed two or more attention checks",
    "counted": "of these, passed: their votes are in votes.csv",
}

_EVENTS = {
    "at": "when, in seconds since 1970 (UTC)",
    "what": "created, quota, paused, opened, exported, deleted or forgotten",
    "detail": "which",
}


def answers(session: Session, *, simulated: bool) -> Table:
    """Every answer of every participant: practice, trials and checks, of those who left and failed, too."""
    found = (
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
        session.execute(found).all(), {name: kind for name, (_, kind, _) in _ANSWERS.items()}
    )


def images(session: Session) -> Table:
    """The images of a study, with hashes of their files."""
    found = select(*_labelled(_IMAGES)).order_by(Image.images, Image.name)
    return columns_of(
        session.execute(found).all(), {name: kind for name, (_, kind, _) in _IMAGES.items()}
    )


def record_of(session: Session) -> Table:
    """What researchers did."""
    rows = [(each.at, each.what, each.detail) for each in events(session)]
    return columns_of(rows, {"at": np.float64, "what": str, "detail": str})


def sessions(session: Session, codes: Sequence[str]) -> Table:
    """More about participants, a row for each of these codes."""
    latest = dict(
        session.execute(
            select(Vote.participant_id, func.max(Vote.recorded_at)).group_by(Vote.participant_id)
        ).all()
    )
    how = select(
        Vote.participant_id, Vote.input, Vote.device, Vote.window_width, Vote.window_height
    ).distinct()
    used: dict[int, list[tuple[Any, ...]]] = {}
    for participant, *rest in session.execute(how):
        used.setdefault(participant, []).append(tuple(rest))
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
    people = {each.code: each for each in session.scalars(select(Participant))}
    rows: list[tuple[Any, ...]] = []
    for code in codes:
        each = people.get(code)
        if each is None:  # deleted a moment ago
            rows.append((None,) * len(_SESSIONS))
            continue
        last = latest.get(each.id)
        ways = used.get(each.id, [])
        rows.append(
            (
                each.finished_at,
                None if last is None else last - each.started_at,
                last,
                _listed(way[0] for way in ways),
                _listed(way[1] for way in ways),
                _listed(f"{way[2]}x{way[3]}" for way in ways if way[2] is not None),
                float(np.median(times[each.id])) if each.id in times else None,
            )
        )
    kinds = {name: np.float64 for name in _SESSIONS} | {
        name: str for name in ("inputs", "devices", "windows")
    }
    return columns_of(rows, kinds)


def stages(
    session: Session, participants: Sequence[ParticipantProgress], *, simulated: bool
) -> Table:
    """How many participants came how far, by arm: the flow that CONSORT's diagram shows.

    Nothing is stored of who opened a link and did not consent.
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
    for each in participants:
        if each.simulated == simulated:
            finished = each.status in ("completed", "attention")
            reached = {
                "consented": True,
                "answered": each.answered > 0,
                "began_trials": each.code in began,
                "finished": finished,
                "missed_checks": each.status == "attention",
                "counted": each.status == "completed",
            }
            counts[each.arm].update(stage for stage, there in reached.items() if there)
    counts["all"] = sum(counts.values(), Counter())
    rows = [(arm, *(count[stage] for stage in list(_STAGES)[1:])) for arm, count in counts.items()]
    return columns_of(rows, {name: str if name == "arm" else np.int64 for name in _STAGES})


def plan_as_json(session: Session) -> dict[str, Any]:
    """The frozen plan, with what belongs to it."""
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
    """What each column of each table of an export holds, in Markdown.

    Args:
        votes: meanings of the columns of votes.csv.
        participants: likewise of participants.csv, but for those that this file adds.
    """
    tables = {
        "votes.csv, votes.parquet": (
            "The votes that count: on trials, of participants who finished and passed the checks.",
            votes,
        ),
        "answers.csv": (
            "Every answer of everybody: practice, trials and checks, also of who left or failed.",
            {name: meaning for name, (_, _, meaning) in _ANSWERS.items()},
        ),
        "participants.csv": ("Everybody who consented.", participants | _SESSIONS),
        "stages.csv": ("How many came how far.", _STAGES),
        "images.csv": (
            "The images of the study.",
            {name: meaning for name, (_, _, meaning) in _IMAGES.items()},
        ),
        "record.csv": ("What the researchers did.", _EVENTS),
    }
    parts = ["# Codebook\n"]
    for name, (what, columns) in tables.items():
        rows = "\n".join(f"| `{column}` | {meaning} |" for column, meaning in columns.items())
        parts.append(f"## {name}\n\n{what}\n\n| column | holds |\n|---|---|\n{rows}\n")
    parts.append(
        "## Other files\n\n`plan.json`: the plan, frozen when the study was made, its arms and the number of"
        " images of each set. `consent.txt`: what participants agreed to. `mixed_model.R`: a mixed model of"
        " `votes.csv`.\n\nEmpty cells are unknown or do not apply.\n"
    )
    return "\n".join(parts)


def columns_of(rows: Sequence[Any], kinds: dict[str, Any]) -> Table:
    """Columns of these kinds; None becomes NaN, or "" in text."""
    cells = zip(*rows, strict=True) if rows else ((),) * len(kinds)
    return {
        name: np.array(["" if cell is None else cell for cell in column], dtype=str)
        if kind is str
        else np.array(column, dtype=kind)
        for (name, kind), column in zip(kinds.items(), cells, strict=True)
    }


def _labelled(columns: dict[str, tuple[Any, Any, str]]) -> list[Any]:
    return [column.label(name) for name, (column, _, _) in columns.items()]


def _listed(values: Any) -> str:
    return " ".join(sorted({value for value in values if value}))
