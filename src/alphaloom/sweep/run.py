"""Runs a sweep: decisions of all points date by date together, their replays, a folder a point, one report."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import alphaloom.backtest
import alphaloom.portfolio
from alphaloom import __version__
from alphaloom.backtest.measures import yearly_of
from alphaloom.backtest.result import ORDERS_SCHEMA, BacktestResult
from alphaloom.backtest.run import backtest
from alphaloom.backtest.run import required_fields as backtest_fields
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.backtest.universe import universe_returns
from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_index, load_listing, load_panel
from alphaloom.data.market_rules import MarketRules
from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.data.universe.build import required_fields as universe_fields
from alphaloom.errors import SettingError, UsageError
from alphaloom.evaluation.signal import plain
from alphaloom.outside import place
from alphaloom.portfolio.build import build_grid
from alphaloom.portfolio.outlook import Market
from alphaloom.portfolio.outlook import required_fields as portfolio_fields
from alphaloom.report.files import write_frame, write_text
from alphaloom.report.sections_orders import unfilled_frame
from alphaloom.report.sweep import SweepPoint, SweepReport
from alphaloom.report.sweep_page import write_sweep_page
from alphaloom.risk_inputs import risk_fields, risk_inputs
from alphaloom.spec import fingerprint
from alphaloom.sweep.settings import Point, SweepSettings, axis_names, label_of, points_of
from alphaloom.training.code import code_hash
from alphaloom.typing import Doubles, Floats, Ints

Progress = Callable[[str, int, int], None]
DONE = "point.json"
SHARED = ("risk", "universe", "rebalance")
"""Settings that are the same for all points."""
PER_TASK = 6
"""Portfolios that pass the dates together: enough to share the work of a date, few enough to lose little when a sweep
is interrupted."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What all points share, `[T, N]` and `[T]`."""

    score: Floats
    rows: Ints
    market: Market
    closes: Doubles | None
    universe: Doubles | None
    listing: pl.DataFrame


def run_sweep(
    scores: pl.DataFrame,
    store: Store,
    out: Path,
    settings: SweepSettings,
    *,
    origin: Mapping[str, Any],
    threads: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SweepReport:
    """Run a sweep into the folder `out`, or finish what an interrupted one left there.

    Writes `sweep.parquet` (a row a point: where it stands and its figures), `yearly.parquet`, `metrics.json`,
    `report.html`, and for each point a folder in `points` with its weights, decisions, orders, daily values and
    settings. Points found finished, of the same scores, data, settings and code, are not computed again.

    Args:
        scores: `date, symbol, score`; every `rebalance`-th date with scores is a decision.
        store: the market data.
        out: folder to write.
        settings: what is varied.
        origin: what the scores are, for the report.
        threads: processes that work side by side.
        overwrite: whether points of another sweep in the folder may be replaced.
        progress: called with the number of finished points.

    Raises:
        UsageError: the folder holds another sweep.
        SettingError: a setting that a point does not take; nothing was computed.
        DataError, MissingFieldError, RunError: as `alphaloom optimise` and `backtest`.
    """
    tell = progress or (lambda *_: None)
    tell("market data", 0, 1)
    points = points_of(settings)
    _check_points(points, settings)
    key = fingerprint([store.fingerprint(), _content(scores), *(settings.dump()[part] for part in SHARED)])
    keys = {point.name: _key(point, key) for point in points}
    _check_folder(out, points, keys, overwrite=overwrite)
    left = [point for point in points if not _is_done(out, point, keys[point.name])]
    inputs = load_inputs(scores, store, settings, points)
    tasks = _tasks(left, threads)
    done = len(points) - len(left)
    tell("portfolios", done, len(points))
    for finished in _in_parallel(inputs, tasks, out, keys, threads):
        done += finished
        tell("portfolios", done, len(points))
    tell("report", 0, 1)
    report = SweepReport(
        title=settings.name,
        description=settings.description,
        axes={
            name: tuple(label_of(value) for value in values)
            for name, values in zip(axis_names(settings.axes), settings.axes.values(), strict=True)
        },
        points=[_read(out, point) for point in points],
        annual_days=annual_days(settings.backtest),
        provenance={
            **origin,
            "data_hash": store.fingerprint(),
            "market": store.market,
            "data_notes": store.meta.get("notes", []),
            "alphaloom": __version__,
            "settings": settings.dump(),
        },
    )
    write_frame(out / "sweep.parquet", report.table())
    write_frame(out / "yearly.parquet", report.yearly())
    write_sweep_page(report, out / "report.html")
    return report


def load_inputs(scores: pl.DataFrame, store: Store, settings: SweepSettings, points: Sequence[Point]) -> Inputs:
    """Return what all points share; everything is read and computed once."""
    there = available_fields(store)
    needed = {
        "the universe rules": universe_fields(settings.universe),
        "the portfolios": portfolio_fields(*(point.construction for point in points)),
        "the backtest": [name for point in points for name in backtest_fields(point.backtest)],
        **risk_fields(settings.risk, there),
    }
    owners = {name: who for who, fields in reversed(needed.items()) for name in fields}
    panel, _ = build_universe(settings.universe, load_panel(store, list(owners), needed_by=owners))
    score, rows = place(scores, "score", panel)
    rows = rows[:: settings.rebalance]
    stop = min(int(rows[-1]) + _holding(rows) + settings.backtest.lag + 1, panel.dates.size)
    panel, score = panel.rows(0, stop), score[:stop]
    risk = risk_inputs(settings.risk, panel, first=int(rows[0]))
    index = settings.risk.benchmark
    return Inputs(
        score=score,
        rows=rows,
        market=Market(panel, risk.exposures, risk.benchmark, risk.model),
        closes=load_index(store, index, panel.dates) if index is not None else None,
        universe=universe_returns(panel),
        listing=load_listing(store),
    )


def _holding(rows: Ints) -> int:
    """Return the usual number of rows from a decision to the next: the last one is held as long."""
    return int(np.median(np.diff(rows))) if rows.size > 1 else np.iinfo(np.int32).max


def _tasks(points: Sequence[Point], threads: int) -> list[list[Point]]:
    """Return points in lists that each pass the dates together: of one capital, points of equal decisions in one."""
    groups: dict[tuple[float, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.backtest.capital, point.decisions_key), []).append(point)
    tasks: list[list[Point]] = []
    for capital in dict.fromkeys(capital for capital, _ in groups):
        own = [group for (money, _), group in groups.items() if money == capital]
        size = max(1, min(PER_TASK, -(-len(own) // threads)))
        tasks += [[p for group in own[k : k + size] for p in group] for k in range(0, len(own), size)]
    return tasks


def _in_parallel(
    inputs: Inputs, tasks: Sequence[Sequence[Point]], out: Path, keys: Mapping[str, str], threads: int
) -> Iterator[int]:
    """Yield the number of points of each finished task; the market is one memory map for all processes."""
    if threads == 1 or len(tasks) < 2:
        for task in tasks:
            yield run_task(inputs, task, out, keys)
        return
    import joblib

    workers = joblib.Parallel(n_jobs=min(threads, len(tasks)), return_as="generator_unordered")
    yield from workers(joblib.delayed(run_task)(inputs, task, out, keys) for task in tasks)


def run_task(inputs: Inputs, points: Sequence[Point], out: Path, keys: Mapping[str, str]) -> int:
    """Decide and replay points of one capital, write a folder each, and return their number."""
    constructions = {point.decisions_key: point.construction for point in points}
    market = replace(inputs.market, capital=points[0].backtest.capital)
    made = build_grid(constructions, inputs.score, inputs.rows, market)
    for point in points:
        weights, notes = made[point.decisions_key]
        result = backtest(
            weights,
            market.panel,
            point.backtest,
            benchmark=inputs.closes,
            universe=inputs.universe,
            listing=inputs.listing,
        )
        folder = out / "points" / point.folder
        write_frame(folder / "weights.parquet", weights.to_frame().filter(pl.col("weight") != 0))
        for name, frame in (("decisions", notes), ("orders", result.orders), ("nav", result.nav)):
            write_frame(folder / f"{name}.parquet", frame)
        facts = {
            "key": keys[point.name],
            "name": point.name,
            "labels": point.labels,
            "portfolio": point.construction.describe(),
            "backtest": point.backtest.dump(),
            "metrics": plain(result.metrics),
            "decisions": decision_facts(notes),
            "unfilled": unfilled_frame(result).to_dicts(),
            "conventions": result.conventions,
        }
        write_text(folder / DONE, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return len(points)


def decision_facts(notes: pl.DataFrame) -> dict[str, float]:
    """Return what the notes on a portfolio's decisions say in sum."""
    relaxed = notes.filter(pl.col("status") == "relaxed").height if "status" in notes.columns else 0
    return {
        "decisions": float(notes.height),
        "relaxed": float(relaxed),
        "names": float(np.mean(notes["names"].to_numpy())),
        "cash": float(np.mean(notes["cash"].to_numpy())),
        "turnover": float(np.mean(notes["turnover"].to_numpy())),
    }


def _check_points(points: Sequence[Point], settings: SweepSettings) -> None:
    """Refuse before any work what the replay or the optimiser would refuse later.

    Raises:
        SettingError: a short portfolio without short selling, a style limit without styles, or a variance without a
            risk model.
    """
    for point in points:
        item, risk = point.construction, settings.risk
        lacking = (
            "backtest.short_selling: it sells short"
            if not item.is_long_only and not point.backtest.short_selling
            else "risk.styles: it limits style exposures"
            if item.uses_risk and not risk.styles
            else "risk.model: it forecasts its variance"
            if item.uses_forecast and risk.model is None
            else ""
        )
        if lacking:
            raise SettingError(f"The portfolio {point.name!r} needs {lacking}.")


def _check_folder(out: Path, points: Sequence[Point], keys: Mapping[str, str], *, overwrite: bool) -> None:
    if overwrite or not out.exists():
        return
    folder = out / "points"
    if not folder.is_dir():
        if any(out.iterdir()):
            raise UsageError(f"{out} is not empty and holds no sweep. Give an empty or new folder with --out.")
        return
    for point in points:
        if (folder / point.folder / DONE).is_file() and not _is_done(out, point, keys[point.name]):
            raise UsageError(
                f"{out} holds a sweep of other scores, data or settings, or of another version of the code (point "
                f"{point.name!r} differs). Give another --out, or --overwrite to replace it."
            )


def _is_done(out: Path, point: Point, key: str) -> bool:
    file = out / "points" / point.folder / DONE
    return file.is_file() and json.loads(file.read_text(encoding="utf-8"))["key"] == key


def _read(out: Path, point: Point) -> SweepPoint:
    folder = out / "points" / point.folder
    facts = json.loads((folder / DONE).read_text(encoding="utf-8"))
    nav = pl.read_parquet(folder / "nav.parquet")
    metrics = {key: float("nan") if value is None else value for key, value in facts["metrics"].items()}
    result = BacktestResult(
        nav=nav,
        yearly=yearly_of(nav, annual_days(point.backtest)),
        metrics=metrics,
        orders=pl.DataFrame(schema=ORDERS_SCHEMA),
        conventions=facts["conventions"],
    )
    return SweepPoint(point.name, point.labels, result, facts["decisions"], pl.DataFrame(facts["unfilled"]))


def annual_days(settings: BacktestSettings) -> float:
    """Return the trading days a year by which a replay is annualised."""
    return settings.annual_days or float(MarketRules.load(settings.market).annual_days)


def _key(point: Point, shared: str) -> str:
    folders = (Path(module.__path__[0]) for module in (alphaloom.backtest, alphaloom.portfolio))
    code = code_hash([point.construction], *(file for folder in folders for file in folder.rglob("*.py")))
    return fingerprint([shared, code, __version__, point.construction.describe(), point.backtest.dump()])


def _content(scores: pl.DataFrame) -> str:
    ordered = scores.sort("date", "symbol")
    return fingerprint([ordered.height, ordered.hash_rows(seed=0).hash(seed=0).sum(), str(ordered.schema)])
