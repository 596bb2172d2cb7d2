"""Tables in plain files, CSV or Parquet: which file is which table, which column is which."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BeforeValidator, Field

from alphaloom.data.schema import TABLES, Table
from alphaloom.data.sources.base import Facts
from alphaloom.errors import DataError, SettingError, UnsafeFileError, did_you_mean
from alphaloom.spec import Spec

DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
TRUE, FALSE = ["1", "true", "yes", "t", "y"], ["0", "false", "no", "f", "n"]
CHINA = re.compile(r"^(?:(?P<a>\d{6})\.(?P<b>SH|SZ|BJ|XSHG|XSHE|XBEI)|(?P<c>SH|SZ|BJ)\.?(?P<d>\d{6}))$")
EXCHANGES = {"XSHG": "SH", "XSHE": "SZ", "XBEI": "BJ"}


class ColumnMap(Spec):
    """Where a store column comes from: a column of the file, scaled if need be, or one value for all rows."""

    column: str | None = None
    scale: float = 1.0
    """Multiplies the file's numbers, as 0.01 for percent to fraction."""
    value: float | bool | str | None = None
    """Constant for every row."""


def _column(data: Any) -> Any:
    return {"column": data} if isinstance(data, str) else data


def _options(data: Any) -> Any:
    """Return a table's mapping with its columns gathered under `columns`, whichever way it was written."""
    if not isinstance(data, Mapping):
        return data
    options = {key: value for key, value in data.items() if key in TableMap.model_fields}
    columns = {key: value for key, value in data.items() if key not in TableMap.model_fields}
    return {**options, "columns": {**options.get("columns", {}), **columns}}


class TableMap(Spec):
    """How the files of one table are read."""

    files: str | None = None
    """File or pattern within SOURCE, as `daily/*.csv`; by default `bars.csv`, or all files in `bars/`."""
    columns: dict[str, Annotated[ColumnMap, BeforeValidator(_column)]] = Field(default_factory=dict)
    """Store column -> file column, or `{column: ..., scale: ...}`, or `{value: ...}`."""
    extras: tuple[str, ...] = ()
    """Further numeric columns to keep, by their names in the store."""
    symbol_from_name: bool | None = None
    """Take the symbol from the file's name; by default when the file has no symbol column."""
    date_format: str | None = None
    """As in `%d.%m.%Y`; by default the usual year-first forms are tried."""
    symbols: Literal["as_is", "china"] = "as_is"
    """`china` turns 600000.SH, sh.600000 and 600000.XSHG into SH600000."""


TableMaps = dict[str, Annotated[TableMap, BeforeValidator(_options)]]


def check_maps(maps: Mapping[str, TableMap]) -> None:
    """Check that a mapping names tables and columns of the schema.

    Raises:
        SettingError: an unknown table or column, a column without origin, or a mapping written the wrong way round.
    """
    for name, spec in maps.items():
        if name not in TABLES:
            raise SettingError(
                f"The mapping names table {name!r}.{did_you_mean(name, TABLES)} Tables: {', '.join(TABLES)}."
            )
        table = TABLES[name]
        for column, origin in spec.columns.items():
            if column not in table.columns and column not in spec.extras and not table.any_columns:
                turned = origin.column in table.columns
                hint = " The mapping reads `store column: file column`; yours looks turned round." if turned else ""
                raise SettingError(
                    f"The mapping of table {name!r} names the store column {column!r}, which there is not."
                    f"{did_you_mean(column, table.columns)}{hint} Columns: {', '.join(table.columns)}; others are "
                    "listed under `extras`."
                )
            if (origin.column is None) == (origin.value is None):
                raise SettingError(f"Mapping of {name}.{column}: give either `column` or `value`.")


def find_tables(path: Path, suffixes: tuple[str, ...], maps: Mapping[str, TableMap]) -> dict[str, list[Path]]:
    """Return the files of each table under a path.

    A file is the table it is named after, else bars. In a folder, `bars.csv` or the files in `bars/`; a folder in which
    nothing is named after a table holds bars.

    Raises:
        DataError: no file of the kind is there, or a pattern of the mapping finds none.
    """
    if path.is_file():
        stem = path.name.split(".")[0]
        only = next(iter(maps)) if len(maps) == 1 else "bars"
        return {stem if stem in TABLES else only: [path]}
    found: dict[str, list[Path]] = {}
    for name in TABLES:
        spec = maps.get(name)
        if spec is not None and spec.files is not None:
            files = sorted(path.glob(spec.files))
            if not files:
                raise DataError(f"The mapping of table {name!r} takes files {spec.files!r}, and {path} has none.")
        else:
            files = sorted(f for s in suffixes for f in [*path.glob(f"{name}{s}"), *path.glob(f"{name}/**/*{s}")])
        if files:
            found[name] = files
    if not found:
        loose = sorted(file for suffix in suffixes for file in path.glob(f"*{suffix}"))
        found = {"bars": loose} if loose else {}
    if not found:
        raise DataError(f"{path} holds no {' or '.join(suffixes)} file. SOURCE is a file, or a folder with bars.*.")
    return found


def facts_of(
    path: Path,
    suffixes: tuple[str, ...],
    maps: Mapping[str, TableMap],
    market: str | None,
    columns_of: Callable[[Path], list[str]],
) -> Facts:
    """Return the market, further columns and notes: of the mapping, and of a `store.json` where the folder has one.

    Args:
        path: file or folder.
        suffixes: endings of the files.
        maps: column mapping by table.
        market: the market asked for; None for that of `store.json`, else `china`.
        columns_of: returns the column names of a file.
    """
    check_maps(maps)
    meta = _meta(path)
    extras = {name: spec.extras for name, spec in maps.items()}
    if meta:
        for name, files in find_tables(path, suffixes, maps).items():
            others = [column for column in columns_of(files[0]) if column not in TABLES[name].columns]
            extras[name] = (*extras.get(name, ()), *others)
    return Facts(
        market=market or meta.get("market", "china"),
        extras=extras,
        notes=tuple(meta.get("notes", ())),
        known_issues=tuple(meta.get("known_issues", ())),
        label=meta.get("label", ""),
    )


def _meta(path: Path) -> dict[str, Any]:
    file = path / "store.json"
    if not file.is_file():
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UnsafeFileError(f"{file} is damaged: {error}.") from None
    return dict(data)


def read_tables(
    path: Path,
    suffixes: tuple[str, ...],
    maps: Mapping[str, TableMap],
    read: Callable[[Path], pl.DataFrame],
    extras: Mapping[str, tuple[str, ...]],
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield `(table, frame)` for every file under a path, with columns renamed, scaled and typed."""
    for name, files in find_tables(path, suffixes, maps).items():
        spec = maps.get(name, TableMap())
        spec = spec.model_copy(update={"extras": (*spec.extras, *extras.get(name, ()))})
        for file in files:
            yield name, shape_columns(read(file), TABLES[name], spec, file, mapped=bool(spec.columns))


def shape_columns(frame: pl.DataFrame, table: Table, spec: TableMap, file: Path, *, mapped: bool) -> pl.DataFrame:
    """Return the frame in the schema's names and types.

    With a mapping, file columns that it does not name are taken when they bear a name of the schema, else left out.

    Raises:
        DataError: the file lacks a mapped column, a text is not a number or date, or the symbol is nowhere.
    """
    columns: dict[str, pl.Series] = {}
    for column, origin in spec.columns.items():
        if origin.column is None:
            columns[column] = pl.Series(column, [origin.value] * frame.height)
            continue
        if origin.column not in frame.columns:
            raise DataError(
                f"{file} has no column {origin.column!r}, which the mapping takes for {table.name}.{column}."
                f"{did_you_mean(origin.column, frame.columns)} It has: {', '.join(frame.columns)}."
            )
        columns[column] = frame[origin.column].alias(column)
    used = {origin.column for origin in spec.columns.values()}
    for column in frame.columns:
        known = column in table.columns or column in spec.extras
        if column not in columns and column not in used and (known or not mapped):
            columns[column] = frame[column]
    if "symbol" in table.key and (spec.symbol_from_name or (spec.symbol_from_name is None and "symbol" not in columns)):
        symbol = file.name.split(".")[0]
        columns["symbol"] = pl.Series("symbol", [symbol] * frame.height, dtype=pl.String)
    typed = [_typed(series, _dtype(table, name, spec), spec, file) for name, series in columns.items()]
    scales = {name: origin.scale for name, origin in spec.columns.items() if origin.scale != 1.0}
    result = pl.DataFrame(typed).with_columns(pl.col(name) * scale for name, scale in scales.items())
    if spec.symbols == "china" and "symbol" in result.columns:
        names = {name: _china(name, file) for name in result["symbol"].unique().drop_nulls()}
        result = result.with_columns(pl.col("symbol").replace_strict(names, return_dtype=pl.String))
    return result


def _dtype(table: Table, name: str, spec: TableMap) -> type[pl.DataType] | None:
    """Return the type wanted; None for a column that the store will refuse by name."""
    if name in table.columns:
        return table.columns[name].dtype
    return pl.Float32 if name in spec.extras or table.any_columns else None


def _typed(series: pl.Series, dtype: type[pl.DataType] | None, spec: TableMap, file: Path) -> pl.Series:
    """Return texts and whole-number dates in the schema's type; other types are left to the store to judge."""
    if dtype == pl.Date:
        if series.dtype.is_integer():
            series = series.cast(pl.String)
        return _dates(series, spec.date_format, file) if series.dtype == pl.String else series
    if series.dtype != pl.String or dtype in {None, pl.String}:
        return series
    if dtype == pl.Boolean:
        low = series.str.strip_chars().str.to_lowercase().str.replace(r"\.0$", "")
        result = low.replace_strict([*TRUE, *FALSE], [True] * 5 + [False] * 5, default=None, return_dtype=pl.Boolean)
        return _no_loss(series, result, "true or false", file)
    return _no_loss(series, series.str.strip_chars().cast(pl.Float64, strict=False), "a number", file)


def _dates(series: pl.Series, date_format: str | None, file: Path) -> pl.Series:
    for pattern in [date_format] if date_format else DATE_FORMATS:
        parsed = (
            series.str.to_datetime(pattern, strict=False)
            if "%H" in pattern
            else series.str.to_date(pattern, strict=False)
        )
        if parsed.null_count() == series.null_count():
            return parsed
    wanted = date_format or "a date such as 2024-12-31 (other forms: set date_format in the mapping)"
    best = series.str.to_date(date_format or DATE_FORMATS[0], strict=False)
    return _no_loss(series, best, wanted, file)


def _no_loss(given: pl.Series, parsed: pl.Series, wanted: str, file: Path) -> pl.Series:
    lost = (given.is_not_null() & parsed.is_null()).arg_true()
    if lost.len():
        k = lost[0]
        raise DataError(
            f"{file}, column {given.name!r}, data row {k + 1}: {given[k]!r} is not {wanted} "
            f"({lost.len()} such values). Correct the file, or map another column."
        )
    return parsed


def _china(symbol: str, file: Path) -> str:
    match = CHINA.match(symbol.upper())
    if match is None:
        raise DataError(f"{file}: symbol {symbol!r} is not of a known Chinese form (600000.SH, sh.600000, SH600000).")
    exchange = match["b"] or match["c"]
    return EXCHANGES.get(exchange, exchange) + (match["a"] or match["d"])
