"""Market state: returns, volatility and traded amounts of indices, and macro series; the same for every stock."""

from functools import cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from alphaloom.features.base import FeatureFamily, features
from alphaloom.language.plan import Plan
from alphaloom.panel import Panel
from alphaloom.typing import Floats

WINDOWS = (5, 10, 20, 30, 60)


@features.register("market_state")
class MarketState(FeatureFamily):
    """Returns, volatility and traded amounts of indices over several windows, and macro series as known that day.

    For each index: `INDEX_return`, the day's return of the close; then for each window d `INDEX_return_mean_d` and
    `INDEX_return_std_d`, mean and sample deviation of daily returns, and `INDEX_amount_mean_d` and
    `INDEX_amount_std_d`, mean and deviation of the traded amount over today's amount. Then each macro series by its
    name. With three indices and five windows these are the 63 columns that guide MASTER's gate. At the start of an
    index the windows are cut short. Knowable at the close of the row; NaN where a stock is not listed.

    Source: Li, Liu, Shen, Wang, Chen & Huang (2024), MASTER, section 3.1; its indices are SH000300, SH000905 and
    SH000906, by amount.
    """

    indices: Annotated[tuple[str, ...], Field(min_length=1)] = ("SH000300", "SH000905", "SH000852")
    """Symbols of indices in the store's `index_bars`."""
    traded: Literal["amount", "volume"] = "volume"
    """Column of `index_bars` that stands for the traded amount."""
    windows: Annotated[tuple[Annotated[int, Field(ge=2, le=500)], ...], Field(min_length=1)] = WINDOWS
    """Rows of the means and deviations."""
    series: tuple[str, ...] = ()
    """Series of the store's `macro` table."""

    @field_validator("indices", "windows", "series")
    @classmethod
    def _once(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        twice = [item for k, item in enumerate(value) if item in value[:k]]
        if twice:
            raise ValueError(f"{twice[0]!r} is given twice; its columns would repeat.")
        return value

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that it reads."""
        return self._plan.inputs

    @property
    def lookback(self) -> int:
        """The longest window and the return before it."""
        return self._plan.lookback

    @property
    def _plan(self) -> Plan:
        return _plan(self.indices, self.traded, self.windows, self.series)

    def columns(self) -> list[str]:
        """Return SH000300_return, SH000300_return_mean_5, ... of each index, then the macro series."""
        return list(self._plan.names)

    def compute(self, panel: Panel) -> Floats:
        """Return the features `[T, N, F]`, computed once for the market and written for every listed stock."""
        listed = panel["is_listed"] == 1
        out = np.full((*panel.shape, len(self.columns())), np.nan, dtype=np.float32)
        if out.size:
            for t, values in enumerate(self._plan.compute(_one_stock(panel))[:, 0]):
                out[t, listed[t]] = values
        return out


def _one_stock(panel: Panel) -> Panel:
    """Return the panel's first stock, listed throughout, as the fields of the market are the same for all."""
    fields = {name: np.ascontiguousarray(array[:, :1]) for name, array in panel.fields.items()}
    always = np.ones((panel.dates.size, 1), dtype=np.float32)
    return Panel(panel.dates, panel.symbols[:1], always == 1, {**fields, "is_listed": always})


@cache
def _plan(indices: tuple[str, ...], traded: str, windows: tuple[int, ...], series: tuple[str, ...]) -> Plan:
    texts: dict[str, str] = {}
    for index in indices:
        day, amount = f'returns(index("{index}", "close"))', f'index("{index}", "{traded}")'
        texts[f"{index}_return"] = day
        for d in windows:
            texts[f"{index}_return_mean_{d}"] = f"ts_mean({day}, {d})"
            texts[f"{index}_return_std_{d}"] = f"ts_std({day}, {d})"
            texts[f"{index}_amount_mean_{d}"] = f"ts_mean({amount}, {d}) / {amount}"
            texts[f"{index}_amount_std_{d}"] = f"ts_std({amount}, {d}) / {amount}"
    return Plan.of(texts | {name: f'macro("{name}")' for name in series})
