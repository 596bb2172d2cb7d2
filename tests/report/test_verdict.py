"""The first line: grades by their rules, and every number with its uncertainty."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from studies import make_signals

from alphaloom.evaluation.inference import mean_test
from alphaloom.report.verdict import (
    excess_test,
    grade_of,
    portfolio_sentence,
    signal_sentence,
    signal_verdict,
    spread_sentence,
)

BASE = mean_test(np.random.default_rng(0).normal(0.05, 0.1, 200))


@pytest.mark.parametrize(
    ("mean", "p", "apart", "low", "high", "grade"),
    [
        (0.03, 0.001, 0.02, 0.01, 0.05, "strong"),
        (0.03, 0.001, 0.2, 0.01, 0.05, "weak"),
        (0.03, 0.004, 0.004, 0.01, 0.05, "weak"),
        (0.02, 0.04, 0.3, -0.01, 0.05, "weak"),
        (0.02, 0.3, 0.3, -0.01, 0.05, "none"),
        (-0.03, 0.06, 0.01, -0.05, -0.01, "none"),
        (-0.03, 0.01, 0.01, -0.05, -0.01, "wrong"),
        (-0.03, 0.01, 0.01, -0.05, 0.01, "none"),
        (*[float("nan")] * 5, "none"),
    ],
)
def test_grades_follow_their_rules(mean, p, apart, low, high, grade):
    """Strong needs both tests and the interval; one of them alone is weak; too little data is none."""
    test = replace(BASE, mean=mean, p_newey_west=p, p_non_overlapping=apart, low=low, high=high)
    assert grade_of(test)[0] == grade


def test_the_first_sentence_holds_the_numbers():
    """RankIC, its error, interval, both t values, number of dates and span stand in the first finding."""
    signal = make_signals(weeks=60, names=40)["ensemble"]
    test = signal.headline.rank_ic
    sentence = signal_sentence(signal)
    for part in (
        f"{test.mean:.4f} ± {test.se:.4f}",
        "95 %:",
        f"Newey-West t {test.t_newey_west:.1f}",
        f"non-overlapping t {test.t_non_overlapping:.1f} (p ",
        f"over {test.n} dates",
        str(signal.dates[0]),
    ):
        assert part in sentence.replace("−", "-")
    assert "after 10 bps" in spread_sentence(signal)
    assert "not corrected" not in " ".join(signal_verdict(signal).findings)
    assert "3 signals were compared" in signal_verdict(signal, trials=3).findings[-1]


def test_excess_leaves_the_base_row_out():
    """The first row of a backtest earns nothing and must not count as a day."""
    excess = [0.5, 0.01, -0.01, 0.02, 0.03]
    test = excess_test(pl.DataFrame({"excess_ret": excess}))
    assert test.n == 4
    np.testing.assert_allclose(test.mean, np.mean(excess[1:]))


def test_a_portfolio_without_benchmark_says_so():
    """No benchmark, no excess: said in words rather than shown as zero."""
    nav = pl.DataFrame({"excess_ret": [None] * 5}, schema={"excess_ret": pl.Float64})
    assert "no benchmark" in portfolio_sentence("x", nav, 243)


def test_a_split_that_trains_on_the_future_gets_no_verdict():
    """However good the numbers look: the grade says leaked, and so does every finding."""
    signal = make_signals(weeks=60, names=40, skill=0.5)["ensemble"]
    assert signal_verdict(signal).grade == "strong"
    leaked = signal_verdict(signal, trains_on_future=True)
    assert (leaked.grade, leaked.words) == ("leaked", "Leaked: fitted on later dates than it is judged on")
    assert all(finding.startswith("Leaked: ") for finding in leaked.findings[:2])
