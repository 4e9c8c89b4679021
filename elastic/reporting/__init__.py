"""Reports: the figures of a run as a folder or a page that people look at, made of plain data."""

from elastic.reporting.bars import Bars
from elastic.reporting.curves import Curves
from elastic.reporting.folders import write_report
from elastic.reporting.heat_maps import HeatMap
from elastic.reporting.histograms import Histogram
from elastic.reporting.lone_pages import write_page
from elastic.reporting.parts import Part, Report, Section
from elastic.reporting.storing import read_report
from elastic.reporting.tables import Table

__all__ = [
    "Bars",
    "Curves",
    "HeatMap",
    "Histogram",
    "Part",
    "Report",
    "Section",
    "Table",
    "read_report",
    "write_page",
    "write_report",
]
