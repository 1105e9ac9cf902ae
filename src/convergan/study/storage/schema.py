"""Tables of a study's database. Personal identifiers and answers are in separate tables.

Times are seconds since 1970 (UTC). The migrations create these tables; a test checks that they are the same.
"""

from typing import Any

from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Base class of all tables."""


class Study(Base):
    """The one study of this database."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Fields of `Plan`; never changed."""
    codes: Mapped[dict[str, str]] = mapped_column(JSON)
    """Completion codes by outcome."""
    size_px: Mapped[int]
    content_length: Mapped[int]
    """Size of every image, in bytes."""
    quota: Mapped[int]
    """Participants wanted in each arm; the number in the plan, until the researcher changes it."""
    paused: Mapped[bool]
    created_at: Mapped[float]
    order_secret: Mapped[str]
    """Random secret that decides, with the plan's seed, the order of trials (`design/schedule.py`)."""
    sign_outs: Mapped[int] = mapped_column(default=0)
    """Number of times that a researcher has signed out, which ends all sessions of researchers."""
    key_fingerprint: Mapped[str | None] = mapped_column(String(64))
    """Fingerprint of the study's keys (`keys.py`); None in a study of an older version."""


class Arm(Base):
    """Arm: participants who get the same images and the same feedback."""

    __tablename__ = "arms"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    images: Mapped[str]
    feedback: Mapped[bool]


class Image(Base):
    """Image, ready to be sent."""

    __tablename__ = "images"
    __table_args__ = (UniqueConstraint("images", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    images: Mapped[str]
    """Name of the set that the image belongs to; "real" for real images."""
    name: Mapped[str]
    """Path of the image file within the folder of the set."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    """Hash of the image file, in hexadecimal; None in a study of an older version."""
    generated: Mapped[bool]
    practice: Mapped[bool]
    """True for images that are used for practice only."""
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


class Participant(Base):
    """Session of one person."""

    __tablename__ = "participants"
    __table_args__ = (UniqueConstraint("arm_id", "simulated", "place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    """Code that stands for the person in everything that is shown and exported."""
    arm_id: Mapped[int] = mapped_column(ForeignKey("arms.id"))
    place: Mapped[int]
    """Number within the arm, from 0, which decides the images that are shown."""
    way: Mapped[str]
    """The way by which the person came (`collect/entry.py`); "bot" for a bot."""
    simulated: Mapped[bool]
    """True for bots and for researchers' previews, which are not counted."""
    started_at: Mapped[float]
    seen_at: Mapped[float]
    expires_at: Mapped[float]
    finished_at: Mapped[float | None]
    outcome: Mapped[str | None]
    """Outcome of the session (`collect/outcome.py`); None before its end."""
    replaced_images: Mapped[int] = mapped_column(default=0)
    """Number of timed images in trials that were shown, not answered, and replaced after a reload."""

    arm: Mapped[Arm] = relationship(lazy="joined", innerjoin=True)


class Token(Base):
    """Access of a browser to a participant's session; only a hash of the token is stored."""

    __tablename__ = "tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), index=True
    )


class Identity(Base):
    """Identity of a person: keyed hashes (`keys.py`) of a platform's identifiers, or of a link."""

    __tablename__ = "identities"

    person: Mapped[str] = mapped_column(String(64), primary_key=True)
    submission: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Keyed hash of Prolific's SESSION_ID."""
    platform_study: Mapped[str | None] = mapped_column(String(64))
    """Keyed hash of Prolific's STUDY_ID."""
    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), unique=True
    )


class Trial(Base):
    """Trial, check or practice image at one position of a session, from 1."""

    __tablename__ = "trials"

    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """Kind of trial: "practice", "trial" or "check"."""
    number: Mapped[int]
    """Number among the trials of its kind, from 1."""
    generated: Mapped[bool]
    """Truth about the image; for a check, the answer that it asks for."""
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"), index=True)
    address: Mapped[str] = mapped_column(String(32), unique=True)
    """Random address of the image, for this session alone."""
    exposure_ms: Mapped[int | None]
    """Planned exposure of a timed image; None until it is shown."""
    shown_key: Mapped[str | None] = mapped_column(String(64))
    """Key of the attempt that a timed image was shown to; None until it is shown."""

    vote: Mapped["Vote | None"] = relationship(viewonly=True)


class SeenImage(Base):
    """Timed image that was shown but not answered before a reload; it is not shown again."""

    __tablename__ = "seen_images"

    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), primary_key=True
    )
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), primary_key=True)


class Vote(Base):
    """Answer. The database itself ensures that it is never changed, and deleted only with its participant."""

    __tablename__ = "votes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["participant_id", "position"],
            ["trials.participant_id", "trials.position"],
            ondelete="CASCADE",
        ),
    )

    participant_id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64))
    """Random key chosen by the browser, by which a repeated request is recognized."""
    answered_generated: Mapped[bool]
    response_ms: Mapped[float | None]
    """Time from the image's appearance to the answer, by the browser's clock."""
    recorded_at: Mapped[float]
    shown_ms: Mapped[float | None]
    """Measured exposure of a timed image, by the browser's clock."""
    frames: Mapped[int | None]
    """Number of frames of the display for which a timed image was shown."""
    frame_ms: Mapped[float | None]
    """Duration of one frame of the display."""
    input: Mapped[str | None] = mapped_column(String(8))
    """Means of the answer: "key", "mouse", "touch" or "pen"."""
    device: Mapped[str | None] = mapped_column(String(8))
    """Kind of device, by its screen and pointer: "phone", "tablet" or "computer"."""
    window_width: Mapped[int | None]
    """Width of the page, in CSS pixels."""
    window_height: Mapped[int | None]
    """Height of the page, in CSS pixels."""


class Event(Base):
    """Action of a researcher. The database itself ensures that it is never changed or deleted."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]  # words: a column of the database
    what: Mapped[str] = mapped_column(String(32))  # words: a column of the database
    """Name of the event (`audit.py`)."""
    detail: Mapped[str]
