"""One full study for all tests of the report."""

import pytest
from searches import make_searches
from studies import make_study

from alphaloom.report.study import StudyReport


@pytest.fixture(scope="session")
def study() -> StudyReport:
    """One full study, shared by all tests of a process."""
    starts = [f"{2019 + k // 2}-{'01' if k % 2 == 0 else '07'}-01" for k in range(8)]
    return make_study(tuned=[*make_searches("lightgbm", starts), *make_searches("gru", starts, objective="mse")])
