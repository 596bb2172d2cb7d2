"""Alpha158: 158 price and volume features of one stock's last 60 days, as published with qlib."""

from alphaloom.features.base import features
from alphaloom.features.written import ExpressionFamily

WINDOWS = (5, 10, 20, 30, 60)
BAR = {
    "KMID": "($close - $open) / $open",
    "KLEN": "($high - $low) / $open",
    "KMID2": "($close - $open) / ($high - $low + 1e-12)",
    "KUP": "($high - Greater($open, $close)) / $open",
    "KUP2": "($high - Greater($open, $close)) / ($high - $low + 1e-12)",
    "KLOW": "(Less($open, $close) - $low) / $open",
    "KLOW2": "(Less($open, $close) - $low) / ($high - $low + 1e-12)",
    "KSFT": "(2 * $close - $high - $low) / $open",
    "KSFT2": "(2 * $close - $high - $low) / ($high - $low + 1e-12)",
    "OPEN0": "$open / $close",
    "HIGH0": "$high / $close",
    "LOW0": "$low / $close",
    "VWAP0": "$vwap / $close",
}
"""Shapes of the day's bar, and its prices in units of the close."""


def _shares(name: str, x: str) -> dict[str, str]:
    """Return gains, losses and their balance as shares of all changes of x."""
    gain, loss = f"Sum(Greater({x} - Ref({x}, 1), 0), [d])", f"Sum(Greater(Ref({x}, 1) - {x}, 0), [d])"
    size = f"(Sum(Abs({x} - Ref({x}, 1)), [d]) + 1e-12)"
    return {f"{name}P": f"{gain} / {size}", f"{name}N": f"{loss} / {size}", f"{name}D": f"({gain} - {loss}) / {size}"}


_TRADED = "Abs($close / Ref($close, 1) - 1) * $volume"
ROLLING = {
    "ROC": "Ref($close, [d]) / $close",
    "MA": "Mean($close, [d]) / $close",
    "STD": "Std($close, [d]) / $close",
    "BETA": "Slope($close, [d]) / $close",
    "RSQR": "Rsquare($close, [d])",
    "RESI": "Resi($close, [d]) / $close",
    "MAX": "Max($high, [d]) / $close",
    "MIN": "Min($low, [d]) / $close",
    "QTLU": "Quantile($close, [d], 0.8) / $close",
    "QTLD": "Quantile($close, [d], 0.2) / $close",
    "RANK": "Rank($close, [d])",
    "RSV": "($close - Min($low, [d])) / (Max($high, [d]) - Min($low, [d]) + 1e-12)",
    "IMAX": "IdxMax($high, [d]) / [d]",
    "IMIN": "IdxMin($low, [d]) / [d]",
    "IMXD": "(IdxMax($high, [d]) - IdxMin($low, [d])) / [d]",
    "CORR": "Corr($close, Log($volume + 1), [d])",
    "CORD": "Corr($close / Ref($close, 1), Log($volume / Ref($volume, 1) + 1), [d])",
    "CNTP": "Mean($close > Ref($close, 1), [d])",
    "CNTN": "Mean($close < Ref($close, 1), [d])",
    "CNTD": "Mean($close > Ref($close, 1), [d]) - Mean($close < Ref($close, 1), [d])",
    **_shares("SUM", "$close"),
    "VMA": "Mean($volume, [d]) / ($volume + 1e-12)",
    "VSTD": "Std($volume, [d]) / ($volume + 1e-12)",
    "WVMA": f"Std({_TRADED}, [d]) / (Mean({_TRADED}, [d]) + 1e-12)",
    **_shares("VSUM", "$volume"),
}
"""Features over windows; [d] stands for the number of rows."""


@features.register("alpha158")
class Alpha158(ExpressionFamily):
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

    def expressions(self) -> dict[str, str]:
        """Return KMID, ..., VWAP0, ROC5, ..., VSUMD60 in qlib's syntax, in the published order."""
        rolling = {f"{name}{d}": text.replace("[d]", str(d)) for name, text in ROLLING.items() for d in WINDOWS}
        return {**BAR, **rolling}
