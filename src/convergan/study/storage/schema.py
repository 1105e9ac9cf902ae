"""The tables. What holds personal identifiers is apart from what holds answers.

Times are seconds since 1970 (UTC). The migrations make these tables; a test holds that they are the same.
"""

from typing import Any

from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What the tables share."""


class Study(Base):
    """The one study of this database."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The fields of `Plan`; never changed."""
    codes: Mapped[dict[str, str]] = mapped_column(JSON)
    """Completion codes by outcome."""
    size_px: Mapped[int]
    content_length: Mapped[int]
    """Of every image, in bytes."""
    quota: Mapped[int]
    """Participants wanted in each arm: the plan's, until the researcher changes it."""
    paused: Mapped[bool]
    created_at: Mapped[float]
    order_secret: Mapped[str]
    """Random: goes with the plan's seed into who sees what in which order (`design/schedule.py`)."""
    sign_outs: Mapped[int] = mapped_column(default=0)
    """How often a researcher has signed out, which ends all that was signed in until then."""
    key_fingerprint: Mapped[str | None] = mapped_column(String(64))
    """Of the study's own keys (`keys.py`); None in a study from before it was kept."""


class Arm(Base):
    """Participants who get the same."""

    __tablename__ = "arms"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    images: Mapped[str]
    feedback: Mapped[bool]


class Image(Base):
    """A picture, ready to be sent."""

    __tablename__ = "images"
    __table_args__ = (UniqueConstraint("images", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    images: Mapped[str]
    """The set that it belongs to; of real images: "real"."""
    name: Mapped[str]
    """Its file, relative to the set's folder."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    """Of that file; None in a study from before it was kept."""
    generated: Mapped[bool]
    practice: Mapped[bool]
    """It is practised on, and in no trial."""
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


class Participant(Base):
    """One person's session."""

    __tablename__ = "participants"
    __table_args__ = (UniqueConstraint("arm_id", "simulated", "place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    """The name that this person goes by in all that is shown and exported."""
    arm_id: Mapped[int] = mapped_column(ForeignKey("arms.id"))
    place: Mapped[int]
    """The number in the arm that decides which images are shown."""
    way: Mapped[str]
    """How they came: see `entry.py`; "bot" for one that did not."""
    simulated: Mapped[bool]
    """A bot, or the researcher looking around: counts nowhere."""
    started_at: Mapped[float]
    seen_at: Mapped[float]
    expires_at: Mapped[float]
    finished_at: Mapped[float | None]
    outcome: Mapped[str | None]
    """How the session ended: see `outcome.py`."""
    replaced_images: Mapped[int] = mapped_column(default=0)
    """Timed images of trials that were shown, not answered, and replaced, as the page was reloaded."""

    arm: Mapped[Arm] = relationship(lazy="joined", innerjoin=True)


class Token(Base):
    """What a participant's browser shows to be let in; the token itself is not stored."""

    __tablename__ = "tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), index=True
    )


class Identity(Base):
    """By which a person is known again, keyed-hashed (`keys.py`): from which platform, or by which link."""

    __tablename__ = "identities"

    person: Mapped[str] = mapped_column(String(64), primary_key=True)
    submission: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Prolific's SESSION_ID."""
    platform_study: Mapped[str | None] = mapped_column(String(64))
    """Prolific's STUDY_ID."""
    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), unique=True
    )


class Trial(Base):
    """What a participant answers at one position of the session, from 1."""

    __tablename__ = "trials"

    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """ "practice", "trial" or "check"."""
    number: Mapped[int]
    """Among those of its kind, from 1."""
    generated: Mapped[bool]
    """The truth; of a check: the answer that it asks for."""
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"), index=True)
    address: Mapped[str] = mapped_column(String(32), unique=True)
    """Under which the image can be had: random, for this session alone."""
    exposure_ms: Mapped[int | None]
    """How long a timed image is to be shown; known once it is."""
    shown_key: Mapped[str | None] = mapped_column(String(64))
    """The key of the attempt that a timed image was shown to, once it has been."""

    vote: Mapped["Vote | None"] = relationship(viewonly=True)


class SeenImage(Base):
    """A timed image that was shown and not answered, as its page was reloaded: it is not shown again."""

    __tablename__ = "seen_images"

    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), primary_key=True
    )
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), primary_key=True)


class Vote(Base):
    """An answer. Never changed, and deleted only with its participant: the database itself sees to it."""

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
    """Random, of the browser's choice: a repeated request is known by it."""
    answered_generated: Mapped[bool]
    response_ms: Mapped[float | None]
    """From the image's appearance to the answer, by the browser's clock."""
    recorded_at: Mapped[float]
    shown_ms: Mapped[float | None]
    """How long a timed image really was on the screen, by the browser's clock."""
    frames: Mapped[int | None]
    """Frames of the display that it was shown for."""
    frame_ms: Mapped[float | None]
    """How long one frame takes."""
    input: Mapped[str | None] = mapped_column(String(8))
    """What answered: "key", "mouse", "touch" or "pen"."""
    device: Mapped[str | None] = mapped_column(String(8))
    """ "phone", "tablet" or "computer", by the screen and what points at it."""
    window_width: Mapped[int | None]
    """Of the page, in CSS pixels; so is the height."""
    window_height: Mapped[int | None]


class Event(Base):
    """What a researcher did. Never changed: the database itself sees to it."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    what: Mapped[str] = mapped_column(String(32))
    """See `audit.py`."""
    detail: Mapped[str]
