"""Records of a market's rules: what holds from which day on, where that is written, and whether it was checked."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, TypeVar

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.spec import Spec
from alphaloom.typing import Array, Bools, Dates

Fraction = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0)]


class Dated(Spec):
    """A rule and the first day on which it holds. It holds until the next one of its list for the same exchange."""

    since: dt.date
    exchange: str | None = None
    """Exchange it is limited to; null for all."""
    source: str
    """Where it is written: a notice with its number, a set of exchange rules, or a record of `marina-rules`."""
    verified: bool = False
    """Whether value and date were read in that source or in a record that quotes it; else they are from hearsay."""
    note: str = ""


class Limit(Dated):
    """Largest daily move of a board, as fractions of the reference price."""

    normal: Fraction
    st: Fraction
    """For stocks under risk warning."""


class FirstDays(Dated):
    """Trading days from listing on with a rule of their own: no limit, or fractions of the issue price."""

    days: Annotated[int, Field(ge=0)]
    up: Fraction | None = None
    """Largest price above the issue price, as a fraction of it; null for no limit."""
    down: Fraction | None = None


class DelistingLimit(Dated):
    """Largest daily move in the delisting period, its first day perhaps without limit."""

    limit: Fraction
    unlimited_days: Annotated[int, Field(ge=0, le=1)] = 0


class Relisting(Dated):
    """First trading days without limit after a stock that had been taken off trading is admitted again."""

    unlimited_days: Annotated[int, Field(ge=0)]


class OneTick(Dated):
    """Limit prices lie one tick from the reference price at least; before, rounding alone decided."""

    most: NotNegative | None = None
    """Highest reference price to which it applies; null for any."""
    delisting: bool = False
    """Whether it holds in the delisting period alone."""


class Lot(Dated):
    """Sizes that a buy order may have: `minimum`, then multiples of `step`. A rest below that is sold whole."""

    minimum: Annotated[int, Field(ge=1)] = 1
    step: Annotated[int, Field(ge=1)] = 1


class Levy(Dated):
    """A tax or fee of one order: fractions of its value plus amounts a share, within bounds an order, in currency."""

    buy: Fraction = 0.0
    sell: Fraction = 0.0
    buy_share: NotNegative = 0.0
    sell_share: NotNegative = 0.0
    least: NotNegative = 0.0
    """Smallest amount of an order that pays anything."""
    most: NotNegative | None = None
    """Largest amount of an order; null for none."""


class Commission(Dated):
    """What a broker takes of an order: the usual rate, and the bounds that the market sets."""

    rate: Fraction = 0.0
    """Usual rate, taken unless a backtest says otherwise."""
    minimum: NotNegative = 0.0
    """Least commission of an order, in the market's currency."""
    cap: Fraction | None = None
    """Highest rate allowed; null for no bound."""


class Settlement(Dated):
    """When bought shares may be sold, and when money and shares change hands."""

    sale_days: Annotated[int, Field(ge=0)]
    """Trading days until bought shares may be sold: 0 the same day, 1 the next."""
    cycle_days: Annotated[int, Field(ge=0)]
    """Trading days until money and shares are delivered; the money of a sale may buy at once."""


class ClosingAuction(Dated):
    """Whether the closing price comes from an auction, rather than from the last trades."""

    auction: bool


class ShortSelling(Dated):
    """Whether borrowed shares may be sold."""

    allowed: bool


class Pattern(Spec):
    """Regular expression of the symbols of a board or an exchange."""

    symbols: str


class BoardPattern(Pattern):
    """Board of the symbols that match."""

    board: str


class ExchangePattern(Pattern):
    """Exchange of the symbols that match."""

    exchange: str


R = TypeVar("R", bound=Dated)


def of_exchange(rules: Sequence[R], exchange: str) -> tuple[R, ...]:
    """Return the rules of all exchanges and of this one, in order."""
    return tuple(rule for rule in rules if rule.exchange in (None, exchange))


def in_force(rules: Sequence[R], day: np.datetime64, exchange: str, what: str) -> R:
    """Return the rule in force on a day.

    Raises:
        DataError: the day lies before the first recorded rule.
    """
    own = of_exchange(rules, exchange)
    found = None
    for rule in own:
        if np.datetime64(rule.since, "D") <= day:
            found = rule
    if found is None:
        raise DataError(f"No {what} is recorded for {day}; the first is from {own[0].since if own else 'never'}.")
    return found


def positions(rules: Sequence[R], dates: Dates) -> tuple[Array, Bools]:
    """Return for each date the position of the rule in force, and whether there is one."""
    starts = np.array([np.datetime64(rule.since, "D") for rule in rules], dtype="datetime64[D]")
    which = np.searchsorted(starts, dates, side="right") - 1
    return np.maximum(which, 0), which >= 0


def values(rules: Sequence[R], name: str, dates: Dates, *, none: float = np.nan, before: float = np.nan) -> Array:
    """Return one figure of the rules in force `[T]`: `none` where it is null, `before` where no rule holds yet."""
    which, known = positions(rules, dates)
    if not rules:
        return np.full(dates.size, before)
    figures = np.array([none if getattr(rule, name) is None else getattr(rule, name) for rule in rules], dtype=float)
    return np.where(known, figures[which], before)
