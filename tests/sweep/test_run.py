"""A sweep's points are those portfolios alone, are kept when it is interrupted, and are told in its report."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from alphaloom.errors import SettingError, UsageError
from alphaloom.outside import backtest_weights, optimise_scores
from alphaloom.report.figures_sweep import colour_range, efficient, metric_heat
from alphaloom.sweep.run import run_sweep
from alphaloom.sweep.settings import SweepSettings

POINTS = [
    "num_stock 10, slippage_bps 0", "num_stock 10, slippage_bps 20", "num_stock 20, slippage_bps 0",
    "num_stock 20, slippage_bps 20", "best ten",
]  # fmt: skip


def test_a_point_is_what_optimise_and_backtest_give_alone(done, store, scores, tmp_path):
    """The same weights; and the same values as their replay, up to the day on which the sweep's replay ends."""
    out, report = done
    scores.write_parquet(tmp_path / "scores.parquet")
    words = [
        "portfolio.num_stock=20", "portfolio.style_limit=0.5", "portfolio.turnover_limit=0.6", "risk.styles=[size]",
        "risk.benchmark=SH000300", "universe=[{name: listed, days: 20}, not_suspended]", "capital=1e7",
    ]  # fmt: skip
    optimise_scores(tmp_path / "scores.parquet", store, tmp_path / "weights.parquet", overrides=words)
    folder = out / "points" / "num_stock_20,_slippage_bps_20"
    weights = pl.read_parquet(folder / "weights.parquet")
    assert_frame_equal(weights, pl.read_parquet(tmp_path / "weights.parquet"))
    backtest_weights(
        tmp_path / "weights.parquet",
        store,
        tmp_path / "alone",
        benchmark="SH000300",
        overrides=["capital=1e7", "slippage_bps=20"],
    )
    alone = pl.read_parquet(tmp_path / "alone" / "nav.parquet")
    swept = pl.read_parquet(folder / "nav.parquet")
    same = [name for name in swept.columns if name != "universe_ret"]
    assert_frame_equal(swept.select(same), alone.head(swept.height).select(same))
    assert report.points[3].result.metrics["cost_annual"] > report.points[2].result.metrics["cost_annual"] > 0


def test_processes_change_nothing(done, store, scores, settings, tmp_path):
    """Two processes give the same table."""
    again = run_sweep(scores, store, tmp_path / "two", settings, origin={}, threads=2)
    assert_frame_equal(again.table(), done[1].table())


def test_the_table_tells_place_figures_and_decisions(done):
    """One row a point, null places beside the grid; yearly figures of each; the same in the files."""
    out, report = done
    table = pl.read_parquet(out / "sweep.parquet")
    assert table["point"].to_list() == POINTS
    assert table["num_stock"].to_list() == ["10", "10", "20", "20", None]
    assert table["slippage_bps"].to_list() == ["0", "20", "0", "20", None]
    assert table["excess_low"].lt(table["excess_high"]).all()
    assert (table["decisions"] == table["decisions"][0]).all()
    assert set(pl.read_parquet(out / "yearly.parquet")["point"]) == set(POINTS)
    assert report.reference.name == POINTS[0]
    metrics = json.loads((out / "metrics.json").read_text())
    assert [row["point"] for row in metrics["points"]] == POINTS
    page = (out / "report.html").read_text()
    assert all(name in page for name in POINTS)
    assert "read the map, not its summit" in page
    assert metrics["validity"]["trials"] == report.validity.sharpe.trials == 5
    assert "Deflated Sharpe ratio" in page


def test_maps_have_the_first_axis_down_and_the_second_across(done):
    """Each cell is the figure of its point; the first value of the first axis stands on top."""
    report = done[1]
    values = report.values("annual_return")
    assert values.shape == (2, 2)
    np.testing.assert_array_equal(values.ravel(), [p.result.metrics["annual_return"] for p in report.points[:4]])
    heat = metric_heat(report, "annual_return", ".1%").data[0]
    assert list(heat.y) == ["20", "10"]
    np.testing.assert_allclose(np.array(heat.z, dtype=float), values[::-1], rtol=1e-4)


def test_a_finished_point_is_not_computed_again(done, store, scores, settings, tmp_path):
    """What an interruption left is finished; the points that were there stay as they are."""
    out = tmp_path / "copy"
    shutil.copytree(done[0], out)
    lost = out / "points" / "best_ten"
    shutil.rmtree(lost)
    (out / "points" / "num_stock_10,_slippage_bps_0" / "point.json").unlink()
    kept = out / "points" / "num_stock_20,_slippage_bps_0" / "nav.parquet"
    before = kept.stat().st_mtime_ns
    told = []
    again = run_sweep(scores, store, out, settings, origin={}, progress=lambda *args: told.append(args))
    assert kept.stat().st_mtime_ns == before
    assert ("portfolios", 3, 5) in told
    assert_frame_equal(again.table(), done[1].table())


@pytest.mark.parametrize("change", ["scores", "settings"])
def test_another_sweep_is_not_overwritten(change, done, store, scores, settings, tmp_path):
    """Other scores or settings are refused, unless the folder may be replaced."""
    out = tmp_path / "copy"
    shutil.copytree(done[0], out)
    if change == "scores":
        scores = scores.with_columns(-pl.col("score"))
    else:
        settings = SweepSettings.parse(settings.dump() | {"risk": {"styles": ["beta"], "benchmark": "SH000300"}})
    with pytest.raises(UsageError, match="holds a sweep of other scores"):
        run_sweep(scores, store, out, settings, origin={})
    again = run_sweep(scores, store, out, settings, origin={}, overwrite=True)
    assert again.table()["annual_return"].to_list() != done[1].table()["annual_return"].to_list()


def test_a_folder_with_something_else_is_left_alone(store, scores, settings, tmp_path):
    """Nothing is written into it."""
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds no sweep"):
        run_sweep(scores, store, tmp_path, settings, origin={})
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"risk": {}}, "needs risk.styles"),
        ({"portfolio": {"name": "optimise", "alpha": "volatility", "constraints": ["cap"]}}, "needs risk.model"),
        ({"portfolio": {"name": "long_short"}}, "needs backtest.short_selling"),
    ],
)
def test_what_a_portfolio_lacks_is_said_before_any_work(change, words, store, scores, tmp_path):
    """With the point's name."""
    data = {"axes": {"backtest.slippage_bps": [0, 10]}, "portfolio": {"name": "linear_programme"}} | change
    with pytest.raises(SettingError, match=words):
        run_sweep(scores, store, tmp_path / "out", SweepSettings.parse(data), origin={})
    assert not (tmp_path / "out").exists()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_frontier_is_what_no_point_beats_in_both(pairs):
    """Against a naive search over all pairs; of equal points one stays."""
    risk, gain = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    kept = efficient(risk, gain)
    best = {(r, g) for r, g in pairs if not any((a <= r and b >= g) and (a < r or b > g) for a, b in pairs)}
    assert {(risk[n], gain[n]) for n in kept} == best
    assert (np.diff(risk[kept]) > 0).all()
    assert (np.diff(gain[kept]) > 0).all()


def test_colours_do_not_magnify_rounding():
    """Values that differ by less than a tenth share the middle of the scale."""
    assert colour_range(np.array([0.5, 1.0])) == (0.5, 1.0)
    low, high = colour_range(np.array([0.00952, 0.00953]))
    assert high - low == pytest.approx(0.000953)
    assert (low + high) / 2 == pytest.approx(0.009525)
