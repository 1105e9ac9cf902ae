"""The record of what researchers did to a study while it ran: it grows, and nothing in it is ever changed.

Without it nobody can tell a study that ended as planned from one that went on until the numbers pleased.
"""

import time
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from convergan.study.storage.schema import Event

What = Literal["created", "quota", "paused", "opened", "exported", "deleted", "forgotten"]
"""`deleted`, `forgotten`: a participant, of whom nothing but the arm and the state is kept."""


def note(session: Session, what: What, detail: str = "") -> None:
    """Adds to the record, in the transaction that does what is recorded."""
    session.add(Event(at=time.time(), what=what, detail=detail))


def events(session: Session) -> list[Event]:
    """The whole record, the earliest first."""
    return list(session.scalars(select(Event).order_by(Event.id)))
