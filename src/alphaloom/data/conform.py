"""What a frame must be before it enters the store: known columns, right types, whole keys, dates in order."""

from collections.abc import Iterable

import polars as pl

from alphaloom.data.schema import TABLES, Table
from alphaloom.errors import DataError, did_you_mean, unknown_name

ORDER: dict[str, tuple[tuple[str, ...], str]] = {
    "bars": (("symbol",), "date"),
    "frame": (("symbol",), "date"),
    "industry": (("symbol",), "from_date"),
    "index_weights": (("index",), "date"),
    "index_bars": (("index",), "date"),
}
"""Tables that are series: within the columns named first, the date column must not step back."""


def table_named(name: str) -> Table:
    """Return the schema of a table.

    Raises:
        UnknownNameError: there is no such table.
    """
    if name not in TABLES:
        raise unknown_name("table", name, TABLES)
    return TABLES[name]


def conform(
    table: Table, frame: pl.DataFrame, *, extras: Iterable[str] = (), sort: bool = False, where: str = ""
) -> pl.DataFrame:
    """Return the frame with the table's columns in the schema's order and types, then its extra columns.

    Numbers of any width become the schema's; NaN becomes null; a datetime at midnight becomes a date; 0 and 1 become
    booleans. Columns the schema does not name must be numeric and listed in `extras`; the `frame` table takes any.
    Duplicate keys are looked for by the store, which sees all parts of a table together.

    Args:
        table: the schema.
        frame: rows in any column order.
        extras: names of further columns that are meant.
        sort: accept rows in any order; otherwise dates that step back within a series are refused.
        where: the file the frame came from, for messages.

    Raises:
        DataError: unknown or absent column, wrong type, null key, infinite number, dates out of order.
    """
    place = f" in {where}" if where else ""
    allowed = set(extras)
    for column in frame.columns:
        if column not in table.columns and column not in allowed and not table.any_columns:
            raise DataError(
                f"Table {table.name!r} has no column {column!r}{place}.{did_you_mean(column, table.columns)} It takes: "
                f"{', '.join(table.columns)}. Rename it in the column mapping, drop it, or list it under `extras` to "
                "keep it as a further numeric column."
            )
    absent = [c for c in (*table.key, *table.required) if c not in frame.columns]
    if absent:
        raise DataError(
            f"Table {table.name!r} needs column {absent[0]!r}{place}; the frame has: {', '.join(frame.columns)}. "
            "Name the file's column for it in the column mapping."
        )
    known = [c for c in table.columns if c in frame.columns]
    others = [c for c in frame.columns if c not in table.columns]
    columns = [_cast(frame[c], table.columns[c].dtype, table.name, place) for c in known]
    columns += [_cast(frame[c], pl.Float32, table.name, place) for c in others]
    result = pl.DataFrame(columns)
    for key in table.key:
        if result[key].null_count():
            rows = result.with_row_index("row").filter(pl.col(key).is_null())
            raise DataError(
                f"Key column {key!r} of table {table.name!r} is null in {rows.height} rows{place}, first in row "
                f"{rows['row'][0]}. Every row needs {', '.join(table.key)}."
            )
    if not sort:
        _check_order(table, result, place)
    return result


def _cast(series: pl.Series, dtype: type[pl.DataType], table: str, place: str) -> pl.Series:
    """Return the series in a schema type, or refuse it with the first value that does not fit."""
    given = series.dtype
    if given == dtype:
        return _finite(series, table, place) if given.is_float() else series
    if given == pl.Null:
        return series.cast(dtype)
    if dtype == pl.Date and isinstance(given, pl.Datetime):
        dates = series.cast(pl.Date)
        if (dates.cast(given) != series).any():
            raise DataError(
                f"Column {series.name!r} of table {table!r} holds times of day{place}, first "
                f"{series.filter(dates.cast(given) != series)[0]}; the store is daily. Aggregate to days first."
            )
        return dates
    if dtype == pl.String and given in {pl.Categorical, pl.Enum}:
        return series.cast(pl.String)
    if dtype in {pl.Float32, pl.Float64} and given.is_numeric():
        return _finite(series.cast(dtype), table, place)
    if dtype in {pl.Float32, pl.Float64} and given == pl.Boolean and table == "frame":
        return series.cast(dtype)
    if dtype == pl.Boolean and given.is_numeric():
        if series.drop_nulls().is_in([0, 1]).all():
            return series.cast(pl.Boolean)
        wrong = series.drop_nulls().filter(~series.drop_nulls().is_in([0, 1]))
        raise DataError(
            f"Column {series.name!r} of table {table!r} must be true or false, or 0 and 1{place}; found {wrong[0]!r}."
        )
    example = series.drop_nulls()
    shown = f", for example {example[0]!r}" if example.len() else ""
    raise DataError(
        f"Column {series.name!r} of table {table!r} must be {dtype()}, found {given}{place}{shown}. "
        "Convert it in the file, or map another column to this name."
    )


def _finite(series: pl.Series, table: str, place: str) -> pl.Series:
    """Return the series with NaN as null.

    Raises:
        DataError: it holds an infinite value (a number too large for the type, or a division by zero upstream).
    """
    cleaned = series.fill_nan(None)
    infinite = int(cleaned.is_infinite().sum())
    if infinite:
        raise DataError(
            f"Column {series.name!r} of table {table!r} is infinite in {infinite} rows{place}. Use null for missing."
        )
    return cleaned


def _check_order(table: Table, frame: pl.DataFrame, place: str) -> None:
    if table.name not in ORDER or frame.is_empty():
        return
    series, day = ORDER[table.name]
    if frame[day].is_sorted():
        return
    back = _steps_back(frame, series, day)
    if back.height:  # a key given twice is out of order too, and is better reported as what it is
        back = _steps_back(frame.unique(table.key, keep="first", maintain_order=True), series, day)
    if back.height:
        first = back.row(0, named=True)
        name = ", ".join(str(first[c]) for c in series)
        raise DataError(
            f"Dates out of order in table {table.name!r}{place}: {name} has {first[day]} after {first['_before']} "
            f"({back.height} such rows). Sort the file by {', '.join(series)} and {day}, or import with --sort."
        )


def _steps_back(frame: pl.DataFrame, series: tuple[str, ...], day: str) -> pl.DataFrame:
    """Return the rows whose date lies before that of the previous row of their series, in `_before`."""
    before = frame.with_columns(pl.col(day).shift(1).over(series).alias("_before"))
    return before.filter(pl.col(day) < pl.col("_before"))
