"""The report of a study: on the terminal, as JSON, and as one self-contained HTML page."""

from convergan.study.report.inputs import StudyReport
from convergan.study.report.make import make_report

__all__ = ["StudyReport", "make_report"]
