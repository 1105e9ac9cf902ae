"""The report of a run: one self-contained HTML page, and the PNG grids of its samples."""

from convergan.report.images import write_sample_grid
from convergan.report.inputs import Prediction, ReportInputs
from convergan.report.page import write_report

__all__ = ["Prediction", "ReportInputs", "write_report", "write_sample_grid"]
