"""A label written in the factor language."""

from functools import lru_cache
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from alphaloom.errors import AlphaloomError
from alphaloom.labels.base import Label, labels
from alphaloom.language.plan import Plan
from alphaloom.panel import Panel
from alphaloom.typing import Dates, Floats, Ints


@lru_cache(maxsize=16)
def _plan(text: str) -> Plan:
    return Plan.of({"label": text})


@labels.register("expression")
class Expression(Label):
    """A text such as `delay(close, -6) / delay(close, -1) - 1`; a negative delay reads the future.

    The row at which the label ends follows from the text. `frame("LABEL0")` takes a label that was imported
    ready-made: its text tells nothing of the future, so `reads_ahead` must. NaN where the text gives none, where a row
    that it reads lies beyond the data, and where the stock is not listed at t.
    """

    text: str = "delay(close, -2) / delay(close, -1) - 1"
    """Expression of the factor language; the default is qlib's LABEL0."""
    entry_lag: Annotated[int, Field(ge=1)] = 1
    """Trading days from t to the row at which the position is entered."""
    reads_ahead: Annotated[int, Field(ge=0)] = 0
    """Trading days after t that the values of the text's own fields know of, beyond its negative delays."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            plan = _plan(self.text)
        except AlphaloomError as error:
            raise ValueError(str(error)) from None
        if plan.lookahead + self.reads_ahead <= self.entry_lag:
            raise ValueError(
                f"text {self.text!r} reads {plan.lookahead} rows ahead; a label must read beyond its entry, "
                f"{self.entry_lag} rows ahead: use delay(x, -k), or state reads_ahead for a stored label"
            )
        return self

    @property
    def required(self) -> tuple[str, ...]:
        """The fields of the text, and `is_listed`."""
        return _plan(self.text).inputs

    @property
    def lookback(self) -> int:
        """Rows before t that the text reads."""
        return _plan(self.text).lookback

    @property
    def _reach(self) -> int:
        return _plan(self.text).lookahead + self.reads_ahead

    def entries(self, dates: Dates) -> Ints:
        """Return t + entry_lag, or -1 when beyond the data."""
        rows = np.arange(dates.size, dtype=np.int64) + self.entry_lag
        return np.where(rows < dates.size, rows, -1)

    def ends(self, dates: Dates) -> Ints:
        """Return t plus the rows read ahead, or T when beyond the data."""
        return np.minimum(np.arange(dates.size, dtype=np.int64) + self._reach, dates.size)

    def compute(self, panel: Panel) -> Floats:
        """Return the label `[T, N]`."""
        out = np.array(_plan(self.text).compute(panel)[:, :, 0])
        out[max(panel.dates.size - self._reach, 0) :] = np.nan
        return out
