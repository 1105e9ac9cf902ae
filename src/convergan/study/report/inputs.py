"""The data of a study's report."""

from collections.abc import Callable
from dataclasses import dataclass

from convergan.study.analysis.findings import Findings
from convergan.study.analysis.rates import Rates


@dataclass(frozen=True, kw_only=True)
class StudyReport:
    """A study and its findings."""

    title: str
    """Title of the study."""

    source: str
    """Source of the votes: a file, or the URL of a database without its password."""

    findings: Findings

    rates: Rates
    """Error rates of the participants whom the findings are about."""

    simulated: bool = False
    """True for votes of bots; every form of the report says so."""

    picture_of: Callable[[str], bytes | None] | None = None
    """Function that returns the file of an image by its id, for the images that fooled most and least."""

    notes: tuple[str, ...] = ()
    """Further sentences for the reader, such as how many participants were excluded and why."""
