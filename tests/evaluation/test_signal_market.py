"""A plain reversal factor on real daily prices: what overlapping horizons do to t values."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alphaloom.evaluation.forward import forward_by_days
from alphaloom.evaluation.settings import EvaluationSettings
from alphaloom.evaluation.signal import evaluate_signal
from alphaloom.panel import Panel

HOME = Path(os.environ.get("ALPHALOOM_MARKET_DATA", Path(__file__).parents[3] / "shared" / "data"))
BARS = HOME / "ashare_daily.parquet"

pytestmark = [
    pytest.mark.market,
    pytest.mark.slow,
    pytest.mark.skipif(not BARS.is_file(), reason=f"no {BARS}; set ALPHALOOM_MARKET_DATA"),
]


def test_overlap_inflates_the_naive_t_on_real_prices():
    """Twenty-day reversal over ten days ahead: the naive t is far above both honest ones; the ledger is exact."""
    price = pl.col("close").cast(pl.Float64).round(2) * pl.col("adj_factor")
    frame = (
        pl.scan_parquet(BARS)
        .filter(pl.col("date") >= pl.date(2019, 1, 1), pl.col("volume") > 0)
        .select("date", "symbol", price.alias("adj_close"))
        .collect()
    )
    panel = Panel.from_frame(frame)
    close = panel["adj_close"]
    score = np.full(close.shape, np.nan)
    score[20:] = 1 - close[20:] / close[:-20]
    rows = np.arange(20, panel.dates.size)
    forward = forward_by_days(close, panel.dates, rows, (1, 10))
    settings = EvaluationSettings(resamples=200)
    report = evaluate_signal(score[rows], forward, panel.dates[rows], settings=settings, universe=panel.universe[rows])
    far = report.horizons["10"]
    assert far.rank_ic.t_naive > 2 * far.rank_ic.t_newey_west
    assert far.rank_ic.t_naive > 2 * far.rank_ic.t_non_overlapping
    near = report.horizons["1"].rank_ic
    np.testing.assert_allclose(near.t_newey_west, near.t_naive, rtol=0.25)
    assert abs(far.rank_ic.mean) < 0.1
    ledger = dict(far.ledger)
    assert ledger.pop("members") == sum(ledger.values()) == panel.universe[rows].sum()
    assert ledger["beyond_data"] == panel.universe[-11:].sum() - (panel.universe & np.isnan(score))[-11:].sum()
