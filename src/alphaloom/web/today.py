"""Scores and target portfolio of one date, kept in memory once computed."""

import threading
from dataclasses import dataclass

import polars as pl

from alphaloom.data.store import Store
from alphaloom.report.runs import RunFolder
from alphaloom.serving import predict

KEPT = 16
"""Dates kept."""


@dataclass(frozen=True, eq=False)
class Today:
    """`scores`: `date, symbol, score, window`; `weights`: `date, symbol, weight, held`; see `serving.predict`."""

    scores: pl.DataFrame
    weights: pl.DataFrame


class Predictions:
    """Predictions, one computed at a time: each may take the memory of a whole market."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str, str], Today] = {}

    def get(self, folder: RunFolder, store: Store, day: str, threads: int) -> Today:
        """Return the scores and weights of a trading day, ISO.

        Raises:
            UsageError: the run is not finished, or the date is before its first test window.
            DataError: no such trading day.
        """
        key = (str(folder.path), store.fingerprint(), day)
        with self._lock:
            if key not in self._kept:
                found = Today(*predict(folder.path, store, day, threads=threads))
                self._kept = dict([*self._kept.items(), (key, found)][-KEPT:])
            return self._kept[key]


def last_day(store: Store) -> str:
    """Return the last date of a store's bars, ISO."""
    table = "bars" if "bars" in store.tables() else "frame"
    return str(store.scan(table).select(pl.col("date").max()).collect().item())
