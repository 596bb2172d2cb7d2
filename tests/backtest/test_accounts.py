"""The books of random markets and orders, under every variant of the rules, kept again from the orders alone."""

import math
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from panels import random_panel
from replays import random_targets, ruled_market

from alphaloom.backtest.result import COST_KINDS, UNFILLED_REASONS
from alphaloom.backtest.run import backtest
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.data.market_rules import MarketRules

CHINA = MarketRules.load("china")
CENT = 0.005
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""No shrinking: a replay is small, and shrinking one takes minutes."""


def own_market():
    """A market with single shares, a fee between two amounts an order, amounts rounded up, and short selling."""
    rule = {"since": "1990-01-01", "source": "made up"}
    return MarketRules.parse(
        {
            "name": "elsewhere", "currency": "XXX", "annual_days": 250, "tick": 0.01, "fee_unit": 0.01,
            "fee_rounding": "up", "boards": [{"board": "all", "symbols": ".*"}],
            "lots": {"all": [rule | {"minimum": 10, "step": 5}]},
            "duties": [rule | {"buy": 0.0003, "sell": 0.0007}],
            "fees": [rule | {"buy_share": 0.001, "sell_share": 0.002, "least": 1.0, "most": 9.0}],
            "commissions": [rule | {"rate": 0.0005, "minimum": 2.0}],
            "settlement": [rule | {"sale_days": 0, "cycle_days": 2}],
            "short_selling": [rule | {"allowed": True}],
        }
    )  # fmt: skip


NO_SHORT = [{"since": "1990-01-01", "source": "made up", "allowed": False}]
MARKETS = {"china": CHINA, "us": MarketRules.load("us"), "elsewhere": own_market()}


CASES = st.fixed_dictionaries(
    {
        "rules": st.sampled_from(["china", "china", "us", "elsewhere"]),
        "seed": st.integers(0, 100_000),
        "start": st.sampled_from(["2015-07-20", "2020-08-10", "2021-11-08", "2023-08-14"]),
        "every": st.sampled_from([2, 4]),
        "invested": st.sampled_from([0.5, 1.0]),
        "settings": st.fixed_dictionaries(
            {
                "capital": st.sampled_from([3e4, 1e6, 3e8]),
                "price": st.sampled_from(["vwap", "open", "close"]),
                "sizing": st.sampled_from(["close", "fill"]),
                "participation": st.sampled_from([None, 0.05, 0.5]),
                "carry_days": st.integers(0, 3),
                "lag": st.integers(1, 3),
                "impact": st.sampled_from([0.0, 1.0]),
                "lots": st.sampled_from([True, True, False]),
                "delist_recovery": st.sampled_from([0.0, 0.4]),
                "dividends": st.sampled_from(["reinvest", "cash"]),
                "dividend_tax": st.sampled_from([0.0, 0.1]),
                "cash_rate_annual": st.sampled_from([0.0, 0.03]),
                "short_selling": st.booleans(),
            }
        ),
    }
)


def play(case):
    """A market, settings and rules, and what the backtest made of random targets."""
    rules, config = MARKETS[case["rules"]], BacktestSettings.parse(case["settings"])
    panel = ruled_market(case["seed"], case["start"])
    targets = random_targets(
        panel,
        every=case["every"],
        seed=case["seed"],
        invested=case["invested"],
        short=0.5 if config.short_selling else 0.0,
    )
    return panel, config, rules, backtest(targets, panel, config, rules=rules)


def after_event(shares, ratio, mark, config):
    """Shares, cash paid and tax of one holding on a day on which its adjustment factor changes."""
    growth, paid, tax = ratio, 0.0, 0.0
    if 1 < ratio <= 1 + config.dividend_most:
        gross = shares * (mark - mark / ratio)
        tax = max(0.0, gross) * config.dividend_tax
        if config.dividends == "cash":
            growth, paid = 1.0, gross - tax
        elif shares > 0:
            growth = 1 + (ratio - 1) * (1 - config.dividend_tax)
    grown = shares * growth
    if config.lots and growth != 1.0:
        whole = math.copysign(math.floor(abs(grown) + 1e-9), grown)
        paid += (grown - whole) * mark / ratio
        grown = whole
    return grown, paid


class Books:
    """Cash and shares, moved by the orders and the bars alone."""

    def __init__(self, panel, config, rules):
        self.panel, self.config, self.rules = panel, config, rules
        self.cash, self.shares, self.mark, self.factor = config.capital, {}, {}, {}
        self.annual_days = config.annual_days or rules.annual_days

    def open(self, t):
        """Interest, borrowed shares and corporate actions."""
        short = -sum(min(n, 0) * self.mark[s] for s, n in self.shares.items())
        rate = self.config.cash_rate_annual / self.annual_days
        earning = min(self.cash, 0.0) + max(self.cash - short, 0.0)
        self.cash += earning * rate - short * self.config.borrow_rate_annual / self.annual_days
        for s in self.shares:
            now = float(self.panel["adj_factor"][t, s])
            if math.isnan(now) or abs(now / self.factor[s] - 1) < 1e-6:
                continue
            ratio = now / self.factor[s]
            self.shares[s], paid = after_event(self.shares[s], ratio, self.mark[s], self.config)
            self.cash += paid
            self.mark[s] /= ratio
            self.factor[s] = now

    def trade(self, t, s, order):
        """One order's fill."""
        signed = order["filled"] if order["side"] == "buy" else -order["filled"]
        costs = order["commission"] + order["duty"] + order["transfer_fee"]
        self.cash -= math.copysign(order["value"], signed) + costs if signed else 0.0
        self.shares[s] = self.shares.get(s, 0.0) + signed
        self.factor.setdefault(s, float(self.panel["adj_factor"][t, s]))
        self.mark.setdefault(s, order["price"])
        if abs(self.shares[s]) < 1e-7:
            for held in (self.shares, self.factor, self.mark):
                held.pop(s)

    def close(self, t):
        """The value at the day's closes."""
        for s in self.shares:
            if self.panel["is_suspended"][t, s] == 0 and self.panel["volume"][t, s] > 0:
                self.mark[s] = float(self.panel["close"][t, s])
        return self.cash + sum(n * self.mark[s] for s, n in self.shares.items())


def cents(rules, amount):
    """An amount as a broker books it."""
    how = ROUND_CEILING if rules.fee_rounding == "up" else ROUND_HALF_UP
    return Decimal(amount).quantize(Decimal("0.01"), rounding=how)


def levy(rules, rule, side, shares, value):
    """A duty or fee of an order in exact decimals."""
    rate, a_share = (rule.buy, rule.buy_share) if side == "buy" else (rule.sell, rule.sell_share)
    amount = Decimal(str(rate)) * value + Decimal(str(a_share)) * shares
    if amount <= 0:
        return Decimal(0)
    amount = max(amount, Decimal(str(rule.least)))
    return cents(rules, amount if rule.most is None else min(amount, Decimal(str(rule.most))))


def is_lot(shares, minimum, step):
    """Whether an order may have this size."""
    return shares >= minimum and (shares - minimum) % step == 0


def check_books(panel, config, rules, result):
    """Cash plus positions is the equity of every day; cash is never negative without short positions; T+1 holds."""
    books = Books(panel, config, rules)
    column = {symbol: n for n, symbol in enumerate(panel.symbols.tolist())}
    orders = result.orders.filter(pl.col("filled") > 0).partition_by("date", as_dict=True)
    start = int(np.searchsorted(panel.dates, np.datetime64(result.nav["date"][0])))
    tolerance = max(CENT, 1e-12 * config.capital)
    for row in result.nav.iter_rows(named=True):
        t = start + result.nav["date"].index_of(row["date"])
        if t == start:
            assert row["nav"] == row["cash"] == config.capital
            continue
        books.open(t)
        owned = dict(books.shares)
        for order in orders.get((row["date"],), pl.DataFrame()).iter_rows(named=True):
            s = column[order["symbol"]]
            if order["side"] == "sell" and not config.short_selling:
                assert order["filled"] <= owned.pop(s) * (1 + 1e-9)  # once a day, and of what was there before it
            books.trade(t, s, order)
        assert abs(books.close(t) - row["nav"]) < tolerance
        assert abs(books.cash - row["cash"]) < tolerance
        if not config.short_selling:
            assert row["cash"] >= 0
            assert row["short_weight"] == 0
            assert all(n >= 0 for n in books.shares.values())
    sides = result.orders.filter(pl.col("kind") != "delisted").group_by("date", "symbol").len()
    assert (sides["len"] == 1).all()


def check_fills(panel, config, rules, result):
    """Every fill is on a day that traded, within limits and volume, in the board's lots or closing a position."""
    column = {symbol: n for n, symbol in enumerate(panel.symbols.tolist())}
    boards = rules.board_of(panel.symbols)
    for order in result.orders.filter((pl.col("filled") > 0) & (pl.col("kind") != "delisted")).iter_rows(named=True):
        t, s = int(np.searchsorted(panel.dates, np.datetime64(order["date"]))), column[order["symbol"]]
        volume = float(panel["volume"][t, s])
        assert panel["is_suspended"][t, s] == 0
        assert order["filled"] <= volume * (config.participation or math.inf) * (1 + 1e-9)
        assert panel["limit_down"][t, s] - 1e-4 <= order["price"] <= panel["limit_up"][t, s] + 1e-4
        if order["side"] == "buy":
            assert panel["low"][t, s] < panel["limit_up"][t, s] - 0.004
        else:
            assert panel["high"][t, s] > panel["limit_down"][t, s] + 0.004
        if config.lots and not config.short_selling:
            lot = rules.lot(str(boards[s]), order["date"])
            closes = order["side"] == "sell" and order["unfilled"] == 0
            assert order["filled"] == int(order["filled"])
            assert is_lot(order["filled"], lot.minimum, lot.step) or closes or _closes_all(result, order)


def _closes_all(result, order):
    """Whether a sale of odd size left nothing: the stock's next order, if any, is a purchase."""
    later = result.orders.filter(
        (pl.col("symbol") == order["symbol"]) & (pl.col("date") > order["date"]) & (pl.col("kind") != "delisted")
    )
    return order["side"] == "sell" and (later.height == 0 or later["side"][0] == "buy")


def check_fees(panel, config, rules, result):
    """Commission, duty and fee of every order, recomputed in decimals from the dated rules of its exchange."""
    exchange = dict(zip(panel.symbols.tolist(), rules.exchange_of(panel.symbols).tolist(), strict=True))
    for order in result.orders.filter((pl.col("filled") > 0) & (pl.col("kind") != "delisted")).iter_rows(named=True):
        value, shares = Decimal(order["value"]), Decimal(order["filled"])
        where, day = exchange[order["symbol"]], order["date"]
        commission = rules.commission(day)
        paid = max(Decimal(str(commission.minimum)), Decimal(str(commission.rate)) * value)
        expected = (
            cents(rules, paid),
            levy(rules, rules.duty(day, where), order["side"], shares, value),
            levy(rules, rules.fee(day, where), order["side"], shares, value),
        )
        booked = tuple(Decimal(str(round(order[name], 6))) for name in ("commission", "duty", "transfer_fee"))
        assert booked == pytest.approx(expected, abs=Decimal("0.0001"))
        assert order["value"] == pytest.approx(order["filled"] * order["price"])
        sign = 1 if order["side"] == "buy" else -1
        worse = sign * order["filled"] * (order["price"] - order["reference"])
        assert order["slippage"] + order["impact"] == pytest.approx(worse, abs=1e-6)


def check_reasons(panel, config, rules, result):
    """Wanted is filled plus the shares unfilled by reason, exactly; what is carried is what was left."""
    orders = result.orders
    columns = [f"unfilled_{reason}" for reason in UNFILLED_REASONS]
    assert (orders.select(pl.col(columns).min()).row(0) >= (0.0,) * len(columns)) or orders.height == 0
    total = orders.select(pl.sum_horizontal("filled", *columns))["filled"]
    if config.lots:
        np.testing.assert_array_equal(total.to_numpy(), orders["wanted"].to_numpy())
    np.testing.assert_allclose(total.to_numpy(), orders["wanted"].to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(
        orders.select(pl.sum_horizontal(columns)).to_series().to_numpy(), orders["unfilled"].to_numpy(), rtol=1e-12
    )
    assert ((orders["reason"] == "") == (orders["unfilled"] == 0)).all()
    assert result.unfilled["shares"].sum() == pytest.approx(orders["unfilled"].sum())
    assert (orders["attempt"] <= config.carry_days + 1).all()
    assert ((orders["kind"] == "carried") == (orders["attempt"] > 1)).all()


def check_costs(panel, config, rules, result):
    """The cost of a day is the sum of its parts, and those are the sums of its orders, by the opening value."""
    nav = result.nav
    np.testing.assert_allclose(nav.select(pl.sum_horizontal(COST_KINDS)).to_series(), nav["cost"], atol=1e-15)
    opening = np.concatenate([[config.capital], nav["nav"].to_numpy()[:-1]])
    for kind in ("commission", "duty", "transfer_fee", "slippage", "impact"):
        paid = result.orders.group_by("date").agg(pl.col(kind).sum().alias("paid"))
        table = nav.join(paid, on="date", how="left").with_columns(pl.col("paid").fill_null(0.0))
        held = np.where(opening > 0, table[kind].to_numpy() * opening, table["paid"].to_numpy())
        np.testing.assert_allclose(held, table["paid"].to_numpy(), atol=1e-6)
    traded = result.orders.filter(pl.col("kind") != "delisted").group_by("date").agg(pl.col("value").sum())
    table = nav.join(traded, on="date", how="left").with_columns(pl.col("value").fill_null(0.0))
    held = np.where(opening > 0, table["turnover"].to_numpy() * opening * 2, table["value"].to_numpy())
    np.testing.assert_allclose(held, table["value"].to_numpy(), rtol=1e-9, atol=1e-6)


CHECKS = (check_books, check_fills, check_fees, check_reasons, check_costs)


@settings(max_examples=25, deadline=None, phases=PHASES)
@given(CASES)
def test_the_books_of_random_markets(case):
    """Books, fills, fees, reasons and costs are right in any market under any rules."""
    played = play(case)
    for check in CHECKS:
        check(*played)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, phases=PHASES)
@given(CASES)
def test_the_books_of_many_random_markets(case):
    """The same over many more markets."""
    played = play(case)
    for check in CHECKS:
        check(*played)


def test_random_markets_meet_every_reason():
    """The markets of these tests are not tame: every reason for an unfilled share occurs in them."""
    met = set()
    for seed in range(12):
        panel = ruled_market(seed, "2021-11-08")
        targets = random_targets(panel, every=2, seed=seed, invested=1.0, short=0.5)
        config = BacktestSettings(capital=1e6, participation=0.2, carry_days=1, short_selling=seed % 2 == 0)
        if not config.short_selling:
            targets = random_targets(panel, every=2, seed=seed)
        rules = CHINA if seed % 4 else MarketRules.parse(CHINA.dump() | {"short_selling": NO_SHORT})
        met |= set(backtest(targets, panel, config, rules=rules).unfilled["reason"])
    assert met == set(UNFILLED_REASONS) - {"no_price"}


@pytest.mark.parametrize("price", ["vwap", "open", "close"])
def test_without_friction_the_ledger_earns_the_weights_return(price):
    """Zero costs and unlimited liquidity reproduce weights x returns, computed at once over all days and stocks."""
    panel = random_panel(80, 20, seed=4, gaps=False)
    targets = random_targets(panel, every=7)
    plain = BacktestSettings.frictionless(price=price)
    result = backtest(targets, panel, plain)
    factor = panel["adj_factor"].astype(float)
    close, fill = panel["close"].astype(float) * factor, panel[price].astype(float) * factor
    decided = np.flatnonzero(~np.isnan(targets["weight"]).all(axis=1))
    weight = np.nan_to_num(targets["weight"][decided].astype(float))
    weight /= weight.sum(axis=1, keepdims=True)
    # Each decision is held from its fill to the next one's: units by value, valued at every close in between.
    ends = np.append(decided[1:] + 1, 80)
    growth = [weight[k] / fill[r + 1] @ close[r + 1 : ends[k]].T for k, r in enumerate(decided)]
    carried = [float(weight[k] / fill[r + 1] @ fill[ends[k]]) for k, r in enumerate(decided[:-1])]
    level = np.concatenate([[1.0], np.cumprod(carried)])
    value = np.concatenate([[1.0], *(level[k] * part for k, part in enumerate(growth))])
    np.testing.assert_allclose(result.nav["nav"].to_numpy() / 1e8, value, rtol=1e-9)


def test_without_friction_short_positions_earn_the_weights_return_too():
    """A portfolio of long and short weights earns weights x returns, cash included, when nothing costs anything."""
    panel = random_panel(40, 12, seed=8, gaps=False)
    targets = random_targets(panel, every=100, seed=1, invested=0.9, short=0.6)
    config = BacktestSettings.frictionless(price="close", short_selling=True)
    result = backtest(targets, panel, config, rules=MARKETS["elsewhere"])
    close = panel["close"].astype(float) * panel["adj_factor"].astype(float)
    weight = targets["weight"][2].astype(float)
    value = 1 + (close[3:] / close[3] - 1) @ weight
    np.testing.assert_allclose(result.nav["nav"].to_numpy()[1:] / 1e8, value, rtol=1e-9)


def test_later_rows_do_not_change_earlier_ones():
    """The ledger up to t is the same when the panel ends at t: no look-ahead."""
    panel = random_panel(60, 10, seed=2)
    targets = random_targets(panel)
    config = BacktestSettings(capital=1e7, carry_days=2, impact=1.0)
    whole = backtest(targets, panel, config)
    for stop in (20, 33, 47):
        part = backtest(targets.rows(0, stop), panel.rows(0, stop), config)
        np.testing.assert_array_equal(part.nav["nav"].to_numpy(), whole.nav["nav"].to_numpy()[: part.nav.height])
        assert part.orders.equals(whole.orders.head(part.orders.height))
