"""Return, risk and cost figures of a daily series of net asset values.

One definition of each figure, used for the whole span and for each year, with its wording in `conventions`.
"""

import numpy as np
import polars as pl

from alphaloom.backtest.result import COST_KINDS, YEARLY_SCHEMA
from alphaloom.typing import Doubles


def max_drawdown(returns: Doubles) -> float:
    """Return the deepest fall from a peak, as a fraction of the peak: 0 or negative.

    The start, before the first return, counts as a peak. NaN for no returns or any NaN among them.

    >>> max_drawdown(np.array([0.5, -0.2, -0.25, 1.0]))
    -0.4
    """
    if returns.size == 0 or np.isnan(returns).any():
        return float("nan")
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    peak = np.maximum.accumulate(wealth)
    return float(round(np.min(wealth / peak - 1.0), 15))


def total_return(returns: Doubles) -> float:
    """Return the compounded return; NaN for no returns or any NaN among them."""
    return float(np.prod(1.0 + returns) - 1.0) if returns.size else float("nan")


def annual_return(returns: Doubles, annual_days: float) -> float:
    """Return the geometric annual return `(1 + total) ** (annual_days / days) - 1`; -1 once all is lost."""
    total = total_return(returns)
    if np.isnan(total):
        return total
    return float((1.0 + total) ** (annual_days / returns.size) - 1.0) if total > -1.0 else -1.0


def volatility(returns: Doubles, annual_days: float) -> float:
    """Return the annual standard deviation (divisor n - 1); NaN for fewer than two returns."""
    return float(np.std(returns, ddof=1) * np.sqrt(annual_days)) if returns.size > 1 else float("nan")


def sharpe(returns: Doubles, annual_days: float) -> float:
    """Return mean over standard deviation, both annual, without a risk-free rate; NaN when the deviation is 0."""
    risk = volatility(returns, annual_days)
    return float(np.mean(returns) * annual_days / risk) if risk > 0 else float("nan")


def relative_returns(returns: Doubles, benchmark: Doubles) -> Doubles:
    """Return the daily returns of the ratio of the two values: `(1 + r) / (1 + b) - 1`."""
    return (1.0 + returns) / (1.0 + benchmark) - 1.0


def metrics_of(nav: pl.DataFrame, annual_days: float) -> dict[str, float]:
    """Return the figures of the whole span of a `nav` table (first row the base); NaN where undefined."""
    days = nav.slice(1)
    ret, bench = _column(days, "ret"), _column(days, "benchmark_ret")
    universe = _column(days, "universe_ret")
    out = {
        "days": float(ret.size),
        "total_return": total_return(ret),
        "annual_return": annual_return(ret, annual_days),
        "annual_return_arithmetic": float(np.mean(ret) * annual_days) if ret.size else float("nan"),
        **_risk(ret, bench, annual_days),
        "benchmark_total_return": total_return(bench),
        "benchmark_annual_return": annual_return(bench, annual_days),
        "benchmark_volatility": volatility(bench, annual_days),
        "benchmark_sharpe": sharpe(bench, annual_days),
        "benchmark_max_drawdown": max_drawdown(bench),
        "excess_annual_return": annual_return(relative_returns(ret, bench), annual_days),
        "excess_annual_return_arithmetic": float(np.mean(ret - bench) * annual_days) if ret.size else float("nan"),
        "universe_annual_return": annual_return(universe, annual_days),
        "universe_excess_annual_return": annual_return(relative_returns(ret, universe), annual_days),
        "turnover_annual": _annual(days, "turnover", annual_days),
        "cost_annual": _annual(days, "cost", annual_days),
        **{f"{kind}_annual": _annual(days, kind, annual_days) for kind in COST_KINDS},
        "short_weight_mean": _mean(days, "short_weight"),
        "cash_weight_mean": _mean(days, "cash_weight"),
        "holdings_mean": _mean(days, "holdings"),
    }
    spread = bench - bench.mean() if bench.size else bench
    power = float(spread @ spread)
    out["beta"] = float(spread @ (ret - ret.mean()) / power) if power > 0 else float("nan")
    return out


def yearly_of(nav: pl.DataFrame, annual_days: float) -> pl.DataFrame:
    """Return the table by calendar year (columns of `YEARLY_SCHEMA`) of a `nav` table (first row the base)."""
    days = nav.slice(1)
    columns = {name: _column(days, name) for name in days.columns if name != "date"}
    year = days["date"].dt.year().to_numpy()
    rows = []
    for each in np.unique(year):
        part = {name: values[year == each] for name, values in columns.items()}
        ret, bench = part["ret"], part["benchmark_ret"]
        rows.append(
            {
                "year": int(each),
                "days": ret.size,
                "ret": total_return(ret),
                "benchmark": total_return(bench),
                "excess": total_return(relative_returns(ret, bench)),
                "universe": total_return(part["universe_ret"]),
                **_risk(ret, bench, annual_days),
                **{name: float(part[name].sum()) for name in ("turnover", "cost", *COST_KINDS)},
            }
        )
    return pl.DataFrame(rows, schema=YEARLY_SCHEMA)


def conventions(annual_days: float, benchmark: str = "") -> dict[str, str]:
    """Return how the figures are defined, in words."""
    return {
        "annual_return": f"geometric: (1 + total return) ^ ({annual_days:g} / days) - 1",
        "annual_return_arithmetic": f"mean daily return x {annual_days:g}",
        "volatility": f"standard deviation of daily returns (n - 1) x sqrt({annual_days:g})",
        "sharpe": f"mean over standard deviation of daily returns x sqrt({annual_days:g}); risk-free rate 0",
        "max_drawdown": "deepest fall below an earlier peak, divided by that peak; negative",
        "benchmark": benchmark or "none",
        "excess_ret": "daily return less the benchmark's",
        "excess_annual_return": "geometric, of the ratio of net asset value to benchmark",
        "excess_annual_return_arithmetic": f"mean of the daily differences x {annual_days:g}",
        "excess_max_drawdown": "of the ratio of net asset value to benchmark",
        "tracking_error": f"standard deviation of the daily differences x sqrt({annual_days:g})",
        "information_ratio": f"mean over standard deviation of the daily differences x sqrt({annual_days:g})",
        "turnover": "one-way: half of bought and sold value by the day's opening net asset value",
        "cost": "commission, duty, fees, slippage, impact and borrowed shares by the day's opening net asset value",
        "universe_ret": "equal-weighted daily return of every stock that may be held, without costs",
        "universe_excess_annual_return": "geometric, of the ratio of net asset value to that universe",
        "first_day": "the first row is the base, all in cash; it counts in no figure",
    }


def _risk(ret: Doubles, bench: Doubles, annual_days: float) -> dict[str, float]:
    active = ret - bench
    return {
        "volatility": volatility(ret, annual_days),
        "sharpe": sharpe(ret, annual_days),
        "max_drawdown": max_drawdown(ret),
        "excess_max_drawdown": max_drawdown(relative_returns(ret, bench)),
        "tracking_error": volatility(active, annual_days),
        "information_ratio": sharpe(active, annual_days),
    }


def _column(frame: pl.DataFrame, name: str) -> Doubles:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _mean(frame: pl.DataFrame, name: str) -> float:
    values = _column(frame, name)
    return float(values.mean()) if values.size else float("nan")


def _annual(frame: pl.DataFrame, name: str, annual_days: float) -> float:
    return _mean(frame, name) * annual_days
