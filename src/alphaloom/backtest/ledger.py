# mypy: allow-untyped-decorators
"""The daily ledger of shares and cash: compiled, one pass over the days, only held and wanted stocks touched.

Money and shares are float64. One order a stock a day, sales before purchases: no share is sold on the day it was
bought, so T+1 holds by construction. All compiled steps are in this file, since the compiler's cache of a function is
renewed when its own file changes, and not when another does.
"""

import numpy as np
from numba import njit

from alphaloom.backtest.state import Bars, Book, Knobs, Terms
from alphaloom.typing import Doubles, Ints

TARGET, CARRIED, DELISTED = 0, 1, 2
NOT_BLOCKED, SUSPENDED, LIMIT_UP, LIMIT_DOWN, NO_PRICE, PARTICIPATION, NO_CASH = 0, 1, 2, 3, 4, 5, 6
FILL_REASONS = ("target", "carried", "delisted")
UNFILLED_REASONS = ("", "suspended", "limit_up", "limit_down", "no_price", "participation", "cash")
VWAP, OPEN, CLOSE = 0, 1, 2
IMPACT_DAYS = 20

ROW, COLUMN, SIDE, SHARES, PRICE, REFERENCE, COMMISSION, DUTY, FEE, REASON, MISSED, BLOCK = range(12)
"""Columns of an event; `SIDE` is 1 for a purchase and -1 for a sale, `MISSED` the shares wanted and not traded."""
EVENT_WIDTH = 12

SLACK = 1e-9
FLOAT32 = 1e-7

NAV, CASH, BOUGHT, SOLD, COST, HOLDINGS, UNFILLED, STALE, INTEREST = range(9)
"""Columns of the daily table, all in currency but the count of holdings."""
DAY_WIDTH = 9


@njit(cache=True, error_model="numpy")
def reference_price(bars: Bars, knobs: Knobs, t: int, i: int) -> float:
    """Return the price before slippage at which a stock that traded is filled; NaN when unknown."""
    if knobs.price == OPEN:
        return float(bars.open[t, i])
    if knobs.price == CLOSE:
        return float(bars.close[t, i])
    price = float(bars.vwap[t, i])
    if np.isnan(price) and knobs.typical:
        price = (float(bars.high[t, i]) + float(bars.low[t, i]) + float(bars.close[t, i])) / 3.0
    return price


@njit(cache=True, error_model="numpy")
def blocked(bars: Bars, knobs: Knobs, t: int, i: int, side: int) -> int:
    """Return why no share of stock `i` can be bought (side 1) or sold (side -1) on day `t`; 0 when some can."""
    traded = bars.suspended[t, i] == 0.0 and bars.volume[t, i] > 0.0 and bars.listed[t, i] == 1.0
    if not traded:
        return SUSPENDED
    price = reference_price(bars, knobs, t, i)
    if not price > 0.0:
        return NO_PRICE
    if knobs.limits:
        half = knobs.tick / 2.0
        if side > 0:
            lowest = bars.low[t, i] if knobs.price == VWAP else price
            if lowest >= bars.limit_up[t, i] - half:
                return LIMIT_UP
        else:
            highest = bars.high[t, i] if knobs.price == VWAP else price
            if highest <= bars.limit_down[t, i] + half:
                return LIMIT_DOWN
    return NOT_BLOCKED


@njit(cache=True, error_model="numpy")
def daily_sigma(bars: Bars, knobs: Knobs, t: int, i: int) -> float:
    """Return the standard deviation of the daily total return over the `IMPACT_DAYS` rows before t; 0 below 2."""
    n, total, squares = 0, 0.0, 0.0
    for s in range(max(1, t - IMPACT_DAYS), t):
        ratio = float(bars.close[s, i]) / float(bars.close[s - 1, i])
        if knobs.factors:
            ratio *= float(bars.factor[s, i]) / float(bars.factor[s - 1, i])
        if not np.isnan(ratio):
            n += 1
            total += ratio - 1.0
            squares += (ratio - 1.0) ** 2
    if n < 2:
        return 0.0
    variance: float = np.sqrt(max(0.0, (squares - total * total / n) / (n - 1)))
    return variance


@njit(cache=True, error_model="numpy")
def fill_price(bars: Bars, knobs: Knobs, t: int, i: int, side: int, shares: float) -> float:
    """Return the price paid or received: reference, slippage and impact, which never carry it beyond the day's limits.

    A reference that itself lies beyond a limit (bars and limits that disagree) is kept: no fill beats its reference.
    """
    move = knobs.slippage
    if knobs.impact > 0.0:
        move += knobs.impact * daily_sigma(bars, knobs, t, i) * np.sqrt(shares / float(bars.volume[t, i]))
    reference = reference_price(bars, knobs, t, i)
    price = reference * max(0.0, 1.0 + side * move)
    if knobs.limits:
        if side > 0 and price > bars.limit_up[t, i]:
            price = max(reference, float(bars.limit_up[t, i]))
        if side < 0 and price < bars.limit_down[t, i]:
            price = min(reference, float(bars.limit_down[t, i]))
    return price


@njit(cache=True, error_model="numpy")
def whole_lots(shares: float, minimum: float, step: float) -> float:
    """Return the largest tradable number of shares up to `shares`: 0, or `minimum` and whole steps above it."""
    if step <= 0.0:
        return shares
    # Weights come as float32: 2,999,999.9 shares are three million.
    shares *= 1.0 + FLOAT32
    if shares < minimum:
        return 0.0
    steps: float = np.floor((shares - minimum) / step)
    return minimum + steps * step


@njit(cache=True, error_model="numpy")
def paid(value: float, knobs: Knobs, duty: float, fee: float) -> float:
    """Return commission, duty and transfer fee of an order of that value."""
    return max(knobs.commission_min, knobs.commission * value) + (duty + fee) * value


@njit(cache=True, error_model="numpy")
def record(
    events: Doubles, n: int, t: int, i: int, side: int, shares: float, price: float, reference: float
) -> tuple[Doubles, int]:
    """Return the events (grown when full) with one more row begun, and the new count."""
    if n == events.shape[0]:
        # Written as loops: slice assignment takes seconds to compile.
        grown = np.zeros((2 * n, EVENT_WIDTH))
        for k in range(n):
            for column in range(EVENT_WIDTH):
                grown[k, column] = events[k, column]
        events = grown
    row = events[n]
    row[ROW], row[COLUMN], row[SIDE] = t, i, side
    row[SHARES], row[PRICE], row[REFERENCE] = shares, price, reference
    return events, n + 1


@njit(cache=True, error_model="numpy")
def sell_all(
    bars: Bars, terms: Terms, knobs: Knobs, book: Book, count: int, t: int, cash: float, kind: int,
    events: Doubles, n: int,
) -> tuple[float, Doubles, int]:  # fmt: skip
    """Sell what exceeds the wanted shares; return cash and the record."""
    for a in range(count):
        i = book.live[a]
        excess = book.shares[i] - book.want[i]
        if excess <= SLACK * max(1.0, book.shares[i]):
            continue
        block = blocked(bars, knobs, t, i, -1)
        quantity = 0.0
        if block == NOT_BLOCKED:
            quantity = min(excess, knobs.participation * float(bars.volume[t, i]))
            if quantity < excess:
                block = PARTICIPATION
            if quantity < book.shares[i]:
                quantity = min(book.shares[i], whole_lots(quantity, terms.lot_min[i], terms.lot_step[i]))
        reference = reference_price(bars, knobs, t, i) if quantity > 0.0 else book.mark[i]
        if quantity <= 0.0 and block == NOT_BLOCKED:
            continue
        price = fill_price(bars, knobs, t, i, -1, quantity) if quantity > 0.0 else reference
        events, n = record(events, n, t, i, -1, quantity, price, reference)
        row = events[n - 1]
        row[REASON] = kind
        if block != NOT_BLOCKED:
            row[MISSED], row[BLOCK] = excess - quantity, block
        if quantity > 0.0:
            value = quantity * price
            row[COMMISSION] = max(knobs.commission_min, knobs.commission * value)
            row[DUTY], row[FEE] = terms.sell_duty[t] * value, terms.transfer_fee[t] * value
            cash += value - row[COMMISSION] - row[DUTY] - row[FEE]
            book.shares[i] = 0.0 if quantity >= book.shares[i] else book.shares[i] - quantity
    return cash, events, n


@njit(cache=True, error_model="numpy")
def wish_list(bars: Bars, terms: Terms, knobs: Knobs, book: Book, count: int, t: int) -> tuple[Doubles, Ints, float]:
    """Return shares that volume allows to buy and why not more, by position in `live`, and the cash all would take."""
    allowed = np.zeros(count)
    blocks = np.zeros(count, np.int64)
    need = 0.0
    for a in range(count):
        i = book.live[a]
        lack = book.want[i] - book.shares[i]
        if lack <= SLACK * max(1.0, book.want[i]):
            continue
        blocks[a] = blocked(bars, knobs, t, i, 1)
        if blocks[a] == NOT_BLOCKED:
            allowed[a] = min(lack, knobs.participation * float(bars.volume[t, i]))
            if allowed[a] < lack:
                blocks[a] = PARTICIPATION
            value = allowed[a] * fill_price(bars, knobs, t, i, 1, allowed[a])
            need += value + paid(value, knobs, terms.buy_duty[t], terms.transfer_fee[t])
    return allowed, blocks, need


@njit(cache=True, error_model="numpy")
def affordable(terms: Terms, knobs: Knobs, t: int, i: int, wanted: float, price: float, cash: float) -> float:
    """Return the whole lots up to `wanted` that the cash pays for, costs included."""
    duty, fee = terms.buy_duty[t], terms.transfer_fee[t]
    quantity = whole_lots(wanted, terms.lot_min[i], terms.lot_step[i])
    if quantity * price + paid(quantity * price, knobs, duty, fee) <= cash:
        return quantity
    # Rounding, or commission minima, took the last of the cash: what is left buys a little less.
    left = (cash - knobs.commission_min) / (price * (1.0 + knobs.commission + duty + fee))
    quantity = whole_lots(max(0.0, min(quantity, left) * (1.0 - SLACK)), terms.lot_min[i], terms.lot_step[i])
    return quantity if quantity * price + paid(quantity * price, knobs, duty, fee) <= cash else 0.0


@njit(cache=True, error_model="numpy")
def buy_all(
    bars: Bars, terms: Terms, knobs: Knobs, book: Book, count: int, t: int, cash: float, kind: int,
    events: Doubles, n: int,
) -> tuple[float, Doubles, int]:  # fmt: skip
    """Buy what is short of the wanted shares, every order scaled alike when cash is short; return cash and record."""
    duty, fee = terms.buy_duty[t], terms.transfer_fee[t]
    allowed, blocks, need = wish_list(bars, terms, knobs, book, count, t)
    scale = min(1.0, cash / need) if need > 0.0 else 0.0
    for a in range(count):
        i, block = book.live[a], blocks[a]
        quantity, price, reference = 0.0, book.mark[i], book.mark[i]
        if allowed[a] > 0.0:
            price = fill_price(bars, knobs, t, i, 1, allowed[a] * scale)
            quantity = affordable(terms, knobs, t, i, allowed[a] * scale, price, cash)
            reference = reference_price(bars, knobs, t, i)
            short = allowed[a] - quantity > max(terms.lot_step[i], 0.01 * allowed[a])
            if block == NOT_BLOCKED and short and scale < 1.0:
                block = NO_CASH
        if quantity <= 0.0 and block == NOT_BLOCKED:
            continue
        events, n = record(events, n, t, i, 1, quantity, price, reference)
        row = events[n - 1]
        row[REASON] = kind
        if block != NOT_BLOCKED:
            row[MISSED], row[BLOCK] = book.want[i] - book.shares[i] - quantity, block
        value = quantity * price
        if quantity > 0.0:
            row[COMMISSION] = max(knobs.commission_min, knobs.commission * value)
            row[DUTY], row[FEE] = duty * value, fee * value
            cash -= value + paid(value, knobs, duty, fee)
            book.shares[i] += quantity
    return cash, events, n


@njit(cache=True, error_model="numpy")
def _open_day(bars: Bars, knobs: Knobs, book: Book, count: int, t: int) -> None:
    """Let shares and their marks follow the adjustment factor: value unchanged, share count of the day."""
    if not knobs.factors:
        return
    for a in range(count):
        i = book.live[a]
        factor = float(bars.factor[t, i])
        if np.isnan(factor) or factor == book.factor[i]:
            continue
        ratio = factor / book.factor[i]
        book.shares[i] *= ratio
        book.want[i] *= ratio
        book.mark[i] /= ratio
        book.factor[i] = factor


@njit(cache=True, error_model="numpy")
def _delist(
    bars: Bars, knobs: Knobs, book: Book, count: int, t: int, cash: float, events: Doubles, n: int
) -> tuple[float, Doubles, int]:
    """Close holdings whose stock has no bars any more; return cash and the record."""
    for a in range(count):
        i = book.live[a]
        if bars.listed[t, i] == 1.0:
            continue
        book.want[i] = 0.0
        if book.shares[i] > 0.0:
            price = book.mark[i] * knobs.recovery
            events, n = record(events, n, t, i, -1, book.shares[i], price, price)
            events[n - 1, REASON] = DELISTED
            cash += book.shares[i] * price
            book.shares[i] = 0.0
    return cash, events, n


@njit(cache=True, error_model="numpy")
def _enter(bars: Bars, knobs: Knobs, book: Book, count: int, t: int, i: int) -> int:
    """Begin to follow a stock: mark it at its last close before day t, in day t's share units; return the count."""
    s = t - 1
    while s > t - knobs.lag and not bars.close[s, i] > 0.0:
        s -= 1
    book.mark[i] = float(bars.close[s, i])
    book.factor[i] = float(bars.factor[s, i]) if knobs.factors else 1.0
    if knobs.factors and not np.isnan(bars.factor[t, i]):
        book.mark[i] *= book.factor[i] / float(bars.factor[t, i])
        book.factor[i] = float(bars.factor[t, i])
    book.live[count] = i
    book.is_live[i] = True
    return count + 1


@njit(cache=True, error_model="numpy")
def _order(bars: Bars, knobs: Knobs, book: Book, count: int, t: int, cash: float, names: Ints, weights: Doubles) -> int:
    """Turn target weights into wanted shares; return the new count of held and wanted stocks."""
    equity = cash
    for a in range(count):
        i = book.live[a]
        price = book.mark[i]
        if knobs.at_fill and blocked(bars, knobs, t, i, -1) == NOT_BLOCKED:
            price = reference_price(bars, knobs, t, i)
        equity += book.shares[i] * price
        book.want[i] = 0.0
    for k in range(names.size):
        i = names[k]
        if not book.is_live[i]:
            count = _enter(bars, knobs, book, count, t, i)
        price = book.mark[i]
        if knobs.at_fill and blocked(bars, knobs, t, i, 1) == NOT_BLOCKED:
            price = reference_price(bars, knobs, t, i)
        book.want[i] = weights[k] * equity / price
    return count


@njit(cache=True, error_model="numpy")
def _tally(day: Doubles, events: Doubles, first: int, stop: int) -> None:
    """Add up the day's events into its row of the daily table."""
    for k in range(first, stop):
        row = events[k]
        value = row[SHARES] * row[PRICE]
        if row[REASON] != DELISTED:
            day[BOUGHT if row[SIDE] > 0 else SOLD] += value
        day[COST] += row[COMMISSION] + row[DUTY] + row[FEE] + row[SIDE] * row[SHARES] * (row[PRICE] - row[REFERENCE])
        if row[BLOCK] != NOT_BLOCKED:
            day[UNFILLED] += row[MISSED] * row[REFERENCE]


@njit(cache=True, error_model="numpy")
def _close_day(bars: Bars, book: Book, count: int, t: int, cash: float, day: Doubles) -> int:
    """Mark holdings at the close (a suspended one keeps its value), write the row, drop what is gone."""
    kept = 0
    day[NAV], day[CASH] = cash, cash
    for a in range(count):
        i = book.live[a]
        traded = bars.suspended[t, i] == 0.0 and bars.volume[t, i] > 0.0
        close = float(bars.close[t, i])
        fresh = traded and close > 0.0
        if fresh:
            book.mark[i] = close
        if book.shares[i] > 0.0:
            value = book.shares[i] * book.mark[i]
            day[NAV] += value
            day[HOLDINGS] += 1.0
            if not fresh:
                day[STALE] += value
        if book.shares[i] > 0.0 or book.want[i] > 0.0:
            book.live[kept] = i
            kept += 1
        else:
            book.is_live[i] = False
    return kept


@njit(cache=True, error_model="numpy", nogil=True)
def replay(
    bars: Bars, terms: Terms, knobs: Knobs, start: int, rows: Ints, offsets: Ints, names: Ints, weights: Doubles
) -> tuple[Doubles, Doubles]:
    """Return the daily table `[T - start, DAY_WIDTH]` and the events `[E, EVENT_WIDTH]` of a replay.

    Decision k was taken at the close of row `rows[k]` (increasing); its stocks and weights are `names` and `weights`
    from `offsets[k]` to `offsets[k + 1]`. The first row of the table is `start`, before anything is bought.
    """
    T, N = bars.close.shape
    book = Book(np.zeros(N), np.zeros(N), np.ones(N), np.zeros(N), np.zeros(N, np.int64), np.zeros(N, np.bool_))
    days = np.zeros((T - start, DAY_WIDTH))
    # Typed zeros: a literal one would have every step compiled twice.
    events, n, count = np.zeros((1024, EVENT_WIDTH)), int(np.int64(0)), int(np.int64(0))
    cash, k, tries = knobs.capital, 0, 0
    days[0, NAV] = days[0, CASH] = cash
    for t in range(start + 1, T):
        day, first = days[t - start], n
        day[INTEREST] = cash * knobs.cash_rate
        cash += day[INTEREST]
        _open_day(bars, knobs, book, count, t)
        cash, events, n = _delist(bars, knobs, book, count, t, cash, events, n)
        kind = CARRIED
        if k < rows.size and rows[k] + knobs.lag == t:
            a, b = offsets[k], offsets[k + 1]
            count = _order(bars, knobs, book, count, t, cash, names[a:b], weights[a:b])
            kind, k, tries = TARGET, k + 1, knobs.carry_days + 1
        if tries > 0:
            cash, events, n = sell_all(bars, terms, knobs, book, count, t, cash, kind, events, n)
            cash, events, n = buy_all(bars, terms, knobs, book, count, t, cash, kind, events, n)
            tries -= 1
            if tries == 0:
                for i in range(N):
                    book.want[i] = book.shares[i]
        _tally(day, events, first, n)
        count = _close_day(bars, book, count, t, cash, day)
    return days, events[:n].copy()
