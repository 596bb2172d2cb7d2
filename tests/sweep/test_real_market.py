"""The shipped grid of style limits by numbers of stocks, on real prices, limits and suspensions."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alphaloom.data.import_ import import_data
from alphaloom.data.load import load_panel
from alphaloom.data.store import Store
from alphaloom.sweep.read import read_sweep
from alphaloom.sweep.run import run_sweep

HOME = Path(os.environ.get("ALPHALOOM_MARKET_DATA", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = [
    pytest.mark.market,
    pytest.mark.slow,
    pytest.mark.skipif(not (HOME / "ashare_daily.parquet").is_file(), reason=f"no market data in {HOME}"),
]
SETTINGS = [
    "risk.styles=[size, beta, momentum]", "risk.benchmark=SH000905", "risk.unknown_weights=log_cap",
    "universe=[{name: listed, days: 60}, {name: index_members, indices: [SH000300, SH000905]}, not_suspended]",
    "backtest.price=vwap",
]  # fmt: skip


def test_the_grid_of_limits_on_the_real_market(tmp_path):
    """Half a year of weekly reversal scores: limits hold or are told, caps hold, costs follow the rules of the day."""
    import_data(HOME, tmp_path / "store")
    store = Store(tmp_path / "store")
    panel = load_panel(store, ["adj_close"], start="2018-12-03", end="2019-07-01")
    close = panel["adj_close"]
    rows = np.arange(5, panel.dates.size, 5)
    at, n = np.nonzero(np.isfinite(close[rows] / close[rows - 5]))
    score = 1 - close[rows[at], n] / close[rows[at] - 5, n]
    frame = pl.DataFrame(
        {"date": pl.Series(panel.dates[rows[at]]).cast(pl.Date), "symbol": panel.symbols[n], "score": score}
    )
    settings = read_sweep(tmp_path / "reversal.parquet", store, file="barra-limit", overrides=SETTINGS)
    report = run_sweep(frame, store, tmp_path / "out", settings, origin={})
    table = report.table()
    assert table.height == 21
    assert (table["decisions"] == rows.size).all()
    for point in report.grid:
        folder = tmp_path / "out" / "points" / point.name.replace(" ", "_")
        notes = pl.read_parquet(folder / "decisions.parquet")
        first = pl.read_parquet(folder / "weights.parquet").filter(pl.col("date") == notes["date"][0])
        assert first["weight"].max() <= 1 / int(point.labels[1]) + 1e-6
        held = notes.filter(pl.col("status") == "optimal").slice(1)
        assert held.height > 0.8 * rows.size
        assert (held["turnover"] <= 0.15 + 1e-6).all()
        orders = pl.read_parquet(folder / "orders.parquet")
        placed = orders.filter(pl.col("kind") == "target")
        reasons = [name for name in orders.columns if name.startswith("unfilled_")]
        np.testing.assert_allclose(
            placed["wanted"], placed["filled"] + placed.select(reasons).sum_horizontal(), atol=1e-6
        )
        sold = orders.filter((pl.col("side") == "sell") & (pl.col("filled") > 0))
        np.testing.assert_allclose(sold["duty"], (0.001 * sold["value"]).round(2), atol=0.011)
    means = report.values("tracking_error").mean(axis=1)
    assert means[0] < means[-1], "a tighter style limit tracks the index more closely"
