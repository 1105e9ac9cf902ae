"""Outcomes of sessions, and the completion codes that stand for them."""

from collections.abc import Iterable
from typing import Literal

SessionOutcome = Literal["completed", "attention"]
"""`completed`: the session counts. `attention`: it does not count; too many checks were missed."""

CODES = {
    "completed": "finished; counted",
    "attention": "finished, but missed two or more attention checks; not counted",
    "declined": "did not consent",
    "full": "came when all places were taken",
}
"""Meanings of the completion codes."""

MISSES_ALLOWED = 1
"""Number of attention checks that a participant may miss: one miss can happen to anyone."""


def outcome(missed: Iterable[bool]) -> SessionOutcome:
    """Return the outcome of a finished session; `missed` has one entry per attention check."""
    return "completed" if sum(missed) <= MISSES_ALLOWED else "attention"
