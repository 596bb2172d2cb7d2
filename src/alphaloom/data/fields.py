"""The catalogue of panel fields: what each means, which columns it comes from, how it is derived.

All fields are float32 `[T, N]` and knowable at the close of their row; derivations read that row and earlier ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from alphaloom.data.derive import Derivation
from alphaloom.data.schema import TABLES
from alphaloom.data.store import Store
from alphaloom.errors import MissingFieldError, did_you_mean, unknown_name
from alphaloom.typing import Floats

_SCHEMA_COLUMNS = frozenset(f"{table.name}.{column}" for table in TABLES.values() for column in table.columns)

Way = tuple[str, ...]
"""Columns, as `table.column`, that together suffice."""


@dataclass(frozen=True)
class FieldRule:
    """One field: its meaning, the alternative sets of columns that make it, how, and what it is measured in."""

    meaning: str
    ways: tuple[Way, ...]
    make: Callable[[Derivation], Floats]
    unit: str = "ratio"
    """price (currency a share), shares, money (currency), ratio (also counts and logs), flag or group."""


def _raw(name: str) -> Callable[[Derivation], Floats]:
    return lambda d: d.raw(name)


def _adjusted(name: str) -> Callable[[Derivation], Floats]:
    return lambda d: d.adjusted(name)


_VWAP: tuple[Way, ...] = (("bars.vwap",), ("bars.amount",))
_FLOAT: tuple[Way, ...] = (("bars.float_shares",), ("bars.turnover",))
_BARS: tuple[Way, ...] = (("bars.close",),)

RULES: dict[str, FieldRule] = {
    **{
        name: FieldRule(
            f"unadjusted {name}; while not traded the stored price, else the last close", _BARS, _raw(name), "price"
        )
        for name in ("open", "high", "low", "close")
    },
    "volume": FieldRule("shares traded, unadjusted; 0 while not traded", _BARS, _raw("volume"), "shares"),
    "amount": FieldRule("traded value in currency; 0 while not traded", (("bars.amount",),), _raw("amount"), "money"),
    "vwap": FieldRule("average price, unadjusted: as stored, else amount / volume", _VWAP, lambda d: d.vwap(), "price"),
    "adj_factor": FieldRule("cumulative backward factor", (("bars.adj_factor",),), _raw("adj_factor")),
    "turnover": FieldRule(
        "traded fraction of float shares; 0 while not traded", (("bars.turnover",),), _raw("turnover")
    ),
    "free_turnover": FieldRule(
        "traded fraction of free-float shares; 0 while not traded", (("bars.free_turnover",),), _raw("free_turnover")
    ),
    "float_shares": FieldRule("shares that may trade", (("bars.float_shares",),), _raw("float_shares"), "shares"),
    "total_shares": FieldRule("shares issued", (("bars.total_shares",),), _raw("total_shares"), "shares"),
    "is_st": FieldRule("1 under risk warning, 0 not, NaN unknown", (("bars.is_st",),), _raw("is_st"), "flag"),
    "is_delisting": FieldRule(
        "1 in the delisting period, 0 not, NaN unknown", (("bars.is_delisting",),), _raw("is_delisting"), "flag"
    ),
    "limit_up": FieldRule(
        "highest permitted price, NaN without limit; as stored, else from the market's rules",
        (("bars.limit_up",), ("bars.close",)),
        lambda d: d.limits()[0],
        "price",
    ),
    "limit_down": FieldRule(
        "lowest permitted price, NaN without limit; as stored, else from the market's rules",
        (("bars.limit_down",), ("bars.close",)),
        lambda d: d.limits()[1],
        "price",
    ),
    "is_listed": FieldRule(
        "1 from the first to the last bar of the stock, else NaN", _BARS, lambda d: d.is_listed(), "flag"
    ),
    "is_suspended": FieldRule(
        "1 on a listed day without trade (or without a row), 0 traded, NaN not listed",
        _BARS,
        lambda d: d.is_suspended(),
        "flag",
    ),
    **{
        f"adj_{name}": FieldRule(
            f"{name} * adj_factor, NaN while not traded",
            tuple(("bars.adj_factor", *way) for way in (_VWAP if name == "vwap" else _BARS)),
            _adjusted(name),
            "price",
        )
        for name in ("open", "high", "low", "close", "vwap")
    },
    "adj_volume": FieldRule(
        "volume / adj_factor, NaN while not traded", (("bars.adj_factor",),), lambda d: d.adj_volume(), "shares"
    ),
    "total_cap": FieldRule(
        "close * total_shares, currency", (("bars.total_shares",),), lambda d: d.total_cap(), "money"
    ),
    "float_cap": FieldRule(
        "close * float_shares, currency; shares as stored, else volume / turnover over the last 10 rows",
        _FLOAT,
        lambda d: d.float_cap(),
        "money",
    ),
    "log_cap": FieldRule(
        "log of total_cap where the store has total shares, else of float_cap",
        (("bars.total_shares",), *_FLOAT),
        lambda d: d.log_cap(),
    ),
    "industry": FieldRule("industry code in force", (("industry.industry",),), lambda d: d.industry(), "group"),
    "listed_days": FieldRule(
        "trading days since listing, 1 on the first; before the store begins weekdays are counted",
        _BARS,
        lambda d: d.listed_days(),
    ),
}

PREFIXES = {
    "member": ("index_weights", "symbol", "1 for members of the index that day, else NaN"),
    "weight": ("index_weights", "weight", "fraction of the index from its list in force, NaN unknown or no member"),
    "fund": ("fundamentals", "value", "figure of the latest period announced by then"),
    "frame": ("frame", "", "column of the imported frame"),
    "index": ("index_bars", "", "column of the index's bars, as in `index:SH000300:close`, the same for every stock"),
    "macro": ("macro", "value", "figure of the latest day or period known by then, the same for every stock"),
}
"""Fields named `prefix:NAME`: the table, the column, the meaning."""

PREFIX_UNITS = {
    "member": "flag",
    "weight": "ratio",
    "fund": "unknown",
    "frame": "unknown",
    "index": "unknown",
    "macro": "unknown",
}
"""What the fields of each prefix are measured in; `unknown` where each figure or column has its own unit."""


def available_fields(store: Store) -> list[str]:
    """Return the names of all fields that the store's columns allow."""
    columns = {f"{table}.{column}" for table in store.tables() for column in store.columns(table)}
    names = [name for name, rule in RULES.items() if any(set(way) <= columns for way in rule.ways)]
    names += extra_columns(store, "bars")
    for prefix in PREFIXES:
        names += [f"{prefix}:{key}" for key in _keys(store, prefix)]
    return names


def extra_columns(store: Store, table: str) -> list[str]:
    """Return the columns of a table beyond the schema's; those of `bars` are fields by their own names."""
    return [name for name in store.columns(table) if f"{table}.{name}" not in _SCHEMA_COLUMNS]


def check_fields(store: Store, fields: Iterable[str], needed_by: Mapping[str, str] | None = None) -> None:
    """Check that the store can make every field, before any work.

    Args:
        store: where the columns are.
        fields: names as in the catalogue.
        needed_by: who asks for a field, for the message.

    Raises:
        MissingFieldError: a table or column is absent; the message names it, the field and who needs it.
        UnknownNameError: there is no such field.
    """
    columns = {table: set(store.columns(table)) for table in store.tables()}
    for name in fields:
        user = f" (needed by {needed_by[name]})" if needed_by and name in needed_by else ""
        prefix, _, key = name.partition(":")
        if key and prefix in PREFIXES:
            _check_prefixed(store, prefix, key, user)
        elif name in RULES:
            _check_ways(store, name, RULES[name].ways, columns, user)
        elif name not in extra_columns(store, "bars"):
            raise unknown_name("field", name, available_fields(store), where=f"store {store.path}{user}")


def _check_ways(store: Store, name: str, ways: tuple[Way, ...], columns: Mapping[str, set[str]], user: str) -> None:
    lacking = []
    for way in ways:
        absent = [item for item in way if item.split(".")[1] not in columns.get(item.split(".")[0], set())]
        if not absent:
            return
        lacking.append(absent)
    first = min(lacking, key=len)
    table, column = first[0].split(".")
    others = " or ".join(" with ".join(f"{item}" for item in absent) for absent in lacking if absent != first)
    hint = f" (or instead {others})" if others else ""
    if column == "adj_factor":
        hint += "; where prices are adjusted already, map adj_factor to the constant 1"
    have = (
        f"its {table} have: {', '.join(sorted(columns[table]))}" if table in columns else f"it has no table {table!r}"
    )
    raise MissingFieldError(
        f"Field {name!r}{user} needs column {column!r} of table {table!r}{hint}. The store {store.path} lacks it; "
        f"{have}."
    )


def _check_prefixed(store: Store, prefix: str, key: str, user: str) -> None:
    table, column, _ = PREFIXES[prefix]
    name = f"{prefix}:{key}"
    if table not in store.tables() or (column and column not in store.columns(table)):
        raise MissingFieldError(
            f"Field {name!r}{user} needs column {column or key!r} of table {table!r}, which the store {store.path} "
            f"lacks; it has the tables: {', '.join(store.tables())}."
        )
    keys = _keys(store, prefix)
    if key not in keys:
        kinds = {"fund": "item", "frame": "column", "macro": "series", "index": "index and column"}
        raise MissingFieldError(
            f"Field {name!r}{user}: table {table!r} of {store.path} has no {kinds.get(prefix, 'index')} {key!r}; "
            f"it has: {', '.join(keys)}.{did_you_mean(key, keys)}"
        )


def _keys(store: Store, prefix: str) -> list[str]:
    """Return the names that may follow a prefix in this store."""
    table, column, _ = PREFIXES[prefix]
    if table not in store.tables() or (column and column not in store.columns(table)):
        return []
    if prefix == "frame":
        return [name for name in store.columns("frame") if name not in {"date", "symbol"}]
    by = {"fund": "item", "macro": "series"}.get(prefix, "index")
    names = sorted(store.scan(table).select(pl.col(by).unique()).collect()[by].to_list())
    if prefix == "index":
        return [
            f"{name}:{column}" for name in names for column in store.columns(table) if column not in {"index", "date"}
        ]
    return names


def make_field(derivation: Derivation, name: str) -> tuple[Floats, tuple[str, ...] | None]:
    """Return one field over the whole store `[T, N]`, and its texts when it holds codes."""
    prefix, _, key = name.partition(":")
    if key and prefix in PREFIXES:
        return derivation.prefixed(prefix, key), None
    if name in RULES:
        values = RULES[name].make(derivation)
        return values, derivation.industry_names if name == "industry" else None
    return derivation.grid.column("bars", name), None
