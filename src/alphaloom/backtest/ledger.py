# mypy: allow-untyped-decorators
"""The daily ledger of shares and cash: compiled, one pass over the days, only held and wanted stocks touched.

Money and shares are float64; with lots, shares are whole numbers, and every order's wanted shares are exactly those
filled plus those unfilled by reason. One order a stock a day, sales before purchases: no share is sold on the day it was
bought, so T+1 holds by construction, also where a carried order meets a new decision. All compiled steps are in this
file, since the compiler's cache of a function is renewed when its own file changes, and not when another does.
"""

from typing import cast

import numpy as np
from numba import njit

from alphaloom.backtest.state import Bars, Book, Knobs, Terms
from alphaloom.typing import Doubles, Ints

TARGET, CARRIED, DELISTING = 0, 1, 2
KINDS = ("target", "carried", "delisted")
BUY, SELL, ONCE, UNDECIDED = (cast(int, np.int64(value)) for value in (1, -1, 1, -1))
"""Sides of an order, its first attempt, and what no decision stands behind; typed, since a literal would have every step compiled once more."""
VWAP, OPEN, CLOSE = 0, 1, 2
IMPACT_DAYS = 20

ROW, COLUMN, SIDE, KIND, DECISION, ATTEMPT, WANTED, FILLED, PRICE, REFERENCE = range(10)
COMMISSION, DUTY, FEE, SLIPPAGE, IMPACT = range(10, 15)
SUSPENDED, LIMIT_UP, LIMIT_DOWN, NO_PRICE, DELISTED, PARTICIPATION, SHORT, CASH, LOT = range(15, 24)
"""Columns of an event, which is one order's day. `SIDE` is 1 for a purchase and -1 for a sale; from `SUSPENDED` to
`LOT`, the shares left unfilled for that reason."""
EVENT_WIDTH = 24
REASONS = ("suspended", "limit_up", "limit_down", "no_price", "delisted", "participation", "short", "cash", "lot")
FREE = 0
"""What `blocked` returns for a stock that trades."""

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
def limit_price(bars: Bars, knobs: Knobs, t: int, i: int, side: int) -> float:
    """Return the highest price (side 1) or the lowest (side -1) of the day; infinite, or 0, without a limit.

    A bar that reaches beyond the limit shows that none was in force (a relisting that no column tells).
    """
    if side > 0:
        up = float(bars.limit_up[t, i]) if knobs.limits else np.nan
        return np.inf if np.isnan(up) or bars.high[t, i] > up + knobs.tick / 2.0 else up
    down = float(bars.limit_down[t, i]) if knobs.limits else np.nan
    return 0.0 if np.isnan(down) or bars.low[t, i] < down - knobs.tick / 2.0 else down


@njit(cache=True, error_model="numpy")
def blocked(bars: Bars, knobs: Knobs, t: int, i: int, side: int) -> int:
    """Return why no share of stock `i` can be bought (side 1) or sold (side -1) on day `t`; `FREE` when some can."""
    if bars.listed[t, i] != 1.0:
        return DELISTED
    if bars.suspended[t, i] != 0.0 or not bars.volume[t, i] > 0.0:
        return SUSPENDED
    price = reference_price(bars, knobs, t, i)
    if not price > 0.0:
        return NO_PRICE
    half, limit = knobs.tick / 2.0, limit_price(bars, knobs, t, i, side)
    # The volume-weighted price is within reach when one trade lay inside; open and close must do so themselves.
    if side > 0:
        best = bars.low[t, i] if knobs.price == VWAP else price
        return LIMIT_UP if best >= limit - half else FREE
    best = bars.high[t, i] if knobs.price == VWAP else price
    return LIMIT_DOWN if best <= limit + half and limit > 0.0 else FREE


@njit(cache=True, error_model="numpy")
def daily_sigma(bars: Bars, knobs: Knobs, book: Book, t: int, i: int) -> float:
    """Return the standard deviation of the daily total return over the `IMPACT_DAYS` rows before t; 0 below 2."""
    if book.sigma_row[i] == t:
        return float(book.sigma[i])
    n, total, squares = 0, 0.0, 0.0
    for s in range(max(1, t - IMPACT_DAYS), t):
        ratio = float(bars.close[s, i]) / float(bars.close[s - 1, i])
        if knobs.factors:
            ratio *= float(bars.factor[s, i]) / float(bars.factor[s - 1, i])
        if not np.isnan(ratio):
            n += 1
            total += ratio - 1.0
            squares += (ratio - 1.0) ** 2
    sigma = np.sqrt(max(0.0, (squares - total * total / n) / (n - 1))) if n >= 2 else 0.0
    book.sigma[i], book.sigma_row[i] = sigma, t
    return float(sigma)


@njit(cache=True, error_model="numpy")
def fill_price(bars: Bars, knobs: Knobs, book: Book, t: int, i: int, side: int, shares: float) -> float:
    """Return the price paid or received: reference, slippage and impact, which never carry it beyond the day's limits.

    A reference that itself lies beyond a limit (bars and limits that disagree) is kept: no fill beats its reference.
    """
    move = knobs.slippage
    if knobs.impact > 0.0:
        move += knobs.impact * daily_sigma(bars, knobs, book, t, i) * np.sqrt(shares / float(bars.volume[t, i]))
    reference, limit = reference_price(bars, knobs, t, i), limit_price(bars, knobs, t, i, side)
    price = reference * max(0.0, 1.0 + side * move)
    if side > 0:
        return max(reference, min(price, limit))
    return min(reference, max(price, limit))


@njit(cache=True, error_model="numpy")
def in_cents(knobs: Knobs, amount: float) -> float:
    """Return an amount of money in the smallest unit that a broker books."""
    if knobs.cents <= 0.0 or amount <= 0.0:
        return max(amount, 0.0)
    units = amount * knobs.cents
    whole: float = np.ceil(units - SAME) if knobs.round_up else np.floor(units + 0.5 + SAME)
    return whole / knobs.cents


@njit(cache=True, error_model="numpy")
def levied(knobs: Knobs, row: Doubles, side: int, shares: float, value: float) -> float:
    """Return a duty or fee of an order."""
    amount = row[0] * value + row[2] * shares if side > 0 else row[1] * value + row[3] * shares
    return in_cents(knobs, min(max(amount, row[4]), row[5])) if amount > 0.0 else 0.0


@njit(cache=True, error_model="numpy")
def charges(
    terms: Terms, knobs: Knobs, t: int, i: int, side: int, shares: float, value: float
) -> tuple[float, float, float]:
    """Return commission, duty and fee of an order that fills."""
    commission = in_cents(knobs, max(terms.commission[t, 1], terms.commission[t, 0] * value))
    g = terms.segment[i]
    duty = levied(knobs, terms.duty[g, t], side, shares, value)
    return commission, duty, levied(knobs, terms.fee[g, t], side, shares, value)


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
def lots_of_order(terms: Terms, t: int, i: int, shares: float, open_shares: float) -> float:
    """Return the shares of an order that its lots allow: `open_shares`, which it would close, may go whole."""
    minimum, step = terms.lots[terms.segment[i], t]
    if open_shares > 0.0 and shares >= open_shares:
        return open_shares + whole_lots(shares - open_shares, minimum, step)
    return whole_lots(shares, minimum, step)


@njit(cache=True, error_model="numpy")
def is_remnant(terms: Terms, t: int, i: int, shares: float, open_shares: float, attempt: int) -> bool:
    """Return whether what a carried order has left is less than a lot: there is nothing to try again."""
    return attempt > 1 and lots_of_order(terms, t, i, shares, open_shares) <= 0.0


@njit(cache=True, error_model="numpy")
def volume_cap(bars: Bars, knobs: Knobs, t: int, i: int, shares: float) -> float:
    """Return what the day's volume allows of an order."""
    cap = knobs.participation * float(bars.volume[t, i])
    return min(shares, np.floor(cap) if knobs.whole and np.isfinite(cap) else cap)


@njit(cache=True, error_model="numpy")
def begin(
    events: Doubles, n: int, t: int, i: int, side: int, decision: int, attempt: int, wanted: float, price: float
) -> tuple[Doubles, int]:
    """Return the events (grown when full) with one more order, not filled, and the new count."""
    if n == events.shape[0]:
        # Written as loops: slice assignment takes seconds to compile.
        grown = np.zeros((2 * n, EVENT_WIDTH))
        for k in range(n):
            for column in range(EVENT_WIDTH):
                grown[k, column] = events[k, column]
        events = grown
    row = events[n]
    row[ROW], row[COLUMN], row[SIDE] = t, i, side
    row[KIND] = TARGET if attempt == 1 else CARRIED
    row[DECISION], row[ATTEMPT], row[WANTED] = decision, attempt, wanted
    row[PRICE], row[REFERENCE] = price, price
    return events, n + 1


@njit(cache=True, error_model="numpy")
def fill(knobs: Knobs, row: Doubles, shares: float, price: float, reference: float) -> None:
    """Write shares and price of a fill, and how much of its price is slippage and how much impact."""
    row[FILLED], row[PRICE], row[REFERENCE] = shares, price, reference
    worse = max(0.0, row[SIDE] * (price - reference)) * shares
    row[SLIPPAGE] = min(worse, knobs.slippage * reference * shares)
    row[IMPACT] = worse - row[SLIPPAGE]


@njit(cache=True, error_model="numpy")
def finish(row: Doubles) -> None:
    """Drop what is unfilled by rounding alone, and state the wanted shares as the sum of what became of them."""
    total = row[FILLED]
    for column in range(SUSPENDED, LOT + 1):
        if row[column] < SLACK * max(1.0, row[WANTED]):
            row[column] = 0.0
        total += row[column]
    row[WANTED] = total


@njit(cache=True, error_model="numpy")
def sell_all(
    bars: Bars, terms: Terms, knobs: Knobs, book: Book, count: int, t: int, decision: int, attempt: int, cash: float,
    events: Doubles, n: int,
) -> tuple[float, Doubles, int]:  # fmt: skip
    """Sell what is beyond the wanted shares, as far as day and market allow; return cash and the record."""
    for a in range(count):
        i = book.live[a]
        wanted, held = book.shares[i] - book.want[i], max(book.shares[i], 0.0)
        if wanted <= SLACK * max(1.0, abs(book.shares[i])) or is_remnant(terms, t, i, wanted, held, attempt):
            continue
        events, n = begin(events, n, t, i, SELL, decision, attempt, wanted, book.mark[i])
        row = events[n - 1]
        block = blocked(bars, knobs, t, i, SELL)
        if block != FREE:
            row[block] = wanted
            continue
        allowed = volume_cap(bars, knobs, t, i, wanted)
        row[PARTICIPATION] = wanted - allowed
        if allowed > held and not terms.short_allowed[t]:
            row[SHORT], allowed = allowed - held, held
        quantity = lots_of_order(terms, t, i, allowed, held)
        row[LOT] = allowed - quantity
        if quantity > 0.0:
            price = fill_price(bars, knobs, book, t, i, SELL, quantity)
            value = quantity * price
            commission, duty, fee = charges(terms, knobs, t, i, SELL, quantity, value)
            if cash + value - commission - duty - fee < 0.0:
                row[CASH] = quantity  # the least commission is more than the sale brings, and there is no cash
            else:
                fill(knobs, row, quantity, price, reference_price(bars, knobs, t, i))
                row[COMMISSION], row[DUTY], row[FEE] = commission, duty, fee
                cash += value - commission - duty - fee
                book.shares[i] = 0.0 if quantity == book.shares[i] else book.shares[i] - quantity
        finish(row)
    return cash, events, n


@njit(cache=True, error_model="numpy")
def wish_list(bars: Bars, terms: Terms, knobs: Knobs, book: Book, count: int, t: int) -> tuple[Doubles, float]:
    """Return the shares that market and volume allow to buy, by position in `live`, and the cash all would take."""
    allowed = np.zeros(count)
    need = 0.0
    for a in range(count):
        i = book.live[a]
        lack = book.want[i] - book.shares[i]
        if lack <= SLACK * max(1.0, abs(book.want[i])) or blocked(bars, knobs, t, i, BUY) != FREE:
            continue
        allowed[a] = volume_cap(bars, knobs, t, i, lack)
        value = allowed[a] * fill_price(bars, knobs, book, t, i, BUY, allowed[a])
        if value > 0.0:
            commission, duty, fee = charges(terms, knobs, t, i, BUY, allowed[a], value)
            need += value + commission + duty + fee
    return allowed, need


@njit(cache=True, error_model="numpy")
def affordable(
    terms: Terms, knobs: Knobs, t: int, i: int, wanted: float, short: float, price: float, cash: float
) -> float:
    """Return the shares up to `wanted`, in lots, that the cash pays for, costs included."""
    commission, duty, fee = charges(terms, knobs, t, i, BUY, wanted, wanted * price)
    if wanted * price + commission + duty + fee <= cash:
        return wanted
    # Rounding, or commission minima, took the last of the cash: what is left buys a little less.
    g = terms.segment[i]
    rate = terms.commission[t, 0] + terms.duty[g, t, 0] + terms.fee[g, t, 0]
    a_share = price * (1.0 + rate) + terms.duty[g, t, 2] + terms.fee[g, t, 2]
    left = (cash - terms.commission[t, 1]) / a_share * (1.0 - SLACK)
    for _ in range(3):
        quantity = min(wanted, max(0.0, np.floor(left) if knobs.whole else left))
        quantity = lots_of_order(terms, t, i, quantity, short)
        if quantity <= 0.0:
            return 0.0
        commission, duty, fee = charges(terms, knobs, t, i, BUY, quantity, quantity * price)
        if quantity * price + commission + duty + fee <= cash:
            return quantity
        left = quantity - max(1.0 if knobs.whole else 0.0, quantity * SAME)
    return 0.0


@njit(cache=True, error_model="numpy")
def buy_all(
    bars: Bars, terms: Terms, knobs: Knobs, book: Book, count: int, t: int, decision: int, attempt: int, cash: float,
    events: Doubles, n: int,
) -> tuple[float, Doubles, int]:  # fmt: skip
    """Buy what is short of the wanted shares, every order scaled alike when cash is short; return cash and record."""
    allowed, need = wish_list(bars, terms, knobs, book, count, t)
    scale = min(1.0, max(0.0, cash / need)) if need > 0.0 else 1.0
    for a in range(count):
        i = book.live[a]
        wanted, short = book.want[i] - book.shares[i], max(-book.shares[i], 0.0)
        if wanted <= SLACK * max(1.0, abs(book.want[i])) or is_remnant(terms, t, i, wanted, short, attempt):
            continue
        events, n = begin(events, n, t, i, BUY, decision, attempt, wanted, book.mark[i])
        row = events[n - 1]
        block = blocked(bars, knobs, t, i, BUY)
        if block != FREE:
            row[block] = wanted
            continue
        row[PARTICIPATION] = wanted - allowed[a]
        scaled = allowed[a] * scale
        if knobs.whole:
            scaled = np.floor(scaled)
        row[CASH] = allowed[a] - scaled
        quantity = lots_of_order(terms, t, i, scaled, short)
        row[LOT] = scaled - quantity
        if quantity > 0.0:
            price = fill_price(bars, knobs, book, t, i, BUY, quantity)
            paid_for = affordable(terms, knobs, t, i, quantity, short, price, cash)
            row[CASH] += quantity - paid_for
            quantity = paid_for
        if quantity > 0.0:
            price = fill_price(bars, knobs, book, t, i, BUY, quantity)
            value = quantity * price
            fill(knobs, row, quantity, price, reference_price(bars, knobs, t, i))
            row[COMMISSION], row[DUTY], row[FEE] = charges(terms, knobs, t, i, BUY, quantity, value)
            cash -= value + row[COMMISSION] + row[DUTY] + row[FEE]
            book.shares[i] = 0.0 if quantity == short else book.shares[i] + quantity
        finish(row)
    return cash, events, n


@njit(cache=True, error_model="numpy")
def _accrue(knobs: Knobs, book: Book, count: int, cash: float, day: Doubles) -> float:
    """Add a day's interest on cash (none on the proceeds of short sales) and take the cost of borrowed shares."""
    shorted = 0.0
    for a in range(count):
        i = book.live[a]
        if book.shares[i] < 0.0:
            shorted -= book.shares[i] * book.mark[i]
    day[BORROW] = shorted * knobs.borrow_rate
    day[INTEREST] = (min(cash, 0.0) + max(cash - shorted, 0.0)) * knobs.cash_rate
    return cash + day[INTEREST] - day[BORROW]


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
) -> tuple[float, Doubles, int]:
    """Close positions in stocks that have no bars any more, at what can be recovered; return cash and the record."""
    for a in range(count):
        i = book.live[a]
        if bars.listed[t, i] == 1.0 or book.shares[i] == 0.0:
            continue
        value = terms.delist_value[i]
        price = book.mark[i] * knobs.recovery if np.isnan(value) else value
        side, shares = (SELL if book.shares[i] > 0.0 else BUY), abs(book.shares[i])
        events, n = begin(events, n, t, i, side, UNDECIDED, ONCE, shares, price)
        row = events[n - 1]
        row[KIND], row[FILLED], row[REFERENCE] = DELISTING, shares, book.mark[i]
        cash += book.shares[i] * price
        # What was still wanted beyond the position is tried, and recorded, as long as the order is carried.
        book.want[i] = max(book.want[i] - shares, 0.0) if side < 0 else min(book.want[i] + shares, 0.0)
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
        if knobs.at_fill and blocked(bars, knobs, t, i, SELL) == FREE:
            price = reference_price(bars, knobs, t, i)
        equity += book.shares[i] * price
        book.want[i] = 0.0
    equity = max(equity, 0.0)
    for k in range(names.size):
        i = names[k]
        if not book.is_live[i]:
            count = _enter(bars, knobs, book, count, t, i)
        price = book.mark[i]
        if knobs.at_fill and blocked(bars, knobs, t, i, BUY if weights[k] > 0.0 else SELL) == FREE:
            price = reference_price(bars, knobs, t, i)
        book.want[i] = weights[k] * equity / price
        if knobs.whole:
            # Weights come as float32: 2,999,999.9 shares are three million.
            book.want[i] = np.floor(abs(book.want[i]) * (1.0 + FLOAT32)) * np.sign(weights[k])
    return count


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
        np.zeros(N), np.zeros(N), np.zeros(N), np.ones(N), np.zeros(N), np.full(N, -1, np.int64),
        np.zeros(N, np.int64), np.zeros(N, np.bool_),
    )  # fmt: skip
    days = np.zeros((T - start, DAY_WIDTH))
    # Typed zeros: a literal one would have every step compiled twice.
    events, n, count = np.zeros((1024, EVENT_WIDTH)), int(np.int64(0)), int(np.int64(0))
    cash, k, attempt = knobs.capital, int(np.int64(0)), int(np.int64(0))
    days[0, NAV] = days[0, MONEY] = cash
    for t in range(start + 1, T):
        day, first = days[t - start], n
        cash = _accrue(knobs, book, count, cash, day)
        cash = _open_day(bars, knobs, book, count, t, cash, day)
        cash, events, n = _delist(bars, terms, knobs, book, count, t, cash, events, n)
        if k < rows.size and rows[k] + knobs.lag == t:
            a, b = offsets[k], offsets[k + 1]
            count = _order(bars, knobs, book, count, t, cash, names[a:b], weights[a:b])
            k, attempt = k + 1, ONCE
        if attempt > 0:
            cash, events, n = sell_all(bars, terms, knobs, book, count, t, k - 1, attempt, cash, events, n)
            cash, events, n = buy_all(bars, terms, knobs, book, count, t, k - 1, attempt, cash, events, n)
            attempt += 1
            if attempt > knobs.carry_days + 1:
                attempt = 0
                for a in range(count):
                    book.want[book.live[a]] = book.shares[book.live[a]]
        _tally(day, events, first, n)
        count = _close_day(bars, book, count, t, cash, day)
    return days, events[:n].copy()
