"""What a backtest gives back: daily values, the fills behind them and the figures drawn from them."""

from dataclasses import dataclass, field

import polars as pl

NAV_SCHEMA: dict[str, type[pl.DataType]] = {
    "date": pl.Date,
    "nav": pl.Float64,
    "ret": pl.Float64,
    "benchmark_ret": pl.Float64,
    "excess_ret": pl.Float64,
    "turnover": pl.Float64,
    "cost": pl.Float64,
    "cash_weight": pl.Float64,
    "holdings": pl.Int64,
    "unfilled": pl.Float64,
    "cash": pl.Float64,
    "stale_weight": pl.Float64,
}
"""Columns of `BacktestResult.nav`."""

YEARLY_SCHEMA: dict[str, type[pl.DataType]] = {
    "year": pl.Int64,
    "days": pl.Int64,
    "ret": pl.Float64,
    "benchmark": pl.Float64,
    "excess": pl.Float64,
    "volatility": pl.Float64,
    "sharpe": pl.Float64,
    "max_drawdown": pl.Float64,
    "excess_max_drawdown": pl.Float64,
    "tracking_error": pl.Float64,
    "information_ratio": pl.Float64,
    "turnover": pl.Float64,
    "cost": pl.Float64,
}
"""Columns of `BacktestResult.yearly`."""

FILLS_SCHEMA: dict[str, type[pl.DataType]] = {
    "date": pl.Date,
    "symbol": pl.String,
    "side": pl.String,
    "shares": pl.Float64,
    "price": pl.Float64,
    "value": pl.Float64,
    "commission": pl.Float64,
    "duty": pl.Float64,
    "transfer_fee": pl.Float64,
    "impact": pl.Float64,
    "reason": pl.String,
}
"""Columns of `BacktestResult.fills`."""

UNFILLED_SCHEMA: dict[str, type[pl.DataType]] = {
    "date": pl.Date,
    "symbol": pl.String,
    "side": pl.String,
    "shares": pl.Float64,
    "value": pl.Float64,
    "reason": pl.String,
}
"""Columns of `BacktestResult.unfilled`."""


def _no_unfilled() -> pl.DataFrame:
    return pl.DataFrame(schema=UNFILLED_SCHEMA)


@dataclass(frozen=True)
class BacktestResult:
    """The replay of target weights under a market's rules. Returns, weights and costs are fractions.

    `nav`: one row a trading day from the first decision on; the first row is the base (all cash, `ret` 0) and counts in
    no figure. `benchmark_ret` and `excess_ret = ret - benchmark_ret` are null without a benchmark. `turnover` is
    one-way: half of all traded value by the day's opening net asset value. `cost` is everything paid (commission,
    duty, transfer fee, slippage and impact) by the opening net asset value. `unfilled` is the value of what was wanted
    and not traded, by the opening net asset value; `stale_weight` the share marked at an earlier day's close.

    `yearly`: one row a calendar year; `excess` is geometric, `turnover` and `cost` are sums of the year's days, the
    others as in `metrics`. `metrics`: figures of the whole span by name, NaN where undefined.

    `fills`: one row a trade; `price` is the price paid, `value = shares * price`, `impact` what slippage and impact
    cost against the reference price. `side` is `buy` or `sell`; `reason` is `target`, `carried` (an earlier day's
    remainder) or `delisted` (closed at the recovery setting). `unfilled`: what was wanted and not traded, and why.

    `conventions`: how each figure is defined, in words, to be printed beside them.
    """

    nav: pl.DataFrame
    yearly: pl.DataFrame
    metrics: dict[str, float]
    fills: pl.DataFrame
    conventions: dict[str, str]
    unfilled: pl.DataFrame = field(default_factory=_no_unfilled)
