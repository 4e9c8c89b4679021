import pytest

from elastic.reporting import write_report
from tests.reporting.samples import COST, DENSITY, GATES, LEFT, LEVELS, LOSS, report_of


@pytest.fixture(scope="session")
def report():
    return report_of(LEVELS, LOSS, COST, DENSITY, GATES, LEFT)


@pytest.fixture(scope="session")
def folder(report, tmp_path_factory):
    return write_report(report, tmp_path_factory.mktemp("report")).parent
