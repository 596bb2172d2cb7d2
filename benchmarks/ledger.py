"""Ten years of weekly orders over the whole market: the ledger against the same books kept in plain Python.

The peer keeps cash and holdings in a dictionary and goes through the same days, orders and rules one by one:
suspensions, locked limits, volume, cash, lots, dated duty and fees to the cent, dividends and splits. Both end with the
same values.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from alphaloom.backtest import ledger
from alphaloom.backtest.run import backtest
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.data.market_rules import MarketRules
from alphaloom.panel import Panel
from benchmarks.alpha158 import cpu
from benchmarks.peers.awkward import weekdays
from benchmarks.record import save

RULES = MarketRules.load("china")


def market(T: int, N: int, seed: int = 0) -> Panel:
    """Return a market with suspensions, locked days, dividends, splits and delistings; a tenth of it is STAR's."""
    rng = np.random.default_rng(seed)
    change = (rng.standard_t(4, (T, N)) * 0.016).clip(-0.1, 0.1)
    events = 1 + np.where(rng.random((T, N)) < 0.004, 0.02, 0.0) + np.where(rng.random((T, N)) < 0.0006, 0.3, 0.0)
    factor = np.cumprod(events, axis=0)
    close = np.round(rng.uniform(6, 60, N) * np.exp(np.cumsum(change, axis=0)) / factor, 2).clip(0.5)
    before = np.vstack([close[:1], close[:-1]]) * np.vstack([factor[:1], factor[:-1]]) / factor
    up, down = np.round(before * 1.1, 2), np.round(before * 0.9, 2)
    close = np.clip(close, down, up)
    high, low = np.maximum(close, before).clip(down, up), np.minimum(close, before).clip(down, up)
    locked = np.abs(change) >= 0.0999
    high, low = np.where(locked, close, high), np.where(locked, close, low)
    volume = np.exp(rng.normal(14.5, 1.0, N) + rng.normal(0, 0.5, (T, N))).round()
    suspended = rng.random((T, N)) < 0.01
    for t in range(1, T):
        suspended[t] |= suspended[t - 1] & (rng.random(N) < 0.8)
    gone = np.where(rng.random(N) < 0.03, rng.integers(T // 4, T, N), T)
    listed = np.arange(T)[:, None] < gone
    fields = {
        "close": close, "high": high, "low": low, "vwap": np.where(suspended, np.nan, (high + low + 2 * close) / 4),
        "volume": np.where(suspended, 0.0, volume), "adj_factor": factor, "limit_up": up, "limit_down": down,
        "is_suspended": suspended, "is_listed": np.where(listed, 1.0, np.nan),
    }  # fmt: skip
    symbols = np.array([f"SH688{n:03d}" if n < N // 10 else f"SH{600000 + n}" for n in range(N)])
    held = {name: np.where(listed, array, np.nan).astype(np.float32) for name, array in fields.items()}
    return Panel(weekdays(T), symbols, listed, held)


def weekly_targets(panel: Panel, names: int, churn: float = 0.15, seed: int = 1) -> Panel:
    """Return equal weights of so many stocks every five days, a part of them replaced each time."""
    rng = np.random.default_rng(seed)
    weight = np.full(panel.shape, np.nan, dtype=np.float32)
    held = np.zeros(0, dtype=np.int64)
    for t in range(0, panel.shape[0] - 1, 5):
        there = np.flatnonzero(panel["is_listed"][t] == 1)
        keep = rng.permutation(np.intersect1d(held, there))[: round((1 - churn) * names)]
        new = rng.choice(np.setdiff1d(there, keep), names - keep.size, replace=False)
        held = np.concatenate([keep, new])
        weight[t] = 0.0
        weight[t, held] = 1.0 / names
    return panel.with_fields({"weight": weight}, keep=False)


class PlainLedger:
    """The same books in plain Python: a dictionary of holdings, one order after another."""

    def __init__(self, panel: Panel, targets: Panel, settings: BacktestSettings) -> None:
        self.bars = {name: panel[name] for name in panel.names}
        self.weight, self.settings = targets["weight"], settings
        self.dates, self.T = panel.dates, panel.shape[0]
        self.lots = [(200, 1) if symbol.startswith("SH688") else (100, 100) for symbol in panel.symbols.tolist()]
        self.cash, self.shares, self.mark, self.factor = settings.capital, {}, {}, {}

    def run(self) -> list[float]:
        """Return the value of every day."""
        values = [self.cash]
        decided = ~np.isnan(self.weight).all(axis=1)
        for t in range(1, self.T):
            self._open(t)
            if decided[t - 1]:
                self._trade(t, self._wanted(t))
            for i in self.shares:
                if self.bars["is_suspended"][t, i] == 0 and self.bars["volume"][t, i] > 0:
                    self.mark[i] = float(self.bars["close"][t, i])
            values.append(self.cash + sum(count * self.mark[i] for i, count in self.shares.items()))
        return values

    def _open(self, t: int) -> None:
        for i in list(self.shares):
            if self.bars["is_listed"][t, i] != 1:
                del self.shares[i]
                continue
            now = float(self.bars["adj_factor"][t, i])
            ratio = now / self.factor[i]
            if abs(ratio - 1) >= 1e-6:
                grown = self.shares[i] * ratio
                self.shares[i] = math.floor(grown + 1e-9)
                self.mark[i] /= ratio
                self.cash += (grown - self.shares[i]) * self.mark[i]
                self.factor[i] = now

    def _wanted(self, t: int) -> dict[int, int]:
        equity = self.cash + sum(count * self.mark[i] for i, count in self.shares.items())
        wanted = dict.fromkeys(self.shares, 0)
        total = max(1.0, float(self.weight[t - 1].astype(np.float64).sum()))
        for i in np.flatnonzero(self.weight[t - 1]).tolist():
            if i not in wanted:
                before = float(self.bars["adj_factor"][t - 1, i]), float(self.bars["adj_factor"][t, i])
                self.factor[i] = before[0] if math.isnan(before[1]) else before[1]
                self.mark[i] = float(self.bars["close"][t - 1, i]) * before[0] / self.factor[i]
            share = float(self.weight[t - 1, i]) / total
            wanted[i] = math.floor(share * equity / self.mark[i] * (1 + 1e-7))
        return wanted

    def _trade(self, t: int, wanted: dict[int, int]) -> None:
        for i, count in wanted.items():
            surplus = self.shares.get(i, 0) - count
            if surplus > 0 and self._open_for(t, i, -1):
                allowed = min(surplus, self._volume(t, i))
                whole = allowed >= self.shares[i]
                quantity = allowed if whole else self._lots(i, allowed)
                if quantity > 0:
                    value, paid = self._cost(t, i, -1, quantity)
                    if self.cash + value - paid >= 0:
                        self.cash += value - paid
                        self.shares[i] -= quantity
        allowed = {}
        for i, count in wanted.items():
            lack = count - self.shares.get(i, 0)
            if lack > 0 and self._open_for(t, i, 1):
                allowed[i] = min(lack, self._volume(t, i))
        need = sum(sum(self._cost(t, i, 1, count)) for i, count in allowed.items() if count > 0)
        scale = min(1.0, max(0.0, self.cash / need)) if need > 0 else 1.0
        for i, count in allowed.items():
            quantity = self._lots(i, math.floor(count * scale))
            if quantity > 0:
                quantity = self._affordable(t, i, quantity)
            if quantity > 0:
                self.cash -= sum(self._cost(t, i, 1, quantity))
                self.shares[i] = self.shares.get(i, 0) + quantity
        self.shares = {i: count for i, count in self.shares.items() if count}

    def _open_for(self, t: int, i: int, side: int) -> bool:
        bars = self.bars
        if bars["is_listed"][t, i] != 1 or bars["is_suspended"][t, i] != 0 or not bars["volume"][t, i] > 0:
            return False
        high, low = float(bars["high"][t, i]), float(bars["low"][t, i])
        up, down = float(bars["limit_up"][t, i]), float(bars["limit_down"][t, i])
        if side > 0:
            return high > up + 0.005 or low < up - 0.005
        return low < down - 0.005 or high > down + 0.005

    def _volume(self, t: int, i: int) -> int:
        return math.floor(self.settings.participation * float(self.bars["volume"][t, i]))

    def _lots(self, i: int, shares: int) -> int:
        least, step = self.lots[i]
        return 0 if shares < least else least + (shares - least) // step * step

    def _affordable(self, t: int, i: int, quantity: int) -> int:
        value, paid = self._cost(t, i, 1, quantity)
        if value + paid <= self.cash:
            return quantity
        fee = self._levies(t)[1]
        left = (self.cash - 5.0) / (value / quantity * (1 + 2.5e-4 + fee)) * (1 - 1e-9)
        for _ in range(3):
            quantity = self._lots(i, min(quantity, max(0, math.floor(left))))
            if quantity <= 0 or sum(self._cost(t, i, 1, quantity)) <= self.cash:
                return quantity
            left = quantity - max(1, quantity * 1e-6)
        return 0

    def _levies(self, t: int) -> tuple[float, float]:
        day = self.dates[t]
        return RULES.duty(day, "SSE").sell, RULES.fee(day, "SSE").sell

    def _cost(self, t: int, i: int, side: int, shares: float) -> tuple[float, float]:
        reference = float(self.bars["vwap"][t, i])
        limit = float(self.bars["limit_up" if side > 0 else "limit_down"][t, i])
        price = reference * (1 + side * self.settings.slippage_bps * 1e-4)
        beyond = self.bars["high"][t, i] > limit + 0.005 if side > 0 else self.bars["low"][t, i] < limit - 0.005
        if not beyond:
            price = max(reference, min(price, limit)) if side > 0 else min(reference, max(price, limit))
        value = shares * price
        duty, fee = self._levies(t)
        charged = [max(5.0, 2.5e-4 * value), duty * value if side < 0 else 0.0, fee * value]
        return value, sum(math.floor(amount * 100 + 0.5 + 1e-6) / 100 for amount in charged)


class Stopwatch:
    """Calls a function and remembers how long it took."""

    def __init__(self, work: Callable[..., object]) -> None:
        self.work, self.seconds = work, 0.0

    def __call__(self, *arguments: object) -> object:
        """Return what the function returns."""
        start = time.process_time()
        result = self.work(*arguments)
        self.seconds = time.process_time() - start
        return result


def compile_time() -> float:
    """Return the CPU seconds of the first call of a process that finds no compiled code."""
    code = (
        "import time; from alphaloom.backtest.run import backtest; "
        "from benchmarks.ledger import market, weekly_targets; "
        "panel = market(30, 20); targets = weekly_targets(panel, 10); start = time.process_time(); "
        "backtest(targets, panel); print(time.process_time() - start)"
    )
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "NUMBA_CACHE_DIR": folder}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--days", type=int, default=2500)
    parser.add_argument("--names", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--peer-repeats", type=int, default=3)
    args = parser.parse_args(arguments)
    panel = market(args.days, args.stocks)
    targets = weekly_targets(panel, args.names)
    settings = {"plain": BacktestSettings(), "with impact": BacktestSettings(impact=1.0)}
    watch = Stopwatch(ledger.replay)
    ledger.replay = watch  # type: ignore[assignment]
    first = cpu(lambda: backtest(targets, panel, settings["plain"]))
    compiled, cold = watch.seconds, compile_time()
    whole, alone, impact, peer = [], [], [], []
    for k in range(args.repeats):
        whole.append(cpu(lambda: backtest(targets, panel, settings["plain"])))
        alone.append(watch.seconds)
        backtest(targets, panel, settings["with impact"])
        impact.append(watch.seconds)
        if k < args.peer_repeats:
            books = PlainLedger(panel, targets, settings["plain"])
            values: list[float] = []
            peer.append(cpu(lambda values=values, books=books: values.extend(books.run())))
    result = backtest(targets, panel, settings["plain"])
    gap = float(np.abs(result.nav["nav"].to_numpy() / np.array(values) - 1).max())
    ours, ledger_alone, costly, plain = (1e3 * statistics.median(times) for times in (whole, alone, impact, peer))
    rows = [
        {"program": "alphaloom, the ledger alone", "ms": ledger_alone, "times slower": ledger_alone / ours},
        {
            "program": "alphaloom, the ledger alone, with square-root impact",
            "ms": costly,
            "times slower": costly / ours,
        },
        {"program": "alphaloom, checks, ledger, tables and figures", "ms": ours, "times slower": 1.0},
        {"program": "plain Python, values alone", "ms": plain, "times slower": plain / ours},
    ]
    facts = {
        "ratio": plain / ledger_alone,
        "whole_ratio": plain / ours,
        "largest_relative_difference": gap,
        "first_call_s": first,
        "first_call_without_cache_s": cold,
        "orders": result.orders.height,
        "fills": result.metrics["fills"],
    }
    size = f"{args.stocks:,} stocks x {args.days:,} days, orders every 5 days, {args.names} names"
    calls = (
        f"First call of a process: {first:.1f} s, of it the ledger with its compiler's cache {compiled:.1f} s; with an "
        f"empty cache, once after an installation, {cold:.0f} s."
    )
    notes = [
        f"{size}: {result.orders.height:,} orders, {result.metrics['fills']:,.0f} filled at least in part.",
        f"Medians in turn: {args.repeats} runs of ours, {args.peer_repeats} of the peer; CPU time of one core.",
        f"The values of all days agree within {gap:.0e}; the peer has no tables, no impact and no dividends in cash.",
        f"The ledger is {plain / ledger_alone:,.0f} times as fast as the peer, the whole call {plain / ours:,.0f}.",
        calls,
    ]
    save("ledger", "A ten-year weekly backtest of the whole market: CPU time of one core", rows, facts, notes)
    return 0
