"""A run's training inputs, scores and weights, computed again with later data cut off or replaced."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from alphaloom.audit.components import REPLACED, replace_rows
from alphaloom.audit.report import AuditReport, Check, Finding
from alphaloom.audit.values import differences
from alphaloom.data.universe.build import build_universe
from alphaloom.panel import Panel
from alphaloom.portfolio.base import Construction
from alphaloom.portfolio.build import next_weights
from alphaloom.preparation import SamplePlan, feature_block, target_of
from alphaloom.recipe import Recipe
from alphaloom.report.runs import RunFolder
from alphaloom.risk_inputs import risk_inputs
from alphaloom.scoring import score_day, windows_of
from alphaloom.serving import held_weights
from alphaloom.training.inputs import STATES
from alphaloom.training.splits import Window
from alphaloom.transforms.base import State
from alphaloom.transforms.chain import apply_chain, fit_chain, load_states, split_chain
from alphaloom.typing import Dates, Doubles, Floats

AFTER = 15
"""Rows after a date that are replaced: enough for anything that looks ahead."""
STORED = "stored with the run"
WEIGHT_TOLERANCE = 1e-4
"""How far weights may lie apart: scores that differ in their last digit may move a solution so far."""


@dataclass(frozen=True, eq=False)
class RunAudit:
    """Recomputes parts of one run."""

    folder: RunFolder
    recipe: Recipe
    market: Panel
    """The whole market with the recipe's universe."""
    plan: SamplePlan
    windows: Sequence[Window]
    """Rows of the plan's part."""
    threads: int = 1
    seed: int = 0

    @cached_property
    def scores(self) -> pl.DataFrame:
        """The run's scores."""
        return self.folder.read_frame("scores.parquet")

    def altered(self, row: int, rng: np.random.Generator) -> Panel:
        """Return the market up to some days after a row, with random values in those, and its universe built again.

        The part is longer than what inputs reach back.
        """
        stop = min(max(row, self.plan.reach) + 1 + AFTER, self.market.dates.size)
        part = self.market.rows(0, stop)
        changed = replace_rows(part, np.arange(stop) <= row, rng)
        return build_universe(self.recipe.universe, changed)[0]

    def training(self, windows: Sequence[Window]) -> AuditReport:
        """Return the audit of what fits these windows' models: features, labels and fitted transforms.

        Days from the first test date on are replaced; nothing that a model is fitted on may change, and the transforms'
        states are those that the run stored.
        """
        rng = np.random.default_rng(self.seed)
        checks, findings = [], list[Finding]()
        for window in windows:
            before, states = self._inputs(self.market, window)
            after, others = self._inputs(self.altered(self.plan.first + int(window.test[0]) - 1, rng), window)
            dates = self.market.dates[self.plan.first + window.fit_rows]
            for what, a, b in zip(("features", "labels"), before, after, strict=True):
                names = [f"column {k}" for k in range(a.shape[2])] if a.ndim == 3 else ["label"]
                findings += differences(
                    "training",
                    f"{what} of {window.name}",
                    names,
                    a,
                    b,
                    REPLACED,
                    dates,
                    self.market.symbols[self._columns],
                )
                checks.append(Check("training", f"{what} of {window.name}", len(names), 1, a.size))
            findings += self._states(window, states, others)
            if states:
                checks.append(Check("training", f"transforms of {window.name}", sum(map(len, states)), 1, 0))
        return AuditReport(tuple(checks), tuple(findings))

    def tested(self, dates: Sequence[np.datetime64]) -> AuditReport:
        """Return the audit of scores and weights on some tested dates: later data cut off, replaced, and as stored."""
        rng = np.random.default_rng(self.seed + 1)
        findings: list[Finding] = []
        cells = {"scores": 0, **dict.fromkeys(self.recipe.portfolio_names(), 0)}
        columns = [name for name in self.scores.columns if name.startswith("score")]
        for date in dates:
            row = int(np.searchsorted(self.market.dates, date))
            cut = self.market.rows(0, row + 1)
            altered = self.altered(row, rng)
            ours = self._scored(cut, row)
            theirs = self._scored(altered, row)
            stored = self._stored(date, columns)
            day = self.market.dates[row : row + 1]
            for values, change in ((theirs, REPLACED), (stored, STORED)):
                findings += differences(
                    "scores", "scores", columns, ours, values, change, day, self.market.symbols, tolerance=1e-5
                )
            cells["scores"] += ours.size
            for name, item in zip(self.recipe.portfolio_names(), self.recipe.portfolios, strict=True):
                a, b = (self._weighed(item, name, panel, ours[0, :, 0], row) for panel in (cut, altered))
                b = np.where(np.abs(a - b) > WEIGHT_TOLERANCE, b, a)
                findings += differences(
                    "weights", name, ["weight"], a[None], b[None], REPLACED, day, self.market.symbols
                )
                cells[name] += a.size
        checks = [Check("scores", "scores", len(columns), len(dates), cells.pop("scores"))]
        checks += [Check("weights", name, 1, len(dates), count) for name, count in cells.items()]
        return AuditReport(tuple(checks), tuple(findings))

    @cached_property
    def _columns(self) -> np.ndarray:
        return np.asarray(self.market.universe[self.plan.first :].any(axis=0))

    def _inputs(self, market: Panel, window: Window) -> tuple[tuple[Floats, Floats], list[State]]:
        """Return features `[D, N, F]` and labels `[D, N]` of a window's dates that fit, and its transforms' states."""
        first = self.plan.first + max(0, int(window.fit_rows[0]) - self.plan.reach)
        part = market.rows(first, market.dates.size).columns(self._columns)
        names, block = feature_block(self.recipe, part, threads=self.threads, may_be_empty=True)
        fit, train = (self.plan.first + rows - first for rows in (window.fit_rows, window.train))
        label = target_of(self.recipe, self.recipe.label.compute(part), part)[fit]
        _, fitted = split_chain(self.recipe.transforms)
        states = fit_chain(fitted, block, part, train, names=names) if fitted else []
        whole = apply_chain(fitted, states, block, part) if fitted else block
        inputs = np.where(part.universe[fit][:, :, None], whole[fit], np.float32(np.nan))
        return (inputs, label), [{key: np.asarray(value) for key, value in state.items()} for state in states]

    def _states(self, window: Window, states: list[State], others: list[State]) -> list[Finding]:
        _, fitted = split_chain(self.recipe.transforms)
        if not fitted:
            return []
        stored = load_states(self.folder.models / window.name / STATES, fitted)
        found: list[Finding] = []
        day = self.market.dates[self.plan.first + window.fit_rows[-1:]]
        for given, change in ((others, REPLACED), (stored, STORED)):
            for k, (mine, its) in enumerate(zip(states, given, strict=True)):
                for key, value in mine.items():
                    a, b = (np.atleast_1d(np.asarray(v, np.float32))[None, None] for v in (value, its[key]))
                    names = [f"{type(fitted[k]).name}.{key} {n}" for n in range(a.shape[2])]
                    found += differences("training", f"transforms of {window.name}", names, a, b, change, day, ["all"])
        return found

    def _scored(self, market: Panel, row: int) -> Floats:
        """Return the scores of a row `[1, N, columns]`, in the order of the run's columns."""
        windows = windows_of(self.folder, str(self.market.dates[row]))
        prepared, scores = score_day(self.folder, self.recipe, market, row, windows, threads=self.threads)
        out = np.full((1, self.market.symbols.size, len(scores)), np.nan, dtype=np.float32)
        for k, values in enumerate(scores.values()):
            out[0, prepared.columns, k] = values[0]
        return out

    def _stored(self, date: np.datetime64, columns: Sequence[str]) -> Floats:
        own = self.scores.filter(pl.col("date") == date.item())
        out = np.full((1, self.market.symbols.size, len(columns)), np.nan, dtype=np.float32)
        place = np.searchsorted(self.market.symbols, own["symbol"].to_numpy().astype(np.str_))
        for k, name in enumerate(columns):
            out[0, place, k] = own[name].to_numpy()
        return out

    def _weighed(self, item: Construction, name: str, market: Panel, score: Floats, row: int) -> Doubles:
        held = held_weights(self.folder.read_frame("weights.parquet"), name, market, row)
        risk = risk_inputs(self.recipe.risk, market, first=row, stop=row + 1)
        target = next_weights(
            item,
            score,
            row,
            market,
            held,
            exposures=risk.exposures,
            benchmark=None if risk.benchmark is None else risk.benchmark[row],
            risk_model=risk.model,
            capital=self.recipe.backtest.capital,
        )
        return target.weights


def some_tested(days: Dates, count: int, seed: int) -> list[np.datetime64]:
    """Return some dates in order of time, drawn by a seed."""
    chosen = np.random.default_rng(seed).choice(days.size, size=min(count, days.size), replace=False)
    return [days[int(k)] for k in np.sort(chosen)]
