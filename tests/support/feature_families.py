"""Small feature families for tests, whose calls are counted."""

from typing import ClassVar

import numpy as np

from alphaloom.features.base import FeatureFamily
from alphaloom.panel import Panel
from alphaloom.typing import Floats

CALLS: list[tuple[str, tuple[int, int]]] = []
"""Family and shape of the panel of every computation."""


class Trend(FeatureFamily):
    """Change of the close over `rows` rows, and the sum of the volume over them: each stock by itself."""

    name: ClassVar[str] = "trend"
    inputs: ClassVar[tuple[str, ...]] = ("adj_close", "adj_volume", "is_listed")
    rows: int = 5

    @property
    def lookback(self) -> int:
        """As many rows as set."""
        return self.rows

    def columns(self) -> list[str]:
        """Return two names."""
        return ["CHANGE", "TRADED"]

    def compute(self, panel: Panel) -> Floats:
        """Return both `[T, N, 2]`."""
        CALLS.append((self.name, panel.shape))
        out = np.full((*panel.shape, 2), np.nan, np.float32)
        close, volume, d = panel["adj_close"], panel["adj_volume"], self.rows
        out[d:, :, 0] = close[d:] / close[: max(0, panel.shape[0] - d)] - 1
        padded = np.vstack([np.zeros((d, panel.shape[1]), np.float32), np.nan_to_num(volume)])
        out[:, :, 1] = np.lib.stride_tricks.sliding_window_view(padded, d + 1, axis=0).sum(axis=2, dtype=np.float64)
        out[panel["is_listed"] != 1] = np.nan
        return out


class Crowd(FeatureFamily):
    """Close against the mean close of the universe three rows ago: every stock depends on all."""

    name: ClassVar[str] = "crowd"
    inputs: ClassVar[tuple[str, ...]] = ("adj_close", "is_listed")

    @property
    def lookback(self) -> int:
        """Three rows."""
        return 3

    @property
    def is_local(self) -> bool:
        """No."""
        return False

    def columns(self) -> list[str]:
        """Return one name."""
        return ["CROWD"]

    def compute(self, panel: Panel) -> Floats:
        """Return it `[T, N, 1]`."""
        CALLS.append((self.name, panel.shape))
        close = panel["adj_close"]
        known = panel.universe & ~np.isnan(close)
        total = np.where(known, close, 0).sum(axis=1, dtype=np.float64)
        mean = np.divide(total, known.sum(axis=1), out=np.full(len(total), np.nan), where=known.any(axis=1))
        out = np.full((*panel.shape, 1), np.nan, np.float32)
        out[3:, :, 0] = close[3:] / mean[: max(0, panel.shape[0] - 3), None]
        out[panel["is_listed"] != 1] = np.nan
        return out
