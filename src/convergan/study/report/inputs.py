"""What a report is made from."""

from collections.abc import Callable
from dataclasses import dataclass

from convergan.study.analysis.findings import Findings
from convergan.study.analysis.rates import Rates


@dataclass(frozen=True, kw_only=True)
class StudyReport:
    """A study and what was found in it."""

    title: str
    """Names the study."""

    source: str
    """Where the votes come from: a file, a database without its password."""

    findings: Findings

    rates: Rates
    """Of the participants that the findings are about."""

    simulated: bool = False
    """The votes are of bots: every form of the report says so."""

    picture_of: Callable[[str], bytes | None] | None = None
    """The file of an image by its id, for those that fooled most and least."""

    notes: tuple[str, ...] = ()
    """What else a reader must know, such as how many participants were excluded and why."""
