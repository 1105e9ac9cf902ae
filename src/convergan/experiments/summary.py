"""The numbers of a table: mean, standard deviation and median over the draws."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median, stdev

from convergan.experiments.cells import Cell
from convergan.experiments.plan import Entry, Plan
from convergan.experiments.published import Number
from convergan.experiments.store import CellOutcome, Store
from convergan.experiments.tables import Unit
from convergan.runs.folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One number of a table, over its draws."""

    entry: Entry
    unit: Unit
    values: Mapping[int, float]
    """Values by draw, in the table's unit."""

    outcomes: Mapping[int, CellOutcome]
    """Outcomes by draw."""

    failed: Mapping[int, str] = field(default_factory=dict)
    """Errors of the cells that failed in this call, by draw."""

    samples: Mapping[int, Path] = field(default_factory=dict)
    """Images of the last samples of the trainings, by draw, where the run folder exists."""

    @property
    def recipe(self) -> str:
        """Name of the recipe."""
        return self.entry.cells[0].recipe.name

    @property
    def number(self) -> Number | None:
        """Mean and standard deviation over the draws; None without any.

        An Inception score of a single model has the deviation over parts of its images, as in the paper.
        """
        return self.number_without(())

    def number_without(self, draws: Collection[int]) -> Number | None:
        """The `number` over all draws but `draws`."""
        values = {draw: value for draw, value in self.values.items() if draw not in draws}
        if not values:
            return None
        if len(values) > 1:
            return Number(mean(values.values()), stdev(values.values()))
        ((draw, value),) = values.items()
        return Number(value, self.outcomes[draw].stdev if self.unit == "Inception score" else None)

    @property
    def median(self) -> float | None:
        """The median over the draws; None without any."""
        return median(self.values.values()) if self.values else None

    @property
    def planned(self) -> int:
        """Number of draws that were asked for."""
        return len(self.entry.cells)

    @property
    def test_sizes(self) -> set[int]:
        """Numbers of test images of the draws: one, unless their images differ."""
        return {outcome.test_size for outcome in self.outcomes.values() if outcome.test_size}

    @property
    def train_seconds(self) -> float:
        """Duration of all trainings together."""
        return sum(outcome.train_seconds or 0.0 for outcome in self.outcomes.values())

    @property
    def draws_in_words(self) -> str:
        """Numbers of finished, planned and failed draws: "3 of 10, 1 failed"."""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"{len(self.values)} of {self.planned}{failed}"


def summaries(plan: Plan, store: Store, failed: Mapping[str, str]) -> list[Summary]:
    """The numbers of a table as far as its cells are done, in its order.

    Args:
        plan: the table.
        store: the store of the cells.
        failed: errors by the name of the cell.
    """
    numbers = []
    for entry in plan.entries:
        outcomes = {cell.draw: store.outcome(cell) for cell in entry.cells}
        done = {draw: outcome for draw, outcome in outcomes.items() if outcome is not None}
        values = {draw: value_of(outcome, plan.table.unit) for draw, outcome in done.items()}
        numbers.append(
            Summary(
                entry=entry,
                unit=plan.table.unit,
                values={draw: value for draw, value in values.items() if value is not None},
                outcomes=done,
                failed={
                    cell.draw: failed[cell.name] for cell in entry.cells if cell.name in failed
                },
                samples={
                    cell.draw: image
                    for cell in entry.cells
                    if cell.draw in done and (image := _last_samples(store, cell)) is not None
                },
            )
        )
    return numbers


def _last_samples(store: Store, cell: Cell) -> Path | None:
    samples = RunFolder(store.cell_folder(cell)).samples
    return max(samples.glob("*.png"), default=None)


def value_of(outcome: CellOutcome, unit: Unit) -> float | None:
    """The result of a cell in the unit of a table; None where it was not tested or scored."""
    if unit == "Inception score":
        return outcome.score
    if outcome.test_errors is None:
        return None
    if unit == "errors":
        return float(outcome.test_errors)
    return 100 * outcome.test_errors / outcome.test_size if outcome.test_size else None


def result_line(cell: Cell, outcome: CellOutcome, unit: Unit) -> str:
    """A line about a cell that is done: "mnist, 100 labels, seed 0: 101 errors of 10,000 (1.01 %)"."""
    if outcome.score is not None:
        return f"{cell.title}: {outcome.score:.2f}"
    if outcome.test_errors is None or not outcome.test_size:
        return f"{cell.title}: done"
    rate = 100 * outcome.test_errors / outcome.test_size
    return f"{cell.title}: {outcome.test_errors:,} errors of {outcome.test_size:,} ({rate:.2f} %)"
