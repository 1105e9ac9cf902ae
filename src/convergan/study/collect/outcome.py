"""How a session ends."""

from collections.abc import Iterable
from typing import Literal

Outcome = Literal["completed", "attention"]
"""`completed`: it counts. `attention`: too many checks were missed; it does not."""

CODES = {
    "completed": "finished, and counts",
    "attention": "finished, but missed two or more attention checks: does not count",
    "declined": "did not consent",
    "full": "came when nobody was needed any more",
}
"""What each completion code stands for."""

MISSES_ALLOWED = 1
"""One miss can happen to anyone."""


def outcome(missed: Iterable[bool]) -> Outcome:
    """The outcome of a finished session; `missed` has one entry for each attention check."""
    return "completed" if sum(missed) <= MISSES_ALLOWED else "attention"
