"""The report on a terminal, 80 columns wide."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convergan.errors import printable
from convergan.page.words import count
from convergan.study.analysis.findings import Findings
from convergan.study.design.staircase import TARGET
from convergan.study.report.inputs import StudyReport
from convergan.study.report.tables import (
    NOTHING,
    arm_table,
    compared,
    image_sets,
    new_table,
    of_accuracies,
    of_thresholds,
    short_arms,
    thresholds,
    told_apart_table,
)
from convergan.study.report.verdict import cautions, verdict
from convergan.study.report.words import correlation_words, unavailable_words

MOST_DETAILED = 4
"""Arms with a table each; more of them get a line each."""

_WIDTH = 80
_INTERVALS = """95 % intervals: over other participants; over other participants and images;
naive, as if all votes were independent of each other.
Tests are over both, where the images are known."""
_STAIRCASE = f"""(staircase): it drives accuracy towards {100 * TARGET:.0f} %, and the errors with it,
whatever the images: look at the exposure that this takes."""


def print_report(console: Console, report: StudyReport) -> None:
    """Prints what people did, arm by arm; the page and the JSON have more."""
    findings = report.findings
    if report.simulated:
        console.print("[bold red]SIMULATED: votes of bots, not of people[/bold red]")
    people = _people(findings.participants, findings.votes)
    console.print(f"[bold]{escape(printable(report.title))}[/bold]: {people}", highlight=False)
    for note in (*report.notes, *cautions(findings)):
        console.print(_shown(note), markup=False, highlight=False)
    _print(
        console,
        f"Exposure[/] needed to be right {100 * TARGET:.0f} % of the time",
        thresholds(findings),
    )
    _print(console, "Exposures compared", compared(of_thresholds(findings)))
    if len(findings.arms) > MOST_DETAILED:
        _print(console, "", short_arms(findings))
    else:
        for arm in findings.arms:
            _print(
                console,
                f"{escape(printable(arm.name))}[/]: {_people(arm.participants, arm.votes)}",
                arm_table(arm),
            )
    console.print(_INTERVALS, style="dim", highlight=False)
    if any(arm.timed for arm in findings.arms):
        console.print(_STAIRCASE, style="dim", highlight=False)
    _print(console, "Real against generated[/]: what can be concluded", told_apart_table(findings))
    _print(
        console,
        "Arms compared[/]: accuracy, in percentage points",
        compared(of_accuracies(findings)),
    )
    _print(console, "Sets of generated images", image_sets(findings))
    for line in _correlations(findings):
        console.print(_shown(line), markup=False, highlight=False)
    if findings.unavailable:
        console.print("\n[bold]Not known from these data")
        for why, names in unavailable_words(findings).items():
            console.print(_shown(f"{names} ({why})"), markup=False, highlight=False)
    console.print()
    said = verdict(findings, simulated=report.simulated)
    console.print(_shown(said), markup=False, highlight=False)


def _shown(text: str) -> str:
    """Names of folders and of columns are anyone's: nothing in them is obeyed by a terminal."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _print(console: Console, title: str, table: Table) -> None:
    """A table below its title, if anything is in it; columns that nobody has a value for are left out."""
    if table.row_count == 0:
        return
    columns = [
        column
        for column in table.columns
        if column.header == "" or any(cell != NOTHING for cell in column.cells)
    ]
    # A table whose columns are taken away pads those that stay as if they were in their old places.
    shown = new_table()
    for each in columns:
        shown.add_column(
            each.header, justify=each.justify, no_wrap=each.no_wrap, overflow=each.overflow
        )
    cells = zip(*(column.cells for column in columns), strict=True)
    for row, texts in zip(table.rows, cells, strict=True):
        shown.add_row(
            *(_shown(text) if isinstance(text, str) else text for text in texts), style=row.style
        )
    console.print(f"\n[bold]{title}" if title else "", highlight=False)
    console.print(shown, highlight=False, width=min(_WIDTH, console.width))


def _people(participants: int, votes: int | None) -> str:
    people = f"{count(participants)} participant{'s' * (participants != 1)}"
    return people if votes is None else f"{people}, {count(votes)} votes"


def _correlations(findings: Findings) -> list[str]:
    found = [
        (f"scores of images, {each.name}, with fooling rates", each.correlation)
        for each in findings.image_sets
    ]
    found += [
        ("scores of sets with errors", findings.error_correlation),
        ("scores of sets with fooling rates", findings.error_on_generated_correlation),
    ]
    return [f"{name}: {correlation_words(each)}" for name, each in found if each is not None]
