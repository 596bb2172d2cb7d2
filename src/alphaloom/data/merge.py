"""Joining new rows of a table to the stored ones: keys unique, nothing overwritten."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from alphaloom.data.problems import REASON
from alphaloom.data.schema import Table
from alphaloom.errors import DataError


def merge(
    table: Table,
    columns: Mapping[str, pl.DataType],
    new: list[pl.DataFrame],
    kept: Path | None,
    *,
    quarantine: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(rows, repeats)`: new rows joined to a stored file, sorted by key; rows set aside with their reason.

    Raises:
        DataError: keys repeat among the new rows (without `quarantine`), or a stored key comes with other values.
    """
    key = list(table.key)
    frame = widen(pl.concat(new, how="diagonal"), columns) if new else pl.DataFrame(schema=dict(columns))
    frame = frame.sort(key, maintain_order=True)
    repeats = frame.clear().with_columns(pl.lit("").alias(REASON))
    if _has_repeats(frame, key):
        if not quarantine:
            repeated = frame.filter(pl.struct(key).is_duplicated())
            raise DataError(
                f"Table {table.name!r} has duplicate keys: {repeated.select(key).unique().height} of "
                f"({', '.join(key)}) repeat, first {_show(repeated, key)}. Nothing was written. Keep one row for each, "
                "or import with --quarantine to set them aside."
            )
        frame, repeats = _set_repeats_aside(frame, key)
    if kept is None:
        return frame, repeats
    old = widen(pl.read_parquet(kept), columns)
    _refuse_conflicts(table, old, frame, key, [name for name in columns if name not in key])
    return pl.concat([old, frame.join(old, on=key, how="anti")]).sort(key), repeats


def widen(frame: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return the frame with exactly these columns, absent ones null."""
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in columns.items() if name not in frame.columns]
    return frame.with_columns(absent).select(list(columns))


def _set_repeats_aside(frame: pl.DataFrame, key: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows with unique keys and the rows taken out: all but one of equal repeats, all conflicting ones."""
    marked = frame.with_columns(
        (pl.struct(frame.columns).n_unique().over(key) > 1).alias("_conflict"),
        (pl.int_range(pl.len()).over(key) > 0).alias("_later"),
    )
    out = pl.col("_conflict") | pl.col("_later")
    reason = pl.when(pl.col("_conflict")).then(pl.lit("duplicate key, other values")).otherwise(pl.lit("repeated row"))
    return (
        marked.filter(~out).select(frame.columns),
        marked.filter(out).with_columns(reason.alias(REASON)).select(*frame.columns, REASON),
    )


def _refuse_conflicts(table: Table, old: pl.DataFrame, new: pl.DataFrame, key: list[str], values: list[str]) -> None:
    both = old.join(new, on=key, how="inner", suffix="_new")
    if both.is_empty() or not values:
        return
    wrong = both.filter(pl.any_horizontal([pl.col(name).ne_missing(pl.col(f"{name}_new")) for name in values]))
    if wrong.height:
        row = wrong.row(0, named=True)
        name = next(n for n in values if row[n] != row[f"{n}_new"])
        raise DataError(
            f"{wrong.height} rows of table {table.name!r} are stored already with other values, first "
            f"{_show(wrong, key)}: {name} is {row[name]!r} in the store and {row[f'{name}_new']!r} in the import. "
            "Nothing was written. Import into a new store to replace them."
        )


def _has_repeats(frame: pl.DataFrame, key: list[str]) -> bool:
    """Return whether two neighbours of a frame sorted by key have the same key."""
    same = [pl.col(name).eq_missing(pl.col(name).shift(1)) for name in key]
    return bool(frame.select(pl.all_horizontal(same).any()).item()) if frame.height > 1 else False


def _show(frame: pl.DataFrame, key: list[str]) -> str:
    return " ".join(str(frame[name][0]) for name in key)
