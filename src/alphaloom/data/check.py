"""Health of a store: what is wrong with its data, how often, and where."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from rich.console import Group
from rich.table import Table
from rich.text import Text

from alphaloom.data.derive import Derivation
from alphaloom.data.problems import REASON, REFUSED, REPORTED, rules_for
from alphaloom.data.schema import TABLES
from alphaloom.data.store import Store
from alphaloom.typing import Bools

EXAMPLES = 3
JUMP = 0.5
"""Adjusted one-day return that is called a jump in a market without price limits, as a fraction."""
THIN_DAY = 0.8
"""A day is thin when it has fewer rows than this share of the median of the 21 days around it."""
LONG_BREAK_DAYS = 12
"""Calendar days between trading days above which the calendar is said to have a hole."""
FACTOR_JUMP = 3.0
"""Ratio of neighbouring adjustment factors beyond which (or below its inverse) the change is doubtful."""

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One kind of problem in one table."""

    table: str
    problem: str
    severity: Severity
    """`error`: the store's promise is broken; `warning`: doubtful; `note`: worth knowing."""
    count: int
    of: int
    """What the count is out of: rows, symbols or days."""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class HealthReport:
    """All findings about one store; kinds that were looked for and not found have count 0."""

    store: Path
    market: str
    span: tuple[str, str]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no error was found."""
        return not any(item.severity == "error" and item.count for item in self.findings)

    def table(self) -> pl.DataFrame:
        """Return the findings, worst first: severity, table, problem, count, share, examples."""
        rank = {"error": 0, "warning": 1, "note": 2}
        rows = sorted(self.findings, key=lambda item: (item.count == 0, rank[item.severity], -item.count))
        return pl.DataFrame(
            {
                "severity": [item.severity if item.count else "ok" for item in rows],
                "table": [item.table for item in rows],
                "problem": [item.problem for item in rows],
                "count": [item.count for item in rows],
                "share": [item.count / item.of if item.of else 0.0 for item in rows],
                "examples": ["; ".join(item.examples) for item in rows],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "store": str(self.store),
            "market": self.market,
            "span": list(self.span),
            "ok": self.ok,
            "findings": [asdict(item) for item in self.findings],
        }

    def render(self) -> Group:
        """Return the report for a terminal: the findings, then one line on what was looked for and not found."""
        colours = {"error": "red", "warning": "yellow", "note": "cyan"}
        table = Table(title=f"{self.store}  {self.span[0]} to {self.span[1]}", title_justify="left")
        for name in ("", "table", "problem", "count", "share", "examples"):
            table.add_column(name, justify="right" if name in {"count", "share"} else "left", overflow="fold")
        frame = self.table()
        for row in frame.filter(pl.col("count") > 0).iter_rows(named=True):
            mark = Text(row["severity"], style=colours[row["severity"]])
            table.add_row(
                mark, row["table"], row["problem"], f"{row['count']:,}", f"{row['share']:.3%}", row["examples"]
            )
        clean = frame.filter(pl.col("count") == 0)
        names = ", ".join(f"{t}: {p}" for t, p in clean.select("table", "problem").iter_rows())
        return Group(table, Text(f"Looked for and not found: {names or 'nothing'}.", style="dim"))


def check(store: Store) -> HealthReport:
    """Return the health of a store. Nothing is changed.

    Looks for duplicate keys, bars that contradict themselves, days missing inside a stock's span, adjusted moves beyond
    the price limits (or beyond 50 % in a market without), doubtful adjustment factors, thin days and holes in the
    calendar, stocks without listing or industry, index lists whose weights do not sum to 1, and issues known to the
    source.
    """
    findings: list[Finding] = []
    for table in store.tables():
        findings += _rows(store, table)
    span = ("", "")
    if "bars" in store.tables():
        derivation = Derivation(store)
        days = derivation.grid.dates
        span = (str(days[0]), str(days[-1]))
        findings += [*_continuity(derivation), *_moves(derivation), *_days(derivation), *_facts(store, derivation)]
    for name, find in (("index_weights", _weights), ("index_bars", _index_days)):
        if name in store.tables():
            findings += find(store)
    findings += _recorded(store)
    return HealthReport(store.path, store.market, span, tuple(findings))


def _rows(store: Store, table: str) -> Iterator[Finding]:
    frame = store.read(table)
    key = list(TABLES[table].key)
    repeated = frame.filter(pl.struct(key).is_duplicated()) if frame.select(key).n_unique() < frame.height else None
    yield _of_rows(table, "duplicate key", "error", frame.clear() if repeated is None else repeated, frame.height)
    severities: tuple[tuple[Any, Severity], ...] = ((REFUSED, "error"), (REPORTED, "warning"))
    for rules, severity in severities:
        for rule in rules_for(table, frame.columns, rules):
            wrong = frame.filter(rule.wrong.fill_null(value=False))
            yield _of_rows(table, rule.name, severity, wrong, frame.height)


def _of_rows(table: str, problem: str, severity: Severity, wrong: pl.DataFrame, of: int) -> Finding:
    shown = wrong.head(EXAMPLES).select(TABLES[table].key).iter_rows()
    return Finding(table, problem, severity, wrong.height, of, tuple(" ".join(map(str, row)) for row in shown))


def _of_cells(
    derivation: Derivation,
    problem: str,
    severity: Severity,
    wrong: Bools,
    of: int,
    value: Callable[[int, int], str] | None = None,
) -> Finding:
    """Return a finding about cells `[T, N]`, with the first of them as examples."""
    grid = derivation.grid
    places = np.argwhere(wrong)[:EXAMPLES]
    examples = tuple(f"{grid.symbols[n]} {grid.dates[t]}{value(t, n) if value else ''}" for t, n in places)
    return Finding("bars", problem, severity, int(wrong.sum()), of, examples)


def _continuity(derivation: Derivation) -> Iterator[Finding]:
    grid = derivation.grid
    listed = int(grid.listed.sum())
    gaps = grid.listed & ~grid.has_row
    per_stock = gaps.sum(axis=0)
    worst = np.argsort(-per_stock, kind="stable")[:EXAMPLES]
    examples = tuple(f"{grid.symbols[n]}: {per_stock[n]} days" for n in worst if per_stock[n])
    problem = "day missing between a stock's first and last row"
    yield Finding("bars", problem, "warning", int(gaps.sum()), listed, examples)
    yield _of_cells(derivation, "day without trade", "note", derivation.idle, listed)


def _moves(derivation: Derivation) -> Iterator[Finding]:
    traded = derivation.traded
    close = derivation.raw("close").astype(np.float64)
    columns = derivation.store.columns("bars")
    factor = derivation.raw("adj_factor").astype(np.float64) if "adj_factor" in columns else np.ones(close.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        move = np.full(close.shape, np.nan)
        move[1:] = (close[1:] * factor[1:]) / (close[:-1] * factor[:-1]) - 1
    up, down = derivation.limits()
    half_tick = 0.005 + 1e-4
    with np.errstate(invalid="ignore"):
        beyond = traded & ((close > up + half_tick) | (close < down - half_tick))
        limited = traded & ~np.isnan(up)
        jumps = traded & np.isnan(up) & (np.abs(move) > JUMP)

    def show(t: int, n: int) -> str:
        return f" ({move[t, n]:+.1%})"

    of = int(traded.sum())
    if limited.any():
        yield _of_cells(derivation, "close beyond the day's price limit", "warning", beyond, int(limited.sum()), show)
    yield _of_cells(derivation, f"adjusted move above {JUMP:.0%} without limit", "warning", jumps, of, show)
    if "adj_factor" not in columns:
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.ones(close.shape)
        ratio[1:] = factor[1:] / factor[:-1]
        steep = derivation.grid.listed & ((ratio > FACTOR_JUMP) | (ratio < 1 / FACTOR_JUMP))
        changed = derivation.grid.listed & (np.abs(ratio - 1) > 1e-6)

    def show_ratio(t: int, n: int) -> str:
        return f" (x {ratio[t, n]:.3g})"

    yield _of_cells(derivation, "adj_factor changes threefold or more", "warning", steep, of, show_ratio)
    yield _of_cells(derivation, "adj_factor changes", "note", changed, of, show_ratio)


def _days(derivation: Derivation) -> Iterator[Finding]:
    grid = derivation.grid
    rows = pl.Series(grid.has_row.sum(axis=1))
    usual = rows.rolling_median(21, min_samples=1, center=True)
    thin = (rows < THIN_DAY * usual).arg_true().to_numpy()
    examples = tuple(f"{grid.dates[t]}: {rows[int(t)]} rows, usually {usual[int(t)]:.0f}" for t in thin[:EXAMPLES])
    yield Finding("bars", "day with far fewer stocks than its neighbours", "warning", thin.size, rows.len(), examples)
    holes = np.flatnonzero(np.diff(grid.dates) > np.timedelta64(LONG_BREAK_DAYS, "D"))
    examples = tuple(f"{grid.dates[t]} to {grid.dates[t + 1]}" for t in holes[:EXAMPLES])
    yield Finding(
        "bars", f"more than {LONG_BREAK_DAYS} days between trading days", "note", holes.size, rows.len(), examples
    )


def _facts(store: Store, derivation: Derivation) -> Iterator[Finding]:
    symbols = set(derivation.grid.symbols.tolist())
    for table in ("listing", "industry"):
        if table in store.tables():
            lacking = sorted(symbols - set(store.read(table, ["symbol"])["symbol"]))
            examples = tuple(lacking[:EXAMPLES])
            yield Finding(table, "stock of the bars without a row", "warning", len(lacking), len(symbols), examples)
    columns = store.columns("listing")
    for name, early in (("list_date", True), ("delist_date", False)):
        if name in columns:
            days = store.read("listing", ["symbol", name]).drop_nulls()
            bars = store.scan("bars").select("date", "symbol").join(days.lazy(), on="symbol")
            test = pl.col("date") < pl.col(name) if early else pl.col("date") >= pl.col(name)
            problem = "row before the list date" if early else "row on or after the delist date"
            yield _of_rows("bars", problem, "warning", bars.filter(test).collect(), int(derivation.grid.has_row.sum()))


def _weights(store: Store) -> Iterator[Finding]:
    if "weight" not in store.columns("index_weights"):
        return
    sums = store.scan("index_weights").drop_nulls("weight").group_by("index", "date").agg(pl.col("weight").sum())
    frame = sums.sort("index", "date").collect()
    wrong = frame.filter((pl.col("weight") - 1).abs() > 0.01)
    examples = tuple(f"{i} {d}: {w:.3f}" for i, d, w in wrong.head(EXAMPLES).iter_rows())
    problem = "weights of a list sum to other than 1"
    yield Finding("index_weights", problem, "warning", wrong.height, frame.height, examples)


def _index_days(store: Store) -> Iterator[Finding]:
    if "bars" not in store.tables():
        return
    days = store.scan("bars").select(pl.col("date").unique()).collect()["date"]
    frame = store.read("index_bars", ["index", "date"])
    lacking = []
    for (index,), rows in frame.partition_by("index", as_dict=True).items():
        missing = days.filter(~days.is_in(rows["date"].implode())).sort()
        if missing.len():
            lacking.append((missing.len(), f"{index}: {missing.len()} days, first {missing[0]}"))
    examples = tuple(text for _, text in sorted(lacking, reverse=True)[:EXAMPLES])
    count, of = sum(k for k, _ in lacking), days.len() * frame["index"].n_unique()
    yield Finding("index_bars", "trading day without a bar of the index", "note", count, of, examples)


def _recorded(store: Store) -> Iterator[Finding]:
    issues = store.meta.get("known_issues", [])
    shown = tuple(f"{item.get('symbol', '')} {item.get('date', '')}".strip() for item in issues[:EXAMPLES])
    yield Finding("bars", "issue known to the source, kept as found", "note", len(issues), max(len(issues), 1), shown)
    for table in TABLES:
        rows = store.quarantined(table)
        if rows is not None:
            reasons = rows[REASON].value_counts(sort=True).head(EXAMPLES).iter_rows()
            examples = tuple(f"{count} x {reason}" for reason, count in reasons)
            yield Finding(table, "row set aside in quarantine", "note", rows.height, rows.height, examples)
