"""Results in a notebook."""

import re

import pytest
from finished_runs import write_run
from studies import make_study

from alphaloom import show
from alphaloom.comparison.compare import compare_runs
from alphaloom.errors import UsageError
from alphaloom.pipeline import Run
from alphaloom.report.write import write_report


@pytest.fixture(scope="module")
def study():
    """Return a study whose title holds what must not end the frame."""
    return make_study(title='A "quoted" <b>study</b>')


def test_results_show_as_whole_pages_in_a_frame(study, tmp_path):
    """Each kind of result is one frame without reach, whose page holds its tables."""
    for name in "ab":
        write_run(tmp_path / name, study, {"name": name})
    comparison = compare_runs([tmp_path / "a", tmp_path / "b"])
    for result, words in (
        (study, "Training windows"),
        (study.signal, "RankIC"),
        (next(iter(study.portfolios.values())), "Growth of 1"),
        (comparison, "Paired differences"),
    ):
        shown = show(result)._repr_html_()
        assert re.fullmatch(r'<iframe [^<>]*sandbox="allow-scripts" srcdoc="[^"]*"></iframe>', shown)
        assert words in shown


def test_a_run_shows_its_verdict_and_its_report(study, tmp_path):
    """At a glance by itself; in full by show."""
    run = Run(tmp_path, {"verdict": {"words": "Weak <evidence>", "findings": ["one"]}}, 0)
    assert "Weak &lt;evidence&gt;" in run._repr_html_()
    with pytest.raises(UsageError, match="no report.html"):
        show(run)
    write_report(study, tmp_path / "report.html")
    assert "Training windows" in show(run)._repr_html_()
