"""Leaks of each kind, planted where an audit must see them: one that does not proves nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
import polars as pl

from alphaloom.audit.components import audit_components
from alphaloom.audit.data_signs import audit_data
from alphaloom.audit.point_in_time import known_at
from alphaloom.audit.report import AuditReport
from alphaloom.audit.samples import audit_scored, audit_windows
from alphaloom.data.fields import extra_columns
from alphaloom.data.store import Store
from alphaloom.data.universe.base import UniverseRule
from alphaloom.features.base import FeatureFamily
from alphaloom.labels.base import Label
from alphaloom.panel import Panel
from alphaloom.training.splits import Window
from alphaloom.transforms.base import State, Transform
from alphaloom.typing import Bools, Dates, Floats, Ints


class Peek(FeatureFamily):
    """Tomorrow's return, said to read row t alone."""

    inputs: ClassVar[tuple[str, ...]] = ("adj_close",)

    @property
    def lookback(self) -> int:
        """None."""
        return 0

    def columns(self) -> list[str]:
        """One column."""
        return ["tomorrow"]

    def compute(self, panel: Panel) -> Floats:
        """Return close[t + 1] / close[t] - 1."""
        close = panel["adj_close"]
        out = np.full((*panel.shape, 1), np.nan, dtype=np.float32)
        out[:-1, :, 0] = close[1:] / close[:-1] - 1
        return out


class ScaledByAll(Transform):
    """Standardised by all dates it is applied to, though it is said to be fitted on a window."""

    is_fitted: ClassVar[bool] = True

    def fit(self, block: Floats, panel: Panel) -> dict[str, Floats]:
        """Return a state that is not used."""
        return {"mean": np.nanmean(block, axis=(0, 1))}

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Subtract the mean of all dates."""
        block -= np.nanmean(block, axis=(0, 1))


class TooShort(Label):
    """A return over five days that declares to end after one."""

    inputs: ClassVar[tuple[str, ...]] = ("adj_close",)

    def entries(self, dates: Dates) -> Ints:
        """Return the next row."""
        rows = np.arange(dates.size) + 1
        return np.where(rows < dates.size, rows, -1)

    def ends(self, dates: Dates) -> Ints:
        """Return the row after the entry."""
        return np.minimum(np.arange(dates.size) + 2, dates.size)

    def compute(self, panel: Panel) -> Floats:
        """Return close[t + 6] / close[t + 1] - 1."""
        close = panel["adj_close"]
        out = np.full(panel.shape, np.nan, dtype=np.float32)
        out[:-6] = close[6:] / close[1:-5] - 1
        return out


class Survivors(UniverseRule):
    """Stocks with a price at the end, on every date."""

    inputs: ClassVar[tuple[str, ...]] = ("adj_close",)

    def keep(self, panel: Panel) -> Bools:
        """Return the last row's stocks for all dates."""
        return np.broadcast_to(np.isfinite(panel["adj_close"][-1]), panel.shape)


def planted_components(sample: Panel, cuts: int, seed: int) -> dict[str, AuditReport]:
    """Return what the audit says of a feature, a transform, a label and a universe rule that know the future."""
    audits: Mapping[str, Callable[[], AuditReport]] = {
        "a feature of tomorrow's return": lambda: audit_components(sample, [Peek()], cuts=cuts, seed=seed),
        "a transform scaled by all dates": lambda: audit_components(sample, (), [ScaledByAll()], cuts=cuts, seed=seed),
        "a label that ends later than it says": lambda: audit_components(
            sample, (), (), [TooShort()], cuts=cuts, seed=seed
        ),
        "a universe of survivors": lambda: audit_components(sample, (), (), (), [Survivors()], cuts=cuts, seed=seed),
    }
    return {name: audit() for name, audit in audits.items()}


def planted_windows(
    windows: Sequence[Window], rows: Ints, entries: Ints, ends: Ints, dates: Dates
) -> dict[str, AuditReport]:
    """Return what the audit says of a window trained up to the eve of its test, and of one stopped on test dates."""
    last = windows[-1]
    eve = rows[(rows >= last.train[0]) & (rows < last.test[0])]
    out = {"stopping chosen on test dates": audit_windows([replace(last, valid=last.test)], entries, ends, dates)}
    if (ends[eve] >= last.test[0]).any():
        unpurged = replace(last, train=eve, valid=eve[:0])
        out["labels that overlap the test"] = audit_windows([unpurged], entries, ends, dates)
    return out


def planted_scores(scores: pl.DataFrame) -> dict[str, AuditReport]:
    """Return what the audit says of scores with a repeated row."""
    return {"a repeated test row": audit_scored(pl.concat([scores, scores.head(1)]))}


def planted_data(store: Store, symbols: Sequence[str]) -> dict[str, AuditReport]:
    """Return what the audit says of copies of the store whose tables know the future; nothing for absent tables."""
    out = {}
    with TemporaryDirectory() as folder:
        if "adj_factor" in store.columns("bars"):
            made = known_at(store, None, symbols, Path(folder) / "rebased")
            factor = pl.col("adj_factor") / pl.col("adj_factor").last().over("symbol")
            bars = made.read("bars").with_columns(factor)
            if (bars["adj_factor"] != 1).any():
                made.write("bars", bars, "replace", extras=extra_columns(made, "bars"))
                out["factors rebased by the last day"] = audit_data(made)
        if "fundamentals" in store.tables():
            made = known_at(store, None, symbols, Path(folder) / "early")
            figures = made.read("fundamentals").with_columns(pl.col("period_end").alias("announce_date"))
            key = ["symbol", "period_end", "announce_date", "item"]
            made.write("fundamentals", figures.unique(key, keep="last").sort(key), "replace")
            out["figures known on the last day of their period"] = audit_data(made)
    return out
