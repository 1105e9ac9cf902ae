"""Record of what researchers did to a study while it ran: events are added, and never changed.

Without the record, nobody could tell a study that ended as planned from one that continued until its results
were welcome.
"""

import time
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from convergan.study.storage.schema import Event

EventName = Literal["created", "quota", "paused", "opened", "exported", "deleted", "forgotten"]
"""Names of events. `deleted`, `forgotten`: of a participant, of whom only the arm and the state are kept."""


def note(session: Session, name: EventName, detail: str = "") -> None:
    """Add an event to the record, in the transaction that makes the change."""
    session.add(Event(at=time.time(), what=name, detail=detail))


def events(session: Session) -> list[Event]:
    """Read the whole record, the earliest event first."""
    return list(session.scalars(select(Event).order_by(Event.id)))
