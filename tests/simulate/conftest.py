"""One simulated market for all tests of this folder: three boards, the ChiNext reform of 2020 inside its span."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from alphaloom.data.simulate import SimulatedMarket, Truth, simulate
from alphaloom.data.store import Store

SETTINGS = SimulatedMarket(
    stocks=150, years=3, start=dt.date(2018, 7, 2), seed=5, alpha="all", alpha_ic=0.1, suspensions=3
)


class Market:
    """A store's bars as arrays `[T, N]` in float64, with its other tables and its truth."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.truth = Truth.of(store.path)
        bars = store.read("bars")
        self.dates = bars["date"].unique().sort().to_numpy().astype("datetime64[D]")
        self.symbols = np.array(bars["symbol"].unique().sort().to_list())
        self._rows = np.searchsorted(self.dates, bars["date"].to_numpy().astype("datetime64[D]"))
        self._columns = np.searchsorted(self.symbols, np.array(bars["symbol"].to_list()))
        self.bars = {name: self.grid(bars[name]) for name in bars.columns[2:]}
        self.listed = np.isfinite(self.bars["close"])
        self.suspended = self.bars["is_suspended"] == 1
        self.trades = self.listed & ~self.suspended
        self.exposures = {
            key[0]: rows for key, rows in self.truth.exposures().collect().partition_by("date", as_dict=True).items()
        }
        self.listing = store.read("listing").sort("symbol")
        self.boards = np.array(self.listing["board"].to_list())

    def grid(self, column: pl.Series) -> np.ndarray:
        """Return a column of the bars, or of a truth table in the same order, as an array `[T, N]`."""
        out = np.full((self.dates.size, self.symbols.size), np.nan)
        out[self._rows, self._columns] = column.cast(pl.Float64).to_numpy()
        return out

    def expected(self, name: str) -> np.ndarray:
        """Return a column of the truth's expected returns `[T, N]`."""
        return self.grid(self.truth.alpha().select(name).collect()[name])

    @property
    def adj_close(self) -> np.ndarray:
        """Adjusted close, suspended days carrying the last one."""
        return self.bars["close"] * self.bars["adj_factor"]


@pytest.fixture(scope="session")
def market(tmp_path_factory) -> Market:
    """Return the market of SETTINGS, written to a store and read back."""
    return Market(simulate(SETTINGS, tmp_path_factory.mktemp("simulated") / "store"))
