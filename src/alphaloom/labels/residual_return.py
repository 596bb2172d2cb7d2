"""Return without what country, industry and styles explain of it."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from alphaloom.labels.base import Label, labels
from alphaloom.panel import Panel
from alphaloom.risk.base import Style
from alphaloom.risk.base import styles as style_registry
from alphaloom.risk.cross_section import capitalisation
from alphaloom.risk.exposures import DAILY_STYLES, max_lookback, required_fields, style_exposures
from alphaloom.risk.neutral import neutral
from alphaloom.risk.regression import Cells
from alphaloom.typing import Bools, Dates, Doubles, Floats, Ints


@labels.register("residual_return")
class ResidualReturn(Label):
    """Return over a number of trading days after CNE5 factors are taken out (seed 004, section 3.1 b ii).

    `method: span`: the return price[t + entry_lag + horizon] / price[t + entry_lag] - 1 is regressed on the exposures
    of t; the label is the residual, of which nothing was foreseeable from the exposures of t. `method: daily`: each
    day's return is regressed on the exposures known before it, and the label is the sum of the days' residuals; styles
    that change on the way are followed. The two differ little over two weeks.

    Regressions are weighted by the square root of capitalisation over the universe, with industry returns that sum to
    zero by capitalisation. An unknown style of a listed stock counts as the market's, 0. NaN where `forward_return` is,
    where industry or capitalisation is unknown, and on dates with fewer stocks than factors. Row t reads exposures of
    `lookback` rows before t on, and rows up to t + entry_lag + horizon.
    """

    horizon: Annotated[int, Field(ge=1)] = 10
    """Trading days held."""
    entry_lag: Annotated[int, Field(ge=1)] = 1
    """Trading days from t to the entry."""
    price: Literal["close", "open", "vwap"] = "close"
    """Price at which the position is entered and left."""
    method: Literal["span", "daily"] = "span"
    """One regression of the whole return, or the sum of the daily residuals."""
    styles: tuple[Annotated[Style, style_registry], ...] = DAILY_STYLES  # type: ignore[assignment]
    """Styles taken out; by default those of daily bars with turnover."""
    industries: bool = True
    """Whether industries are taken out."""

    @model_validator(mode="after")
    def _something_to_do(self) -> "ResidualReturn":
        if not self.styles and not self.industries:
            raise ValueError("residual_return needs `industries: true`, at least one of `styles`, or both")
        return self

    @property
    def required(self) -> tuple[str, ...]:
        """The price field, capitalisation, industry, and what the styles read."""
        industry = ("industry",) if self.industries else ()
        return tuple(dict.fromkeys([f"adj_{self.price}", *industry, *required_fields(self.styles)]))

    @property
    def lookback(self) -> int:
        """Rows before t that the exposures at t may read."""
        return max_lookback(self.styles)

    def entries(self, dates: Dates) -> Ints:
        """Return t + entry_lag, or -1 when beyond the data."""
        rows = np.arange(dates.size, dtype=np.int64) + self.entry_lag
        return np.where(rows < dates.size, rows, -1)

    def ends(self, dates: Dates) -> Ints:
        """Return t + entry_lag + horizon, or T when beyond the data."""
        rows = np.arange(dates.size, dtype=np.int64) + self.entry_lag + self.horizon
        return np.minimum(rows, dates.size)

    def compute(self, panel: Panel) -> Floats:
        """Return the residual return `[T, N]`."""
        order = np.argsort(panel.symbols)  # sums depend on the order of their terms: one order for every panel
        fields = {name: np.ascontiguousarray(panel[name][:, order]) for name in self.required}
        universe = np.ascontiguousarray(panel.universe[:, order])
        ordered = Panel(panel.dates, panel.symbols[order], universe, fields, panel.categories)
        out = np.empty(panel.shape, dtype=np.float32)
        out[:, order] = self._residual(ordered)
        return out

    def _residual(self, panel: Panel) -> Floats:
        out = np.full(panel.shape, np.nan, dtype=np.float32)
        start, stop = self.entry_lag, self.entry_lag + self.horizon
        if stop >= panel.dates.size:
            return out
        price = panel[f"adj_{self.price}"].astype(np.float64)
        span = price[stop:] / price[start : start - stop] - 1.0
        cells, P = self._cells(panel)
        if self.method == "span":
            out[:-stop] = neutral(span, cells.rows(0, span.shape[0]), P)
        else:
            out[:-stop] = np.where(np.isfinite(span), self._summed(panel, price, cells, P), np.nan)
        return out

    def _cells(self, panel: Panel) -> tuple[Cells, int]:
        listed = panel["is_listed"] == 1
        code = np.full(panel.shape, -1, dtype=np.int64)
        P = len(panel.categories.get("industry", ())) if self.industries else 0
        if self.industries:
            known = listed & np.isfinite(panel["industry"])
            code[known] = panel["industry"][known]
            P = max(P, int(code.max(initial=-1)) + 1)
        cap = np.where(listed, capitalisation(panel).astype(np.float64), np.nan)
        exposures = style_exposures(panel, self.styles)
        styles = exposures.stack() if exposures.names else np.zeros((*panel.shape, 0), dtype=np.float32)
        return Cells(np.ascontiguousarray(styles), code, cap, panel.universe & listed), P

    def _summed(self, panel: Panel, price: Doubles, cells: Cells, industries: int) -> Doubles:
        """Return the sum of daily residuals over the days held `[T - entry_lag - horizon, N]`.

        A return at the close follows the exposures of the close before; one at an open or VWAP began before that close,
        and follows those of the day before it.
        """
        before = 1 if self.price == "close" else 2
        known = _carried(price)
        daily = known[before:] / known[before - 1 : -1] - 1.0
        traded = np.isfinite(price)
        both: Bools = traded[before:] & traded[before - 1 : -1]
        T = daily.shape[0]
        part = cells.rows(0, T)
        rest = neutral(daily, Cells(part.styles, part.industry, part.cap, part.members & both), industries)
        n = panel.dates.size - self.entry_lag - self.horizon
        total = np.zeros((n, panel.symbols.size))
        for step in range(1, self.horizon + 1):
            first = self.entry_lag + step - before
            total += rest[first : first + n]
        return total


def _carried(price: Doubles) -> Doubles:
    """Return prices in which a day without trading has the last one before it."""
    out = price.copy()
    for t in range(1, price.shape[0]):
        np.copyto(out[t], out[t - 1], where=np.isnan(out[t]))
    return out
