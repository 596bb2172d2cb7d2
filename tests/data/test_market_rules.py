"""Dated market rules: limits by board, exchange and date, taxes and fees, lots, and a market of one's own."""

import datetime as dt
from pathlib import Path

import marina_rules as marina
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaloom.data.market_rules import Band, MarketRules, market_names
from alphaloom.data.price_limits import Standing, Stocks, limit_prices, stocks_of
from alphaloom.errors import DataError, SettingError, UnknownNameError

CHINA = MarketRules.load("china")
US = MarketRules.load("us")
EXCHANGES = {"XSHG": "SSE", "XSHE": "SZSE", "BJSE": "BSE"}
ORDINARY = 100


def move(board, is_st, date, day, exchange="SSE"):
    """The largest rise of a stock as a fraction of the previous close; None without limit."""
    band = CHINA.band(board, date, exchange=exchange, is_st=is_st, listed_day=day)
    return None if band is None else band.up


@pytest.mark.parametrize(
    ("board", "is_st", "date", "day", "expected"),
    [
        ("main", False, "2010-01-04", 100, 0.10),
        ("main", True, "2026-07-03", 100, 0.05),
        ("main", True, "2026-07-06", 100, 0.10),
        ("chinext", False, "2020-08-21", 100, 0.10),
        ("chinext", False, "2020-08-24", 100, 0.20),
        ("chinext", True, "2020-08-21", 100, 0.05),
        ("chinext", True, "2020-08-24", 100, 0.20),
        ("star", True, "2021-01-04", 100, 0.20),
        ("bse", False, "2022-01-04", 100, 0.30),
        ("main", False, "2013-12-12", 1, None),
        ("main", False, "2023-04-07", 1, 0.44),
        ("main", False, "2023-04-07", 2, 0.10),
        ("main", False, "2023-04-10", 5, None),
        ("main", False, "2023-04-10", 6, 0.10),
        ("chinext", False, "2020-08-21", 2, 0.10),
        ("chinext", False, "2020-08-24", 5, None),
        ("star", False, "2019-07-26", 5, None),
        ("bse", False, "2022-01-04", 2, 0.30),
    ],
)
def test_limits_by_board_and_date(board, is_st, date, day, expected):
    """The limit in force on a date, and the rule of the first days of listing."""
    assert move(board, is_st, date, day) == expected


def test_the_first_day_is_held_to_the_issue_price_from_different_days_on():
    """Shanghai bounded the first day on 2013-12-13, Shenzhen half a year later."""
    bounded = Band(0.44, 0.36, of_issue_price=True)
    assert CHINA.band("main", "2014-03-03", exchange="SSE", listed_day=1) == bounded
    assert CHINA.band("main", "2014-03-03", exchange="SZSE", listed_day=1) is None
    assert CHINA.band("main", "2014-06-13", exchange="SZSE", listed_day=1) == bounded


@pytest.mark.parametrize(
    ("board", "exchange", "date", "day", "expected"),
    [
        ("main", "SSE", "2020-12-30", 1, 0.10),
        ("main", "SSE", "2020-12-31", 1, None),
        ("main", "SSE", "2020-12-31", 2, 0.10),
        ("chinext", "SZSE", "2021-01-04", 2, 0.20),
        ("star", "SSE", "2022-01-04", 1, None),
        ("bse", "BSE", "2022-01-04", 2, 0.30),
    ],
)
def test_the_delisting_period_has_limits_of_its_own(board, exchange, date, day, expected):
    """Risk warning does not count in it, and its first day is free since the end of 2020."""
    band = CHINA.band(board, date, exchange=exchange, is_st=True, delisting_day=day)
    assert (None if band is None else band.up) == expected


def test_a_relisted_stock_is_free_for_a_day():
    """The first day after trading is resumed has no limit, the second the usual one."""
    assert CHINA.band("main", "2017-12-18", exchange="SZSE", relisted_day=1) is None
    assert CHINA.band("main", "2017-12-19", exchange="SZSE", relisted_day=2) == Band(0.10, 0.10)


def test_taxes_and_fees_by_date():
    """Stamp duty is the seller's since 2008-09-19 and was halved on 2023-08-28; Shanghai charged shares to 2015-07."""
    duty = [CHINA.duty(day) for day in ("2007-05-30", "2008-09-18", "2008-09-19", "2023-08-25", "2023-08-28")]
    assert [(d.buy, d.sell) for d in duty] == [(0.003, 0.003), (0.001, 0.001), (0.0, 0.001), (0.0, 0.001), (0.0, 5e-4)]
    shanghai, shenzhen = CHINA.fee("2015-07-31", "SSE"), CHINA.fee("2015-07-31", "SZSE")
    assert (shanghai.buy, shanghai.buy_share, shanghai.sell_share) == (0.0, 0.0003, 0.0003)
    assert (shenzhen.sell, shenzhen.sell_share) == (2.55e-5, 0.0)
    assert [CHINA.fee(day, "SSE").sell for day in ("2015-08-03", "2022-04-29")] == [2e-5, 1e-5]
    commission = CHINA.commission("2020-01-02")
    assert (commission.minimum, commission.cap) == (5.0, 0.003)
    assert [CHINA.settlement_on(day).sale_days for day in ("1994-12-30", "1995-01-03")] == [0, 1]


def test_lots_by_board():
    """Hundreds on the main board; at least 200 and then single shares on STAR."""
    assert (CHINA.lot("main", "2020-01-02").minimum, CHINA.lot("main", "2020-01-02").step) == (100, 100)
    assert (CHINA.lot("star", "2020-01-02").minimum, CHINA.lot("star", "2020-01-02").step) == (200, 1)
    assert (CHINA.lot("bse", "2022-01-04").minimum, CHINA.lot("bse", "2022-01-04").step) == (100, 1)
    with pytest.raises(UnknownNameError, match="no board named 'moon'"):
        CHINA.lot("moon", "2020-01-02")
    with pytest.raises(DataError, match="No lot size of star is recorded for 2019-07-19; the first is from 2019-07-22"):
        CHINA.lot("star", "2019-07-19")


def test_the_close_is_an_auction_from_different_days_on():
    """Shenzhen since 2006-07-01, Shanghai since 2018-08-20."""
    assert CHINA.has_closing_auction("2018-08-17", "SZSE")
    assert not CHINA.has_closing_auction("2018-08-17", "SSE")
    assert CHINA.has_closing_auction("2018-08-20", "SSE")


def test_boards_and_exchanges_of_symbols():
    """The listing table's board comes first, else the first matching pattern."""
    symbols = np.array(["SH600000", "SH688001", "SZ300750", "SZ000001", "BJ430047"])
    assert CHINA.board_of(symbols).tolist() == ["main", "star", "chinext", "main", "bse"]
    assert CHINA.board_of(symbols, ["star", None, None, None, None])[0] == "star"
    assert CHINA.exchange_of(symbols).tolist() == ["SSE", "SSE", "SZSE", "SZSE", "BSE"]
    assert US.exchange_of(symbols).tolist() == [""] * 5


def prices(reference, date, symbols, *, day=ORDINARY, is_st=False, delisting=None, issue=None):
    """Limit prices of one date, one stock a reference."""
    shape = (1, len(reference))
    standing = Standing(
        np.full(shape, is_st),
        np.full(shape, day, dtype=np.float32),
        None if delisting is None else np.full(shape, delisting, dtype=np.float32),
    )
    stocks = stocks_of(CHINA, np.array(symbols), issue_price=None if issue is None else np.array(issue, dtype=float))
    up, down = limit_prices(CHINA, np.array([reference]), np.array([date], dtype="datetime64[D]"), stocks, standing)
    return up[0].tolist(), down[0].tolist()


def test_prices_round_half_up():
    """10.05 x 1.1 = 11.055 rounds up to 11.06; 12.345 counts as 12.35."""
    up, down = prices([10.05, 12.345], "2020-01-02", ["SH600000", "SH600001"])
    assert up == pytest.approx([11.06, 13.59])
    assert down == pytest.approx([9.05, 11.12])


def test_the_one_tick_floor_came_earlier_in_shenzhen():
    """10 % of 0.04 is less than a tick: 0.03 and 0.05 is the exchange's example; in Shanghai 0.04 twice until 2023."""
    symbols = ["SZ000001", "SH600000"]
    assert prices([0.04, 0.04], "2022-01-04", symbols) == (pytest.approx([0.05, 0.04]), pytest.approx([0.03, 0.04]))
    assert prices([0.04, 0.04], "2023-04-10", symbols) == (pytest.approx([0.05] * 2), pytest.approx([0.03] * 2))
    late = prices([0.05, 0.05], "2019-01-04", ["SH600000"] * 2, delisting=2)
    assert late == (pytest.approx([0.06] * 2), pytest.approx([0.05] * 2))
    assert prices([0.04], "2019-01-04", ["SH600000"], delisting=2) == (pytest.approx([0.05]), pytest.approx([0.03]))
    assert prices([0.05], "2021-01-04", ["SH600000"], delisting=2) == (pytest.approx([0.06]), pytest.approx([0.04]))


def test_first_days_of_known_and_unknown_issue_price():
    """The first day lies within 144 % and 64 % of a known issue price; with an unknown one, or no rule, it is free."""
    up, down = prices([np.nan, np.nan], "2016-01-04", ["SH600000", "SH600001"], day=1, issue=[10.03, np.nan])
    assert (up[0], down[0]) == pytest.approx((14.44, 6.42))
    assert np.isnan([up[1], down[1]]).all()
    up, _ = prices([10.0], "2023-05-04", ["SH600000"], day=1, issue=[10.0])
    assert np.isnan(up[0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_array_form_equals_the_single_answers(seed):
    """Prices over [T, N] are those that the rules give one by one."""
    rng = np.random.default_rng(seed)
    symbols = rng.choice(np.array(["SH600000", "SZ000001", "SZ300001", "SH688001", "BJ430001"]), 4)
    dates = np.sort(rng.choice(np.arange("2013-06-01", "2027-01-01", dtype="datetime64[D]"), 6, replace=False))
    is_st = rng.random((6, 4)) < 0.3
    day = rng.integers(1, 9, (6, 4)).astype(np.float32)
    leaving = np.where(rng.random((6, 4)) < 0.3, rng.integers(1, 3, (6, 4)), np.nan)
    reference = rng.integers(1, 3000, (6, 4)) / 100
    issue = np.where(rng.random(4) < 0.5, 10.0, np.nan)
    stocks = stocks_of(CHINA, symbols, issue_price=issue)
    up, down = limit_prices(CHINA, reference, dates, stocks, Standing(is_st, day, leaving))
    for t in range(6):
        for n in range(4):
            start = {"star": "2019-07-22", "bse": "2021-11-15"}.get(str(stocks.boards[n]), "2009-10-30")
            if dates[t] < np.datetime64(start):
                assert np.isnan(up[t, n])
                continue
            band = CHINA.band(
                str(stocks.boards[n]),
                dates[t],
                exchange=str(stocks.exchanges[n]),
                is_st=bool(is_st[t, n]),
                listed_day=None if not np.isnan(leaving[t, n]) else int(day[t, n]),
                delisting_day=None if np.isnan(leaving[t, n]) else int(leaving[t, n]),
            )
            early = day[t, n] <= CHINA.first_days_of(str(stocks.boards[n]), dates[t], str(stocks.exchanges[n])).days
            if not np.isnan(leaving[t, n]) and early:
                continue  # a stock does not leave in its first days
            base = issue[n] if band is not None and band.of_issue_price else reference[t, n]
            if band is None or np.isnan(base):
                assert np.isnan([up[t, n], down[t, n]]).all()
                continue
            assert abs(up[t, n] - base * (1 + band.up)) <= 0.0101
            assert abs(down[t, n] - max(0.01, base * (1 - band.down))) <= 0.0101


def test_dates_before_the_rules_are_refused():
    """A date that no rule covers is an error, not a guess; in arrays it is no limit."""
    with pytest.raises(DataError, match=r"No price limit of star is recorded"):
        CHINA.band("star", "2019-07-19", exchange="SSE")
    with pytest.raises(DataError, match=r"No rule of the first days of star"):
        CHINA.band("star", "2019-07-19", exchange="SSE", listed_day=1)
    up, _ = prices([10.0], "2019-07-19", ["SH688001"])
    assert np.isnan(up[0])


def test_every_rule_names_its_source():
    """Each record says where it is written; those of the data set of records exist in it with that date."""
    for market in (CHINA, US):
        for rules in market.records().values():
            assert all(rule.source.strip() for rule in rules)
            assert all(rule.verified or rule.note or rule.source for rule in rules)
    known = {record.id for record in marina.records()}
    named = {rule.source for rules in CHINA.records().values() for rule in rules if rule.source.startswith("cn.")}
    assert named <= known


def test_a_market_of_ones_own_is_a_file(tmp_path: Path):
    """Any YAML file of the same form is a market; a misspelt rule is refused with its place, so is a wrong order."""
    data = CHINA.dump()
    data["name"] = "elsewhere"
    file = tmp_path / "elsewhere.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True))
    rules = MarketRules.load(file)
    assert rules.name == "elsewhere"
    assert rules.limits == CHINA.limits
    data["limits"]["main"][0]["normol"] = 0.2
    file.write_text(yaml.safe_dump(data, allow_unicode=True))
    with pytest.raises(SettingError, match=r"limits\.main\.0.*unknown setting 'normol'"):
        MarketRules.load(file)
    data = CHINA.dump()
    data["duties"] = data["duties"][::-1]
    file.write_text(yaml.safe_dump(data, allow_unicode=True))
    with pytest.raises(SettingError, match="duties: rules must be in the order of their dates"):
        MarketRules.load(file)


def test_markets_that_come_with_the_package():
    """Every shipped file is valid; an unknown name lists them."""
    assert market_names() == ["china", "us"]
    for name in market_names():
        assert MarketRules.load(name).name == name
    with pytest.raises(UnknownNameError, match=r"no market named 'chin'.*Did you mean 'china'"):
        MarketRules.load("chin")


def test_the_us_market_has_no_limits_and_dated_fees():
    """No daily limit, single shares, fees of SEC and FINRA on sales, delivery after three days, two, one."""
    assert US.band("main", "2020-01-02", listed_day=1) is None
    assert (US.lot("main", "2015-01-02").minimum, US.lot("main", "2015-01-02").step) == (1, 1)
    assert [US.duty(day).sell for day in ("2014-03-17", "2014-03-18", "2025-05-14")] == [1.74e-5, 2.21e-5, 0.0]
    taf = US.fee("2015-06-01")
    assert (taf.buy_share, taf.sell_share, taf.most) == (0.0, 0.000119, 5.95)
    assert [US.settlement_on(d).cycle_days for d in ("2017-09-01", "2017-09-05", "2024-05-28")] == [3, 2, 1]
    assert US.settlement_on("2020-01-02").sale_days == 0


# Every record of the data set for A shares against ours, on its first day, the day before its end and in between.

SCOPES = {
    "main_board": ("main", {}),
    "st_main": ("main", {"is_st": True}),
    "chinext": ("chinext", {}),
    "st_chinext": ("chinext", {"is_st": True}),
    "star": ("star", {}),
    "st_star": ("star", {"is_st": True}),
    "bse": ("bse", {}),
    "st_bse": ("bse", {"is_st": True}),
    "ipo_day1_main": ("main", {"listed_day": 1}),
    "ipo_first5_main": ("main", {"listed_day": 5}),
    "ipo_first5_chinext": ("chinext", {"listed_day": 5}),
    "ipo_first5_star": ("star", {"listed_day": 5}),
    "ipo_day1_bse": ("bse", {"listed_day": 1}),
    "delisting": ("main", {"delisting_day": 2}),
    "delisting_day1": ("main", {"delisting_day": 1}),
    "delisting_chinext": ("chinext", {"delisting_day": 2}),
    "delisting_star": ("star", {"delisting_day": 2}),
    "delisting_day1_star": ("star", {"delisting_day": 1}),
    "delisting_bse": ("bse", {"delisting_day": 2}),
    "delisting_day1_bse": ("bse", {"delisting_day": 1}),
}
OTHER_INSTRUMENTS = ("convertible", "b_share", "st_b_share", "etf", "reits")
RECORDS = [record for record in marina.records() if not record.scope.startswith(OTHER_INSTRUMENTS)]


def days_of(record):
    """First day, last day and one in between of a record, as texts."""
    first = dt.date.fromisoformat(record.effective_from)
    stop = dt.date.fromisoformat(record.effective_to) if record.effective_to else dt.date(2026, 12, 1)
    return [(first + part * (stop - first - dt.timedelta(1)) // 4).isoformat() for part in (0, 2, 4)]


def exchanges_of(record):
    """Our names of the exchanges that a record holds for."""
    return [EXCHANGES[name] for name in (record.market or "XSHG+XSHE").split("+")]


def our_limit(record, day, exchange):
    """Our price limit in the form of the data set."""
    board, standing = SCOPES[record.scope]
    band = CHINA.band(board, day, exchange=exchange, **standing)
    if band is None:
        return "unlimited"
    return {"up": band.up, "down": band.down} if band.of_issue_price else band.up


def our_floor(record, day, exchange):
    """Our one-tick floor, tried on the lowest prices, in the form of the data set."""
    delisting = 2.0 if record.scope.startswith("delisting") else None
    symbol = {"SSE": "SH600000", "SZSE": "SZ000001"}[exchange]
    kept = {base: prices([base], day, [symbol], delisting=delisting)[1][0] < base - 0.005 for base in (0.04, 0.05)}
    if isinstance(record.value, dict):
        return record.value if kept == {0.04: True, 0.05: "prev_close_lte" in record.value} else kept
    return kept[0.04] and kept[0.05]


ANSWERS = {
    "price_limit_pct": our_limit,
    "limit_price_min_tick": our_floor,
    "limit_price_rounding": lambda *_: "half_up_2dp" if CHINA.round_to_tick(np.array(0.125)) == 0.13 else "other",
    "tick_size": lambda *_: CHINA.tick,
    "min_holding_days": lambda _record, day, _exchange: CHINA.settlement_on(day).sale_days,
    "session_schedule": lambda record, day, exchange: (
        record.value if CHINA.has_closing_auction(day, exchange) is bool(record.value["close_call"]) else "other"
    ),
    "stamp_duty_sell": lambda _record, day, exchange: CHINA.duty(day, exchange).sell,
    "transfer_fee_each_side": lambda _record, day, exchange: CHINA.fee(day, exchange).buy,
    "commission_cap": lambda _record, day, _exchange: CHINA.commission(day).cap,
    "commission_min_per_order_cny": lambda _record, day, _exchange: CHINA.commission(day).minimum,
}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
def test_our_rules_are_those_of_the_data_set(record):
    """Value and dates of every A-share record of marina-rules are ours."""
    for day in days_of(record):
        for exchange in exchanges_of(record):
            assert ANSWERS[record.rule](record, day, exchange) == record.value, (day, exchange)


def test_nothing_of_the_data_set_is_left_out():
    """The records that are not compared are those of other instruments: funds, bonds, B shares."""
    assert len(RECORDS) >= 50
    compared = {record.id for record in RECORDS}
    rest = [record.scope for record in marina.records() if record.id not in compared]
    assert all(scope.startswith(OTHER_INSTRUMENTS) for scope in rest)


def test_stocks_come_in_segments():
    """Stocks of one board and exchange are treated together, each exactly once."""
    stocks = Stocks(np.array(["main", "main", "star"]), np.array(["SSE", "SZSE", "SSE"]))
    found = [(board, exchange, columns.tolist()) for board, exchange, columns in stocks.segments()]
    assert found == [("main", "SSE", [0]), ("main", "SZSE", [1]), ("star", "SSE", [2])]
