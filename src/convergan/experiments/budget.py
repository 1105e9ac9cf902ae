"""Which cells fit in the time that there is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from convergan.experiments.cells import Cell, Training, with_needs
from convergan.experiments.plan import Entry, Missing, Plan
from convergan.page.words import approximate_duration


@dataclass(kw_only=True)
class Choice:
    """The cells that fit, and those that do not."""

    cells: list[Cell] = field(default_factory=list)
    """In the order in which they are run, what is needed first."""

    seconds: float = 0.0
    """When the last worker is done with them."""

    left_out: list[tuple[Entry, Cell, float]] = field(default_factory=list)
    """Each with the seconds of work that it needs beside what is done and chosen."""


def chosen(
    plan: Plan,
    missing: Missing,
    seconds: Callable[[Training], float],
    *,
    budget_seconds: float,
    workers: int,
) -> Choice:
    """The cells of a table that so many workers can compute in a budget.

    Cells are taken in the order of the table's targets; one that does not fit is left out, and a shorter one
    after it may still fit. Of an ensemble all members fit, or none is trained for it.

    Args:
        plan: the table.
        missing: what is to be computed.
        seconds: what is left of a training.
        budget_seconds: of wall-clock time.
        workers: that work at the same time.
    """
    choice = Choice()
    ends = [0.0] * max(1, workers)
    taken: set[str] = set()
    for entry, target in plan.targets():
        if target.name not in missing.targets:
            continue
        new = [
            cell
            for cell in with_needs([target])
            if cell.name in missing.cells and cell.name not in taken
        ]
        tried, costs = list(ends), [_seconds(cell, seconds) for cell in new]
        for cost in costs:
            earliest = tried.index(min(tried))
            tried[earliest] += cost
        if max(tried) > budget_seconds and sum(costs) > 0:
            choice.left_out.append((entry, target, sum(costs)))
            continue
        ends = tried
        taken.update(cell.name for cell in new)
        choice.cells += new
    choice.seconds = max(ends)
    return choice


def _seconds(cell: Cell, seconds: Callable[[Training], float]) -> float:
    return seconds(cell) if isinstance(cell, Training) else 0.0


def lines_of(choice: Choice, budget_seconds: float) -> list[str]:
    """What is left out, a line for each number of the table."""
    by_entry: dict[str, list[float]] = {}
    planned: Mapping[str, int] = {entry.title: len(entry.cells) for entry, _, _ in choice.left_out}
    for entry, _, cost in choice.left_out:
        by_entry.setdefault(entry.title, []).append(cost)
    hours = approximate_duration(budget_seconds)
    return [
        f"left out of {hours}: {title}: {len(costs)} of {planned[title]}"
        f" (about {approximate_duration(sum(costs))} of work)"
        for title, costs in by_entry.items()
    ]
