"""The report of a study: on the terminal, as JSON, and as one self-contained HTML page."""

from convergan.study.report.as_json import write_json
from convergan.study.report.inputs import StudyReport
from convergan.study.report.page import write_page
from convergan.study.report.terminal import print_report

__all__ = ["StudyReport", "print_report", "write_json", "write_page"]
