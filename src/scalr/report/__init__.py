"""What people see of a run: one HTML page, and the verdict of a study in plain words."""

from scalr.report.contents import contents_of, write_report
from scalr.report.drawing import charts_available
from scalr.report.page import ReportData
from scalr.report.verdict import Verdict, verdict

__all__ = ["ReportData", "Verdict", "charts_available", "contents_of", "verdict", "write_report"]
