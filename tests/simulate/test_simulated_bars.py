"""Bars of the simulated market: grid, limits, suspensions, corporate actions, turnover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaloom.data.simulate.intraday import PathDraws, make_bar
from alphaloom.data.simulate.limits import limit_prices, round_half_up


def naive_limit(board: str, day: np.datetime64, is_st: bool, listed_day: int) -> tuple[float, float] | None:
    """Return the permitted rise and fall of one stock on one day between 2018 and 2021, or None without limit."""
    if board == "star" or (board == "chinext" and day >= np.datetime64("2020-08-24")):
        return None if listed_day <= 5 else (0.20, 0.20)
    if listed_day == 1:
        return 0.44, 0.36
    return (0.05, 0.05) if is_st else (0.10, 0.10)


def naive_round(price: float) -> float:
    """Return a price rounded half up to 0.01."""
    return float(int(price * 100 + 0.5 + 1e-6)) / 100


def test_prices_lie_on_the_grid_and_in_order(market):
    """Low <= open, close, vwap <= high; traded prices are whole hundredths."""
    b = market.bars
    on = market.trades
    for name in ("open", "close", "vwap"):
        assert (b[name][on] <= b["high"][on]).all()
        assert (b[name][on] >= b["low"][on]).all()
    for name in ("open", "high", "low", "close"):
        cents = b[name][on] * 100
        assert np.abs(cents - np.round(cents)).max() < 1e-2
        assert b[name][on].min() >= 0.01


def test_amount_is_volume_times_vwap(market):
    """Amount = volume * vwap, volume is in hundreds, turnover is volume over float shares."""
    b, on = market.bars, market.trades
    np.testing.assert_allclose(b["amount"][on], (b["volume"] * b["vwap"])[on], rtol=1e-6)
    np.testing.assert_allclose(b["turnover"][on], (b["volume"] / b["float_shares"])[on], rtol=1e-6)
    assert (b["volume"][on] >= 100).all()
    assert (b["float_shares"][on] <= b["total_shares"][on]).all()
    assert 0.004 < np.median(b["turnover"][on]) < 0.03


def test_every_price_respects_the_limits_of_board_and_date(market):
    """No price leaves the limits, which follow board, date, risk warning and day of listing; some moves reach them."""
    b = market.bars
    reference = np.full(b["close"].shape, np.nan)
    reference[1:] = b["close"][:-1] * b["adj_factor"][:-1] / b["adj_factor"][1:]
    first_row = market.listed.argmax(axis=0)
    old = market.listed[0]
    hits = {0.05: 0, 0.10: 0, 0.20: 0}
    for t in range(1, market.dates.size):
        for n in np.flatnonzero(market.listed[t] & market.listed[t - 1]):
            listed_day = 1000 if old[n] else t - first_row[n] + 1
            limit = naive_limit(market.boards[n], market.dates[t], b["is_st"][t, n] == 1, listed_day)
            if limit is None:
                assert np.isnan(b["limit_up"][t, n])
                continue
            base = naive_round(reference[t, n])
            up = max(naive_round(base * (1 + limit[0])), naive_round(base + 0.01))
            down = max(min(naive_round(base * (1 - limit[1])), naive_round(base - 0.01)), 0.01)
            assert b["limit_up"][t, n] == pytest.approx(up, abs=1e-4)
            assert b["limit_down"][t, n] == pytest.approx(down, abs=1e-4)
            if market.trades[t, n]:
                assert down - 1e-4 <= b["low"][t, n] <= b["high"][t, n] <= up + 1e-4
                hits[limit[0]] += b["close"][t, n] == b["limit_up"][t, n]
    assert min(hits.values()) > 0


def test_locked_days_have_one_price_and_little_volume(market):
    """Some days trade at one price at a limit, with a fraction of the usual volume."""
    b = market.bars
    locked = market.trades & (b["high"] == b["low"]) & (b["close"] == b["limit_up"])
    assert locked.sum() >= 10
    assert np.median(b["turnover"][locked]) < 0.5 * np.median(b["turnover"][market.trades])


def test_suspended_days_are_flat_without_trade(market):
    """On a suspended day the four prices are the last close, volume and amount 0, and there is no VWAP."""
    b, off = market.bars, market.suspended
    assert off.sum() > 200
    for name in ("open", "high", "low"):
        np.testing.assert_array_equal(b[name][off], b["close"][off])
    rows, columns = np.nonzero(off)
    np.testing.assert_array_equal(b["close"][rows[rows > 0] - 1, columns[rows > 0]], b["close"][off][rows > 0])
    assert (b["volume"][off] == 0).all()
    assert (b["amount"][off] == 0).all()
    assert np.isnan(b["vwap"][off]).all()
    spells = np.diff(np.vstack([np.zeros(off.shape[1]), off, np.zeros(off.shape[1])]), axis=0)
    lengths = np.concatenate([np.flatnonzero(s < 0) - np.flatnonzero(s > 0) for s in spells.T])
    assert lengths.min() <= 3
    assert lengths.max() >= 20


def test_factor_changes_only_on_ex_days_and_shares_grow_with_splits(market):
    """The factor never falls, moves on a few days a year, and a split multiplies shares as it cuts the price."""
    b = market.bars
    step = b["adj_factor"][1:] / b["adj_factor"][:-1]
    both = market.listed[1:] & market.listed[:-1]
    ex = both & (np.abs(step - 1) > 1e-6)
    assert (step[both] >= 1 - 1e-6).all()
    assert 0.001 < ex.sum() / both.sum() < 0.01
    assert market.trades[1:][ex].all()
    grown = b["total_shares"][1:] / b["total_shares"][:-1]
    split = ex & (grown > 1.05)
    assert split.sum() > 3
    assert (step[split] >= grown[split] - 0.02).all()
    assert np.nanmin(b["adj_factor"]) == 1.0


def test_adjusted_return_is_the_return_on_the_reference_price(market):
    """Close * adj_factor moves by close / ex-right reference: no jump on ex-days beyond the day's own limits."""
    returns = market.adj_close[1:] / market.adj_close[:-1] - 1
    ex = np.abs(market.bars["adj_factor"][1:] / market.bars["adj_factor"][:-1] - 1) > 1e-6
    assert np.abs(returns[ex & market.trades[1:]]).max() < 0.205
    assert np.abs(np.nanmean(returns[ex])) < 0.01


def test_risk_warnings_last_and_are_few(market):
    """Risk warnings are held by about the set share of stocks, for months at a time."""
    st = market.bars["is_st"] == 1
    share = st.sum(axis=1) / market.listed.sum(axis=1)
    assert 0.005 < share.mean() < 0.06
    changes = np.abs(np.diff(st.astype(int), axis=0)).sum()
    assert changes < 40


def test_delisted_stocks_decline_before(market):
    """Where moves are carried, what is delisted falls over its last sixty days."""
    gone = np.flatnonzero(market.listing["delist_date"].is_not_null().to_numpy())
    falls = []
    for n in gone:
        rows = np.flatnonzero(market.listed[:, n])
        if rows.size > 61:
            falls.append(market.adj_close[rows[-1], n] / market.adj_close[rows[-61], n] - 1)
    assert np.mean(falls) < -0.1


@settings(max_examples=60, deadline=None)
@given(
    reference=st.floats(0.05, 300),
    gap=st.floats(-0.3, 0.3),
    drift=st.floats(-0.3, 0.3),
    sd=st.floats(1e-4, 0.1),
    limit=st.floats(0.02, 0.5),
    seed=st.integers(0, 1000),
)
def test_any_path_gives_a_proper_bar(reference, gap, drift, sd, limit, seed):
    """Whatever the path, the bar is ordered, inside the limits, and on the grid."""
    ref = np.full(4, naive_round(reference))
    low, high = limit_prices(ref, np.full(4, limit), np.full(4, limit))
    draws = PathDraws.draw(np.random.default_rng(seed), 4)
    bar, _ = make_bar(ref, np.full(4, gap), np.full(4, drift), np.full(4, sd), (low, high), draws)
    assert (low <= bar.low).all()
    assert (bar.high <= high).all()
    for price in (bar.open, bar.close, bar.vwap):
        assert (bar.low <= price).all()
        assert (price <= bar.high).all()
    np.testing.assert_array_equal(round_half_up(bar.close), bar.close)


def test_highs_and_lows_have_the_law_of_brownian_motion():
    """Without drift the mean range of a day is sqrt(8 / pi) deviations, and the high as far as the low."""
    n = 200_000
    ref = np.full(n, 1000.0)
    draws = PathDraws.draw(np.random.default_rng(0), n)
    free = (np.full(n, 0.01), np.full(n, np.inf))
    bar, raw = make_bar(ref, np.zeros(n), np.zeros(n), np.full(n, 0.02), free, draws)
    assert raw.std() == pytest.approx(0.02, rel=0.01)
    # Two extremes of one stretch are drawn apart from each other, which widens the range by less than 2 %.
    assert ((bar.high - bar.low) / ref).mean() == pytest.approx(0.02 * np.sqrt(8 / np.pi), rel=0.02)
    assert (bar.high / ref - 1).mean() == pytest.approx((1 - bar.low / ref).mean(), rel=0.01)
    assert (bar.high / ref - 1).mean() == pytest.approx(0.02 * np.sqrt(2 / np.pi), rel=0.01)


@pytest.mark.parametrize(
    ("price", "rise", "up", "down"),
    [(10.05, 0.10, 11.06, 9.05), (10.0, 0.10, 11.0, 9.0), (3.33, 0.05, 3.50, 3.16), (0.04, 0.05, 0.05, 0.03)],
)
def test_limit_prices_round_half_up_and_are_a_tick_wide(price, rise, up, down):
    """Limit prices are rounded half up to 0.01 and at least one tick away from the reference."""
    low, high = limit_prices(np.array([price]), np.array([rise]), np.array([rise]))
    assert (low[0], high[0]) == pytest.approx((down, up), abs=1e-9)
