"""The store's tables: keys, columns, types and meanings. Each table is optional except `bars`."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Column:
    """One column: its type on disk and what it means, with its unit."""

    dtype: type[pl.DataType]
    meaning: str


@dataclass(frozen=True)
class Table:
    """One table: key columns, then the others. Declared further numeric columns are kept and become panel fields."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, Column]
    required: tuple[str, ...] = ()
    any_columns: bool = False
    """Whether every further column is taken without being declared."""


_D, _S, _F, _B = pl.Date, pl.String, pl.Float32, pl.Boolean

BARS = Table(
    "bars",
    ("date", "symbol"),
    {
        "date": Column(_D, "trading day"),
        "symbol": Column(_S, "SH600000, SZ000001, BJ430047; other markets keep their own"),
        "open": Column(_F, "unadjusted price per share"),
        "high": Column(_F, "unadjusted price per share"),
        "low": Column(_F, "unadjusted price per share"),
        "close": Column(_F, "unadjusted price per share; on a suspended day the last traded close"),
        "volume": Column(_F, "shares, unadjusted; 0 or null on a suspended day"),
        "amount": Column(_F, "traded value in currency"),
        "vwap": Column(_F, "volume-weighted average price, unadjusted; derived as amount / volume when absent"),
        "adj_factor": Column(_F, "cumulative backward factor: adjusted price = price * adj_factor"),
        "turnover": Column(_F, "volume / float_shares, a fraction"),
        "free_turnover": Column(_F, "volume / free-float shares, a fraction"),
        "float_shares": Column(_F, "shares that may trade"),
        "total_shares": Column(_F, "shares issued"),
        "is_st": Column(_B, "under risk warning (ST) that day"),
        "is_delisting": Column(_B, "in the delisting period that day, the last weeks of trading before the delisting"),
        "is_suspended": Column(_B, "did not trade that day; derived from volume when absent"),
        "limit_up": Column(_F, "highest permitted price that day, null when there is no limit"),
        "limit_down": Column(_F, "lowest permitted price that day, null when there is no limit"),
    },
    required=("date", "symbol", "open", "high", "low", "close", "volume"),
)
LISTING = Table(
    "listing",
    ("symbol",),
    {
        "symbol": Column(_S, "symbol"),
        "name": Column(_S, "company name"),
        "exchange": Column(_S, "exchange"),
        "board": Column(_S, "board, as named in the market rules: main, chinext, star, bse"),
        "list_date": Column(_D, "first day of listing"),
        "delist_date": Column(_D, "first day without listing; null while listed"),
        "issue_price": Column(_F, "price a share of the initial offering, in currency"),
        "delist_value": Column(
            _F, "what a share of the last bar was worth to its holder after the delisting, in currency; null unknown"
        ),
    },
    required=("symbol",),
)
INDUSTRY = Table(
    "industry",
    ("symbol", "from_date"),
    {
        "symbol": Column(_S, "symbol"),
        "from_date": Column(_D, "first day on which the classification is known and in force"),
        "industry": Column(_S, "industry code"),
    },
    required=("symbol", "from_date", "industry"),
)
INDEX_WEIGHTS = Table(
    "index_weights",
    ("index", "date", "symbol"),
    {
        "index": Column(_S, "index symbol"),
        "date": Column(_D, "day from which this full list of members is in force, until the next list"),
        "symbol": Column(_S, "member"),
        "weight": Column(_F, "fraction of the index; null when only membership is known"),
    },
    required=("index", "date", "symbol"),
)
INDEX_BARS = Table(
    "index_bars",
    ("index", "date"),
    {
        "index": Column(_S, "index symbol"),
        "date": Column(_D, "trading day"),
        "open": Column(_F, "points"),
        "high": Column(_F, "points"),
        "low": Column(_F, "points"),
        "close": Column(_F, "points"),
        "volume": Column(_F, "as given"),
        "amount": Column(_F, "currency"),
    },
    required=("index", "date", "close"),
)
FUNDAMENTALS = Table(
    "fundamentals",
    ("symbol", "period_end", "announce_date", "item"),
    {
        "symbol": Column(_S, "symbol"),
        "period_end": Column(_D, "last day of the reported period"),
        "announce_date": Column(_D, "day of the announcement; knowable at that day's close"),
        "item": Column(_S, "name of the figure"),
        "value": Column(pl.Float64, "in currency or as named"),
    },
    required=("symbol", "period_end", "announce_date", "item", "value"),
)
MACRO = Table(
    "macro",
    ("series", "date", "known_date"),
    {
        "series": Column(_S, "name of the series"),
        "date": Column(_D, "day or end of period that the value describes"),
        "known_date": Column(_D, "day on which it could be known"),
        "value": Column(pl.Float64, "as named"),
    },
    required=("series", "date", "known_date", "value"),
)
FRAME = Table(
    "frame",
    ("date", "symbol"),
    {
        "date": Column(_D, "trading day"),
        "symbol": Column(_S, "symbol"),
    },
    required=("date", "symbol"),
    any_columns=True,
)
"""Ready-made features and a label by (date, symbol), under the names they came with."""

TABLES: dict[str, Table] = {
    table.name: table for table in (BARS, LISTING, INDUSTRY, INDEX_WEIGHTS, INDEX_BARS, FUNDAMENTALS, MACRO, FRAME)
}
