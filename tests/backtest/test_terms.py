"""The market's terms on the axes of a panel, what is refused, and what is said of a replay."""

import numpy as np
import polars as pl
import pytest
from panels import business_days, random_panel

from alphaloom.backtest.conventions import replay_conventions
from alphaloom.backtest.rules import check_terms, trading_terms
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.backtest.universe import universe_returns
from alphaloom.data.market_rules import MarketRules
from alphaloom.errors import DataError, SettingError
from alphaloom.panel import Panel

CHINA = MarketRules.load("china")
SYMBOLS = np.array(["SH600000", "SZ000001", "SH688001"])
DATES = np.array(["2015-07-31", "2015-08-03", "2023-08-25", "2023-08-28"], dtype="datetime64[D]")
LOTS, COMMISSION, DUTY, FEE = slice(0, 2), slice(2, 4), slice(4, 10), slice(10, 16)


def test_terms_follow_board_exchange_and_date():
    """Each stock's row holds its board's lots and its exchange's duty and fee on every date."""
    terms = trading_terms(CHINA, BacktestSettings(), DATES, SYMBOLS, None)
    shanghai, shenzhen, star = (terms.rates[g] for g in terms.segment)
    assert shanghai[:, LOTS].tolist() == [[100, 100]] * 4
    assert star[-1, LOTS].tolist() == [200, 1]
    assert shanghai[:, COMMISSION].tolist() == [[2.5e-4, 5.0]] * 4
    assert shanghai[:, DUTY][:, 1].tolist() == [1e-3, 1e-3, 1e-3, 5e-4]
    assert shanghai[0, FEE].tolist() == [0, 0, 3e-4, 3e-4, 0, np.inf]
    assert shenzhen[0, FEE].tolist() == [2.55e-5, 2.55e-5, 0, 0, 0, np.inf]
    assert shanghai[1, FEE].tolist() == shenzhen[1, FEE].tolist() == [2e-5, 2e-5, 0, 0, 0, np.inf]


def test_the_settings_own_figures_come_first():
    """Commission, duty and fee of the settings replace the market's on every date; fractions have no lots."""
    own = BacktestSettings(commission=1e-3, commission_min=1.0, stamp_duty=2e-3, transfer_fee=3e-3, lots=False)
    rates = trading_terms(CHINA, own, DATES, SYMBOLS, None).rates[0]
    assert rates[0].tolist() == [0, 0, 1e-3, 1.0, 0, 2e-3, 0, 0, 0, np.inf, 3e-3, 3e-3, 0, 0, 0, np.inf]
    assert (rates == rates[0]).all()


def test_short_selling_needs_settings_and_market():
    """Both must allow it on the day."""
    days = np.array(["2010-03-30", "2010-03-31"], dtype="datetime64[D]")
    asked = trading_terms(CHINA, BacktestSettings(short_selling=True), days, SYMBOLS, None)
    assert asked.short_allowed.tolist() == [False, True]
    assert not trading_terms(CHINA, BacktestSettings(), days, SYMBOLS, None).short_allowed.any()


def test_what_the_listing_table_knows():
    """The board named there, and what holders got after a delisting."""
    listing = pl.DataFrame({"symbol": ["SH600000"], "board": ["star"], "delist_value": [3.5]})
    terms = trading_terms(CHINA, BacktestSettings(), DATES, SYMBOLS, listing)
    assert terms.rates[terms.segment[0], 0, LOTS].tolist() == [200, 1]
    np.testing.assert_array_equal(terms.delist_value, [3.5, np.nan, np.nan])


def test_what_the_rules_do_not_allow_is_refused():
    """A commission above the cap, a market that settles later than the next day, a date before any rule."""
    with pytest.raises(SettingError, match=r"0\.005; market 'china' allows at most 0\.003 on 2015-07-31"):
        check_terms(CHINA, BacktestSettings(commission=0.005), DATES)
    slow = MarketRules.parse(
        CHINA.dump() | {"settlement": [{"since": "1990-01-01", "sale_days": 2, "cycle_days": 2, "source": "made up"}]}
    )
    with pytest.raises(SettingError, match="lets bought shares be sold after 2 days"):
        check_terms(slow, BacktestSettings(), DATES)
    with pytest.raises(DataError, match="No commission is recorded for 1980-01-02; the first is from 1990-12-19"):
        check_terms(CHINA, BacktestSettings(), np.array(["1980-01-02"], dtype="datetime64[D]"))


@pytest.mark.parametrize(
    ("topic", "changes", "words"),
    [
        ("execution", {"price": "open", "lag": 2}, "traded 2 trading day(s) later at the open"),
        ("close", {"price": "close"}, "by closing auction at SSE from 2018-08-20"),
        ("vwap_fallback", {"vwap_fallback": "none"}, "no fill"),
        ("limits", {"price_limits": False}, "ignored"),
        ("limits", {"price": "open"}, "no purchase when the open is at the limit"),
        ("corporate_actions", {"dividends": "cash", "dividend_tax": 0.1}, "paid in cash, fractions of a share"),
        ("corporate_actions", {"dividend_tax": 0.1}, "0.1 of cash dividends is withheld"),
        ("corporate_actions", {"corporate_actions": "none"}, "ignored"),
        ("delisted", {"delist_recovery": 0.25}, "else at 0.25 of the last price"),
        ("short_selling", {}, "none"),
        ("short_selling", {"short_selling": True}, "borrowed at 0.08 a year"),
        ("participation", {"participation": None, "impact": 0.5}, "no cap; slippage 5 bps; impact 0.5"),
        ("shares", {"lots": False}, "fractions trade"),
        ("money", {}, "rounded half up to 0.01 CNY"),
    ],
)
def test_every_choice_is_put_into_words(topic, changes, words):
    """The conventions say what was done, by topic."""
    dates = np.array(["2016-01-04", "2020-01-02"], dtype="datetime64[D]")
    assert words in replay_conventions(BacktestSettings(**changes), CHINA, dates)[topic]


def test_the_universe_earns_the_mean_of_its_members_of_the_day_before():
    """Equal weights every day; a suspended member keeps its price, one that has left earns nothing on that day."""
    panel = random_panel(40, 12, seed=5)
    got = universe_returns(panel)
    price = panel["adj_close"].astype(float)
    for t in range(1, 40):
        changes = []
        for n in np.flatnonzero(panel.universe[t - 1]):
            known = price[: t + 1, n]
            now = known[~np.isnan(known)][-1]
            changes.append(now / price[t - 1, n] - 1)
        assert got[t] == pytest.approx(np.mean(changes) if changes else 0.0, abs=1e-6)
    empty = Panel(business_days(3), np.array(["A"]), np.zeros((3, 1), bool), {"adj_close": np.ones((3, 1), np.float32)})
    assert universe_returns(empty).tolist() == [0, 0, 0]
