"""Limit prices of every stock and day from the dated rules of its market."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alphaloom.data.market_rules import MarketRules
from alphaloom.data.rule_records import of_exchange, values
from alphaloom.typing import Array, Bools, Dates, Doubles, Floats, Ints, Symbols


@dataclass(frozen=True)
class Stocks:
    """What the rules ask of each stock, `[N]`."""

    boards: Symbols
    exchanges: Symbols
    issue_price: Doubles | None = None
    """Price of the initial offering, NaN unknown; None when unknown for all."""

    def segments(self) -> Iterator[tuple[str, str, Ints]]:
        """Yield each board and exchange that occur together, with the positions of their stocks."""
        for board, exchange in sorted(set(zip(self.boards.tolist(), self.exchanges.tolist(), strict=True))):
            yield board, exchange, np.flatnonzero((self.boards == board) & (self.exchanges == exchange))


@dataclass(frozen=True)
class Standing:
    """What the rules ask of each stock and day, `[T, N]`."""

    is_st: Bools
    listed_day: Floats
    """1 on the first day of listing; NaN counts as long listed."""
    delisting_day: Floats | None = None
    """1 on the first day of the delisting period, more later, NaN outside; None when no stock is known to be in it."""

    def of(self, columns: Ints) -> "Standing":
        """Return the part of some stocks."""
        delisting = None if self.delisting_day is None else self.delisting_day[:, columns]
        return Standing(self.is_st[:, columns], self.listed_day[:, columns], delisting)


def stocks_of(
    rules: MarketRules, symbols: Symbols, boards: list[str | None] | None = None, issue_price: Doubles | None = None
) -> Stocks:
    """Return what the rules ask of the stocks; boards that are not given follow from the symbols."""
    return Stocks(rules.board_of(symbols, boards), rules.exchange_of(symbols), issue_price)


def limit_prices(
    rules: MarketRules, reference: Array, dates: Dates, stocks: Stocks, standing: Standing
) -> tuple[Doubles, Doubles]:
    """Return the highest and the lowest permitted price `[T, N]`, NaN where there is no limit.

    The reference (previous close, on an ex-rights day brought to the new basis) is rounded half up to the tick, and so
    are both prices. First days held to a part of the issue price have no limit where that price is unknown. A date
    before a board's first rule has no limit.
    """
    base = rules.round_to_tick(np.asarray(reference, dtype=np.float64))
    up, down = np.full(base.shape, np.nan), np.full(base.shape, np.nan)
    for board, exchange, columns in stocks.segments():
        if board not in rules.limits:
            continue
        issue = None if stocks.issue_price is None else stocks.issue_price[columns]
        part = _Segment(rules, board, exchange, dates, standing.of(columns))
        up[:, columns], down[:, columns] = part.prices(base[:, columns], issue)
    return up, np.maximum(down, rules.tick)


@dataclass(frozen=True)
class _Segment:
    """Limits of the stocks of one board and exchange."""

    rules: MarketRules
    board: str
    exchange: str
    dates: Dates
    standing: Standing

    def prices(self, base: Doubles, issue: Doubles | None) -> tuple[Doubles, Doubles]:
        rules, move = self.rules, self._moves()
        early, first_up, first_down = self._first_days()
        move[early] = np.nan
        up, down = rules.round_to_tick(base * (1 + move)), rules.round_to_tick(base * (1 - move))
        floor = self._one_tick(base)
        up = np.where(floor, np.maximum(up, base + rules.tick), up)
        down = np.where(floor, np.minimum(down, base - rules.tick), down)
        if issue is not None:
            held = early & ~np.isnan(first_up)[:, None]
            up = np.where(held, rules.round_to_tick(issue * (1 + first_up[:, None])), up)
            down = np.where(held, rules.round_to_tick(issue * (1 - first_down[:, None])), down)
        return up, down

    def _moves(self) -> Doubles:
        """Return the largest move `[T, n]` outside of the first days; NaN without limit."""
        own = of_exchange(self.rules.limits[self.board], self.exchange)
        normal, st = (values(own, name, self.dates)[:, None] for name in ("normal", "st"))
        move = np.where(self.standing.is_st, st, normal)
        leaving = self.standing.delisting_day
        if leaving is not None:
            rules = of_exchange(self.rules.delisting_limits.get(self.board, ()), self.exchange)
            limit = values(rules, "limit", self.dates)[:, None]
            free = values(rules, "unlimited_days", self.dates, before=0.0)[:, None]
            known = ~np.isnan(leaving) & ~np.isnan(limit)
            move = np.where(known, np.where(leaving <= free, np.nan, limit), move)
        return move

    def _first_days(self) -> tuple[Bools, Doubles, Doubles]:
        """Return which stocks are in their first days `[T, n]`, and these days' bounds `[T]`, NaN for none."""
        rules = of_exchange(self.rules.first_days.get(self.board, ()), self.exchange)
        days = values(rules, "days", self.dates, before=0.0)[:, None]
        early = np.nan_to_num(self.standing.listed_day, nan=np.inf) <= days
        return early, values(rules, "up", self.dates), values(rules, "down", self.dates)

    def _one_tick(self, base: Doubles) -> Bools:
        """Return where limit prices lie one tick from the reference at least `[T, n]`."""
        leaving = self.standing.delisting_day
        found = np.zeros(base.shape, dtype=np.bool_)
        for delisting in (False, True):
            rules = [rule for rule in of_exchange(self.rules.one_tick, self.exchange) if rule.delisting is delisting]
            most = values(rules, "most", self.dates, none=np.inf)[:, None]
            applies = base <= most + self.rules.tick / 2  # never where no rule holds: NaN
            if delisting:
                applies &= ~np.isnan(leaving) if leaving is not None else False
            found |= applies
        return found
