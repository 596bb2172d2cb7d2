"""Scores and weights made anywhere: read them, judge them, turn them into weights, replay them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import polars as pl
from pydantic import Field

from alphaloom import __version__
from alphaloom.backtest.run import backtest
from alphaloom.backtest.run import required_fields as backtest_fields
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.backtest.universe import FIELDS as UNIVERSE_FIELDS
from alphaloom.backtest.universe import universe_returns
from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_index, load_listing, load_panel
from alphaloom.data.market_rules import MarketRules
from alphaloom.data.parquet_files import read_parquet
from alphaloom.data.sources.frame import PICKLES, frame_of_pickle
from alphaloom.data.store import Store
from alphaloom.data.universe.base import UniverseRule
from alphaloom.data.universe.base import universe_rules as universe_rule_registry
from alphaloom.data.universe.build import build_universe
from alphaloom.data.universe.build import required_fields as universe_fields
from alphaloom.errors import DataError, UsageError, unknown_name
from alphaloom.evaluation.context import CONTEXT_FIELDS, context_of
from alphaloom.evaluation.forward import forward_by_days
from alphaloom.evaluation.settings import EvaluationSettings
from alphaloom.evaluation.signal import evaluate_signal, plain
from alphaloom.panel import Panel
from alphaloom.portfolio.base import Construction
from alphaloom.portfolio.base import constructions as construction_registry
from alphaloom.portfolio.build import build_weights
from alphaloom.portfolio.build import required_fields as portfolio_fields
from alphaloom.recipe import RiskSettings, override
from alphaloom.report.files import write_frame
from alphaloom.report.sections_orders import unfilled_frame
from alphaloom.report.verdict import signal_verdict
from alphaloom.report.write import write_backtest_report, write_signal_report
from alphaloom.risk.base import styles as style_registry
from alphaloom.risk.exposures import required_fields as style_fields
from alphaloom.risk.exposures import style_exposures
from alphaloom.risk_inputs import risk_fields, risk_inputs
from alphaloom.spec import Spec

S = TypeVar("S", bound=Spec)


class OptimiseSettings(Spec):
    """How scores become weights."""

    portfolio: Annotated[Construction, construction_registry] = construction_registry.parse("linear_programme")
    """Construction."""
    risk: RiskSettings = RiskSettings()
    """Styles and benchmark."""
    universe: tuple[Annotated[UniverseRule, universe_rule_registry], ...] = ()
    """Which scored stocks may be bought."""
    capital: Annotated[float, Field(gt=0)] = 1e8
    """Money at the first decision, in the market's currency: what participation limits and impact are counted from."""


def evaluate_scores(
    file: Path,
    store: Store,
    out: Path,
    *,
    horizons: str = "1,5,10",
    price: str = "open",
    lag: int = 1,
    styles: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluate a file of scores; write its figures, tables and report.

    `metrics.json`, `ic.parquet`, `quantiles.parquet`, `left_out.parquet` (what does not count, and why), `report.html`.

    Spreads by capitalisation and traded value, and by industry, are told where the store knows these; exposures and
    RankIC without them for the `styles` asked for.

    Returns:
        The verdict and all numbers, as plain data.

    Raises:
        UsageError: horizons that are no whole numbers, or a price that is none of open, close, vwap.
        DataError: scores on days or of stocks that the store lacks.
    """
    if price not in {"open", "close", "vwap"}:
        raise UsageError(f"--price {price!r}: use open, close or vwap.")
    try:
        days = [int(part) for part in horizons.split(",")]
    except ValueError:
        raise UsageError(f"--horizons {horizons!r}: give whole numbers of trading days, such as 1,5,10.") from None
    settings = _settings(EvaluationSettings, overrides)
    chosen = [style_registry.parse(name, where="--styles") for name in styles]
    known = [name for name in CONTEXT_FIELDS if name in available_fields(store)]
    needed = dict.fromkeys(style_fields(chosen), "the styles") if chosen else {}
    panel = load_panel(store, ["is_listed", f"adj_{price}", *known, *needed], needed_by=needed)
    score, rows = place(read_frame(file, "score"), "score", panel)
    forward = forward_by_days(panel[f"adj_{price}"], panel.dates, rows, days, lag=lag)
    exposures = style_exposures(panel, chosen) if chosen else panel.with_fields({}, keep=False)
    context = context_of(panel, rows, {name: exposures[name][rows] for name in exposures.names})
    report = evaluate_signal(score[rows], forward, panel.dates[rows], settings=settings, context=context)
    write_frame(out / "ic.parquet", report.ic_frame())
    write_frame(out / "quantiles.parquet", report.quantile_frame())
    write_frame(out / "left_out.parquet", report.left_out_frame(panel.symbols))
    origin = {
        "scores": file.name,
        "data_hash": store.fingerprint(),
        "price": price,
        "lag": lag,
        "alphaloom": __version__,
    }
    write_signal_report(report, out / "report.html", title=file.stem, provenance=origin)
    numbers: dict[str, Any] = plain({"verdict": vars(signal_verdict(report)), "signal": report.metrics()})
    return numbers


def optimise_scores(file: Path, store: Store, out: Path, *, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Write target weights of every scored date (`date, symbol, weight`), and the notes on each decision beside them.

    Raises:
        SettingError: a setting is wrong.
        MissingFieldError: the store lacks what the styles, the benchmark or the construction need.
    """
    settings = _settings(OptimiseSettings, overrides, {"portfolio": "linear_programme"})
    needed = {
        "the universe rules": universe_fields(settings.universe),
        "the portfolio": portfolio_fields(settings.portfolio),
        **risk_fields(settings.risk, available_fields(store)),
    }
    owners = {name: who for who, fields in reversed(needed.items()) for name in fields}
    panel, _ = build_universe(settings.universe, load_panel(store, list(owners), needed_by=owners))
    score, rows = place(read_frame(file, "score"), "score", panel)
    risk = risk_inputs(settings.risk, panel, first=int(rows[0]))
    weights, notes = build_weights(
        settings.portfolio,
        score,
        rows,
        panel,
        exposures=risk.exposures,
        benchmark=risk.benchmark,
        risk_model=risk.model,
        capital=settings.capital,
    )
    write_frame(out, weights.to_frame().filter(pl.col("weight") != 0))
    notes_file = out.with_name(f"{out.stem}-notes{out.suffix}")
    write_frame(notes_file, notes)
    return {
        "weights": str(out),
        "notes": str(notes_file),
        "decisions": notes.height,
        "mean_names": float(np.mean(notes["names"].to_numpy())),
        "mean_turnover": float(np.mean(notes["turnover"].to_numpy())),
        **_solved(notes),
    }


def _solved(notes: pl.DataFrame) -> dict[str, Any]:
    """Return what an optimiser's notes say in sum: dates by status and by solver, and the largest gap."""
    if "solver" not in notes.columns:
        return {}
    return {
        **{f"{status}_dates": count for status, count in notes["status"].value_counts(sort=True).iter_rows()},
        "solvers": ", ".join(f"{name} {count}" for name, count in notes["solver"].value_counts(sort=True).iter_rows()),
        "largest_gap": float(np.max(notes["gap"].to_numpy())),
    }


def backtest_weights(
    file: Path,
    store: Store,
    out: Path,
    *,
    benchmark: str | None = None,
    portfolio: str | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Replay a file of target weights under the market's rules.

    Writes `metrics.json`, `nav.parquet`, `orders.parquet`, `fills.parquet` and `report.html`.

    Args:
        file: target weights (`read_frame`).
        store: the market data.
        out: folder for what is written.
        benchmark: index symbol to compare with; None for none.
        portfolio: name of the portfolio to replay, of a file that holds several in a column `portfolio`.
        overrides: backtest settings, as `setting=value`.

    Returns:
        Metrics, yearly figures and what was left unfilled, as plain data.

    Raises:
        UsageError: the file holds several portfolios and none, or an unknown one, was named.
        DataError: weights that cannot be traded.
    """
    settings = _settings(BacktestSettings, overrides, {"market": store.market})
    available = [name for name in UNIVERSE_FIELDS if name in available_fields(store)]
    panel = load_panel(store, [*backtest_fields(settings), *available])
    weight, rows = place(read_frame(file, "weight", portfolio=portfolio), "weight", panel)
    weight[rows] = np.nan_to_num(weight[rows], nan=0.0)
    result = backtest(
        panel.with_fields({"weight": weight}, keep=False),
        panel,
        settings,
        benchmark=load_index(store, benchmark, panel.dates) if benchmark else None,
        universe=universe_returns(panel) if available else None,
        listing=load_listing(store),
    )
    for name, frame in (("nav", result.nav), ("orders", result.orders), ("fills", result.fills)):
        write_frame(out / f"{name}.parquet", frame)
    annual_days = settings.annual_days or float(MarketRules.load(settings.market).annual_days)
    origin = {
        "weights": file.name,
        "data_hash": store.fingerprint(),
        "data_notes": store.meta.get("notes", []),
        "settings": settings.dump(),
        "benchmark": benchmark,
        "alphaloom": __version__,
    }
    write_backtest_report(result, out / "report.html", title=file.stem, annual_days=annual_days, provenance=origin)
    numbers: dict[str, Any] = plain(
        {
            "metrics": result.metrics,
            "yearly": result.yearly.to_dicts(),
            "unfilled": unfilled_frame(result).to_dicts(),
        }
    )
    return numbers


def read_frame(file: Path, value: Literal["score", "weight"], *, portfolio: str | None = None) -> pl.DataFrame:
    """Return the long frame of a file with `date`, `symbol` and the value column alone.

    Parquet, CSV, or a pickled pandas frame; `datetime` and `instrument`, as columns or as the pandas index, mean `date`
    and `symbol`. Of a frame with a column `portfolio` the rows of that one are taken.

    Raises:
        UsageError: no such file, none of these forms, or several portfolios and none, or an unknown one, was named.
        DataError: a column is absent, the value is not a number, a date is none, or there is no row.
    """
    if not file.is_file():
        raise UsageError(f"There is no file {file}.")
    if file.suffix == ".csv":
        try:
            frame = pl.read_csv(file, try_parse_dates=True)
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{file.name} is not a readable CSV file: {error}") from None
    elif file.suffix == ".parquet":
        frame = read_parquet(file)
    elif file.suffix in PICKLES:
        frame = frame_of_pickle(file)
    else:
        raise UsageError(f"{file}: give a .parquet, .csv or .pkl file with date, symbol and {value} columns.")
    also = {"datetime": "date", "instrument": "symbol"}
    frame = frame.rename({old: new for old, new in also.items() if old in frame.columns and new not in frame.columns})
    frame = _one_portfolio(frame, file, portfolio)
    for column in ("date", "symbol", value):
        if column not in frame.columns:
            raise DataError(f"{file.name} has no column {column!r}; it has: {', '.join(frame.columns)}.")
    if not frame[value].dtype.is_numeric():
        raise DataError(f"{file.name}: column {value!r} is {frame[value].dtype}; it must hold numbers.")
    if not frame.height:
        raise DataError(f"{file.name} holds no row.")
    day = pl.col("date")
    try:
        day = day.str.to_date("%Y-%m-%d") if frame["date"].dtype == pl.String else day.cast(pl.Date)
        return frame.select(day, pl.col("symbol").cast(pl.String), value)
    except pl.exceptions.PolarsError:
        first = frame["date"].drop_nulls()[:1].to_list()
        raise DataError(f"{file.name}: column 'date' does not hold dates (2024-12-31) but {first}.") from None


def _one_portfolio(frame: pl.DataFrame, file: Path, wanted: str | None) -> pl.DataFrame:
    """Return the rows of one portfolio, of a frame that may hold several in a column `portfolio`.

    Raises:
        UsageError: it holds several and none was named, or not the one that was.
    """
    if "portfolio" not in frame.columns:
        if wanted is not None:
            raise UsageError(f"{file.name} has no column 'portfolio'; leave out --portfolio {wanted}.")
        return frame
    names = frame["portfolio"].cast(pl.String).unique(maintain_order=True).to_list()
    if wanted is None and len(names) > 1:
        raise UsageError(f"{file.name} holds {len(names)} portfolios: {', '.join(names)}. Choose one with --portfolio.")
    if wanted is not None and wanted not in names:
        raise unknown_name("portfolio", wanted, names, where=file.name)
    return frame.filter(pl.col("portfolio").cast(pl.String) == wanted) if wanted is not None else frame


def place(frame: pl.DataFrame, value: str, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Return the values `[T, N]` on the panel's axes and the rows that hold some.

    Raises:
        DataError: a repeated key, or a day or stock that the panel lacks.
    """
    given = Panel.from_frame(frame, dates=panel.dates, symbols=panel.symbols)
    values = np.array(given[value])
    return values, np.flatnonzero(given.universe.any(axis=1))


def _settings(cls: type[S], overrides: Sequence[str], base: Mapping[str, Any] | None = None) -> S:
    data: dict[str, Any] = dict(base or {})
    for text in overrides:
        data = override(data, text)
    return cls.parse(data, where="--set")
