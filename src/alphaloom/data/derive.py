"""Derivation of panel fields from the store's columns, over the whole span of the store or from a row on.

A grid that begins inside the store (`alphaloom.data.grid.Past`) gives the same values, bit for bit, from the row after
each stock's last one in the past, if it begins at least `CONTEXT` rows before that row.
"""

from functools import cached_property

import numpy as np
import polars as pl

from alphaloom.data.grid import Grid, Past, carry_forward, last_values, trailing_sum
from alphaloom.data.market_rules import MarketRules
from alphaloom.data.price_limits import Standing, Stocks, limit_prices, stocks_of
from alphaloom.data.store import Store
from alphaloom.typing import Array, Bools, Doubles, Floats

SHARES_WINDOW = 10
"""Rows over which volume / turnover is averaged into a share count."""
NO_LIMIT = 99_999
"""A highest price that vendors write for a day without limit, such as 99999.99."""
CONTEXT = SHARES_WINDOW
"""Rows before a row, besides values carried forward, on which its fields depend."""
PRICES = ("open", "high", "low", "close")
FLOWS = ("volume", "amount", "turnover", "free_turnover")
"""Columns that are 0, not missing, on a day without trade."""
STATES = ("adj_factor", "float_shares", "total_shares", "is_st", "is_delisting")
"""Columns that keep their last value on listed days for which the store has no row."""


class Derivation:
    """Fields of one store; shared intermediate arrays are made once."""

    def __init__(self, store: Store, grid: Grid | None = None) -> None:
        self.store = store
        self.grid = grid or Grid(store)
        self._columns = set(store.columns("bars"))
        self.industry_names: tuple[str, ...] = ()

    @cached_property
    def traded(self) -> Bools:
        """Where a stock traded `[T, N]`: a row with a close, volume above 0, and not marked suspended."""
        if self.grid.table == "frame":
            return self.grid.has_row
        traded = (self.grid.column("bars", "volume") > 0) & ~np.isnan(self.grid.column("bars", "close"))
        if "is_suspended" in self._columns:
            traded &= self.grid.column("bars", "is_suspended") != 1
        return traded

    @cached_property
    def idle(self) -> Bools:
        """Listed and not traded `[T, N]`."""
        return self.grid.listed & ~self.traded

    @cached_property
    def _last_close(self) -> Floats:
        return carry_forward(self.grid.column("bars", "close"), start=self.grid.carried("close"))

    def raw(self, name: str) -> Floats:
        """Return a column of bars `[T, N]`, completed on days without trade: see `PRICES`, `FLOWS`, `STATES`."""
        values = self.grid.column("bars", name)
        if name in PRICES:
            return np.where(self.idle & np.isnan(values), self._last_close, values)
        if name in FLOWS:
            values[self.idle] = 0.0
        elif name in STATES:
            return carry_forward(values, self.grid.listed & ~self.grid.has_row, self.grid.carried(name))
        return values

    def vwap(self) -> Floats:
        """Return the day's average price `[T, N]`: as stored, else amount / volume; NaN without trade or amount."""
        if "vwap" in self._columns:
            return np.where(self.traded, self.grid.column("bars", "vwap"), np.float32(np.nan))
        volume = self.grid.column("bars", "volume")
        amount = self.grid.column("bars", "amount")
        use = self.traded & (amount > 0)
        return np.divide(amount, volume, out=np.full(self.grid.shape, np.nan, dtype=np.float32), where=use)

    def adjusted(self, name: str) -> Floats:
        """Return a price times the adjustment factor `[T, N]`, NaN without trade."""
        price = self.vwap() if name == "vwap" else self.grid.column("bars", name)
        return np.where(self.traded, price * self.raw("adj_factor"), np.float32(np.nan))

    def adj_volume(self) -> Floats:
        """Return volume / adj_factor `[T, N]`, NaN without trade."""
        volume = self.grid.column("bars", "volume")
        return np.where(self.traded, volume / self.raw("adj_factor"), np.float32(np.nan))

    def is_listed(self) -> Floats:
        """Return 1 from a stock's first to its last row, else NaN `[T, N]`."""
        return np.where(self.grid.listed, np.float32(1), np.float32(np.nan))

    def is_suspended(self) -> Floats:
        """Return 1 on listed days without trade, 0 on others, NaN when not listed `[T, N]`."""
        return np.where(self.grid.listed, self.idle.astype(np.float32), np.float32(np.nan))

    def total_cap(self) -> Floats:
        """Return close * total shares `[T, N]`, in currency."""
        return self.raw("close") * self.raw("total_shares")

    def float_cap(self) -> Floats:
        """Return close * float shares `[T, N]`, in currency; shares as stored, else `_shares_from_turnover`."""
        if "float_shares" in self._columns:
            return self.raw("close") * self.raw("float_shares")
        return (self.raw("close") * self._shares_from_turnover()).astype(np.float32)

    def _shares_from_turnover(self) -> Doubles:
        """Return float shares `[T, N]`: sum of volume / sum of turnover over the last 10 rows, then carried forward.

        Turnover is often given to 0.01 percentage points, so one day's ratio is off by several per cent for a stock
        that trades little. Volumes are divided by adj_factor first and the ratio multiplied back, so that a split
        inside the window does not bend the count. Relative error on main-board stocks of 2020 to 2023 against turnover
        given to 0.0001 points, median / mean / 99th percentile: 0.09 / 0.46 / 4.8 %; the median of 20 daily ratios has
        0.10 / 0.65 / 15.7 %, one day's ratio 0.32 / 0.73 / 6.1 %.
        """
        ratio = carry_forward(self._sold_per_turnover, self.grid.listed, self.grid.carried("shares"))
        return np.asarray(ratio * self._share_factor, dtype=np.float64)

    @cached_property
    def _share_factor(self) -> Doubles:
        if "adj_factor" in self._columns:
            return self.raw("adj_factor").astype(np.float64)
        return np.ones(self.grid.shape)

    @cached_property
    def _sold_per_turnover(self) -> Doubles:
        """Adjusted volume / turnover over the window `[T, N]`, NaN where nothing was sold in it."""
        volume = self.grid.column("bars", "volume").astype(np.float64)
        turnover = self.grid.column("bars", "turnover").astype(np.float64)
        use = self.traded & (turnover > 0)
        sold = trailing_sum(np.where(use, volume / self._share_factor, np.nan), SHARES_WINDOW)
        share = trailing_sum(np.where(use, turnover, np.nan), SHARES_WINDOW)
        count = trailing_sum(use.astype(np.float64), SHARES_WINDOW)
        ratio: Doubles = np.divide(sold, share, out=np.full(self.grid.shape, np.nan), where=count > 0)
        return ratio

    def past(self, stop: int) -> Past:
        """Return what the rows before `stop` of the calendar mean to those after them."""
        rows = slice(0, stop - self.grid.offset)
        first, last = self.grid.spans(stop)
        names = [name for name in ("close", *STATES) if name in self._columns]
        sources: dict[str, Array] = {name: self.grid.column("bars", name)[rows] for name in names}
        if "turnover" in self._columns and "float_shares" not in self._columns:
            sources["shares"] = self._sold_per_turnover[rows]
        carried = {name: last_values(values, self.grid.carried(name)) for name, values in sources.items()}
        return Past(self.grid.calendar[:stop], self.grid.symbols, first, last, carried)

    def log_cap(self) -> Floats:
        """Return the log of total_cap, or of float_cap in a store without total shares `[T, N]`."""
        cap = self.total_cap() if "total_shares" in self._columns else self.float_cap()
        return np.log(cap, out=np.full(self.grid.shape, np.nan, dtype=np.float32), where=cap > 0)

    @cached_property
    def _list_dates(self) -> Array:
        """First day of listing of each stock as datetime64[D] `[N]`: from the listing table; NaT unknown."""
        result = np.full(self.grid.symbols.size, np.datetime64("NaT"), dtype="datetime64[D]")
        if "list_date" in self.store.columns("listing"):
            rows = self.store.read("listing", ["symbol", "list_date"]).drop_nulls()
            n = self.grid.column_of(rows["symbol"])
            result[n[n >= 0]] = rows["list_date"].to_numpy().astype("datetime64[D]")[n >= 0]
        return result

    def listed_days(self) -> Floats:
        """Return trading days since listing `[T, N]`, 1 on the first, NaN when not listed.

        From the list date where the store has it, counting its trading days and, before its first date, weekdays
        (about 4 % more than trading days in China); else from the first bar.
        """
        dates, first_row = self.grid.calendar, self.grid.first_row
        known = ~np.isnat(self._list_dates)
        start = np.where(known, np.searchsorted(dates, self._list_dates), first_row)
        start = np.minimum(start, first_row)  # a bar before the recorded list date counts as listed
        before = np.zeros(start.size, dtype=np.int64)
        old = known & (self._list_dates < dates[0])
        before[old] = np.busday_count(self._list_dates[old], dates[0])
        days = np.arange(self.grid.offset, dates.size)[:, None] - start[None, :] + 1 + before[None, :]
        return np.where(self.grid.listed, days.astype(np.float32), np.float32(np.nan))

    def limits(self) -> tuple[Floats, Floats]:
        """Return the highest and lowest permitted prices `[T, N]`, NaN without limit; as stored, else by the rules.

        Stored prices from `NO_LIMIT` on, or of 0, are vendors' marks for a day without limit.

        The reference is the previous close times the previous adjustment factor over today's. A stock of unknown ST
        status counts as not ST, one of unknown delisting status as not in its delisting period; one whose list date is
        unknown and which is there from the store's first date counts as long listed.
        """
        if {"limit_up", "limit_down"} <= self._columns:
            highest, lowest = self.grid.column("bars", "limit_up"), self.grid.column("bars", "limit_down")
            free = (highest >= NO_LIMIT) | (lowest <= 0)
            return np.where(free, np.float32(np.nan), highest), np.where(free, np.float32(np.nan), lowest)
        rules = MarketRules.load(self.store.market)
        reference = self.raw("close").astype(np.float64)
        if "adj_factor" in self._columns:
            factor = self.raw("adj_factor").astype(np.float64)
            reference[1:] = reference[:-1] * (factor[:-1] / factor[1:])
        else:
            reference[1:] = reference[:-1]
        reference[0] = np.nan
        reference[~self.grid.listed] = np.nan
        up, down = limit_prices(rules, reference, self.grid.dates, self._stocks(rules), self._standing())
        up[~self.grid.listed], down[~self.grid.listed] = np.nan, np.nan
        return up.astype(np.float32), down.astype(np.float32)

    def _standing(self) -> Standing:
        is_st = self.raw("is_st") == 1 if "is_st" in self._columns else np.zeros(self.grid.shape, dtype=np.bool_)
        age = self.listed_days()
        age[:, np.isnat(self._list_dates) & (self.grid.first_row == 0)] = np.nan
        return Standing(is_st, age, self._delisting_days() if "is_delisting" in self._columns else None)

    def _delisting_days(self) -> Floats:
        """Return 1 on the first day of a delisting period, 2 on its later ones, NaN outside `[T, N]`."""
        inside = self.raw("is_delisting") == 1
        # A period that a grid finds begun at its first row began before it, unless the store itself begins there.
        begun = np.vstack([inside[:1] & (self.grid.offset > 0), inside[:-1]])
        return np.where(inside, 1 + begun, np.nan).astype(np.float32)

    def _stocks(self, rules: MarketRules) -> Stocks:
        columns = self.store.columns("listing")
        boards: list[str | None] | None = None
        issue = None
        if "board" in columns:
            rows = self.store.read("listing", ["symbol", "board"])
            board = dict(zip(rows["symbol"].to_list(), rows["board"].to_list(), strict=True))
            boards = [board.get(str(symbol)) for symbol in self.grid.symbols]
        if "issue_price" in columns:
            rows = self.store.read("listing", ["symbol", "issue_price"]).drop_nulls()
            issue = np.full(self.grid.symbols.size, np.nan)
            n = self.grid.column_of(rows["symbol"])
            issue[n[n >= 0]] = rows["issue_price"].to_numpy()[n >= 0]
        return stocks_of(rules, self.grid.symbols, boards, issue)

    def industry(self) -> Floats:
        """Return codes of the industry in force `[T, N]`, NaN before the first record or when not listed."""
        rows = self.store.read("industry").sort("from_date")
        names = rows["industry"].unique().drop_nulls().sort()
        self.industry_names = tuple(names.to_list())
        codes = rows["industry"].cast(pl.Enum(names)).to_physical().cast(pl.Float64).to_numpy()
        return self._events(rows["symbol"], rows["from_date"], codes)

    def prefixed(self, prefix: str, key: str) -> Floats:
        """Return the field `prefix:key` `[T, N]` of `alphaloom.data.fields.PREFIXES`, such as `fund:book`."""
        if prefix == "frame":
            return self.grid.column("frame", key)
        if prefix == "index":
            return self._index_bars(*key.split(":"))
        if prefix == "macro":
            return self._macro(key)
        return self._fundamental(key) if prefix == "fund" else self._index(key, weights=prefix == "weight")

    def _index_bars(self, index: str, column: str) -> Floats:
        """Return a column of an index's bars, the same for every stock `[T, N]`; NaN on a date without a bar."""
        rows = self.store.scan("index_bars").filter(pl.col("index") == index).select("date", column).collect()
        values = rows[column].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        days = rows["date"].to_numpy().astype("datetime64[D]")
        t = self.grid.row_of(days)
        use = (t < self.grid.dates.size) & (self.grid.dates[np.minimum(t, self.grid.dates.size - 1)] == days)
        series = np.full(self.grid.dates.size, np.nan, dtype=np.float32)
        series[t[use]] = values[use]
        return self._same_for_all(series)

    def _macro(self, series: str) -> Floats:
        """Return the figure of the latest day or period known by the row's date; of one, its latest version."""
        rows = (
            self.store.scan("macro")
            .filter(pl.col("series") == series)
            .sort("known_date", "date")
            .filter(pl.col("date") == pl.col("date").cum_max())
            .drop_nulls("value")
            .collect()
        )
        t = self.grid.row_of(rows["known_date"].to_numpy().astype("datetime64[D]"))
        values = rows["value"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        known = np.full(self.grid.dates.size, np.nan, dtype=np.float32)
        known[t[t < known.size]] = values[t < known.size]
        return self._same_for_all(carry_forward(known[:, None])[:, 0])

    def _same_for_all(self, series: Floats) -> Floats:
        return np.broadcast_to(series[:, None], self.grid.shape)

    def _fundamental(self, item: str) -> Floats:
        """Return the figure of the latest period announced up to the row's date; of one period, its latest version."""
        rows = (
            self.store.scan("fundamentals")
            .filter(pl.col("item") == item)
            .sort("symbol", "announce_date", "period_end")
            .filter(pl.col("period_end") == pl.col("period_end").cum_max().over("symbol"))
            .sort("announce_date", "period_end", maintain_order=True)
            .collect()
        )
        return self._events(rows["symbol"], rows["announce_date"], rows["value"].to_numpy())

    def _events(self, symbols: pl.Series, days: pl.Series, values: Array) -> Floats:
        """Return `[T, N]`: each value in force from its day on, the later of two on one row; NaN when not listed.

        An event without a value leaves the one before it in force.
        """
        t = self.grid.row_of(days.to_numpy().astype("datetime64[D]"))
        n = self.grid.column_of(symbols)
        use = (t < self.grid.dates.size) & (n >= 0) & ~np.isnan(values)
        result = np.full(self.grid.shape, np.nan, dtype=np.float32)
        result[t[use], n[use]] = values[use]
        result = carry_forward(result)
        result[~self.grid.listed] = np.nan
        return result

    def _index(self, index: str, *, weights: bool) -> Floats:
        """Return 1 or the weight for the members of the list in force `[T, N]`, NaN for all others."""
        rows = self.store.scan("index_weights").filter(pl.col("index") == index).collect()
        result = np.full(self.grid.shape, np.nan, dtype=np.float32)
        lists = rows.partition_by("date", as_dict=True, maintain_order=True)
        days = sorted(lists)
        starts = [int(self.grid.row_of(np.array([key[0]], dtype="datetime64[D]"))[0]) for key in days]
        for k, key in enumerate(days):
            stop = starts[k + 1] if k + 1 < len(starts) else self.grid.dates.size
            if starts[k] >= stop:
                continue
            members = lists[key]
            n = self.grid.column_of(members["symbol"])
            value = members["weight"].fill_null(float("nan")).to_numpy() if weights else np.ones(members.height)
            result[starts[k] : stop, n[n >= 0]] = value[n >= 0]
        result[~self.grid.listed] = np.nan
        return result
