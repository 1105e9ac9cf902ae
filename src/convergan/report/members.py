"""The members of an ensemble: their errors, and the gain from averaging their probabilities."""

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
    """The member's bar; None if it was not tested."""


def member_rows(inputs: ReportInputs) -> list[MemberRow]:
    """The rows of the table of members, in the order of their seeds."""
    member_bars = iter(bars([(str(member.seed), "", 0, member.test) for member in inputs.members]))
    return [
        MemberRow(member=member, bar=next(member_bars) if member.test else None)
        for member in inputs.members
    ]


def averaging(inputs: ReportInputs) -> str:
    """Sentence on the error rates of members and ensemble; empty without tests."""
    tests = [member.test for member in inputs.members if member.test is not None]
    ensemble = inputs.results.test if inputs.results else None
    if ensemble is None or len(tests) < 2:
        return ""
    rates = [test.rate for test in tests]
    mean, spread, ensemble_rate = (
        percent(rate, size=ensemble.size) for rate in (fmean(rates), stdev(rates), ensemble.rate)
    )
    return (
        f"Alone, the members misclassify {mean} on average, with a standard deviation of {spread}; the "
        f"mean of their class probabilities misclassifies {ensemble_rate}."
    )
