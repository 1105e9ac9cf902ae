"""The JSON file of a study's report."""

from pathlib import Path

from convergan import __version__
from convergan.json_files import spread_json_text
from convergan.outputs import write_output
from convergan.study.report.cautions import cautions
from convergan.study.report.inputs import StudyReport


def write_json(path: Path, report: StudyReport) -> None:
    """Write all findings, unrounded; intervals are [low, high], and unknown values are null."""
    content = {
        "title": report.title,
        "source": report.source,
        "simulated": report.simulated,
        "notes": [*report.notes, *cautions(report.findings)],
        "convergan": __version__,
        **report.findings.as_json(),
    }
    write_output(path, spread_json_text(content))
