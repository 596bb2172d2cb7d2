"""The whole evaluation of a signal: its ledger, tables and frames."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaloom.errors import AlignmentError, DataError, SettingError, UsageError
from alphaloom.evaluation.forward import Forward, forward_by_periods
from alphaloom.evaluation.ic import ic_series
from alphaloom.evaluation.settings import EvaluationSettings
from alphaloom.evaluation.signal import evaluate_signal, plain
from alphaloom.evaluation.summary import SampleWindow

QUICK = EvaluationSettings(resamples=100, min_names=10)


def market(seed: int = 0, weeks: int = 60, N: int = 50):
    """Return weekly scores with some skill, their forward returns, dates and universe."""
    rng = np.random.default_rng(seed)
    T = 5 * weeks
    dates = np.busday_offset("2020-01-02", np.arange(T), roll="forward").astype("datetime64[D]")
    price = np.cumprod(1 + rng.normal(0, 0.02, (T, N)), axis=0)
    price[rng.random((T, N)) < 0.02] = np.nan
    price[T // 2 :, :4] = np.nan
    rows = np.arange(4, T, 5)
    forward = forward_by_periods(price, dates, rows, (1, 4))
    score = 0.02 * np.nan_to_num(forward["1"].returns / 0.045) + rng.normal(size=(rows.size, N))
    score += np.nan_to_num(forward["1"].returns / 0.045) * 0.1
    score[rng.random(score.shape) < 0.05] = np.nan
    universe = rng.random(score.shape) < 0.9
    return score, forward, dates[rows], universe


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 60))
def test_every_member_is_used_or_has_a_reason(seed, N):
    """Members = used + no score + beyond data + no return + thin date, exactly, at every horizon."""
    score, forward, dates, universe = market(seed, weeks=9, N=N)
    score[2] = 1.0
    universe[3, 8:] = False
    report = evaluate_signal(score, forward, dates, settings=QUICK, universe=universe)
    for item in report.horizons.values():
        reasons = dict(item.ledger)
        assert reasons.pop("members") == universe.sum() == sum(reasons.values())
        defined = ~np.isnan(item.series.rank_ic)
        assert reasons["used"] == item.series.n[defined].sum()
    symbols = np.array([f"S{k}" for k in range(N)])
    left = report.left_out_frame(symbols)
    for name, item in report.horizons.items():
        own = left.filter(pl.col("horizon") == name)
        told = dict(own["reason"].value_counts().iter_rows())
        assert told == {k: v for k, v in item.ledger.items() if k not in {"members", "used"} and v}
        no_score = own.filter(pl.col("reason") == "no_score").select("date", "symbol").rows()
        cells = np.argwhere(universe & np.isnan(score))
        assert set(no_score) == {(dates[d].item(), symbols[n]) for d, n in cells}
    assert report.outside == (~np.isnan(score) & ~universe).sum()


def test_only_members_count():
    """Scores of names outside the universe change nothing."""
    score, forward, dates, universe = market()
    changed = np.where(universe, score, score + 100)
    a = evaluate_signal(score, forward, dates, settings=QUICK, universe=universe)
    b = evaluate_signal(changed, forward, dates, settings=QUICK, universe=universe)
    assert a.metrics() == b.metrics()


def test_a_perfect_score_has_rank_ic_one():
    """The forward return itself as score: RankIC 1 on every date, quantiles in order, t undefined for no variation."""
    _, forward, dates, _ = market()
    report = evaluate_signal(forward["1"].returns, forward, dates, settings=QUICK)
    values = report.headline.series.rank_ic
    np.testing.assert_allclose(values[~np.isnan(values)], 1.0)
    assert report.headline.monotonicity == 1.0
    assert report.headline.ledger["no_score"] == 0


def test_headline_is_the_first_horizon():
    """The first horizon given is the primary one, whatever its length."""
    score, forward, dates, _ = market()
    assert evaluate_signal(score, forward, dates, settings=QUICK).primary == "1"
    turned = {"4": forward["4"], "1": forward["1"]}
    assert evaluate_signal(score, turned, dates, settings=QUICK).primary == "4"


def test_frames_hold_the_series():
    """The IC and quantile frames are the arrays, long, with nulls where undefined."""
    score, forward, dates, _ = market()
    report = evaluate_signal(score, forward, dates, settings=QUICK)
    frame = report.ic_frame()
    assert frame.columns == ["date", "horizon", "ic", "rank_ic", "n"]
    assert frame.schema["date"] == pl.Date
    one = frame.filter(pl.col("horizon") == "1")
    np.testing.assert_allclose(one["rank_ic"].to_numpy(), ic_series(score, forward["1"].returns, min_names=10).rank_ic)
    assert one["rank_ic"].null_count() == int(np.isnan(report.headline.series.rank_ic).sum())
    quantiles = report.quantile_frame()
    assert quantiles.columns == ["date", "horizon", "quantile", "return", "n", "turnover"]
    top = quantiles.filter(pl.col("horizon") == "4", pl.col("quantile") == 5)
    np.testing.assert_allclose(top["return"].to_numpy(), report.horizons["4"].returns[:, -1])


def test_factor_table_puts_honest_tests_under_the_twelve_rows():
    """Twelve rows, then Newey-West and non-overlapping t, one column a horizon; one period apart they agree."""
    score, forward, dates, _ = market()
    table = evaluate_signal(score, forward, dates, settings=QUICK).factor_table()
    assert table.columns == ["row", "1", "4"]
    assert table["row"].to_list()[12:] == [
        "t_newey_west",
        "p_newey_west",
        "t_non_overlapping",
        "p_non_overlapping",
        "se",
        "n",
        "n_non_overlapping",
    ]
    values = {row[0]: row[1] for row in table.iter_rows()}
    np.testing.assert_allclose(values["t_non_overlapping"], values["t_stat"])


def test_curves_compound_back_to_back_periods():
    """Wealth is the product over every h-th period; the last date is the last period's end."""
    score, forward, dates, _ = market()
    report = evaluate_signal(score, forward, dates, settings=QUICK)
    item = report.horizons["4"]
    curves = item.curves(dates)
    rows = [d for d in range(0, dates.size, 4) if not np.isnan(item.returns[d]).any()]
    np.testing.assert_allclose(curves["Q5"][-1], np.prod([1 + item.returns[d, 4] for d in rows]))
    np.testing.assert_allclose(curves["spread"][-1], sum(item.returns[d, 4] - item.returns[d, 0] for d in rows))
    assert curves["Q1"][0] == 1.0
    assert curves["date"][0] == dates[0].item()
    assert curves["date"][-1] == item.exits[rows[-1]].item()
    assert curves["spread_net"][-1] < curves["spread"][-1]


def test_annualising_counts_each_day_once():
    """A return of 1 % every four weeks is 12 times 1 % a year arithmetically and compounds to as many periods."""
    D, N = 80, 30
    score = np.random.default_rng(0).normal(size=(D, N))
    dates = np.datetime64("2020-01-03") + 7 * np.arange(D)
    forward = {"4": Forward(np.full((D, N), 0.01), dates + 28, steps=4, days=20.25)}
    report = evaluate_signal(score, forward, dates, settings=EvaluationSettings(resamples=100))
    row = report.headline.quantile_summary().row(0, named=True)
    np.testing.assert_allclose(row["annual_arithmetic"], 0.12)
    np.testing.assert_allclose(row["annual_geometric"], 1.01**12 - 1)


def test_decay_is_against_single_later_periods():
    """Period k ahead is the RankIC of scores with the one-period return that begins k - 1 decisions later."""
    score, forward, dates, _ = market()
    report = evaluate_signal(score, forward, dates, settings=QUICK)
    assert report.decay["period"].to_list() == [1, 2, 3, 4, 8]
    for k in (1, 3):
        late = ic_series(score[: dates.size - k + 1], forward["1"].returns[k - 1 :], min_names=10).rank_ic
        np.testing.assert_allclose(report.decay.filter(pl.col("period") == k)["rank_ic"][0], np.nanmean(late))
    none = evaluate_signal(score, {"4": forward["4"]}, dates, settings=QUICK)
    assert none.decay.height == 0


def test_windows_give_in_against_out_of_sample():
    """Given windows are compared with the primary horizon's RankIC over their test dates."""
    score, forward, dates, _ = market()
    window = SampleWindow("first", dates[0].item(), dates[20].item(), 0.3)
    report = evaluate_signal(score, forward, dates, settings=QUICK, windows=[window])
    expected = np.nanmean(report.headline.series.rank_ic[:21])
    np.testing.assert_allclose(report.windows["out_of_sample_rank_ic"][0], expected)


def test_metrics_are_plain_json():
    """Every number is JSON; what is undefined is null, never NaN."""
    score, forward, dates, _ = market()
    score[:, :] = np.nan
    report = evaluate_signal(score, forward, dates, settings=QUICK)
    data = json.loads(json.dumps(report.metrics(), allow_nan=False))
    assert data["horizons"]["1"]["rank_ic"]["t_newey_west"] is None
    assert data["horizons"]["1"]["ledger"]["used"] == 0
    assert plain({"a": np.float32(0.5), "b": np.int64(2), "c": float("inf"), "d": (True, None)}) == {
        "a": 0.5,
        "b": 2,
        "c": None,
        "d": [True, None],
    }


def test_same_input_same_report():
    """The bootstrap is seeded by the settings, so a report can be made again."""
    score, forward, dates, _ = market()
    a, b = (evaluate_signal(score, forward, dates, settings=QUICK).metrics() for _ in range(2))
    assert a == b


def test_what_is_refused():
    """No horizon, other shapes, unsorted dates, infinite scores and misspelt settings are named."""
    score, forward, dates, universe = market()
    with pytest.raises(UsageError, match="at least one horizon"):
        evaluate_signal(score, {}, dates)
    with pytest.raises(AlignmentError, match="Forward returns '1'"):
        evaluate_signal(score[:, :-1], forward, dates)
    with pytest.raises(AlignmentError, match="Scores must be"):
        evaluate_signal(score, forward, dates[:-1])
    with pytest.raises(AlignmentError, match="must be given and increase"):
        evaluate_signal(score, forward, dates[::-1])
    with pytest.raises(AlignmentError, match="The universe is"):
        evaluate_signal(score, forward, dates, universe=universe[:, :-1])
    with pytest.raises(UsageError, match="is tested from"):
        evaluate_signal(score, forward, dates, windows=[SampleWindow("w", dates[5].item(), dates[1].item(), 0.1)])
    score[7, 3] = np.inf
    with pytest.raises(DataError, match=f"1 scores are infinite or beyond float32, first inf on {dates[7]}"):
        evaluate_signal(score, forward, dates)
    with pytest.raises(SettingError, match="Did you mean 'quantiles'"):
        EvaluationSettings.parse({"quantile": 5})
