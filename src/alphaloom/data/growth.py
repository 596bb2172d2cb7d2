"""Growth: whether a store has, up to a date, what it had before."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping

import polars as pl

from alphaloom.data.batch import BY_YEAR
from alphaloom.data.store import Store
from alphaloom.typing import Dates, Symbols

KNOWN_BY = {
    "bars": "date",
    "frame": "date",
    "industry": "from_date",
    "index_weights": "date",
    "index_bars": "date",
    "fundamentals": "announce_date",
    "macro": "known_date",
}
"""The date of a table's rows from which on they count."""
LISTING = ("symbol", "list_date", "board")
"""Columns of the listing from which fields are derived."""


def content_until(store: Store, dates: Dates, symbols: Symbols) -> dict[str, str]:
    """Return a hash for each table of what bears on fields on these dates and symbols.

    Equal hashes say that the store has the same rows up to the last date, the same columns and the same market; it may
    have more rows after that date and more listed symbols. Years before the last date's count by their files.
    """
    last: dt.date = dates[-1].item()
    hashes = store.file_hashes()
    return {table: _table_content(store, table, last, symbols, hashes) for table in store.tables()}


def _table_content(store: Store, table: str, last: dt.date, symbols: Symbols, hashes: Mapping[str, str]) -> str:
    total = hashlib.blake2b(f"{store.market};{store.columns(table)};".encode(), digest_size=16)
    if table in BY_YEAR:
        earlier = [name for name in hashes if name.startswith(f"{table}/") and name[len(table) + 1 :] < str(last.year)]
        total.update(";".join(f"{name}:{hashes[name]}" for name in sorted(earlier)).encode())
        rows = store.read(table, since=dt.date(last.year, 1, 1)).filter(pl.col("date") <= last)
    elif table == "listing":
        rows = store.read(table).filter(pl.col("symbol").is_in(symbols.tolist()))
        rows = rows.select(name for name in LISTING if name in rows.columns)
    else:
        rows = store.read(table).filter(pl.col(KNOWN_BY[table]) <= last)
    for column in rows:
        _add(total, column)
    return total.hexdigest()


def _add(total: hashlib.blake2b, column: pl.Series) -> None:
    """Add a column's values, bit by bit, and where it is null."""
    total.update(f"{column.name}:{column.dtype}:{column.len()};".encode())
    total.update(column.is_null().cast(pl.UInt8).to_numpy().tobytes())
    if column.dtype == pl.String:
        texts = column.drop_nulls().unique().sort()
        total.update(json.dumps(texts.to_list()).encode())
        column = column.cast(pl.Enum(texts)).to_physical()
    elif column.dtype == pl.Boolean:
        column = column.cast(pl.UInt8)
    total.update(column.to_physical().fill_null(0).to_numpy().tobytes())
