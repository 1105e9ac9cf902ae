"""The report of a run: one self-contained HTML page."""

from convergan.report.inputs import Prediction, ReportInputs
from convergan.report.page import write_report

__all__ = ["Prediction", "ReportInputs", "write_report"]
