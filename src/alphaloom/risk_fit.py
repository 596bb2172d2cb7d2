"""From a store to a risk model in a folder; from the folder to its report, to attributions and neutral scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alphaloom import __version__
from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_panel
from alphaloom.data.market_rules import MarketRules
from alphaloom.data.store import Store
from alphaloom.errors import DataError, UsageError
from alphaloom.outside import place, read_frame
from alphaloom.panel import Panel
from alphaloom.portfolio.benchmark import Unknown, benchmark_weights
from alphaloom.portfolio.benchmark import required_fields as benchmark_fields
from alphaloom.report.files import write_frame
from alphaloom.report.risk_folder import RiskFolder, check_place, read_risk, write_risk
from alphaloom.report.risk_page import write_attribution_page, write_risk_page
from alphaloom.risk.attribution import attribute_returns, attribute_risk
from alphaloom.risk.bias import BiasSettings, bias_test
from alphaloom.risk.diagnostics import factor_table
from alphaloom.risk.exposures import max_lookback
from alphaloom.risk.factor_risk import FactorRisk
from alphaloom.risk.holdings import held_weights, holding_returns
from alphaloom.risk.models.cne5 import Cne5Risk
from alphaloom.risk.neutral import neutral
from alphaloom.risk.presets import preset_source
from alphaloom.risk.regression import simple_returns

Progress = Callable[[str, int, int], None]


def fit_risk(
    store: Store,
    out: Path,
    settings: Cne5Risk,
    *,
    bias: BiasSettings | None,
    start: object = None,
    end: object = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fit a risk model on a store's dates up to `end` and write those from `start` on into the folder `out`.

    Dates before `start` give exposures their history, and moments theirs.

    Returns:
        What the command prints: counts, factor facts, bias statistics, what is left out.

    Raises:
        UsageError: `out` holds something already.
        MissingFieldError: the store lacks what the model cannot do without.
        DataError: too few dates or stocks.
    """
    check_place(out, overwrite=overwrite)
    tell = progress or _silent
    tell("market data", 0, 1)
    there = set(available_fields(store))
    fields = [*settings.required, *(name for name in settings.wanted if name in there)]
    panel = load_panel(store, fields, end=end, needed_by=dict.fromkeys(settings.required, "the risk model"))
    model = settings.fit(panel, tell)
    first = panel.span(start)[0]
    if first >= panel.dates.size:
        raise DataError(f"--from {start} is after the last trading day, {panel.dates[-1]}.")
    tested = _test(model, panel, bias, first, tell)
    annual_days = float(MarketRules.load(store.market).annual_days)
    meta: dict[str, Any] = {
        "name": settings.name,
        "market": store.market,
        "annual_days": annual_days,
        "data_hash": store.fingerprint(),
        "alphaloom": __version__,
        "preset": settings.preset,
        "preset_source": preset_source(settings.preset),
        "settings": settings.describe(),
        "bias_settings": None if bias is None else bias.dump(),
        "lookback": max_lookback(settings.styles),
        "from": str(panel.dates[first]),
        "to": str(panel.dates[-1]),
    }
    tell("writing", 0, 1)
    held = RiskFolder(model, meta, *tested)
    write_risk(out, held, start=first)
    facts = factor_table(model, annual_days, start=first)
    return {
        "folder": str(out),
        "from": meta["from"],
        "to": meta["to"],
        "factors": facts.to_dicts(),
        "bias": tested[0].to_dicts(),
        "left_out": model.left_out.to_dicts(),
        "r2": float(np.nanmean(model.regressions.r2[first:])),
    }


def report_risk(folder: Path, out: Path | None = None) -> Path:
    """Write the page of the model in a folder, `report.html` in it by default, and return its path.

    Raises:
        DataError: the folder holds no risk model.
    """
    path = out or folder / "report.html"
    write_risk_page(read_risk(folder), path)
    return path


def attribute_weights(
    file: Path, folder: Path, store: Store, out: Path, *, benchmark: str | None = None, unknown: Unknown = "refuse"
) -> dict[str, Any]:
    """Attribute the return and risk of a file of target weights; write tables and a page into the folder `out`.

    `returns.parquet` has every day and source, `sources.parquet` their sums, `risk.parquet` the risk foreseen at the
    last close, `stocks.parquet` the stocks' part in it, `report.html` shows all. With an index as benchmark, active
    weights are attributed.

    Raises:
        DataError: weights on days or of stocks that the model lacks, or no day in common.
    """
    risk = read_risk(folder)
    model = risk.model
    fields = ["adj_close", "is_listed", *(benchmark_fields(benchmark, unknown) if benchmark else [])]
    panel = load_panel(store, fields, start=model.dates[0], end=model.dates[-1], symbols=model.symbols.tolist())
    _same_axes(model, panel, folder)
    targets, _ = place(read_frame(file, "weight"), "weight", panel)
    returns, listed = holding_returns(panel["adj_close"]), np.asarray(panel["is_listed"] == 1)
    held = held_weights(targets.astype(np.float64), returns, listed)
    against = None
    if benchmark is not None:
        against = benchmark_weights(panel, benchmark, unknown=unknown).weights
    found = attribute_returns(model, held, returns, against)
    last = int(found.rows[-1])
    weights = np.nan_to_num(held[last]) - (0.0 if against is None else np.nan_to_num(against[last]))
    forecast = model.forecast(last)
    kinds = dict(zip(model.factors, model.regressions.kinds, strict=True))
    foreseen = attribute_risk(forecast, weights, [kinds[name] for name in forecast.factors])
    annual_days = float(risk.meta["annual_days"])
    facts = found.table(annual_days)
    stocks = foreseen.stocks.with_columns(symbol=pl.Series(model.symbols.tolist())[foreseen.stocks["stock"]]).drop(
        "stock"
    )
    for name, frame in (
        ("returns", found.daily(model.dates)),
        ("sources", facts),
        ("risk", foreseen.sources),
        ("stocks", stocks),
    ):
        write_frame(out / f"{name}.parquet", frame)
    meta = {"weights": file.name, "risk model": risk.meta["data_hash"], "benchmark": benchmark or ""}
    write_attribution_page(
        found,
        foreseen,
        facts,
        model.dates,
        out / "report.html",
        title=f"Attribution: {file.stem}",
        meta={**meta, "annual_days": annual_days, "alphaloom": __version__},
    )
    by_kind = facts.group_by("kind", maintain_order=True).agg(pl.col("contribution").sum())
    return {
        "from": str(model.dates[found.rows[0]]),
        "to": str(model.dates[last]),
        "return": float(facts["contribution"].sum()),
        "by_kind": dict(by_kind.iter_rows()),
        "volatility_annual": foreseen.volatility * float(np.sqrt(annual_days)),
        "risk_share": dict(
            foreseen.sources.group_by("kind", maintain_order=True).agg(pl.col("share").sum()).iter_rows()
        ),
        "uncovered_weight": foreseen.uncovered,
        "report": str(out / "report.html"),
    }


def neutral_scores(file: Path, folder: Path, out: Path) -> dict[str, Any]:
    """Write scores without what country, industries and styles explain of them (`date, symbol, score`).

    Raises:
        DataError: scores on days or of stocks that the model lacks.
    """
    model = read_risk(folder).model
    frame = read_frame(file, "score")
    axes = Panel(model.dates, model.symbols, np.ones(model.cells.cap.shape, dtype=np.bool_), {})
    score, rows = place(frame, "score", axes)
    left = np.full(score.shape, np.nan, dtype=np.float32)
    for row in rows:
        left[row] = neutral(score[row : row + 1], model.cells.rows(row, row + 1), model.regressions.industries)[0]
    kept = axes.with_fields({"score": left}).to_frame()
    if not kept.height:
        raise DataError(f"No score of {file.name} has known exposures in {folder}.")
    write_frame(out, kept)
    return {"scores": str(out), "dates": int(rows.size), "scored": kept.height, "lost": frame.height - kept.height}


def _test(
    model: FactorRisk, panel: Panel, settings: BiasSettings | None, first: int, tell: Progress
) -> tuple[pl.DataFrame, pl.DataFrame]:
    if settings is None:
        return pl.DataFrame(), pl.DataFrame()
    ready = np.flatnonzero(model.ready)
    P = model.regressions.industries
    found = bias_test(
        model,
        simple_returns(panel["adj_close"]),
        model.cells.cap,
        settings,
        rows=ready[ready >= first],
        styles=model.factors[1 + P :],
        pure=model.pure,
        progress=lambda done, total: tell("bias statistics", done, total),
    )
    return found.table, found.series


def _same_axes(model: FactorRisk, panel: Panel, folder: Path) -> None:
    if panel.dates.size != model.dates.size or (panel.dates != model.dates).any():
        raise UsageError(
            f"The risk model in {folder} has {model.dates.size} days from {model.dates[0]} to {model.dates[-1]}; the "
            f"store has {panel.dates.size} there. Fit the model again on this store."
        )


def _silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
