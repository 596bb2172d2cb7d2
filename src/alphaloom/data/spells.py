"""Membership spells (in from, out from) as full lists of members at each date of change."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from alphaloom.errors import DataError


def lists_from_spells(spells: pl.DataFrame) -> pl.DataFrame:
    """Return the `index_weights` table (index, date, symbol) of membership spells; weights are null.

    One list of all members for every date on which an index changes. A stock is a member on day d if
    `opt_in <= d` and (`opt_out` is null or `d < opt_out`). A date that leaves an index without members
    has no list.

    Args:
        spells: columns index, symbol, opt_in, opt_out (dates).

    Raises:
        DataError: a spell without a start, or one that ends before it starts.
    """
    wrong = spells.filter(pl.col("opt_in").is_null() | (pl.col("opt_out") < pl.col("opt_in")))
    if wrong.height:
        raise DataError(f"{wrong.height} membership spells have no start or end before it, first: {wrong.row(0)}.")
    lists = pl.concat(list(_lists(spells))).sort("index", "date", "symbol")
    return lists.with_columns(pl.lit(None, dtype=pl.Float32).alias("weight"))


def _lists(spells: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for (index,), group in spells.partition_by("index", as_dict=True, maintain_order=True).items():
        start = group["opt_in"].to_numpy().astype("datetime64[D]")
        end = group["opt_out"].fill_null(pl.date(9999, 12, 31)).to_numpy().astype("datetime64[D]")
        changes = np.unique(np.concatenate([start, group["opt_out"].drop_nulls().to_numpy().astype("datetime64[D]")]))
        symbols = group["symbol"]
        for day in changes:
            members = symbols.filter(pl.Series((start <= day) & (day < end))).unique()
            if members.len():
                yield pl.DataFrame({"symbol": members}).select(
                    pl.lit(index).alias("index"), pl.lit(day.item()).cast(pl.Date).alias("date"), "symbol"
                )
