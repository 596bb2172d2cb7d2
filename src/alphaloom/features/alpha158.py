"""Alpha158: 158 price and volume features of one stock's last 60 days, as published with qlib."""

from typing import ClassVar

import numpy as np

from alphaloom.features.base import FeatureFamily, features
from alphaloom.kernels.rolling import WINDOWS, compiled
from alphaloom.kernels.rolling_alpha158 import span_columns
from alphaloom.kernels.rolling_order import LANES, window_quantiles
from alphaloom.kernels.rolling_spans import blank_unlisted, contiguous, gather, in_blocks, listed_spans, scatter
from alphaloom.panel import Panel
from alphaloom.typing import Floats, Ints

BAR = ("KMID", "KLEN", "KMID2", "KUP", "KUP2", "KLOW", "KLOW2", "KSFT", "KSFT2", "OPEN0", "HIGH0", "LOW0", "VWAP0")
ROLLING = (
    "ROC", "MA", "STD", "BETA", "RSQR", "RESI", "MAX", "MIN", "QTLU", "QTLD", "RANK", "RSV", "IMAX", "IMIN", "IMXD",
    "CORR", "CORD", "CNTP", "CNTN", "CNTD", "SUMP", "SUMN", "SUMD", "VMA", "VSTD", "WVMA", "VSUMP", "VSUMN", "VSUMD",
)  # fmt: skip


@compiled
def _write_block(
    o: Floats, h: Floats, l: Floats, c: Floats, v: Floats, vw: Floats,  # noqa: E741
    column: Ints, start: Ints, stop: Ints, out: Floats,
) -> None:  # fmt: skip
    """Write the 158 columns of up to LANES listed spans into `out [T, N, 158]`; the bars are panel fields `[T, N]`."""
    B = column.size
    longest = (stop - start).max()
    bars = np.empty((6, B, longest), np.float32)
    gather(o, column, start, stop, bars[0])
    gather(h, column, start, stop, bars[1])
    gather(l, column, start, stop, bars[2])
    gather(c, column, start, stop, bars[3])
    gather(v, column, start, stop, bars[4])
    gather(vw, column, start, stop, bars[5])
    quantiles = np.empty((2, B, 5, longest))
    window_quantiles(bars[3], np.array([0.2, 0.8]), quantiles)
    rows = np.empty(158 * longest, np.float32)
    for b in range(B):
        T = stop[b] - start[b]
        F = rows[: 158 * T].reshape((158, T))
        span_columns(
            bars[0, b, :T], bars[1, b, :T], bars[2, b, :T], bars[3, b, :T], bars[4, b, :T], bars[5, b, :T],
            quantiles[0, b], quantiles[1, b], F,
        )  # fmt: skip
        scatter(F, T, start[b], column[b], out)


@features.register("alpha158")
class Alpha158(FeatureFamily):
    """The 158 features of qlib's Alpha158 with its names, order, minimum periods and treatment of gaps.

    Nine shapes of the day's bar, four prices in units of the close, and 29 rolling features over 5, 10, 20, 30 and 60
    rows. Windows are rows of the stock's own listed span: a suspended day occupies a row without a value, and windows
    at the listing are cut short instead of missing. NaN on days without a price, except where the definition uses past
    rows alone (RSQR, CORR, CORD, IMAX, IMIN, IMXD, CNT*, SUM*, VSUM*, WVMA). Knowable at the close of the row.

    Source: qlib 0.9.7, `contrib/data/loader.py`; each column is compared with it in the tests and in
    `benchmarks/peers`.

    Differs: a window that holds one value, or that does not vary, gives the exact result (NaN or 0) where qlib's
    running sums may leave a rounding residue.
    """

    inputs: ClassVar[tuple[str, ...]] = (
        "adj_open", "adj_high", "adj_low", "adj_close", "adj_volume", "adj_vwap", "is_listed",
    )  # fmt: skip

    @property
    def lookback(self) -> int:
        """60 rows: the longest window and the row before it, with which its first change is taken."""
        return max(WINDOWS)

    def columns(self) -> list[str]:
        """Return KMID, ..., VWAP0, ROC5, ..., VSUMD60, in the published order."""
        return [*BAR, *(f"{name}{d}" for name in ROLLING for d in WINDOWS)]

    def compute(self, panel: Panel) -> Floats:
        """Return the features `[T, N, 158]` of every row; NaN where a stock is not listed.

        Rows less than 60 after the panel's first are computed as if stocks were listed on it.
        """
        listed = contiguous(panel["is_listed"])
        o, h, l, c, v, vw = (contiguous(panel[name]) for name in self.inputs[:-1])  # noqa: E741
        column, start, stop = listed_spans(listed)
        out = np.empty((*panel.shape, 158), dtype=np.float32)
        blank_unlisted(listed > 0, out)

        def work(a: int, b: int) -> None:
            _write_block(o, h, l, c, v, vw, column[a:b], start[a:b], stop[a:b], out)

        in_blocks(work, column.size, LANES)
        return out
