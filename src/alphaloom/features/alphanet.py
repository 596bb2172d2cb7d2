"""AlphaNet: correlations, covariances and moments of 9 to 15 price and volume inputs over a few windows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from alphaloom.errors import SettingError
from alphaloom.features.base import FeatureFamily, features
from alphaloom.kernels.alphanet import operator_rows
from alphaloom.kernels.alphanet_layout import LONGEST, OPERATORS, OperatorLayout
from alphaloom.panel import Panel
from alphaloom.typing import Bools, Doubles, Floats

CHUNK = 64
"""Rows whose inputs are made at once."""
SIX = OPERATORS[:6]


@dataclass(frozen=True)
class Bars:
    """What the inputs are made of, each `[T, N]`: adjusted bars, missing while suspended, and turnover."""

    open: Doubles
    high: Doubles
    low: Doubles
    close: Doubles
    vwap: Doubles
    volume: Doubles
    turn: Doubles
    free: Doubles
    previous: Doubles
    """Yesterday's close."""


@dataclass(frozen=True)
class Input:
    """One input: its formula, and whether it has the level of a price or a volume, which `scale` divides out."""

    make: Callable[[Bars], Doubles]
    is_level: bool = False


INPUTS: Mapping[str, Input] = {
    "open": Input(lambda b: b.open, is_level=True),
    "high": Input(lambda b: b.high, is_level=True),
    "low": Input(lambda b: b.low, is_level=True),
    "close": Input(lambda b: b.close, is_level=True),
    "vwap": Input(lambda b: b.vwap, is_level=True),
    "volume": Input(lambda b: b.volume, is_level=True),
    "returns": Input(lambda b: b.close / b.previous - 1.0),
    "turnover": Input(lambda b: b.turn),
    "free_turnover": Input(lambda b: b.free),
    "div_close_freeturn": Input(lambda b: b.close / b.free, is_level=True),
    "div_open_turn": Input(lambda b: b.open / b.turn, is_level=True),
    "div_volume_low": Input(lambda b: b.volume / b.low, is_level=True),
    "div_vwap_high": Input(lambda b: b.vwap / b.high),
    "div_low_high": Input(lambda b: b.low / b.high),
    "div_vwap_close_2": Input(lambda b: b.vwap / b.close),
    "div_open_close": Input(lambda b: (b.open - b.close) / b.close),
    "div_high_close": Input(lambda b: (b.high - b.close) / b.close),
    "div_low_close": Input(lambda b: (b.low - b.close) / b.close),
    "div_vwap_close": Input(lambda b: (b.vwap - b.close) / b.close),
    "volume_sqrt": Input(lambda b: np.sqrt(np.sqrt(np.sqrt(b.volume))), is_level=True),
    "div_price_turnover": Input(lambda b: (b.open * b.free) / (b.turn * b.close)),
}
"""All inputs of AlphaNet's versions, by the names of Table 3-1 where it has them."""

_V1 = ("open", "high", "low", "close", "vwap", "volume", "returns", "turnover", "free_turnover")
_V2 = (*_V1, "div_close_freeturn", "div_open_turn", "div_volume_low", "div_vwap_high", "div_low_high",
       "div_vwap_close_2")  # fmt: skip
_V4 = (
    "div_open_close", "div_high_close", "div_low_close", "close", "div_vwap_close", "volume_sqrt", "returns",
    "turnover", "div_close_freeturn", "div_price_turnover", "div_volume_low", "div_low_high", "div_vwap_close_2",
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """The inputs, windows and operators of one version."""

    inputs: tuple[str, ...]
    windows: tuple[int, ...]
    operators: tuple[str, ...] = SIX


PRESETS: Mapping[str, Preset] = {
    "v1": Preset(_V1, (10,), OPERATORS),
    "v2": Preset(_V2, (10,)),
    "v3": Preset(_V2, (10, 5)),
    "v4": Preset(_V4, (2, 5, 10, 22)),
    "table34": Preset(_V4, (5, 10, 20)),
}
FIELDS: Mapping[str, str] = {
    **{name: f"adj_{name}" for name in ("open", "high", "low", "close", "vwap", "volume")},
    "turn": "turnover",
    "free": "free_turnover",
}
"""The panel field of each of the `Bars`."""


@features.register("alphanet")
class AlphaNet(FeatureFamily):
    """AlphaNet's operators over trailing windows: corr, cov, std, zscore, return, decay_linear, and mean in V1.

    All pairs of inputs have a correlation and a covariance, all inputs the others; see `kernels.alphanet` for the
    formulas. Bars are adjusted. zscore is mean / std; std and covariance divide by d - 1; a correlation or zscore of
    what does not vary is 0. Windows are d rows of the stock's listed span, today's included. A missing value (a
    suspended day, a division by 0) makes every window that contains it missing: each value rests on exactly the days
    that its definition names. Knowable at the close of the row.

    Presets, as (inputs, windows): `v1` (9, 10), `v2` (15, 10), `v3` (15, 10 and 5), `v4` (13, 2, 5, 10 and 22: 832
    features with `corr_of_two` and `collinear`) and `table34`, V4 with the windows of its Table 3-4 (5, 10 and 20).

    Source: Huatai Securities, AlphaNet series, 2020 (V1 to V3, after published replications); Wu, "Alphanetv4: Alpha
    Mining Model", Tables 3-1 and 3-3, section 4.

    Differs: `return` subtracts 1 once (Table 3-3 does so twice); volume_sqrt is the eighth root (section 4 says "eighth
    power"); div_price_turnover is (open / turnover) / (close / free turnover), as section 4 derives it; the constant or
    doubled features below are left out unless asked for.
    """

    inputs: ClassVar[tuple[str, ...]] = (*FIELDS.values(), "is_listed")

    preset: Literal["v1", "v2", "v3", "v4", "table34"] = "v4"
    """The version whose inputs, operators and windows are taken."""
    windows: tuple[Annotated[int, Field(ge=2, le=LONGEST)], ...] | None = None
    """Lengths in rows; None for the preset's own."""
    scale: Literal["none", "last"] = "none"
    """`last`: inputs on the level of a price or a volume are divided by their value on the window's last day."""
    corr_of_two: bool = False
    """Keep correlations over 2 rows, which are -1, 0 or 1."""
    collinear: bool = False
    """Keep inputs that equal another one up to a constant: div_vwap_close_2, and those that `free_turnover` doubles."""
    free_turnover: Literal["free_turnover", "turnover"] = "free_turnover"
    """The field read as free turnover. `turnover` for data without free-float shares: free_turnover and
    div_price_turnover then repeat turnover and div_open_close, and count as collinear."""

    @field_validator("windows")
    @classmethod
    def _once_each(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or len(set(value)) < len(value)):
            raise ValueError(f"windows must be different lengths, at least one (given: {list(value)})")
        return value

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the n inputs, in order."""
        doubled = {"div_vwap_close_2"} if self.preset in {"v4", "table34"} else set()
        if self.free_turnover == "turnover":
            doubled |= {"free_turnover", "div_price_turnover"}
        return tuple(name for name in PRESETS[self.preset].inputs if self.collinear or name not in doubled)

    @cached_property
    def layout(self) -> OperatorLayout:
        """Where each feature stands in a row."""
        preset = PRESETS[self.preset]
        return OperatorLayout.of(
            len(self.input_names),
            self.windows or preset.windows,
            operators=preset.operators,
            corr_of_two=self.corr_of_two,
        )

    @property
    def scaled(self) -> Bools:
        """Which inputs `[n]` are divided by their last value."""
        return np.array([self.scale == "last" and INPUTS[name].is_level for name in self.input_names])

    @property
    def required(self) -> tuple[str, ...]:
        """Adjusted bars, turnover and, unless `free_turnover` replaces it, free turnover."""
        return tuple(dict.fromkeys([*self._sources().values(), "is_listed"]))

    @property
    def lookback(self) -> int:
        """The longest window, whose `return` starts on the day before it, and one row for the inputs' own return."""
        return self.layout.reach + 1

    def columns(self) -> list[str]:
        """Return names as `corr_close_volume_10`, `std_close_10`, window by window."""
        return self.layout.columns(self.input_names)

    def compute(self, panel: Panel) -> Floats:
        """Return the features `[T, N, F]` of every row; NaN where a stock is not listed."""
        out = np.empty((*panel.shape, self.layout.width), dtype=np.float32)
        operator_rows(self.operands(panel), self.layout, 0, panel.shape[0], out, scaled=self.scaled)
        return out

    def operands(self, panel: Panel) -> Floats:
        """Return the inputs `[n, T, N]`; NaN where unlisted or not finite. Computed in float64 from the fields."""
        T, N = panel.shape
        out = np.empty((len(self.input_names), T, N), dtype=np.float32)
        for a in range(0, T, CHUNK):
            b = min(a + CHUNK, T)
            bars = self._bars(panel, a, b)
            for i, name in enumerate(self.input_names):
                with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                    values = INPUTS[name].make(bars).astype(np.float32)
                out[i, a:b] = np.where(np.isfinite(values), values, np.nan)
        return out

    def _sources(self) -> dict[str, str]:
        """Return the panel field of each of the `Bars`."""
        return {**FIELDS, "free": self.free_turnover}

    def _bars(self, panel: Panel, first: int, stop: int) -> Bars:
        """Return rows `first` to `stop - 1`, missing where a stock is not listed."""
        before = max(first - 1, 0)
        listed = panel["is_listed"][before:stop] > 0
        values = {
            name: np.where(listed, panel[field][before:stop], np.nan).astype(np.float64)
            for name, field in self._sources().items()
        }
        previous = np.vstack([np.full((1, panel.shape[1]), np.nan), values["close"]])[first - before : stop - before]
        rows = {name: array[first - before :] for name, array in values.items()}
        return Bars(**rows, previous=previous)


class OperatorRows:
    """AlphaNet's features of a panel, stored once or computed when asked for: whichever fits in memory.

    If all T rows fit in the budget they are computed once, at the first call, and every later call is a view. If not,
    one buffer of `block_rows` rows is kept, and computed anew when rows outside it are asked for. Computing a row costs
    about as much as reading a stored one back from memory, so no more than that is worth keeping: walk through the
    dates in blocks (for 20-step samples of 60 days, 60 + 19 rows), and draw the samples of a block in any order.
    """

    def __init__(self, family: AlphaNet, panel: Panel, *, budget_bytes: int, threads: int | None = None) -> None:
        """Prepare the inputs, `n * T * N * 4` bytes that come on top of the budget.

        Args:
            family: which features.
            panel: with `family.required`; rows without `family.lookback` rows before them lack part of their values.
            budget_bytes: what the rows held may take.
            threads: numba's number by default.

        Raises:
            MissingFieldError: the panel lacks an input.
            SettingError: the budget does not hold a single row.
        """
        T, N = panel.shape
        self.family = family
        self.shape = (T, N, family.layout.width)
        self.block_rows = min(T, budget_bytes // max(self.bytes_for(1), 1))
        """How many consecutive rows fit in the budget."""
        if self.block_rows < min(T, 1):
            raise SettingError(
                f"budget_bytes is {budget_bytes}; one row of {N} stocks x {self.shape[2]} features takes "
                f"{self.bytes_for(1)}. Give at least that."
            )
        self._threads = threads
        self._inputs = family.operands(panel)
        self._buffer: Floats | None = None
        self._held = (0, 0)

    @property
    def is_stored(self) -> bool:
        """Whether all rows fit in the budget and are computed once."""
        return self.block_rows == self.shape[0]

    def bytes_for(self, rows: int) -> int:
        """Return the bytes of `rows` rows `[rows, N, F]`."""
        return rows * self.shape[1] * self.shape[2] * 4

    def rows(self, first: int, stop: int) -> Floats:
        """Return rows `first` to `stop - 1` as a read-only view `[stop - first, N, F]`.

        Unless `is_stored`, the view holds until rows outside the present block are asked for. The bits are those of
        `family.compute`.

        Raises:
            SettingError: rows outside the panel, or more than `block_rows`.
        """
        T, N, F = self.shape
        if not 0 <= first <= stop <= T or stop - first > self.block_rows:
            raise SettingError(
                f"Rows {first} to {stop} are asked for; there are rows 0 to {T}, of which the budget holds "
                f"{self.block_rows} at once."
            )
        if self._buffer is None:
            self._buffer = np.empty((self.block_rows, N, F), dtype=np.float32)
        if not self._held[0] <= first <= stop <= self._held[1]:
            start = min(first, T - self.block_rows)
            operator_rows(
                self._inputs, self.family.layout, start, start + self.block_rows, self._buffer,
                scaled=self.family.scaled, threads=self._threads,
            )  # fmt: skip
            self._held = (start, start + self.block_rows)
        view = self._buffer[first - self._held[0] : stop - self._held[0]].view()
        view.flags.writeable = False
        return view
