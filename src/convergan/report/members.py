"""The members of an ensemble beside it: their mistakes, and what averaging their probabilities brought."""

from dataclasses import dataclass
from statistics import fmean, stdev

from convergan.page.words import percent
from convergan.report.arms import Bar, bars
from convergan.report.inputs import MemberSummary, ReportInputs


@dataclass(frozen=True, kw_only=True)
class MemberRow:
    """A line of the table of members."""

    member: MemberSummary
    bar: Bar | None
    """None for a member that was not tested."""


def member_rows(inputs: ReportInputs) -> list[MemberRow]:
    """The table of the members, in the order of their seeds."""
    drawn = iter(bars([(str(each.seed), "", 0, each.test) for each in inputs.members]))
    return [
        MemberRow(member=each, bar=next(drawn) if each.test else None) for each in inputs.members
    ]


def averaging(inputs: ReportInputs) -> str:
    """What the members err on alone, their mean and standard deviation, and together; empty without tests."""
    tests = [each.test for each in inputs.members if each.test is not None]
    found = inputs.results.test if inputs.results else None
    if found is None or len(tests) < 2:
        return ""
    rates = [test.rate for test in tests]
    mean, spread, together = (
        percent(rate, size=found.size) for rate in (fmean(rates), stdev(rates), found.rate)
    )
    return (
        f"Alone the members err on {mean} on average, with a standard deviation of {spread}; the mean of "
        f"their class probabilities errs on {together}."
    )
