"""What a backtest gives back: daily values, the orders behind them and the figures drawn from them."""

from dataclasses import dataclass
from functools import cached_property

import polars as pl

Schema = dict[str, type[pl.DataType]]

COST_KINDS = ("commission", "duty", "transfer_fee", "slippage", "impact", "borrow")
"""What trading costs, column by column of `nav` and `yearly`; `cost` is their sum."""

NAV_SCHEMA: Schema = {
    "date": pl.Date,
    "nav": pl.Float64,
    "ret": pl.Float64,
    "benchmark_ret": pl.Float64,
    "excess_ret": pl.Float64,
    "universe_ret": pl.Float64,
    "turnover": pl.Float64,
    "cost": pl.Float64,
    **dict.fromkeys(COST_KINDS, pl.Float64),
    "interest": pl.Float64,
    "dividends": pl.Float64,
    "dividend_tax": pl.Float64,
    "cash_weight": pl.Float64,
    "short_weight": pl.Float64,
    "holdings": pl.Int64,
    "unfilled": pl.Float64,
    "cash": pl.Float64,
    "stale_weight": pl.Float64,
}
"""Columns of `BacktestResult.nav`."""

YEARLY_SCHEMA: Schema = {
    "year": pl.Int64,
    "days": pl.Int64,
    "ret": pl.Float64,
    "benchmark": pl.Float64,
    "excess": pl.Float64,
    "universe": pl.Float64,
    "volatility": pl.Float64,
    "sharpe": pl.Float64,
    "max_drawdown": pl.Float64,
    "excess_max_drawdown": pl.Float64,
    "tracking_error": pl.Float64,
    "information_ratio": pl.Float64,
    "turnover": pl.Float64,
    "cost": pl.Float64,
    **dict.fromkeys(COST_KINDS, pl.Float64),
}
"""Columns of `BacktestResult.yearly`."""

UNFILLED_REASONS = (
    "suspended", "limit_up", "limit_down", "no_price", "delisted", "participation", "short", "cash", "lot",
)  # fmt: skip
"""Why shares of an order are not filled; each is a column of the orders, `unfilled_REASON`."""

ORDERS_SCHEMA: Schema = {
    "decision": pl.Date,
    "date": pl.Date,
    "attempt": pl.Int64,
    "symbol": pl.String,
    "side": pl.String,
    "kind": pl.String,
    "wanted": pl.Float64,
    "filled": pl.Float64,
    "unfilled": pl.Float64,
    "reason": pl.String,
    "price": pl.Float64,
    "reference": pl.Float64,
    "value": pl.Float64,
    "commission": pl.Float64,
    "duty": pl.Float64,
    "transfer_fee": pl.Float64,
    "slippage": pl.Float64,
    "impact": pl.Float64,
    **{f"unfilled_{reason}": pl.Float64 for reason in UNFILLED_REASONS},
}
"""Columns of `BacktestResult.orders`."""


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """The replay of target weights under a market's rules. Returns, weights and costs are fractions.

    `nav`: one row a trading day from the first decision on; the first row is the base (all cash, `ret` 0) and counts in
    no figure. `benchmark_ret` and `excess_ret = ret - benchmark_ret` are null without a benchmark; `universe_ret`, the
    equal-weighted return of all stocks that may be held, is null when it was not given. `turnover` is one-way: half of
    all traded value by the day's opening net asset value. `cost` is everything paid by the opening net asset value, and
    the columns of `COST_KINDS` its parts; `interest`, `dividends` (cash paid in, fractions of shares included) and
    `dividend_tax` are by the same value. `unfilled` is the value of what was wanted and not traded, lots aside, by the
    opening net asset value; `short_weight` the value of borrowed shares, `stale_weight` of positions marked at an
    earlier day's close.

    `yearly`: one row a calendar year; `excess` is geometric, `turnover`, `cost` and its parts are sums of the year's
    days, the others as in `metrics`. `metrics`: figures of the whole span by name, NaN where undefined.

    `orders`: one row an order and day. `decision` is the day on whose close it was decided (null for a delisting),
    `attempt` 1 on the first day and more where what was left is carried, `kind` is `target`, `carried` or `delisted` (a
    position closed at what could be recovered). `wanted` is exactly `filled` plus the columns `unfilled_REASON`, in
    shares; `reason` names the largest of these. `price` is the price paid, `reference` that before slippage and impact;
    an order without a fill stands at the price of its last mark. `value` is `filled * price`; costs are in currency.

    `conventions`: how each figure is defined, in words, to be printed beside them.
    """

    nav: pl.DataFrame
    yearly: pl.DataFrame
    metrics: dict[str, float]
    orders: pl.DataFrame
    conventions: dict[str, str]

    @cached_property
    def fills(self) -> pl.DataFrame:
        """Return the orders that filled at least in part, without the columns on what did not."""
        columns = [name for name in ORDERS_SCHEMA if "unfilled" not in name and name not in {"wanted", "reason"}]
        return self.orders.filter(pl.col("filled") > 0).select(columns)

    @cached_property
    def unfilled(self) -> pl.DataFrame:
        """Return one row an order and reason for which shares of it were not filled, with `shares` and `value`."""
        keys = ["decision", "date", "attempt", "symbol", "side", "kind", "reference"]
        columns = {f"unfilled_{reason}": reason for reason in UNFILLED_REASONS}
        return (
            self.orders.filter(pl.col("unfilled") > 0)
            .select(*keys, pl.col(list(columns)).name.replace("unfilled_", ""))
            .unpivot(on=list(UNFILLED_REASONS), index=keys, variable_name="reason", value_name="shares")
            .filter(pl.col("shares") > 0)
            .with_columns((pl.col("shares") * pl.col("reference")).alias("value"))
            .sort("date", "symbol", "reason")
            .select("decision", "date", "attempt", "symbol", "side", "kind", "reason", "shares", "value")
        )
