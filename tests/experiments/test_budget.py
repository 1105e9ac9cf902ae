"""The cells that fit in a budget are chosen by their time, and what is left out is said."""

from collections.abc import Callable
from pathlib import Path

from convergan.experiments.budget import choose_cells, lines_of
from convergan.experiments.plan import Missing, Plan
from convergan.experiments.store import Store
from convergan.experiments.watch import makespan

HOUR = 3600.0


def missing(plan: Plan, tmp_path: Path) -> Missing:
    return plan.missing(Store(tmp_path / "out", tmp_path / "kept"))


def test_what_fits_is_taken_in_order_and_the_rest_is_said(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    tiny_plan = plan(labels=[20, 50], draws=3)
    choice = choose_cells(
        tiny_plan,
        missing(tiny_plan, tmp_path),
        lambda cell: HOUR,
        budget_seconds=2 * HOUR,
        workers=2,
    )
    # Four hours of work: two draws of both numbers of labels.
    assert [(cell.recipe.labels, cell.draw) for cell in choice.cells] == [
        (20, 0), (50, 0), (20, 1), (50, 1),
    ]  # fmt: skip
    assert choice.seconds == 2 * HOUR
    assert lines_of(choice, 2 * HOUR) == [
        "does not fit in 2 h: tiny, 20 labels: 1 of 3 (about 1 h of work)",
        "does not fit in 2 h: tiny, 50 labels: 1 of 3 (about 1 h of work)",
    ]


def test_a_shorter_cell_after_one_that_does_not_fit_is_taken(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    tiny_plan = plan(labels=[20, 50], draws=1)
    choice = choose_cells(
        tiny_plan,
        missing(tiny_plan, tmp_path),
        lambda cell: HOUR if cell.recipe.labels == 20 else HOUR / 4,
        budget_seconds=HOUR / 2,
        workers=4,
    )
    assert [cell.recipe.labels for cell in choice.cells] == [50]


def test_no_member_is_trained_for_an_ensemble_that_does_not_fit(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    tiny_plan = plan(draws=1, members=3)

    def fitting(hours: float) -> list[str]:
        choice = choose_cells(
            tiny_plan,
            missing(tiny_plan, tmp_path),
            lambda cell: HOUR,
            budget_seconds=hours * HOUR,
            workers=1,
        )
        return [type(cell).__name__ for cell in choice.cells]

    assert fitting(2) == ["Training"]
    # The single model is its first member: two more are needed.
    assert fitting(3) == ["Training", "Training", "Training", "Ensemble"]


def test_tasks_are_taken_by_the_first_worker_that_is_free() -> None:
    assert makespan([3, 1, 1, 1], 2) == 3
    assert makespan([1, 1, 1], 2) == 2
    assert makespan([], 2) == 0
