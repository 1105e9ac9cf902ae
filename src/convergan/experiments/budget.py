"""Choice of the cells that fit in the available time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from convergan.experiments.cells import Cell, Ensemble, Scoring, Training, with_needs
from convergan.experiments.plan import Entry, Missing, Plan
from convergan.page.words import approximate_duration


@dataclass(kw_only=True)
class Choice:
    """The cells that fit, and those that do not."""

    cells: list[Cell] = field(default_factory=list)
    """Cells that fit, in the order in which they are run, needed ones first."""

    seconds: float = 0.0
    """Time until the last worker is done with them."""

    left_out: list[tuple[Entry, Cell, float]] = field(default_factory=list)
    """Cells that do not fit, each with its seconds of work in addition to what is done and chosen."""


def choose_cells(
    plan: Plan,
    missing: Missing,
    seconds: Callable[[Training | Scoring], float | None],
    *,
    budget_seconds: float,
    workers: int,
) -> Choice:
    """The cells of a table that `workers` can compute in a budget.

    Cells are taken in the order of the table's targets; one that does not fit is left out, and a shorter one
    after it may still fit. An ensemble is chosen with all of its members or not at all. Cells of unknown
    duration come last, so that they take no time from those that fit.

    Args:
        plan: the table.
        missing: the cells to compute.
        seconds: function that estimates the remaining time of a training or a score, None where it is
            unknown; averaging takes none.
        budget_seconds: budget of wall-clock time.
        workers: number of workers that work at the same time.
    """
    choice = Choice()
    ends = [0.0] * max(1, workers)
    selected: set[str] = set()
    durations = {name: _seconds(cell, seconds) for name, cell in missing.cells.items()}

    def is_unknown(pair: tuple[Entry, Cell]) -> bool:
        return any(durations.get(cell.name, 0.0) is None for cell in with_needs([pair[1]]))

    targets = [(entry, cell) for entry, cell in plan.targets() if cell.name in missing.targets]
    for entry, target in sorted(targets, key=is_unknown):
        new = [
            cell
            for cell in with_needs([target])
            if cell.name in missing.cells and cell.name not in selected
        ]
        new_ends, costs = list(ends), [durations[cell.name] or 0.0 for cell in new]
        for cost in costs:
            earliest = new_ends.index(min(new_ends))
            new_ends[earliest] += cost
        if max(new_ends) > budget_seconds and sum(costs) > 0:
            choice.left_out.append((entry, target, sum(costs)))
            continue
        ends = new_ends
        selected.update(cell.name for cell in new)
        choice.cells += new
    choice.seconds = max(ends)
    return choice


def _seconds(cell: Cell, seconds: Callable[[Training | Scoring], float | None]) -> float | None:
    return 0.0 if isinstance(cell, Ensemble) else seconds(cell)


def lines_of(choice: Choice, budget_seconds: float) -> list[str]:
    """Lines on the cells that are left out, one for each number of the table."""
    by_entry: dict[str, list[float]] = {}
    planned: Mapping[str, int] = {entry.title: len(entry.cells) for entry, _, _ in choice.left_out}
    for entry, _, cost in choice.left_out:
        by_entry.setdefault(entry.title, []).append(cost)
    hours = approximate_duration(budget_seconds)
    return [
        f"does not fit in {hours}: {title}: {len(costs)} of {planned[title]}"
        f" (about {approximate_duration(sum(costs))} of work)"
        for title, costs in by_entry.items()
    ]
