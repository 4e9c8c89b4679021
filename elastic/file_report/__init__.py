"""The report of an elastic file: what its header tells, what is measured here and now, and how its levels were made."""

from elastic.file_report.composing import report_of
from elastic.file_report.findings import Findings, find
from elastic.file_report.writing import can_run, report

__all__ = ["Findings", "can_run", "find", "report", "report_of"]
