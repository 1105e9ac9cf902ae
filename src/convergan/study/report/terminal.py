"""The report of a study on a terminal, 80 columns wide."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convergan.errors import printable
from convergan.page.words import count
from convergan.study.analysis.findings import Findings
from convergan.study.design.staircase import TARGET
from convergan.study.report.cautions import cautions
from convergan.study.report.formats import correlation_words, unavailable_words
from convergan.study.report.inputs import StudyReport
from convergan.study.report.terminal_tables import (
    NO_VALUE,
    accuracy_rows,
    arm_table,
    comparison_table,
    conclusion_table,
    image_set_table,
    new_table,
    short_arm_table,
    threshold_rows,
    threshold_table,
)
from convergan.study.report.verdict import verdict

MOST_DETAILED = 4
"""Largest number of arms with a table for each; if there are more, each arm gets one line."""

_WIDTH = 80
_INTERVALS = """95 % intervals: over participants; over participants and images; naive, as if
all votes were independent. Tests are over participants and images, or over
participants where the images are unknown."""
_STAIRCASE = f"""(staircase): the staircase drives accuracy towards {100 * TARGET:.0f} %, and the errors
with it, whatever the images are. Compare exposures instead."""


def print_report(console: Console, report: StudyReport) -> None:
    """Print a summary of the report, arm by arm; the page and the JSON have more."""
    findings = report.findings
    if report.simulated:
        console.print("[bold red]SIMULATED: votes of bots, not of people[/bold red]")
    people = _people(findings.participants, findings.votes)
    console.print(f"[bold]{escape(printable(report.title))}[/bold]: {people}", highlight=False)
    for note in (*report.notes, *cautions(findings)):
        console.print(_escaped(note), markup=False, highlight=False)
    _print_table(
        console,
        f"Exposure[/] needed to be right {100 * TARGET:.0f} % of the time",
        threshold_table(findings),
    )
    _print_table(console, "Comparisons of exposures", comparison_table(threshold_rows(findings)))
    if len(findings.arms) > MOST_DETAILED:
        _print_table(console, "", short_arm_table(findings))
    else:
        for arm in findings.arms:
            _print_table(
                console,
                f"{escape(printable(arm.name))}[/]: {_people(arm.participants, arm.votes)}",
                arm_table(arm),
            )
    console.print(_INTERVALS, style="dim", highlight=False)
    if any(arm.timed for arm in findings.arms):
        console.print(_STAIRCASE, style="dim", highlight=False)
    _print_table(console, "Conclusions about the arms", conclusion_table(findings))
    _print_table(
        console,
        "Comparisons of arms[/]: accuracy, in percentage points",
        comparison_table(accuracy_rows(findings)),
    )
    _print_table(console, "Sets of generated images", image_set_table(findings))
    for line in _correlations(findings):
        console.print(_escaped(line), markup=False, highlight=False)
    if findings.unavailable:
        console.print("\n[bold]Not available from these data")
        for reason, names in unavailable_words(findings).items():
            console.print(_escaped(f"{names} ({reason})"), markup=False, highlight=False)
    console.print()
    conclusion = verdict(findings, simulated=report.simulated)
    console.print(_escaped(conclusion), markup=False, highlight=False)


def _escaped(text: str) -> str:
    """Escape control characters, line by line: names of folders and columns may contain any."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _print_table(console: Console, title: str, table: Table) -> None:
    """Print a table below its title, without columns that have no values; nothing for an empty table."""
    if table.row_count == 0:
        return
    columns = [
        column
        for column in table.columns
        if column.header == "" or any(cell != NO_VALUE for cell in column.cells)
    ]
    # A new table: one whose columns are removed pads the others as if they were in their old places.
    reduced = new_table()
    for column in columns:
        reduced.add_column(
            column.header,
            justify=column.justify,
            no_wrap=column.no_wrap,
            overflow=column.overflow,
        )
    cells = zip(*(column.cells for column in columns), strict=True)
    for row, texts in zip(table.rows, cells, strict=True):
        reduced.add_row(
            *(_escaped(text) if isinstance(text, str) else text for text in texts), style=row.style
        )
    console.print(f"\n[bold]{title}" if title else "", highlight=False)
    console.print(reduced, highlight=False, width=min(_WIDTH, console.width))


def _people(participants: int, votes: int | None) -> str:
    people = f"{count(participants)} participant{'s' * (participants != 1)}"
    return people if votes is None else f"{people}, {count(votes)} votes"


def _correlations(findings: Findings) -> list[str]:
    correlations = [
        (f"scores of images, {image_set.name}, with fooling rates", image_set.correlation)
        for image_set in findings.image_sets
    ]
    correlations += [
        ("scores of sets with errors", findings.error_correlation),
        ("scores of sets with fooling rates", findings.error_on_generated_correlation),
    ]
    return [
        f"{name}: {correlation_words(correlation)}"
        for name, correlation in correlations
        if correlation is not None
    ]
