"""The tables of a study's report on a terminal."""

from rich.markup import escape
from rich.table import Table

from convergan.page.words import chance, count, percent
from convergan.study.analysis.estimates import MeanEstimate
from convergan.study.analysis.findings import AccuracyComparison, Arm, Findings
from convergan.study.analysis.thresholds import ThresholdComparison
from convergan.study.report.formats import (
    index,
    index_interval,
    interval,
    milliseconds,
    milliseconds_interval,
    p_words,
    points,
    points_interval,
    times,
    times_interval,
)
from convergan.study.report.verdict import differs, measured

MOST_COMPARISONS = 10
"""Largest number of comparisons in a table."""

NO_VALUE = "–"
"""Cell without a value."""

_PARTICIPANTS_AND_IMAGES = "participants\nand images"


def new_table() -> Table:
    """Make a table without lines."""
    return Table(box=None, pad_edge=False)


def _table(first: str, *numbers: str) -> Table:
    table = new_table()
    # Folded: names that differ in their last letters stay apart.
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _shares(arm: Arm) -> list[tuple[str, MeanEstimate | None]]:
    return [
        ("accuracy (staircase)" if arm.timed else "accuracy", arm.accuracy),
        ("error on generated", arm.error_on_generated),
        ("error on real", arm.error_on_real),
    ]


def arm_table(arm: Arm) -> Table:
    table = _table("", "", "participants", _PARTICIPANTS_AND_IMAGES, "naive")
    for name, share in _shares(arm):
        if share is not None:
            table.add_row(
                name,
                percent(share.value),
                interval(share.participants),
                interval(share.participants_and_images),
                interval(share.naive),
            )
    for name, number in (("d'", arm.d_prime), ("criterion", arm.criterion)):
        if number is not None:
            bounds = index_interval(number.participants)
            table.add_row(name, index(number.value), bounds, NO_VALUE, NO_VALUE)
    return table


def short_arm_table(findings: Findings) -> Table:
    table = _table("%", "accuracy", "error on generated", "error on real")
    for arm in findings.arms:
        name = f"{escape(arm.name)}{' (staircase)' * arm.timed}"
        table.add_row(name, *(_short(share) for _, share in _shares(arm)))
    return table


def _short(share: MeanEstimate | None) -> str:
    if share is None:
        return NO_VALUE
    bounds = share.participants
    suffix = "" if bounds is None else f" ({100 * bounds[0]:.1f}–{100 * bounds[1]:.1f})"
    return f"{100 * share.value:.1f}{suffix}"


def conclusion_table(findings: Findings) -> Table:
    table = _table(
        "arm",
        f"within {100 * findings.margin:g}\npoints of\nchance",
        "alpha",
        "accuracy, 2nd\nhalf − 1st",
        "obvious\nfakes",
    )
    table.add_column("conclusion")
    for arm in findings.arms:
        gain = arm.learning.gain if arm.learning else None
        table.add_row(
            escape(arm.name),
            NO_VALUE if arm.equivalence is None else p_words(arm.equivalence.p_value),
            NO_VALUE if arm.agreement is None else index(arm.agreement.alpha),
            NO_VALUE if gain is None else f"{points(gain.value)} points",
            NO_VALUE if arm.attention is None else percent(arm.attention.recognized),
            arm.conclusion,
        )
    return table


def threshold_table(findings: Findings) -> Table:
    table = _table("", "exposure", "participants", _PARTICIPANTS_AND_IMAGES, "settled")
    if not measured(findings):
        return table
    for arm in findings.arms:
        if not arm.timed:
            continue
        threshold = arm.threshold
        if threshold is None:
            table.add_row(escape(arm.name), *4 * [NO_VALUE])
            continue
        table.add_row(
            escape(arm.name),
            milliseconds(threshold.exposure_ms.value),
            milliseconds_interval(threshold.exposure_ms.participants),
            milliseconds_interval(threshold.exposure_ms.participants_and_images),
            f"{count(threshold.participants - threshold.moving)} of {count(threshold.participants)}",
        )
    return table


ComparisonRow = tuple[AccuracyComparison | ThresholdComparison, str, str, str]
"""A comparison; its difference and the intervals of that, formatted."""


def accuracy_rows(findings: Findings) -> list[ComparisonRow]:
    return [
        (
            comparison,
            points(comparison.accuracy.value),
            points_interval(comparison.accuracy.participants),
            points_interval(comparison.accuracy.participants_and_images),
        )
        for comparison in findings.comparisons
    ]


def threshold_rows(findings: Findings) -> list[ComparisonRow]:
    return [
        (
            comparison,
            times(comparison.ratio.value),
            times_interval(comparison.ratio.participants),
            times_interval(comparison.ratio.participants_and_images),
        )
        for comparison in findings.threshold_comparisons
    ]


def comparison_table(rows: list[ComparisonRow]) -> Table:
    table = _table("", "difference", "participants", _PARTICIPANTS_AND_IMAGES, "p (Holm)")
    ranked = sorted(rows, key=lambda row: row[0].p_value or 0)
    for comparison, *formatted in ranked[:MOST_COMPARISONS]:
        table.add_row(
            f"{escape(comparison.first)}\n− {escape(comparison.second)}",
            *formatted,
            NO_VALUE if comparison.p_holm is None else chance(comparison.p_holm),
            style="bold" if differs(comparison) else "",
        )
    if len(ranked) > MOST_COMPARISONS:
        table.add_row(f"and {len(ranked) - MOST_COMPARISONS} more", *4 * [NO_VALUE])
    return table


def image_set_table(findings: Findings) -> Table:
    table = _table("", "participants", "error", "fooling rate", "between images", "score")
    for image_set in findings.image_sets:
        stdev, rate = image_set.stdev_between_images, image_set.error_on_generated
        table.add_row(
            escape(image_set.name),
            count(image_set.participants),
            percent(image_set.error),
            NO_VALUE if rate is None else percent(rate),
            NO_VALUE if stdev is None else f"± {percent(stdev)}",
            NO_VALUE if image_set.score is None else f"{image_set.score:g}",
        )
    return table
