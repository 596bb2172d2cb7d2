# mypy: allow-untyped-decorators
"""The daily ledger of shares and cash: compiled, one pass over the days, only held and wanted stocks touched.

Money and shares are float64; with lots, shares are whole numbers, and every order's wanted shares are exactly those
filled plus those unfilled by reason. One order a stock a day, sales before purchases: no share is sold on the day it
was bought, so T+1 holds by construction, also where a carried order meets a new decision. All compiled steps are in
this file, since the compiler's cache of a function is renewed when its own file changes, and not when another does;
what they read a day's bars for is written once, as quotes, since handing on many arrays costs more than the work.
"""

from typing import cast

import numpy as np
from numba import njit

from alphaloom.backtest.state import Bars, Book, Knobs, Terms
from alphaloom.typing import Doubles, Ints

TARGET, CARRIED, DELISTING = 0, 1, 2
KINDS = ("target", "carried", "delisted")
BUY, SELL, ONCE, UNDECIDED = (cast(int, np.int64(value)) for value in (1, -1, 1, -1))
"""Sides of an order, its first attempt, and what no decision stands behind; typed, since a literal would have every
step compiled once more."""
VWAP, OPEN, CLOSE = 0, 1, 2
IMPACT_DAYS = 20

ROW, COLUMN, SIDE, KIND, DECISION, ATTEMPT, WANTED, FILLED, PRICE, REFERENCE = range(10)
COMMISSION, DUTY, FEE, SLIPPAGE, IMPACT = range(10, 15)
SUSPENDED, LIMIT_UP, LIMIT_DOWN, NO_PRICE, DELISTED, PARTICIPATION, SHORT, CASH, LOT = range(15, 24)
"""Columns of an event, which is one order's day. `SIDE` is 1 for a purchase and -1 for a sale; from `SUSPENDED` to
`LOT`, the shares left unfilled for that reason."""
EVENT_WIDTH = 24
REASONS = ("suspended", "limit_up", "limit_down", "no_price", "delisted", "participation", "short", "cash", "lot")
QUOTE, HIGHEST, LOWEST, VOLUME, TO_BUY, TO_SELL, SIGMA = range(7)
"""Columns of a quote; `TO_BUY` and `TO_SELL` hold `FREE`, or the event's column that says why not."""
FREE = 0
QUOTE_WIDTH = 7
MINIMUM, STEP, RATE, LEAST, DUTY_RATES, FEE_RATES = 0, 1, 2, 3, 4, 10
"""Columns of `Terms.rates`; six each from the last two on."""

(
    NAV, MONEY, BOUGHT, SOLD, COMMISSIONS, DUTIES, FEES, SLIPPAGES, IMPACTS, BORROW, INTEREST, DIVIDENDS, TAX, HOLDINGS,
    UNFILLED, STALE, SHORTED,
) = range(17)  # fmt: skip
"""Columns of the daily table, all in currency but the count of holdings."""
DAY_WIDTH = 17

SLACK = 1e-9
FLOAT32 = 1e-7
SAME = 1e-6
"""Relative change of an adjustment factor below which it is float32 rounding."""


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
    sigma: float = np.sqrt(max(0.0, (squares - total * total / n) / (n - 1))) if n >= 2 else 0.0
    return sigma


@njit(cache=True, error_model="numpy")
def quote_all(bars: Bars, knobs: Knobs, book: Book, count: int, t: int) -> None:
    """Write what the day offers for every stock in `live`: price before slippage, limits, volume, what is blocked.

    A stock that is not listed, is suspended or has no price trades neither way. The volume-weighted price is within
    reach when one trade lay inside the limit; open and close must do so themselves. A bar that reaches beyond a limit
    shows that none was in force (a relisting that no column tells): infinite, or 0, stands for it.
    """
    half = knobs.tick / 2.0
    for a in range(count):
        i = book.live[a]
        row = book.quotes[i]
        high, low, close = float(bars.high[t, i]), float(bars.low[t, i]), float(bars.close[t, i])
        price = close
        if knobs.price == OPEN:
            price = float(bars.open[t, i])
        elif knobs.price == VWAP:
            price = float(bars.vwap[t, i])
            if np.isnan(price) and knobs.typical:
                price = (high + low + close) / 3.0
        up, down = float(bars.limit_up[t, i]), float(bars.limit_down[t, i])
        up = np.inf if not knobs.limits or np.isnan(up) or high > up + half else up
        down = 0.0 if not knobs.limits or np.isnan(down) or low < down - half else down
        row[QUOTE], row[HIGHEST], row[LOWEST], row[VOLUME] = price, up, down, float(bars.volume[t, i])
        if bars.listed[t, i] != 1.0:
            row[TO_BUY] = row[TO_SELL] = DELISTED
        elif bars.suspended[t, i] != 0.0 or not row[VOLUME] > 0.0:
            row[TO_BUY] = row[TO_SELL] = SUSPENDED
        elif not price > 0.0:
            row[TO_BUY] = row[TO_SELL] = NO_PRICE
        else:
            row[TO_BUY] = LIMIT_UP if (low if knobs.price == VWAP else price) >= up - half else FREE
            best = high if knobs.price == VWAP else price
            row[TO_SELL] = LIMIT_DOWN if best <= down + half and down > 0.0 else FREE
        row[SIGMA] = daily_sigma(bars, knobs, t, i) if knobs.impact > 0.0 else 0.0


@njit(cache=True, error_model="numpy")
def fill_price(knobs: Knobs, quotes: Doubles, i: int, side: int, shares: float) -> float:
    """Return the price paid or received: reference, slippage and impact, which never carry it beyond the day's limits.

    A reference that itself lies beyond a limit (bars and limits that disagree) is kept: no fill beats its reference.
    """
    reference, move = quotes[i, QUOTE], knobs.slippage
    if knobs.impact > 0.0:
        move += knobs.impact * quotes[i, SIGMA] * np.sqrt(shares / quotes[i, VOLUME])
    price = reference * max(0.0, 1.0 + side * move)
    up: float = max(reference, min(price, quotes[i, HIGHEST]))
    down: float = min(reference, max(price, quotes[i, LOWEST]))
    return up if side > 0 else down


@njit(cache=True, error_model="numpy")
def in_cents(knobs: Knobs, amount: float) -> float:
    """Return an amount of money in the smallest unit that a broker books."""
    if knobs.cents <= 0.0 or amount <= 0.0:
        return max(amount, 0.0)
    units = amount * knobs.cents
    whole: float = np.ceil(units - SAME) if knobs.round_up else np.floor(units + 0.5 + SAME)
    return whole / knobs.cents


@njit(cache=True, error_model="numpy")
def levied(knobs: Knobs, rates: Doubles, g: int, t: int, first: int, side: int, shares: float, value: float) -> float:
    """Return the duty or fee of an order whose rates begin in column `first`."""
    k = first if side > 0 else first + 1
    amount = rates[g, t, k] * value + rates[g, t, k + 2] * shares
    if amount <= 0.0:
        return 0.0
    return in_cents(knobs, min(max(amount, rates[g, t, first + 4]), rates[g, t, first + 5]))


@njit(cache=True, error_model="numpy")
def charges(
    rates: Doubles, knobs: Knobs, g: int, t: int, side: int, shares: float, value: float
) -> tuple[float, float, float]:
    """Return commission, duty and fee of an order that fills."""
    commission = in_cents(knobs, max(rates[g, t, LEAST], rates[g, t, RATE] * value))
    duty = levied(knobs, rates, g, t, DUTY_RATES, side, shares, value)
    return commission, duty, levied(knobs, rates, g, t, FEE_RATES, side, shares, value)


@njit(cache=True, error_model="numpy")
def whole_lots(shares: float, minimum: float, step: float) -> float:
    """Return the largest tradable number of shares up to `shares`: 0, or `minimum` and whole steps above it."""
    if step <= 0.0:
        return shares
    if shares < minimum:
        return 0.0
    steps: float = np.floor((shares - minimum) / step)
    return minimum + steps * step


@njit(cache=True, error_model="numpy")
def lots_of_order(rates: Doubles, g: int, t: int, shares: float, open_shares: float) -> float:
    """Return the shares of an order that its lots allow: `open_shares`, which it would close, may go whole."""
    minimum, step = rates[g, t, MINIMUM], rates[g, t, STEP]
    if open_shares > 0.0 and shares >= open_shares:
        return open_shares + whole_lots(shares - open_shares, minimum, step)
    return whole_lots(shares, minimum, step)


@njit(cache=True, error_model="numpy")
def volume_cap(knobs: Knobs, quotes: Doubles, i: int, shares: float) -> float:
    """Return what the day's volume allows of an order."""
    cap: float = knobs.participation * quotes[i, VOLUME]
    return min(shares, np.floor(cap) if knobs.whole and np.isfinite(cap) else cap)


@njit(cache=True, error_model="numpy")
def begin(row: Doubles, t: int, i: int, side: int, decision: int, attempt: int, wanted: float, price: float) -> None:
    """Write an order that is not filled yet."""
    row[ROW], row[COLUMN], row[SIDE] = t, i, side
    row[KIND] = TARGET if attempt == 1 else CARRIED
    row[DECISION], row[ATTEMPT], row[WANTED] = decision, attempt, wanted
    row[PRICE], row[REFERENCE] = price, price


@njit(cache=True, error_model="numpy")
def fill(knobs: Knobs, row: Doubles, shares: float, price: float, reference: float) -> None:
    """Write shares and price of a fill, and how much of its price is slippage and how much impact."""
    row[FILLED], row[PRICE], row[REFERENCE] = shares, price, reference
    worse = max(0.0, row[SIDE] * (price - reference)) * shares
    row[SLIPPAGE] = min(worse, knobs.slippage * reference * shares) if knobs.impact > 0.0 else worse
    row[IMPACT] = worse - row[SLIPPAGE]


@njit(cache=True, error_model="numpy")
def finish(row: Doubles) -> None:
    """Drop what is unfilled by rounding alone, and state the wanted fractions as the sum of what became of them."""
    total = row[FILLED]
    for column in range(SUSPENDED, LOT + 1):
        if row[column] < SLACK * max(1.0, row[WANTED]):
            row[column] = 0.0
        total += row[column]
    row[WANTED] = total


@njit(cache=True, error_model="numpy")
def sell_all(
    terms: Terms, knobs: Knobs, book: Book, count: int, t: int, decision: int, attempt: int, cash: float,
    events: Doubles, n: int,
) -> tuple[float, int]:  # fmt: skip
    """Sell what is beyond the wanted shares, as far as day and market allow; return cash and the count of events."""
    quotes, rates = book.quotes, terms.rates
    for a in range(count):
        i = book.live[a]
        g = terms.segment[i]
        wanted, held = book.shares[i] - book.want[i], max(book.shares[i], 0.0)
        if wanted <= SLACK * max(1.0, abs(book.shares[i])):
            continue
        if attempt > 1 and lots_of_order(rates, g, t, wanted, held) <= 0.0:
            continue  # what a carried order has left is less than a lot: there is nothing to try again
        row = events[n]
        n += 1
        begin(row, t, i, SELL, decision, attempt, wanted, book.mark[i])
        if quotes[i, TO_SELL] != FREE:
            row[int(quotes[i, TO_SELL])] = wanted
            continue
        allowed = volume_cap(knobs, quotes, i, wanted)
        row[PARTICIPATION] = wanted - allowed
        if allowed > held and not terms.short_allowed[t]:
            row[SHORT], allowed = allowed - held, held
        quantity = lots_of_order(rates, g, t, allowed, held)
        row[LOT] = allowed - quantity
        if quantity > 0.0:
            price = fill_price(knobs, quotes, i, SELL, quantity)
            value = quantity * price
            commission, duty, fee = charges(rates, knobs, g, t, SELL, quantity, value)
            if cash + value - commission - duty - fee < 0.0:
                row[CASH] = quantity  # the least commission is more than the sale brings, and there is no cash
            else:
                fill(knobs, row, quantity, price, quotes[i, QUOTE])
                row[COMMISSION], row[DUTY], row[FEE] = commission, duty, fee
                cash += value - commission - duty - fee
                book.shares[i] = 0.0 if quantity == book.shares[i] else book.shares[i] - quantity
        if not knobs.whole:
            finish(row)
    return cash, n


@njit(cache=True, error_model="numpy")
def wish_list(terms: Terms, knobs: Knobs, book: Book, count: int, t: int, allowed: Doubles) -> float:
    """Write the shares that market and volume allow to buy, by position in `live`; return the cash all would take."""
    need = 0.0
    for a in range(count):
        i = book.live[a]
        lack = book.want[i] - book.shares[i]
        allowed[a] = 0.0
        if lack <= SLACK * max(1.0, abs(book.want[i])) or book.quotes[i, TO_BUY] != FREE:
            continue
        allowed[a] = volume_cap(knobs, book.quotes, i, lack)
        value = allowed[a] * fill_price(knobs, book.quotes, i, BUY, allowed[a])
        if value > 0.0:
            commission, duty, fee = charges(terms.rates, knobs, terms.segment[i], t, BUY, allowed[a], value)
            need += value + commission + duty + fee
    return need


@njit(cache=True, error_model="numpy")
def affordable(
    rates: Doubles, knobs: Knobs, g: int, t: int, wanted: float, short: float, price: float, cash: float
) -> float:
    """Return the shares up to `wanted`, in lots, that the cash pays for, costs included."""
    commission, duty, fee = charges(rates, knobs, g, t, BUY, wanted, wanted * price)
    if wanted * price + commission + duty + fee <= cash:
        return wanted
    # Rounding, or commission minima, took the last of the cash: what is left buys a little less.
    rate = rates[g, t, RATE] + rates[g, t, DUTY_RATES] + rates[g, t, FEE_RATES]
    a_share = price * (1.0 + rate) + rates[g, t, DUTY_RATES + 2] + rates[g, t, FEE_RATES + 2]
    left = (cash - rates[g, t, LEAST]) / a_share * (1.0 - SLACK)
    for _ in range(3):
        quantity = min(wanted, max(0.0, np.floor(left) if knobs.whole else left))
        quantity = lots_of_order(rates, g, t, quantity, short)
        if quantity <= 0.0:
            return 0.0
        commission, duty, fee = charges(rates, knobs, g, t, BUY, quantity, quantity * price)
        if quantity * price + commission + duty + fee <= cash:
            return quantity
        left = quantity - max(1.0 if knobs.whole else 0.0, quantity * SAME)
    return 0.0


@njit(cache=True, error_model="numpy")
def buy_all(
    terms: Terms, knobs: Knobs, book: Book, count: int, t: int, decision: int, attempt: int, cash: float,
    events: Doubles, n: int, allowed: Doubles,
) -> tuple[float, int]:  # fmt: skip
    """Buy what is short of the wanted shares, every order scaled alike when cash is short; return cash and count."""
    quotes, rates = book.quotes, terms.rates
    need = wish_list(terms, knobs, book, count, t, allowed)
    scale = min(1.0, max(0.0, cash / need)) if need > 0.0 else 1.0
    for a in range(count):
        i = book.live[a]
        g = terms.segment[i]
        wanted, short = book.want[i] - book.shares[i], max(-book.shares[i], 0.0)
        if wanted <= SLACK * max(1.0, abs(book.want[i])):
            continue
        if attempt > 1 and lots_of_order(rates, g, t, wanted, short) <= 0.0:
            continue
        row = events[n]
        n += 1
        begin(row, t, i, BUY, decision, attempt, wanted, book.mark[i])
        if quotes[i, TO_BUY] != FREE:
            row[int(quotes[i, TO_BUY])] = wanted
            continue
        row[PARTICIPATION] = wanted - allowed[a]
        scaled = allowed[a] * scale
        if knobs.whole:
            scaled = np.floor(scaled)
        row[CASH] = allowed[a] - scaled
        quantity = lots_of_order(rates, g, t, scaled, short)
        row[LOT] = scaled - quantity
        if quantity > 0.0:
            price = fill_price(knobs, quotes, i, BUY, quantity)
            paid_for = affordable(rates, knobs, g, t, quantity, short, price, cash)
            row[CASH] += quantity - paid_for
            quantity = paid_for
        if quantity > 0.0:
            price = fill_price(knobs, quotes, i, BUY, quantity)
            value = quantity * price
            fill(knobs, row, quantity, price, quotes[i, QUOTE])
            row[COMMISSION], row[DUTY], row[FEE] = charges(rates, knobs, g, t, BUY, quantity, value)
            cash -= value + row[COMMISSION] + row[DUTY] + row[FEE]
            book.shares[i] = 0.0 if quantity == short else book.shares[i] + quantity
        if not knobs.whole:
            finish(row)
    return cash, n


@njit(cache=True, error_model="numpy")
def _accrue(knobs: Knobs, book: Book, count: int, cash: float, day: Doubles) -> float:
    """Add a day's interest on cash (none on the proceeds of short sales) and take the cost of borrowed shares."""
    shorted = 0.0
    for a in range(count):
        i = book.live[a]
        if book.shares[i] < 0.0:
            shorted -= book.shares[i] * book.mark[i]
    borrow = shorted * knobs.borrow_rate
    interest = (min(cash, 0.0) + max(cash - shorted, 0.0)) * knobs.cash_rate
    day[BORROW], day[INTEREST] = borrow, interest
    return cash + interest - borrow


@njit(cache=True, error_model="numpy")
def _open_day(bars: Bars, knobs: Knobs, book: Book, count: int, t: int, cash: float, day: Doubles) -> float:
    """Let shares, wants and marks follow the adjustment factor; return cash with dividends and fractions of shares."""
    if not knobs.factors:
        return cash
    for a in range(count):
        i = book.live[a]
        factor = float(bars.factor[t, i])
        ratio = factor / book.factor[i]
        if np.isnan(factor) or abs(ratio - 1.0) < SAME:
            continue
        shares, mark = book.shares[i], book.mark[i] / ratio
        growth, paid, tax = ratio, 0.0, 0.0
        if 1.0 < ratio <= 1.0 + knobs.dividend_most:
            gross = shares * (book.mark[i] - mark)
            tax = max(0.0, gross) * knobs.dividend_tax
            if knobs.cash_dividends:
                growth, paid = 1.0, gross - tax
            elif shares > 0.0:
                growth = 1.0 + (ratio - 1.0) * (1.0 - knobs.dividend_tax)
        grown = shares * growth
        if knobs.whole and growth != 1.0:
            rest = grown - np.floor(grown + SLACK) if grown > 0.0 else grown - np.ceil(grown - SLACK)
            grown -= rest
            paid += rest * mark
            grown = np.round(grown)
        book.shares[i], book.mark[i], book.factor[i] = grown, mark, factor
        book.want[i] *= growth
        if knobs.whole:
            book.want[i] = np.floor(abs(book.want[i]) + SLACK) * np.sign(book.want[i])
        cash += paid
        day[DIVIDENDS] += paid
        day[TAX] += tax
    return cash


@njit(cache=True, error_model="numpy")
def _delist(
    bars: Bars, terms: Terms, knobs: Knobs, book: Book, count: int, t: int, cash: float, events: Doubles, n: int
) -> tuple[float, int]:
    """Close positions in stocks that have no bars any more, at what can be recovered; return cash and the count."""
    for a in range(count):
        i = book.live[a]
        if bars.listed[t, i] == 1.0 or book.shares[i] == 0.0:
            continue
        value = terms.delist_value[i]
        price = book.mark[i] * knobs.recovery if np.isnan(value) else value
        side, shares = (SELL if book.shares[i] > 0.0 else BUY), abs(book.shares[i])
        row = events[n]
        n += 1
        begin(row, t, i, side, UNDECIDED, ONCE, shares, price)
        row[KIND], row[FILLED], row[REFERENCE] = DELISTING, shares, book.mark[i]
        cash += book.shares[i] * price
        # What was still wanted beyond the position is tried, and recorded, as long as the order is carried.
        book.want[i] = max(book.want[i] - shares, 0.0) if side < 0 else min(book.want[i] + shares, 0.0)
        book.shares[i] = 0.0
    return cash, n


@njit(cache=True, error_model="numpy")
def _follow(bars: Bars, knobs: Knobs, book: Book, count: int, t: int, names: Ints) -> int:
    """Begin to follow new stocks, each marked at its last close before day t in day t's shares; return the count."""
    for k in range(names.size):
        i = names[k]
        if book.is_live[i]:
            continue
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
        count += 1
    return count


@njit(cache=True, error_model="numpy")
def _order(knobs: Knobs, book: Book, count: int, cash: float, names: Ints, weights: Doubles) -> None:
    """Turn target weights into wanted shares."""
    equity = cash
    for a in range(count):
        i = book.live[a]
        at_fill = knobs.at_fill and book.quotes[i, TO_SELL] == FREE
        equity += book.shares[i] * (book.quotes[i, QUOTE] if at_fill else book.mark[i])
        book.want[i] = 0.0
    equity = max(equity, 0.0)
    for k in range(names.size):
        i = names[k]
        at_fill = knobs.at_fill and book.quotes[i, TO_BUY if weights[k] > 0.0 else TO_SELL] == FREE
        shares = weights[k] * equity / (book.quotes[i, QUOTE] if at_fill else book.mark[i])
        if knobs.whole:
            # Weights come as float32: 2,999,999.9 shares are three million.
            shares = np.floor(abs(shares) * (1.0 + FLOAT32)) * np.sign(weights[k])
        book.want[i] = shares


@njit(cache=True, error_model="numpy")
def _room(events: Doubles, n: int, more: int) -> Doubles:
    """Return the events with room for so many more."""
    if n + more <= events.shape[0]:
        return events
    grown = np.zeros((2 * events.shape[0] + more, EVENT_WIDTH))
    # Written as loops: slice assignment takes seconds to compile.
    for k in range(n):
        for column in range(EVENT_WIDTH):
            grown[k, column] = events[k, column]
    return grown


@njit(cache=True, error_model="numpy")
def _tally(day: Doubles, events: Doubles, first: int, stop: int) -> None:
    """Add up the day's orders into its row of the daily table."""
    for k in range(first, stop):
        row = events[k]
        if row[KIND] == DELISTING:
            continue
        day[BOUGHT if row[SIDE] > 0 else SOLD] += row[FILLED] * row[PRICE]
        day[COMMISSIONS] += row[COMMISSION]
        day[DUTIES] += row[DUTY]
        day[FEES] += row[FEE]
        day[SLIPPAGES] += row[SLIPPAGE]
        day[IMPACTS] += row[IMPACT]
        day[UNFILLED] += (row[WANTED] - row[FILLED] - row[LOT]) * row[REFERENCE]


@njit(cache=True, error_model="numpy")
def _close_day(bars: Bars, book: Book, count: int, t: int, cash: float, day: Doubles) -> int:
    """Mark positions at the close (a suspended one keeps its value), write the row, drop what is gone."""
    kept = 0
    day[NAV], day[MONEY] = cash, cash
    for a in range(count):
        i = book.live[a]
        close = float(bars.close[t, i])
        fresh = bars.suspended[t, i] == 0.0 and bars.volume[t, i] > 0.0 and close > 0.0
        if fresh:
            book.mark[i] = close
        if book.shares[i] != 0.0:
            value = book.shares[i] * book.mark[i]
            day[NAV] += value
            day[HOLDINGS] += 1.0
            if value < 0.0:
                day[SHORTED] -= value
            if not fresh:
                day[STALE] += abs(value)
        if book.shares[i] != 0.0 or book.want[i] != 0.0:
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
    book = Book(
        np.zeros(N), np.zeros(N), np.zeros(N), np.ones(N), np.zeros((N, QUOTE_WIDTH)), np.zeros(N, np.int64),
        np.zeros(N, np.bool_),
    )  # fmt: skip
    days, allowed = np.zeros((T - start, DAY_WIDTH)), np.zeros(N)
    # Typed zeros: a literal one would have every step compiled twice.
    events, n, count = np.zeros((1024, EVENT_WIDTH)), int(np.int64(0)), int(np.int64(0))
    cash, k, attempt = knobs.capital, int(np.int64(0)), int(np.int64(0))
    days[0, NAV] = days[0, MONEY] = cash
    for t in range(start + 1, T):
        day, first = days[t - start], n
        cash = _accrue(knobs, book, count, cash, day)
        cash = _open_day(bars, knobs, book, count, t, cash, day)
        events = _room(events, n, count)
        cash, n = _delist(bars, terms, knobs, book, count, t, cash, events, n)
        is_decision = k < rows.size and rows[k] + knobs.lag == t
        if is_decision:
            chosen, sizes = names[offsets[k] : offsets[k + 1]], weights[offsets[k] : offsets[k + 1]]
            count = _follow(bars, knobs, book, count, t, chosen)
            k, attempt = k + 1, ONCE
        if attempt > 0:
            events = _room(events, n, count)
            quote_all(bars, knobs, book, count, t)
            if is_decision:
                _order(knobs, book, count, cash, chosen, sizes)
            cash, n = sell_all(terms, knobs, book, count, t, k - 1, attempt, cash, events, n)
            cash, n = buy_all(terms, knobs, book, count, t, k - 1, attempt, cash, events, n, allowed)
            attempt += 1
            if attempt > knobs.carry_days + 1:
                attempt = 0
                for a in range(count):
                    book.want[book.live[a]] = book.shares[book.live[a]]
        _tally(day, events, first, n)
        count = _close_day(bars, book, count, t, cash, day)
    return days, events[:n].copy()
