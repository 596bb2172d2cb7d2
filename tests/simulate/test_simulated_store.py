"""The store that a simulation writes."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from alphaloom.data.simulate import SimulatedMarket, Truth, simulate
from alphaloom.data.simulate.engine import Engine
from alphaloom.data.simulate.fundamentals import ITEMS
from alphaloom.data.simulate.indices import INDICES
from alphaloom.data.store import Store
from alphaloom.errors import MissingFieldError, SettingError, UsageError

SMALL = SimulatedMarket(stocks=40, years=1, start=dt.date(2019, 3, 1), seed=3)


def test_same_settings_same_store(tmp_path):
    """A simulation is a function of its settings: equal settings give equal tables and truth, another seed does not."""
    first, second = simulate(SMALL, tmp_path / "a"), simulate(SMALL, tmp_path / "b")
    assert first.fingerprint() == second.fingerprint()
    for name in ("alpha.parquet", "exposures.parquet", "factor_returns.parquet", "meta.json"):
        assert (first.path / "truth" / name).read_bytes() == (second.path / "truth" / name).read_bytes()
    other = simulate(SMALL.model_copy(update={"seed": 4}), tmp_path / "c")
    assert other.fingerprint() != first.fingerprint()


def test_all_tables_are_written(market):
    """Every table of a full market is there, and the settings are recorded with the store and with the truth."""
    assert market.store.tables() == ["bars", "listing", "industry", "index_weights", "index_bars", "fundamentals"]
    assert market.store.meta["simulated"] == market.truth.settings.dump()
    assert set(market.store.columns("bars")) >= {"vwap", "turnover", "limit_up", "limit_down", "is_st", "is_suspended"}


def test_a_filled_folder_is_refused(tmp_path):
    """A simulation never writes over something that is there."""
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        simulate(SMALL, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.txt"]


def test_an_interrupted_simulation_leaves_nothing(tmp_path):
    """The store appears whole or not at all."""

    def stop(done: int, years: int, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, tmp_path / "store", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_calendar_years(tmp_path):
    """Progress tells years done and years in all, ending with all of them."""
    seen = []
    simulate(SMALL, tmp_path / "store", progress=lambda done, years, text: seen.append((done, years, text)))
    assert seen == [(1, 2, "year 2019"), (2, 2, "year 2020")]


def test_only_a_simulated_store_has_a_truth(tmp_path):
    """Asking an ordinary store for its truth says what is missing."""
    Store.create(tmp_path / "plain")
    with pytest.raises(MissingFieldError, match="only a store made by"):
        Truth.of(tmp_path / "plain")


def test_rows_cover_the_listing_and_nothing_else(market):
    """A stock has a row on every trading day from its listing to the day before its delisting, and on no other."""
    first = market.listing["list_date"].to_numpy().astype("datetime64[D]")
    last = market.listing["delist_date"].fill_null(dt.date(2100, 1, 1)).to_numpy().astype("datetime64[D]")
    expected = (market.dates[:, None] >= first) & (market.dates[:, None] < last)
    np.testing.assert_array_equal(market.listed, expected)
    assert (first > market.dates[0]).sum() >= 10
    assert market.listing["delist_date"].is_not_null().sum() >= 3
    assert set(market.boards) == {"main", "chinext", "star"}
    assert first[market.boards == "star"].min() >= np.datetime64("2019-07-22")


def test_symbols_tell_the_board(market):
    """Symbols follow the exchanges' series."""
    series = {"SH60": "main", "SZ00": "main", "SZ30": "chinext", "SH68": "star"}
    assert [series[symbol[:4]] for symbol in market.symbols] == market.boards.tolist()


def test_trading_days_skip_weekends_and_holidays(market):
    """No trading on weekends, at the spring festival or in the national week; about 243 days a year."""
    assert np.is_busday(market.dates).all()
    assert not np.isin(np.array(["2019-02-05", "2019-10-01", "2020-01-28"], dtype="datetime64[D]"), market.dates).any()
    assert 3 * 240 <= market.dates.size <= 3 * 247


def test_industries_hold_from_the_listing_and_change_for_a_few(market):
    """Each stock has an industry from its listing on; changes are on trading days, to another industry."""
    table = market.store.read("industry")
    first = table.group_by("symbol").agg(pl.col("from_date").min()).sort("symbol")
    assert first["from_date"].to_list() == market.listing["list_date"].to_list()
    changed = table.group_by("symbol").agg(pl.len().alias("n"), pl.col("industry").n_unique()).filter(pl.col("n") > 1)
    assert 1 <= changed.height <= 0.1 * market.symbols.size
    assert (changed["industry"] == 2).all()


def test_reports_are_announced_after_their_period(market):
    """Announcements come 20 to 110 days after the period, or on the first day of a new listing; none out of order."""
    table = market.store.read("fundamentals").join(market.listing.select("symbol", "list_date"), on="symbol")
    lag = (table["announce_date"] - table["period_end"]).dt.total_days()
    prospectus = table["announce_date"] == table["list_date"]
    assert lag.filter(~prospectus).min() >= 20
    assert lag.filter(~prospectus).max() <= 110
    assert (lag >= 0).all()
    assert set(table["item"]) == set(ITEMS)
    for item in table.partition_by("symbol", "item"):
        ordered = item.sort("period_end")
        assert ordered["announce_date"].is_sorted()
        assert ordered["period_end"].is_unique().all()
    known = table.filter(pl.col("announce_date") < pl.col("list_date"))
    assert known.height == 0


def test_reports_are_consistent(market):
    """Assets exceed book and debt together; book and sales are positive; some companies lose money."""
    wide = market.store.read("fundamentals").pivot("item", index=["symbol", "period_end"], values="value")
    assert (wide["total_assets"] >= wide["book"] + wide["debt"]).all()
    assert (wide["book"] > 0).all()
    assert (wide["sales_ttm"] > 0).all()
    assert 0.01 < (wide["earnings_ttm"] < 0).mean() < 0.4


def test_index_weights_sum_to_one_and_members_are_listed(market):
    """Each list is complete: weights add to 1, members are listed, indices are disjoint and ordered by size."""
    lists = market.store.read("index_weights")
    sums = lists.group_by("index", "date").agg(pl.col("weight").cast(pl.Float64).sum())
    np.testing.assert_allclose(sums["weight"].to_numpy(), 1.0, atol=1e-5)
    assert sums["index"].n_unique() == 3
    rows = np.searchsorted(market.dates, lists["date"].to_numpy().astype("datetime64[D]"))
    columns = np.searchsorted(market.symbols, np.array(lists["symbol"].to_list()))
    assert market.listed[rows, columns].all()
    assert lists.select(pl.struct("date", "symbol").is_unique().all()).item()
    start = market.dates[0].item()
    caps = dict(zip(market.symbols, market.bars["close"][0] * market.bars["float_shares"][0], strict=True))
    first = [
        [caps[symbol] for symbol in lists.filter((pl.col("index") == index) & (pl.col("date") == start))["symbol"]]
        for index in INDICES
    ]
    assert np.median(first[0]) > np.median(first[1]) > np.median(first[2])


def test_index_weights_are_those_of_the_close_before(market):
    """A list is knowable when it takes force: float capitalisation at the previous close."""
    lists = market.store.read("index_weights").filter(pl.col("index") == "SH000300")
    for date in lists["date"].unique().sort().to_list()[1:40:9]:
        t = int(np.searchsorted(market.dates, np.datetime64(date)))
        rows = lists.filter(pl.col("date") == date)
        columns = np.searchsorted(market.symbols, np.array(rows["symbol"].to_list()))
        cap = market.bars["close"][t - 1, columns] * market.bars["float_shares"][t - 1, columns]
        np.testing.assert_allclose(rows["weight"].to_numpy(), cap / cap.sum(), rtol=1e-4)


def test_index_bars_follow_from_weights(market):
    """The index's return is the float-cap-weighted return of its members with dividends, weights drifting daily."""
    lists = market.store.read("index_weights").filter(pl.col("index") == "SH000905")
    bars = market.store.read("index_bars").filter(pl.col("index") == "SH000905").sort("date")
    levels = bars["close"].cast(pl.Float64).to_numpy()
    dates = np.array(lists["date"].unique().sort().to_list(), dtype="datetime64[D]")
    for t in range(1, market.dates.size, 7):
        current = dates[np.searchsorted(dates, market.dates[t], side="right") - 1]
        names = lists.filter(pl.col("date") == current.item())["symbol"].to_list()
        total, weight = 0.0, 0.0
        for n in np.searchsorted(market.symbols, np.array(names)):
            if not (market.listed[t, n] and market.listed[t - 1, n]):
                continue
            cap = market.bars["close"][t - 1, n] * market.bars["float_shares"][t - 1, n]
            total += cap * (market.adj_close[t, n] / market.adj_close[t - 1, n] - 1)
            weight += cap
        assert levels[t] / levels[t - 1] - 1 == pytest.approx(total / weight, abs=5e-6)
    assert (bars["high"] >= bars["low"]).all()
    assert (bars["high"] >= bars["close"] - 1e-3).all()


def test_a_large_market_has_indices_of_the_usual_sizes():
    """From 2,000 stocks on the indices hold 300, 500 and 1,000 members."""
    engine = Engine(SimulatedMarket(stocks=2500, years=1, alpha="none", seed=1))
    cap = engine.state.close * engine.state.float_shares
    engine.indices.reconstitute(cap, engine.state.listed)
    assert [int(members.sum()) for members in engine.indices.members] == [300, 500, 1000]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"stock": 300}, "Did you mean 'stocks'"),
        ({"alpha": "lineal"}, "none"),
        ({"start": "1999-01-04"}, "start must lie between"),
        ({"stocks": 5}, "greater than or equal to 30"),
    ],
)
def test_wrong_settings_are_named(setting, message):
    """A wrong setting is refused before any work, saying what is allowed."""
    with pytest.raises(SettingError, match=message):
        SimulatedMarket.parse(setting)
