"""Alpha360: prices and volume of the last 60 days in units of today's, as published with qlib."""

from typing import ClassVar

import numpy as np

from alphaloom.features.base import FeatureFamily, features
from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.rolling_spans import blank_unlisted, contiguous, gather, in_blocks, listed_spans
from alphaloom.panel import Panel
from alphaloom.typing import Floats, Ints

DAYS = 60
LANES = 64
FIELDS = ("CLOSE", "OPEN", "HIGH", "LOW", "VWAP", "VOLUME")


@compiled
def _write_block(
    c: Floats, o: Floats, h: Floats, l: Floats, vw: Floats, v: Floats,  # noqa: E741
    column: Ints, start: Ints, stop: Ints, out: Floats,
) -> None:  # fmt: skip
    """Write the 360 columns of some listed spans into `out [T, N, 360]`; the bars are panel fields `[T, N]`."""
    B = column.size
    longest = (stop - start).max()
    bars = np.empty((6, B, longest), np.float32)
    gather(c, column, start, stop, bars[0])
    gather(o, column, start, stop, bars[1])
    gather(h, column, start, stop, bars[2])
    gather(l, column, start, stop, bars[3])
    gather(vw, column, start, stop, bars[4])
    gather(v, column, start, stop, bars[5])
    held = np.empty((6, longest + DAYS - 1), np.float32)
    held[:, : DAYS - 1] = np.nan
    for b in range(B):
        held[:, DAYS - 1 :] = bars[:, b]
        for t in range(stop[b] - start[b]):
            row = out[start[b] + t, column[b]]
            for f in range(6):
                today = held[f, t + DAYS - 1] + np.float32(1e-12) if f == 5 else held[0, t + DAYS - 1]
                past = held[f, t : t + DAYS]
                into = row[f * DAYS : (f + 1) * DAYS]
                for k in range(DAYS):
                    into[k] = past[k] / today


@features.register("alpha360")
class Alpha360(FeatureFamily):
    """The 360 features of qlib's Alpha360: CLOSE59, ..., CLOSE0, then OPEN, HIGH, LOW, VWAP and VOLUME alike.

    Prices of the last 60 rows are divided by today's close, volumes by today's volume + 1e-12, in float32. Rows are
    those of the stock's own listed span: a suspended day occupies a row without a value. NaN where that day or today
    has no value, or the day lies before the listing. Knowable at the close of the row.

    Source: qlib 0.9.7, `contrib/data/loader.py`.
    """

    inputs: ClassVar[tuple[str, ...]] = (
        "adj_close", "adj_open", "adj_high", "adj_low", "adj_vwap", "adj_volume", "is_listed",
    )  # fmt: skip

    @property
    def lookback(self) -> int:
        """59 rows."""
        return DAYS - 1

    def columns(self) -> list[str]:
        """Return CLOSE59, CLOSE58, ..., VOLUME0, in the published order."""
        return [f"{name}{d}" for name in FIELDS for d in range(DAYS - 1, -1, -1)]

    def compute(self, panel: Panel) -> Floats:
        """Return the features `[T, N, 360]` of every row; NaN where a stock is not listed."""
        listed = contiguous(panel["is_listed"])
        c, o, h, l, vw, v = (contiguous(panel[name]) for name in self.inputs[:-1])  # noqa: E741
        column, start, stop = listed_spans(listed)
        out = np.empty((*panel.shape, len(FIELDS) * DAYS), dtype=np.float32)
        blank_unlisted(listed > 0, out)

        def work(a: int, b: int) -> None:
            _write_block(c, o, h, l, vw, v, column[a:b], start[a:b], stop[a:b], out)

        in_blocks(work, column.size, LANES)
        return out
