"""The real A-share and US panels: what their description says is what the store holds."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alphaloom.data.check import check
from alphaloom.data.import_ import import_data
from alphaloom.data.load import load_index, load_panel
from alphaloom.data.store import Store
from alphaloom.errors import DataError

FOLDER = Path(os.environ.get("ALPHALOOM_MARKET_DATA", Path(__file__).parents[2].parent / "shared" / "data"))

pytestmark = [
    pytest.mark.market,
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / "ashare_daily.parquet").is_file(), reason=f"no market data in {FOLDER}"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return the A-share store."""
    place = tmp_path_factory.mktemp("real") / "s"
    assert import_data(FOLDER, place).format == "ashare_panel"
    return Store(place)


def test_shape_and_suspensions_are_those_described(store: Store) -> None:
    """2,558,464 rows, 1,122 stocks, 2,676 days, 69,504 suspended rows."""
    panel = load_panel(store, ["is_suspended"])
    assert panel.shape == (2676, 1122)
    assert int(panel.universe.sum()) == 2_488_960
    assert int((panel["is_suspended"] == 1).sum()) == 69_504


def test_adjusted_returns_stay_within_the_limits(store: Store) -> None:
    """Limits computed from the rules are crossed by 10 closes in 2.5 million, all described; 573 stop a tick short."""
    panel = load_panel(store, ["close", "limit_up", "limit_down"])
    close, up, down = (panel[name].astype(float) for name in panel.names)
    beyond = panel.universe & ((close > up + 0.005) | (close < down - 0.005))
    assert int(beyond.sum()) == 10
    at = panel.universe & (np.abs(close - up) < 0.005)
    short = panel.universe & (np.abs(close - up + 0.01) < 0.005)
    assert at.sum() > 40 * short.sum()


def test_members_are_counted_as_described(store: Store) -> None:
    """Members present of CSI 300 and CSI 500 in June and at the end, as in the description of the data."""
    panel = load_panel(store, ["member:SH000300", "member:SH000905"])
    expected = {"2014-06-30": (286, 380), "2019-06-28": (290, 464), "2024-12-31": (298, 498)}
    for day, counts in expected.items():
        t = panel.span(day, day)[0]
        found = tuple(int(np.nansum(panel[name][t])) for name in panel.names)
        assert found == counts, day


def test_float_caps_agree_with_finer_turnover(store: Store) -> None:
    """Shares from turnover in 0.01 points agree with those in 0.0001 points: median within 0.2 %, 95 % within 2 %."""
    valuation = pl.read_parquet(FOLDER / "ashare_valuation.parquet").select("date", "symbol", fine="turnover")
    frame = load_panel(store, ["float_cap", "close", "volume"], start="2020-01-01", end="2023-12-31").to_frame()
    both = frame.join(valuation, on=["date", "symbol"]).filter(
        (pl.col("volume") > 0) & (pl.col("fine") > 0) & pl.col("symbol").str.contains("^(SH60|SZ00)")
    )
    error = both.select(
        (pl.col("float_cap") / pl.col("close") / (pl.col("volume") / pl.col("fine") * 100) - 1).abs().alias("e")
    )["e"].drop_nulls()
    assert error.quantile(0.5) < 0.002
    assert error.quantile(0.95) < 0.02


def test_health_is_as_described(store: Store) -> None:
    """The counts of the description: no gaps, 9,479 factor changes, 6 odd averages, 14 known issues."""
    report = check(store)
    counts = {item.problem: item.count for item in report.findings}
    assert report.ok
    assert counts["day missing between a stock's first and last row"] == 0
    assert counts["adj_factor changes"] == 9_479
    assert counts["amount / volume outside low to high by more than 0.2 % + 0.01"] == 6
    assert counts["issue known to the source, kept as found"] == 14
    assert counts["row before the list date"] == 0


def test_index_covers_every_day(store: Store) -> None:
    """CSI 300 has a close on every trading day of the bars."""
    panel = load_panel(store, ["close"])
    assert not np.isnan(load_index(store, "SH000300", panel.dates)).any()


def test_us_data_are_refused_until_the_broken_row_is_set_aside(tmp_path: Path) -> None:
    """One row has its high below its low: refused with its place, imported with quarantine; no VWAP, no limits."""
    with pytest.raises(DataError, match="1 x high below low, first 2013-06-25 FOXA"):
        import_data(FOLDER, tmp_path / "s", format="us_panel")
    report = import_data(FOLDER, tmp_path / "s", format="us_panel", quarantine=True)
    assert (report.market, report.rows["bars"]) == ("us", 998_878)
    counts = {item.problem: item.count for item in check(Store(tmp_path / "s")).findings}
    assert counts["high below open or close"] == 124  # the row set aside was the 125th
