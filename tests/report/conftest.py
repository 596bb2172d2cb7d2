"""One full study for all tests of the report."""

import pytest
from studies import make_study

from alphaloom.report.study import StudyReport


@pytest.fixture(scope="session")
def study() -> StudyReport:
    """One full study, shared by all tests of a process."""
    return make_study()
