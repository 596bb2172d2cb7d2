"""Panels from a store: every field against a plain computation, look-backs, as-of joins, the cache."""

import logging
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from stores import SYMBOLS, bars, fundamentals, small_store

from alphaloom.data.fields import RULES, available_fields
from alphaloom.data.load import load_calendar, load_index, load_listing, load_panel
from alphaloom.data.store import Store
from alphaloom.errors import DataError, MissingFieldError, UnknownNameError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return one store for the reading tests."""
    return small_store(tmp_path_factory.mktemp("stores") / "s")


def cell(store: Store, column: str, t: int, symbol: str) -> float:
    """Return one value of bars by loop-like lookup; NaN where there is no row or a null."""
    day = load_calendar(store)[t].item()
    rows = store.read("bars").filter((pl.col("date") == day) & (pl.col("symbol") == symbol))
    value = rows[column][0] if rows.height else None
    return float("nan") if value is None else float(value)


def test_axes_are_the_days_and_symbols_of_the_bars(store: Store) -> None:
    """Dates are the days with bars, symbols sorted, and only traded rows are in the universe."""
    panel = load_panel(store, ["close"])
    assert panel.shape == (60, 5)
    assert panel.symbols.tolist() == SYMBOLS
    expected = np.zeros((60, 5), dtype=bool)
    day = {d: t for t, d in enumerate(load_calendar(store).tolist())}
    for row in store.read("bars").iter_rows(named=True):
        expected[day[row["date"]], SYMBOLS.index(row["symbol"])] = (row["volume"] or 0) > 0
    np.testing.assert_array_equal(expected, panel.universe)


def test_raw_fields_are_the_bars_and_flat_without_a_row(store: Store) -> None:
    """Stored values come through; on a listed day without a row prices are the last close and volume is 0."""
    panel = load_panel(store, ["open", "close", "volume", "amount", "turnover", "adj_factor"])
    for name in panel.names:
        for t, n in ((0, 0), (15, 1), (54, 2), (50, 3), (59, 4)):
            assert panel[name][t, n] == np.float32(cell(store, name, t, SYMBOLS[n]))
    assert np.isnan(panel["close"][9, 1])
    assert np.isnan(panel["close"][55, 2])
    for t in (20, 21):  # no row
        assert panel["open"][t, 1] == panel["close"][t, 1] == panel["close"][19, 1]
        assert panel["volume"][t, 1] == panel["amount"][t, 1] == panel["turnover"][t, 1] == 0
        assert panel["adj_factor"][t, 1] == 1
    assert (panel["amount"][30:34, 3] == 0).all()


def test_flags_say_listed_and_suspended(store: Store) -> None:
    """Listed from the first to the last row; suspended where volume is 0 or the row is missing."""
    panel = load_panel(store, ["is_listed", "is_suspended"])
    listed = panel["is_listed"] == 1
    assert listed[:, 1].tolist() == [t >= 10 for t in range(60)]
    assert listed[:, 2].tolist() == [t < 55 for t in range(60)]
    suspended = panel["is_suspended"]
    assert np.flatnonzero(suspended[:, 1] == 1).tolist() == [20, 21]
    assert np.flatnonzero(suspended[:, 3] == 1).tolist() == [30, 31, 32, 33]
    np.testing.assert_array_equal(np.isnan(suspended), ~listed)


def test_adjusted_prices_are_missing_without_trade(store: Store) -> None:
    """Adjusted price = price * factor, adjusted volume = volume / factor, both NaN on days without trade."""
    panel = load_panel(store, ["close", "adj_close", "adj_open", "open", "adj_volume", "volume", "adj_factor"])
    traded = panel.universe
    assert np.isnan(panel["adj_close"][~traded]).all()
    for name in ("close", "open"):
        expected = panel[name] * panel["adj_factor"]
        np.testing.assert_array_equal(expected[traded], panel[f"adj_{name}"][traded])
    np.testing.assert_array_equal((panel["volume"] / panel["adj_factor"])[traded], panel["adj_volume"][traded])
    jump = panel["adj_close"][40, 3] / panel["adj_close"][39, 3] - 1
    assert abs(jump) < 0.05  # the split is no return


def test_vwap_is_amount_over_volume(store: Store) -> None:
    """Without a vwap column the average price is amount / volume, NaN without trade; a stored one comes first."""
    panel = load_panel(store, ["vwap", "amount", "volume", "adj_vwap", "adj_factor"])
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.where(panel.universe, panel["amount"] / panel["volume"], np.nan)
    np.testing.assert_array_equal(expected, panel["vwap"])
    np.testing.assert_array_equal(expected * panel["adj_factor"], panel["adj_vwap"])


def test_caps_are_close_times_shares(store: Store) -> None:
    """total_cap = close * total_shares, log_cap its log; both without holes on suspended days."""
    panel = load_panel(store, ["close", "total_shares", "total_cap", "log_cap", "is_listed"])
    np.testing.assert_allclose(panel["close"] * panel["total_shares"], panel["total_cap"], rtol=1e-6)
    np.testing.assert_allclose(np.log(panel["total_cap"].astype(float)), panel["log_cap"], rtol=1e-6)
    assert not np.isnan(panel["log_cap"][panel["is_listed"] == 1]).any()


def test_float_shares_come_from_turnover_and_survive_a_split(store: Store) -> None:
    """Without float shares: sum of volume over sum of turnover of 10 rows, split-adjusted, carried over suspensions."""
    panel = load_panel(store, ["float_cap", "close", "volume", "turnover", "adj_factor", "is_listed"])
    for n in range(5):
        last = np.nan
        for t in range(60):
            sold = share = 0.0
            for k in range(max(0, t - 9), t + 1):
                if panel.universe[k, n] and panel["turnover"][k, n] > 0:
                    sold += float(panel["volume"][k, n]) / float(panel["adj_factor"][k, n])
                    share += float(panel["turnover"][k, n])
            last = sold / share if share else last
            expected = last * float(panel["adj_factor"][t, n]) * float(panel["close"][t, n])
            if panel["is_listed"][t, n] == 1:
                assert panel["float_cap"][t, n] == pytest.approx(expected, rel=1e-5)
    shares = panel["float_cap"][:, 3] / panel["close"][:, 3]
    np.testing.assert_allclose(shares[:40], 4e8, rtol=1e-4)
    np.testing.assert_allclose(shares[40:], 8e8, rtol=1e-4)  # on the day of the split, not ten days later


def test_industry_is_the_one_in_force(store: Store) -> None:
    """A new classification holds from its date on; outside listing there is none."""
    panel = load_panel(store, ["industry"])
    names = [panel.categories["industry"][int(code)] for code in panel["industry"][:, 0]]
    assert names == ["Banks"] * 25 + ["Chips"] * 35
    assert np.isnan(panel["industry"][:10, 1]).all()


def test_members_and_weights_follow_the_list_in_force(store: Store) -> None:
    """A list holds from its date until the next; stocks that are not on it are NaN, as are unlisted ones."""
    panel = load_panel(store, ["member:SH000300", "weight:SH000300"])
    member = panel["member:SH000300"] == 1
    assert member[:, 0].all()
    assert member[:, 1].tolist() == [10 <= t < 30 for t in range(60)]
    assert member[:, 3].tolist() == [t >= 30 for t in range(60)]
    assert panel["weight:SH000300"][29, 0] == np.float32(0.6)
    assert panel["weight:SH000300"][30, 0] == np.float32(0.7)
    np.testing.assert_array_equal(member, ~np.isnan(panel["weight:SH000300"]))


def test_fundamentals_are_the_latest_period_announced(store: Store) -> None:
    """A figure is known from its announcement; an older period announced late never replaces a newer one."""
    panel = load_panel(store, ["fund:book"])
    days = pl.Series(load_calendar(store).tolist())
    table = fundamentals(days).filter(pl.col("symbol") == "SH600000")
    for t, day in enumerate(days):
        known = table.filter(pl.col("announce_date") <= day).sort("period_end", "announce_date")
        expected = known["value"][-1] if known.height else np.nan
        np.testing.assert_equal(np.float32(expected), panel["fund:book"][t, 0])
    assert panel["fund:book"][0, 3] == 5  # announced on a Saturday before the store begins


def test_listed_days_count_from_the_list_date(store: Store) -> None:
    """1 on the first day; weekdays are counted before the store begins; without a list date from the first bar."""
    panel = load_panel(store, ["listed_days"])
    days = panel["listed_days"]
    assert days[10, 1] == 1
    assert days[12, 1] == 3
    assert days[0, 2] == 1  # list date unknown
    before = np.busday_count(np.datetime64("2019-01-02"), np.datetime64("2020-01-02"))
    assert days[0, 3] == before + 1
    assert days[5, 4] == 6  # listed on the store's first day


def test_limits_follow_board_and_listing(store: Store) -> None:
    """Without stored limits: previous close on today's basis times one plus or minus the board's limit, by the tick."""
    panel = load_panel(store, ["limit_up", "limit_down", "close"])
    close = panel["close"].astype(float)
    up = panel["limit_up"]
    assert up[20, 0] == pytest.approx(np.floor(close[19, 0] * 1.1 * 100 + 0.5 + 1e-6) / 100, abs=1e-4)
    assert up[20, 2] == pytest.approx(np.floor(close[19, 2] * 1.2 * 100 + 0.5 + 1e-6) / 100, abs=1e-4)  # STAR
    assert np.isnan(up[10, 1])  # first day of listing
    assert not np.isnan(up[11, 1])
    half = np.floor(close[39, 3] / 2 * 100 + 0.5 + 1e-6) / 100
    assert up[40, 3] == pytest.approx(np.floor(half * 1.1 * 100 + 0.5 + 1e-6) / 100, abs=1e-4)  # day of the split
    traded = panel.universe & ~np.isnan(up)
    assert ((close <= up + 0.005) & (close >= panel["limit_down"] - 0.005))[traded].all()


def test_limits_of_the_delisting_period_and_the_first_day(tmp_path: Path) -> None:
    """In the delisting period the first day is free and risk warning does not count; the first day of listing is held
    to the issue price where it is known.
    """
    store = Store.create(tmp_path / "s")
    frame = bars(12, start="2021-03-01", symbols=["SH600000", "SZ000001"])
    days = frame["date"].unique().sort()
    leaving = (pl.col("symbol") == "SH600000") & (pl.col("date") >= days[6])
    store.write(
        "bars", frame.with_columns(leaving.alias("is_delisting"), (pl.col("symbol") == "SH600000").alias("is_st"))
    )
    listing = {"symbol": ["SH600000", "SZ000001"], "list_date": [days[0].replace(year=2010), days[0]]}
    store.write("listing", pl.DataFrame(listing | {"issue_price": pl.Series([None, 20.0], dtype=pl.Float32)}))
    panel = load_panel(store, ["limit_up", "limit_down", "close", "is_delisting"])
    move = panel["limit_up"][1:] / panel["close"][:-1] - 1
    np.testing.assert_allclose(move[:5, 0], 0.05, atol=1e-3)
    assert np.isnan(move[5, 0])  # the period's first day
    np.testing.assert_allclose(move[6:, 0], 0.10, atol=1e-3)
    assert (panel["limit_up"][0, 1], panel["limit_down"][0, 1]) == pytest.approx((28.8, 12.8))
    np.testing.assert_allclose(move[:, 1], 0.10, atol=1e-3)
    assert panel["is_delisting"][:, 0].tolist() == [0.0] * 6 + [1.0] * 6


def test_marks_for_no_limit_are_no_prices(tmp_path: Path) -> None:
    """A vendor's 99999.99 and 0 mean that there is no limit that day."""
    store = Store.create(tmp_path / "s")
    frame = bars(5)
    first = pl.col("date") == frame["date"][0]
    up, down = pl.when(first).then(99999.99).otherwise(50.0), pl.when(first).then(0.0).otherwise(5.0)
    store.write(
        "bars", frame.with_columns(up.cast(pl.Float32).alias("limit_up"), down.cast(pl.Float32).alias("limit_down"))
    )
    panel = load_panel(store, ["limit_up", "limit_down"])
    assert np.isnan([panel["limit_up"][0], panel["limit_down"][0]]).all()
    assert (panel["limit_up"][1:] == 50).all()


def test_loading_from_a_date_equals_loading_all_and_cutting(store: Store) -> None:
    """Every field, look-backs included, is the same whatever the start and the symbols asked for."""
    names = available_fields(store)
    whole = load_panel(store, names)
    part = load_panel(store, names, start=whole.dates[33], end=whole.dates[47], symbols=["SZ000001", "SH600000"])
    assert part.shape == (15, 2)
    for name in names:
        np.testing.assert_array_equal(whole[name][33:48][:, [0, 3]], part[name])
    assert set(RULES) - set(names) == {"free_turnover", "float_shares", "is_st", "is_delisting"}


def test_no_field_knows_the_future(store: Store, tmp_path: Path) -> None:
    """A store cut at day 45 gives the same rows as the whole one, in every field."""
    cut = Store.create(tmp_path / "cut")
    last = load_calendar(store)[44].item()
    keys = {"bars": "date", "index_bars": "date", "index_weights": "date", "industry": "from_date"}
    for table in store.tables():
        frame = store.read(table)
        day = keys.get(table) or ("announce_date" if table == "fundamentals" else None)
        cut.write(table, frame if day is None else frame.filter(pl.col(day) <= last))
    names = [name for name in available_fields(store) if name != "industry"]
    whole, part = load_panel(store, names, end=last), load_panel(cut, names)
    for name in names:
        np.testing.assert_array_equal(whole[name], part[name], err_msg=name)


def test_the_cache_is_used_and_follows_the_data(tmp_path: Path) -> None:
    """A second load maps the files of the first; a changed store has a new fingerprint and new files."""
    store = small_store(tmp_path / "s")
    first = load_panel(store, ["adj_close"])
    files = sorted((store.path / "cache").glob("fields-*/field-*.rows"))
    assert [file.name for file in files] == ["field-adj_close.rows"]
    stamp = files[0].stat().st_mtime_ns
    again = load_panel(store, ["adj_close"])
    assert files[0].stat().st_mtime_ns == stamp
    assert not again["adj_close"].flags.writeable
    np.testing.assert_array_equal(first["adj_close"], again["adj_close"])
    store.write("bars", bars(61).filter(pl.col("date") > first.dates[-1].item()))
    assert load_panel(store, ["adj_close"]).shape[0] == 61


def test_without_a_writable_cache_panels_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only store still loads, with a warning that says what to set."""
    store = small_store(tmp_path / "s")
    expected = load_panel(store, ["close"])["close"].copy()
    shutil.rmtree(store.path / "cache")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ALPHALOOM_CACHE", str(tmp_path / "file" / "inside"))
    with caplog.at_level(logging.WARNING):
        panel = load_panel(store, ["close"])
    np.testing.assert_array_equal(expected, panel["close"])
    assert "ALPHALOOM_CACHE" in caplog.text
    monkeypatch.setenv("ALPHALOOM_CACHE", str(tmp_path / "elsewhere"))
    load_panel(store, ["close"])
    assert list((tmp_path / "elsewhere").rglob("field-close.rows"))


def test_missing_columns_name_table_and_who_asks(tmp_path: Path) -> None:
    """A field that the store cannot make fails before any work, naming column, table and the feature."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(5).drop("amount", "turnover", "total_shares", "adj_factor"))
    asked = {"vwap": "feature family 'alpha158'"}
    message = r"'vwap' \(needed by feature family 'alpha158'\) needs column 'vwap' of table 'bars' .*bars.amount"
    with pytest.raises(MissingFieldError, match=message):
        load_panel(store, ["close", "vwap"], needed_by=asked)
    with pytest.raises(MissingFieldError, match=r"needs column 'adj_factor'.*constant 1"):
        load_panel(store, ["adj_close"])
    with pytest.raises(MissingFieldError, match=r"needs column 'industry' of table 'industry'.*no table 'industry'"):
        load_panel(store, ["industry"])
    with pytest.raises(MissingFieldError, match="needs column 'symbol' of table 'index_weights'"):
        load_panel(store, ["member:SH000300"])
    with pytest.raises(UnknownNameError, match="Did you mean 'close'"):
        load_panel(store, ["clos"])
    assert not (store.path / "cache").exists()


def test_unknown_keys_and_empty_spans_are_refused(store: Store) -> None:
    """An unknown index, item or symbol lists what there is; a span without trading days names the store's."""
    with pytest.raises(MissingFieldError, match=r"no index 'SH000999'; it has: SH000300"):
        load_panel(store, ["member:SH000999"])
    with pytest.raises(MissingFieldError, match=r"no item 'boook'; it has: book"):
        load_panel(store, ["fund:boook"])
    with pytest.raises(DataError, match=r"first 'SH600001'.*Did you mean"):
        load_panel(store, ["close"], symbols=["SH600001"])
    with pytest.raises(DataError, match=r"no trading day from 2031-01-01 to its end; it covers 2020-01-02"):
        load_panel(store, ["close"], start="2031-01-01")


def test_extra_columns_of_bars_are_fields(tmp_path: Path) -> None:
    """A further numeric column of bars is a field by its own name."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(5).with_columns(pl.col("close").mul(2).alias("pe_ttm")), extras=["pe_ttm"])
    panel = load_panel(store, ["pe_ttm", "close"])
    np.testing.assert_array_equal(panel["close"] * 2, panel["pe_ttm"])
    assert "pe_ttm" in available_fields(store)


def test_index_series_and_listing(store: Store) -> None:
    """An index comes on the dates asked for, NaN elsewhere; every stock has a board."""
    dates = np.append(load_calendar(store), np.datetime64("2031-01-01"))
    series = load_index(store, "SH000300", dates)
    np.testing.assert_allclose(series[:60], np.linspace(4000, 4200, 60), rtol=1e-6)
    assert np.isnan(series[60])
    with pytest.raises(MissingFieldError, match=r"no index 'SH000016'; it has: SH000300"):
        load_index(store, "SH000016", dates)
    with pytest.raises(MissingFieldError, match="no close on any date"):
        load_index(store, "SH000300", dates[60:])
    listing = load_listing(store)
    assert listing["board"].to_list() == ["main", "main", "star", "main", "chinext"]
    assert listing["list_date"].null_count() == 1


def test_boards_come_from_symbols_without_a_listing(tmp_path: Path) -> None:
    """A store without a listing table takes boards from the market's symbol patterns."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(5))
    assert load_listing(store)["board"].to_list() == ["main", "main", "star", "main", "chinext"]
    panel = load_panel(store, ["limit_up"])
    assert np.isnan(panel["limit_up"][0]).all()
    assert not np.isnan(panel["limit_up"][1:]).any()  # there from the first day: long listed for all we know
