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
    lots: Doubles
    """Smallest order and step `[G, T, 2]`; step 0 where fractions of a share trade."""
    duty: Doubles
    """`[G, T, 6]`: fractions of value bought and sold, amounts a share bought and sold, least and most an order."""
    fee: Doubles
    """`[G, T, 6]`, as `duty`."""
    commission: Doubles
    """Rate and least amount of an order `[T, 2]`."""
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
    sigma: Doubles
    """Daily volatility at row `sigma_row`."""
    sigma_row: Ints
    live: Ints
    """Positions of held or wanted stocks, the first `count` of them valid."""
    is_live: Bools
