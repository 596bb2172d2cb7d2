"""The section on portfolios: returns against benchmark and universe, by year, and what trading cost."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from alphaloom.backtest.drawdowns import worst_drawdowns
from alphaloom.backtest.result import BacktestResult
from alphaloom.report import figures_portfolio
from alphaloom.report.content import (
    Block,
    Chart,
    Code,
    Column,
    Section,
    Table,
    Text,
    count,
    number,
    percent,
    significant,
    table,
    text,
)
from alphaloom.report.verdict import excess_test

PERCENT_METRICS = (
    "return", "volatility", "drawdown", "tracking_error", "turnover", "cost", "weight", "unfilled_mean", "commission",
    "duty", "transfer_fee", "slippage", "impact", "borrow",
)  # fmt: skip

YEARLY = (
    Column("year", "Year", text),
    Column("days", "Days", count),
    Column("ret", "Return", percent(1)),
    Column("benchmark", "Benchmark", percent(1)),
    Column("excess", "Excess", percent(1), "over the benchmark, geometric"),
    Column("universe", "Universe", percent(1), "equal-weighted return of all stocks that may be held, without costs"),
    Column("volatility", "Volatility", percent(1), "a year"),
    Column("sharpe", "Sharpe", number(2)),
    Column("max_drawdown", "Drawdown", percent(1), "deepest, of the peak"),
    Column("excess_max_drawdown", "Excess drawdown", percent(1), "relative to the benchmark"),
    Column("tracking_error", "Tracking error", percent(1), "a year"),
    Column("information_ratio", "IR", number(2)),
    Column("turnover", "Turnover", percent(0), "one-way, sum of the year"),
    Column("cost", "Cost", percent(2), "sum of the year"),
    Column("commission", "Commission", percent(2)),
    Column("duty", "Duty", percent(2), "stamp duty, or the regulator's fee on sales"),
    Column("transfer_fee", "Fees", percent(2), "transfer fee, or the exchange's"),
    Column("slippage", "Slippage", percent(2)),
    Column("impact", "Impact", percent(2)),
    Column("borrow", "Borrowing", percent(2), "cost of borrowed shares"),
)


def portfolio_section(
    portfolios: Mapping[str, BacktestResult], annual_days: float, *, data_notes: Sequence[str] = ()
) -> Section:
    """Return portfolios against benchmark and universe, after costs; `data_notes` is the store's word on its data."""
    has_benchmark = any(result.nav["excess_ret"].is_not_null().any() for result in portfolios.values())
    blocks: list[Block] = [excess_table(portfolios, annual_days)] if has_benchmark else []
    blocks += level_texts(portfolios, data_notes)
    blocks.append(metrics_table(portfolios))
    blocks.append(Chart("Growth of 1", figures_portfolio.net_asset_value(portfolios), "After all costs; log axis."))
    if has_benchmark:
        blocks.append(Chart("Relative to the benchmark", figures_portfolio.excess_growth(portfolios), is_half=True))
    blocks.append(Chart("Drawdown", figures_portfolio.drawdowns(portfolios), is_half=has_benchmark))
    if has_benchmark:
        note = "Excess return is geometric; cost is below zero."
        blocks.append(Chart("By year", figures_portfolio.yearly_bars(portfolios), note, height=300))
    if len(portfolios) > 1:
        blocks.append(years_table(portfolios))
    for name, result in portfolios.items():
        blocks.append(table(f"By year: {name}", result.yearly, YEARLY))
        title = "Excess return by month" if has_benchmark else "Return by month"
        height = 90 + 30 * result.yearly.height
        blocks.append(Chart(f"{title}: {name}", figures_portfolio.monthly_heat(result), "Compounded.", height))
        blocks.append(drawdowns_table(name, result))
        note = "Sum of the year by net asset value."
        blocks.append(Chart(f"Costs by kind: {name}", figures_portfolio.cost_bars(result), note, 260, is_half=True))
        note = "Fractions of net asset value."
        bars = figures_portfolio.trading_bars(result)
        blocks.append(Chart(f"Trading by month: {name}", bars, note, 260, is_half=True))
    first = next(iter(portfolios.values()))
    if first.conventions:
        lines = "\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in first.conventions.items())
        blocks.append(Code("How these figures are defined", lines))
    lead = "Replayed day by day with entry after the decision, the market's rules and every cost."
    return Section("portfolio", "Portfolio", lead, blocks)


DRAWDOWNS = (
    Column("depth", "Depth", percent(1), "below the peak"),
    Column("peak", "Peak", text, numeric=False),
    Column("trough", "Trough", text, numeric=False),
    Column("recovery", "Made good", text, "first day at the peak's value again", numeric=False),
    Column("days_down", "Days down", count, "trading days from peak to trough"),
    Column("days_up", "Days up", count, "trading days from trough to recovery"),
)


def drawdowns_table(name: str, result: BacktestResult) -> Table:
    """Return the five deepest drawdowns of a portfolio."""
    dates = result.nav["date"].to_numpy().astype("datetime64[D]")
    found = worst_drawdowns(dates, result.nav["ret"].cast(pl.Float64).to_numpy())
    return table(f"Deepest drawdowns: {name}", found, DRAWDOWNS)


def level_texts(portfolios: Mapping[str, BacktestResult], data_notes: Sequence[str]) -> list[Block]:
    """Return what the level of returns rests on: the universe's own return, missing data, delistings."""
    p1, parts = percent(1), []
    first = next(iter(portfolios.values())).metrics
    universe, benchmark = first.get("universe_annual_return"), first.get("benchmark_annual_return")
    if universe is not None and np.isfinite(universe):
        beside = f", the benchmark {p1(benchmark)}" if benchmark is not None and np.isfinite(benchmark) else ""
        parts.append(
            f"All stocks that may be held earned {p1(universe)} a year, equally weighted and without costs{beside}. So "
            "much needs no choice: a universe known only in hindsight, or one whose delisted stocks are absent, has it "
            "for free. Over this universe, after all costs, the portfolios earned a year: "
            + ", ".join(
                f"{name} {p1(result.metrics.get('universe_excess_annual_return'))}"
                for name, result in portfolios.items()
            )
            + "."
        )
    for name, result in portfolios.items():
        gone = result.metrics.get("delisted", 0.0)
        if gone:
            marked, brought = (count(result.metrics[f"delisted_{what}"]) for what in ("value", "recovered"))
            parts.append(
                f"{name}: {count(gone)} positions were closed for a delisting; last marked at {marked}, they brought "
                f"{brought}."
            )
        beyond = result.metrics.get("fills_beyond_limits", 0.0)
        if beyond:
            parts.append(
                f"{name}: {count(beyond)} fills are on days whose bar lies beyond the price limits of the rules "
                "(relistings, or faulty adjustment factors); no limit was kept there."
            )
    if data_notes:
        parts.append("The store says of its data: " + "; ".join(note.rstrip(".") for note in data_notes) + ".")
    return [Text(part) for part in parts]


def years_table(portfolios: Mapping[str, BacktestResult]) -> Table:
    """Return return, Sharpe ratio and drawdown of every portfolio by year, side by side.

    Source: seed study of weekly boosting, table 10.
    """
    forms = (("ret", "return", percent(1)), ("sharpe", "Sharpe", number(2)), ("max_drawdown", "drawdown", percent(1)))
    frame: pl.DataFrame | None = None
    columns = [Column("year", "Year", text)]
    for name, result in portfolios.items():
        own = result.yearly.select("year", *(pl.col(key).alias(f"{key} {name}") for key, _, _ in forms))
        frame = own if frame is None else frame.join(own, on="year", how="full", coalesce=True)
        columns += [Column(f"{key} {name}", f"{name}, {title}", form) for key, title, form in forms]
    assert frame is not None
    return table("Portfolios by year", frame.sort("year"), columns)


def excess_table(portfolios: Mapping[str, BacktestResult], annual_days: float) -> Table:
    """Return excess return and information ratio of every portfolio with their uncertainty."""
    rows = []
    root = float(np.sqrt(annual_days))
    for name, result in portfolios.items():
        test = excess_test(result.nav)
        rows.append(
            {
                "portfolio": name,
                "excess": test.mean * annual_days,
                "interval": f"{percent(1)(test.low * annual_days)} to {percent(1)(test.high * annual_days)}",
                "ir": test.ir * root,
                "ir_interval": f"{number(2)(test.ir_low * root)} to {number(2)(test.ir_high * root)}",
                "t": test.t_newey_west,
                "positive": test.positive,
                "n": test.n,
            }
        )
    columns = (
        Column("portfolio", "Portfolio", text, numeric=False),
        Column("excess", "Excess a year", percent(1), "arithmetic: mean daily difference x days a year"),
        Column("interval", "Interval", text, "stationary bootstrap, 95 %"),
        Column("ir", "IR", number(2), "information ratio a year"),
        Column("ir_interval", "Interval", text, "stationary bootstrap, 95 %"),
        Column("t", "t (NW)", number(2)),
        Column("positive", "Days ahead", percent(1), "share of days with an excess return above zero"),
        Column("n", "Days", count),
    )
    return table("Excess over the benchmark", pl.DataFrame(rows), columns)


def metrics_table(portfolios: Mapping[str, BacktestResult]) -> Table:
    """Return every metric of every portfolio, one column each; definitions on hover."""
    keys = list(dict.fromkeys(key for result in portfolios.values() for key in result.metrics))
    conventions = next(iter(portfolios.values())).conventions
    rows = []
    for key in keys:
        is_share = not key.endswith("_total") and any(part in key for part in PERCENT_METRICS)
        form = percent(1) if is_share else significant
        rows.append(
            [
                key.replace("_", " "),
                *(form(result.metrics.get(key)) for result in portfolios.values()),
                conventions.get(key, ""),
            ]
        )
    titles = ["Figure", *portfolios, "Definition"]
    numeric = [False, *[True] * len(portfolios), False]
    return Table("Whole span", titles, rows, numeric, [""] * len(titles), is_folded=True)
