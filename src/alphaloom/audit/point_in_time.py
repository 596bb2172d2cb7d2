"""Fields at t must follow from what a store held at t: they are derived again from a store cut at t."""

import datetime as dt
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from alphaloom.audit.report import AuditReport, Check, Finding
from alphaloom.audit.values import differences
from alphaloom.data.load import load_panel
from alphaloom.data.schema import TABLES
from alphaloom.data.store import Store
from alphaloom.panel import Panel
from alphaloom.typing import Floats

KIND = "store field"
CUT = "rows known later left out of the store"
KNOWN = {
    "bars": "date",
    "frame": "date",
    "index_weights": "date",
    "index_bars": "date",
    "industry": "from_date",
    "fundamentals": "announce_date",
    "macro": "known_date",
}
"""Column of each table that says when a row was known. A listing is known from its first day, its end from that day."""


def audit_fields(
    store: Store, fields: Iterable[str], *, cuts: int = 2, symbols: int = 60, seed: int = 0, tolerance: float = 1e-6
) -> AuditReport:
    """Return the audit of derived fields: at several dates the store is cut to what was known, and derived again.

    Sees derivations that read later rows, announcements before their day, members before their list. It cannot see what
    the store's makers knew when they wrote it (`alphaloom.audit.data_signs`).

    Args:
        store: the market data; left as it is.
        fields: panel fields.
        cuts: at how many dates it is cut, drawn from the second half.
        symbols: how many stocks are taken.
        seed: of the draws.
        tolerance: relative (`alphaloom.audit.values`).
    """
    names = list(dict.fromkeys(fields))
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        chosen = _some_symbols(store, symbols, rng)
        whole = load_panel(known_at(store, None, chosen, Path(folder) / "whole"), names)
        T = whole.dates.size
        days = sorted(rng.choice(np.arange(T // 2, T - 1), size=min(cuts, T - 1 - T // 2), replace=False).tolist())
        findings: list[Finding] = []
        cells = 0
        for day in days:
            part = load_panel(known_at(store, whole.dates[day].item(), chosen, Path(folder) / f"cut-{day}"), names)
            before = whole.rows(0, day + 1).columns(np.isin(whole.symbols, part.symbols))
            for name in names:
                pair = _texts(before, name), _texts(part, name)
                codes = {text: code for code, text in enumerate(sorted({*pair[0], *pair[1]}))}
                a, b = (_coded(panel, name, texts, codes) for panel, texts in zip((before, part), pair, strict=True))
                cells += a.size
                findings += differences(KIND, name, [name], a, b, CUT, part.dates, part.symbols, tolerance=tolerance)
    each = cells // max(1, len(names))
    return AuditReport(tuple(Check(KIND, name, 1, len(days), each) for name in names), tuple(findings))


def known_at(store: Store, day: dt.date | None, symbols: Sequence[str], path: Path) -> Store:
    """Return a new store in `path` with the rows of some stocks that were known at a day's close; all for None."""
    made = Store.create(path, store.market)
    with made.writing() as batch:
        for table in store.tables():
            frame = store.scan(table)
            if "symbol" in store.columns(table):
                frame = frame.filter(pl.col("symbol").is_in(list(symbols)))
            if day is not None:
                frame = _listed_by(frame, day) if table == "listing" else frame.filter(pl.col(KNOWN[table]) <= day)
            rows = frame.collect()
            if rows.height:
                extras = [name for name in rows.columns if name not in TABLES[table].columns]
                batch.write(table, rows, "replace", extras=extras)
    return made


def _listed_by(frame: pl.LazyFrame, day: dt.date) -> pl.LazyFrame:
    """Return the listings known at a day: later ends are not known, nor what they brought."""
    names = frame.collect_schema().names()
    if "list_date" in names:
        frame = frame.filter(pl.col("list_date").is_null() | (pl.col("list_date") <= day))
    ended = [name for name in ("delist_date", "delist_value") if name in names]
    if "delist_date" not in names:
        return frame
    return frame.with_columns(pl.when(pl.col("delist_date") <= day).then(pl.col(name)).alias(name) for name in ended)


def _some_symbols(store: Store, count: int, rng: np.random.Generator) -> list[str]:
    table = "bars" if "bars" in store.tables() else "frame"
    names = store.scan(table).select(pl.col("symbol").unique().sort()).collect()["symbol"].to_numpy()
    return [str(name) for name in rng.permutation(names)[:count]]


def _texts(panel: Panel, name: str) -> tuple[str, ...]:
    return panel.categories.get(name, ())


def _coded(panel: Panel, name: str, texts: Sequence[str], codes: dict[str, int]) -> Floats:
    """Return a field; a field of texts in codes that both panels share."""
    values = panel[name]
    if not texts:
        return values
    new = np.array([codes[text] for text in texts], dtype=np.float32)
    known = np.isfinite(values)
    out = np.full(values.shape, np.nan, dtype=np.float32)
    out[known] = new[values[known].astype(np.int64)]
    return out
