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
    """What trading costs by date, and lots by stock."""

    lot_min: Doubles
    lot_step: Doubles
    sell_duty: Doubles
    buy_duty: Doubles
    transfer_fee: Doubles


class Knobs(NamedTuple):
    """Scalars of the settings."""

    capital: float
    commission: float
    commission_min: float
    slippage: float
    impact: float
    participation: float
    cash_rate: float
    recovery: float
    tick: float
    lag: int
    carry_days: int
    price: int
    typical: bool
    at_fill: bool
    limits: bool
    factors: bool


class Book(NamedTuple):
    """What is held. `shares`, `mark` (price of the last mark), `factor` (of that mark) and `want` are `[N]`."""

    shares: Doubles
    mark: Doubles
    factor: Doubles
    want: Doubles
    live: Ints
    """Positions of held or wanted stocks, the first `count` of them valid."""
    is_live: Bools
