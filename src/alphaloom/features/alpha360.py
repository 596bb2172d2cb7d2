"""Alpha360: prices and volume of the last 60 days in units of today's, as published with qlib."""

from alphaloom.features.base import features
from alphaloom.features.written import ExpressionFamily

DAYS = 60
TODAY = {
    "CLOSE": "$close",
    "OPEN": "$close",
    "HIGH": "$close",
    "LOW": "$close",
    "VWAP": "$close",
    "VOLUME": "($volume + 1e-12)",
}
"""What each series is divided by."""


@features.register("alpha360")
class Alpha360(ExpressionFamily):
    """The 360 features of qlib's Alpha360: CLOSE59, ..., CLOSE0, then OPEN, HIGH, LOW, VWAP and VOLUME alike.

    Prices of the last 60 rows are divided by today's close, volumes by today's volume + 1e-12, in float32. Rows are
    those of the stock's own listed span: a suspended day occupies a row without a value. NaN where that day or today
    has no value, or the day lies before the listing. Knowable at the close of the row.

    Source: qlib 0.9.7, `contrib/data/loader.py`.
    """

    def expressions(self) -> dict[str, str]:
        """Return CLOSE59, CLOSE58, ..., VOLUME0 in qlib's syntax, in the published order."""
        return {
            f"{name}{d}": (f"Ref(${name.lower()}, {d})" if d else f"${name.lower()}") + f" / {today}"
            for name, today in TODAY.items()
            for d in range(DAYS - 1, -1, -1)
        }
