"""The report on a terminal, 80 columns wide."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convergan.page.words import chance, count, percent
from convergan.study.findings import Arm, Estimate, Findings
from convergan.study.report.inputs import StudyReport
from convergan.study.report.verdict import cautions, differs, told_apart, verdict
from convergan.study.report.words import (
    correlation_words,
    index,
    index_interval,
    interval,
    points,
    points_interval,
    unavailable_words,
)

MOST_DETAILED = 4
"""Arms with a table each; more of them get a line each."""

MOST_COMPARISONS = 10
_WIDTH = 80
_INTERVALS = """95 % intervals: over other participants; over other participants and images;
naive, as if all votes were independent of each other."""
_NOTHING = "–"


def print_report(console: Console, report: StudyReport) -> None:
    """Prints what people did, arm by arm; the page and the JSON have more."""
    findings = report.findings
    if report.simulated:
        console.print("[bold red]SIMULATED: votes of bots, not of people[/bold red]")
    people = _people(findings.participants, findings.votes)
    console.print(f"[bold]{escape(report.title)}[/bold]: {people}", highlight=False)
    for note in (*report.notes, *cautions(findings)):
        console.print(note, markup=False, highlight=False)
    if len(findings.arms) > MOST_DETAILED:
        _print(console, "", _short_arms(findings))
    else:
        for arm in findings.arms:
            _print(
                console, f"{escape(arm.name)}[/]: {_people(arm.participants, arm.votes)}", _arm(arm)
            )
    console.print(_INTERVALS, style="dim", highlight=False)
    _print(console, "Told apart[/], or as chance would have it", _told_apart(findings))
    _print(console, "Arms compared[/]: accuracy, in percentage points", _comparisons(findings))
    _print(console, "Sets of generated images", _image_sets(findings))
    for line in _correlations(findings):
        console.print(line, markup=False, highlight=False)
    if findings.unavailable:
        console.print("\n[bold]Not known from these data")
        for why, names in unavailable_words(findings).items():
            console.print(f"{names} ({why})", highlight=False)
    console.print()
    console.print(verdict(findings, simulated=report.simulated), markup=False, highlight=False)


def _print(console: Console, title: str, table: Table) -> None:
    """A table below its title, if anything is in it; columns that nobody has a value for are left out."""
    if table.row_count == 0:
        return
    table.columns = [
        column
        for column in table.columns
        if column.header == "" or any(cell != _NOTHING for cell in column.cells)
    ]
    console.print(f"\n[bold]{title}" if title else "", highlight=False)
    console.print(table, highlight=False, width=min(_WIDTH, console.width))


def _people(participants: int, votes: int | None) -> str:
    people = f"{count(participants)} participant{'s' * (participants != 1)}"
    return people if votes is None else f"{people}, {count(votes)} votes"


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False)
    # Folded: names that differ in their last letters stay apart.
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _shares(arm: Arm) -> list[tuple[str, Estimate | None]]:
    return [
        ("accuracy", arm.accuracy),
        ("error on generated", arm.error_on_generated),
        ("error on real", arm.error_on_real),
    ]


def _arm(arm: Arm) -> Table:
    table = _table("", "", "participants", "and images", "naive")
    for name, share in _shares(arm):
        if share is not None:
            table.add_row(
                name,
                percent(share.value),
                interval(share.participants),
                interval(share.participants_and_images),
                interval(share.naive),
            )
    for name, it in (("d'", arm.d_prime), ("criterion", arm.criterion)):
        if it is not None:
            bounds = index_interval(it.participants)
            table.add_row(name, index(it.value), bounds, _NOTHING, _NOTHING)
    return table


def _short_arms(findings: Findings) -> Table:
    table = _table("%", *(name for name, _ in _shares(findings.arms[0])))
    for arm in findings.arms:
        table.add_row(escape(arm.name), *(_short(share) for _, share in _shares(arm)))
    return table


def _short(share: Estimate | None) -> str:
    if share is None:
        return _NOTHING
    bounds = share.participants
    between = "" if bounds is None else f" ({100 * bounds[0]:.1f}–{100 * bounds[1]:.1f})"
    return f"{100 * share.value:.1f}{between}"


def _told_apart(findings: Findings) -> Table:
    table = _table("arm", f"p within\n{100 * findings.margin:g} points", "alpha", "learning")
    table.add_column("people were")
    for arm in findings.arms:
        gain = arm.learning.gain if arm.learning else None
        table.add_row(
            escape(arm.name),
            _NOTHING if arm.equivalence is None else chance(arm.equivalence.p_value),
            _NOTHING if arm.agreement is None else index(arm.agreement.alpha),
            _NOTHING if gain is None else points(gain.value),
            told_apart(arm),
        )
    return table


def _comparisons(findings: Findings) -> Table:
    table = _table("", "difference", "participants", "and images", "p (Holm)")
    ranked = sorted(findings.comparisons, key=lambda each: each.p_value or 0)
    for each in ranked[:MOST_COMPARISONS]:
        table.add_row(
            f"{escape(each.first)}\n− {escape(each.second)}",
            points(each.accuracy.value),
            points_interval(each.accuracy.participants),
            points_interval(each.accuracy.participants_and_images),
            _NOTHING if each.p_holm is None else chance(each.p_holm),
            style="bold" if differs(each) else "",
        )
    if len(ranked) > MOST_COMPARISONS:
        table.add_row(f"and {len(ranked) - MOST_COMPARISONS} more", *4 * [_NOTHING])
    return table


def _image_sets(findings: Findings) -> Table:
    table = _table("", "participants", "error", "fooling rate", "between images", "score")
    for each in findings.image_sets:
        stdev, rate = each.stdev_between_images, each.error_on_generated
        table.add_row(
            escape(each.name),
            count(each.participants),
            percent(each.error),
            _NOTHING if rate is None else percent(rate),
            _NOTHING if stdev is None else f"± {percent(stdev)}",
            _NOTHING if each.score is None else f"{each.score:g}",
        )
    return table


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
