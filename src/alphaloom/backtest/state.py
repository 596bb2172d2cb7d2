"""What the compiled ledger reads and holds, as tuples of arrays and numbers."""

from typing import NamedTuple

from alphaloom.typing import Bools, Doubles, Floats, Ints


class Bars(NamedTuple):
    """float32 `[T, N]` arrays of a market, read-only and contiguous."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    vwap: Floats
    volume: Floats
    factor: Floats
    suspended: Floats
    listed: Floats
    limit_up: Floats
    limit_down: Floats


class Terms(NamedTuple):
    """What the market's rules say by date, for each of G segments (a board of an exchange)."""

    segment: Ints
    """Segment of each stock `[N]`."""
    rates: Doubles
    """`[G, T, 16]`: smallest order and step (0 where fractions of a share trade), commission rate and least amount,
    then duty and fee, each as fractions of value bought and sold, amounts a share bought and sold, least and most."""
    short_allowed: Bools
    """Whether borrowed shares may be sold `[T]`."""
    delist_value: Doubles
    """What a share was worth to its holder after the delisting `[N]`, NaN unknown."""


class Knobs(NamedTuple):
    """Scalars of the settings."""

    capital: float
    slippage: float
    impact: float
    participation: float
    cash_rate: float
    borrow_rate: float
    recovery: float
    tick: float
    cents: float
    """Smallest units of money in one of currency; 0 when amounts are not rounded."""
    round_up: bool
    lag: int
    carry_days: int
    price: int
    typical: bool
    at_fill: bool
    limits: bool
    factors: bool
    cash_dividends: bool
    dividend_most: float
    dividend_tax: float
    whole: bool
    """Whether only whole shares are held."""


class Book(NamedTuple):
    """What is held and wanted, `[N]`: negative shares are borrowed and sold."""

    shares: Doubles
    want: Doubles
    mark: Doubles
    """Price of the last mark."""
    factor: Doubles
    """Adjustment factor of that mark."""
    quotes: Doubles
    """What the day offers `[N, 7]`, for the stocks in `live` on a day with orders."""
    live: Ints
    """Positions of held or wanted stocks, the first `count` of them valid."""
    is_live: Bools
