"""The tables of a report on a terminal."""

from rich.markup import escape
from rich.table import Table

from convergan.page.words import chance, count, percent
from convergan.study.analysis.estimates import Estimate
from convergan.study.analysis.findings import Arm, Comparison, Findings
from convergan.study.analysis.thresholds import ThresholdComparison
from convergan.study.report.verdict import differs, measured
from convergan.study.report.words import (
    index,
    index_interval,
    interval,
    milliseconds,
    milliseconds_interval,
    points,
    points_interval,
    times,
    times_interval,
)

MOST_COMPARISONS = 10
NOTHING = "–"


def new_table() -> Table:
    """Without lines."""
    return Table(box=None, pad_edge=False)


def _table(first: str, *numbers: str) -> Table:
    table = new_table()
    # Folded: names that differ in their last letters stay apart.
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _shares(arm: Arm) -> list[tuple[str, Estimate | None]]:
    return [
        ("accuracy (staircase)" if arm.timed else "accuracy", arm.accuracy),
        ("error on generated", arm.error_on_generated),
        ("error on real", arm.error_on_real),
    ]


def arm_table(arm: Arm) -> Table:
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
            table.add_row(name, index(it.value), bounds, NOTHING, NOTHING)
    return table


def short_arms(findings: Findings) -> Table:
    table = _table("%", "accuracy", "error on generated", "error on real")
    for arm in findings.arms:
        name = f"{escape(arm.name)}{' (staircase)' * arm.timed}"
        table.add_row(name, *(_short(share) for _, share in _shares(arm)))
    return table


def _short(share: Estimate | None) -> str:
    if share is None:
        return NOTHING
    bounds = share.participants
    between = "" if bounds is None else f" ({100 * bounds[0]:.1f}–{100 * bounds[1]:.1f})"
    return f"{100 * share.value:.1f}{between}"


def told_apart_table(findings: Findings) -> Table:
    table = _table(
        "arm", f"p within\n{100 * findings.margin:g} points", "alpha", "learning", "fakes seen"
    )
    table.add_column("conclusion")
    for arm in findings.arms:
        gain = arm.learning.gain if arm.learning else None
        table.add_row(
            escape(arm.name),
            NOTHING if arm.equivalence is None else chance(arm.equivalence.p_value),
            NOTHING if arm.agreement is None else index(arm.agreement.alpha),
            NOTHING if gain is None else points(gain.value),
            NOTHING if arm.attention is None else percent(arm.attention.recognized),
            arm.conclusion,
        )
    return table


def thresholds(findings: Findings) -> Table:
    table = _table("", "exposure", "participants", "and images", "settled")
    for arm, found in measured(findings):
        table.add_row(
            escape(arm.name),
            milliseconds(found.exposure_ms.value),
            milliseconds_interval(found.exposure_ms.participants),
            milliseconds_interval(found.exposure_ms.participants_and_images),
            f"{count(found.participants - found.moving)} of {count(found.participants)}",
        )
    return table


Row = tuple[Comparison | ThresholdComparison, str, str, str]
"""A comparison; its difference and the intervals of it in words."""


def of_accuracies(findings: Findings) -> list[Row]:
    return [
        (
            each,
            points(each.accuracy.value),
            points_interval(each.accuracy.participants),
            points_interval(each.accuracy.participants_and_images),
        )
        for each in findings.comparisons
    ]


def of_thresholds(findings: Findings) -> list[Row]:
    return [
        (
            each,
            times(each.ratio.value),
            times_interval(each.ratio.participants),
            times_interval(each.ratio.participants_and_images),
        )
        for each in findings.threshold_comparisons
    ]


def compared(rows: list[Row]) -> Table:
    table = _table("", "difference", "participants", "and images", "p (Holm)")
    ranked = sorted(rows, key=lambda row: row[0].p_value or 0)
    for each, *words in ranked[:MOST_COMPARISONS]:
        table.add_row(
            f"{escape(each.first)}\n− {escape(each.second)}",
            *words,
            NOTHING if each.p_holm is None else chance(each.p_holm),
            style="bold" if differs(each) else "",
        )
    if len(ranked) > MOST_COMPARISONS:
        table.add_row(f"and {len(ranked) - MOST_COMPARISONS} more", *4 * [NOTHING])
    return table


def image_sets(findings: Findings) -> Table:
    table = _table("", "participants", "error", "fooling rate", "between images", "score")
    for each in findings.image_sets:
        stdev, rate = each.stdev_between_images, each.error_on_generated
        table.add_row(
            escape(each.name),
            count(each.participants),
            percent(each.error),
            NOTHING if rate is None else percent(rate),
            NOTHING if stdev is None else f"± {percent(stdev)}",
            NOTHING if each.score is None else f"{each.score:g}",
        )
    return table
