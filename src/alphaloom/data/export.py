"""Export: a store in forms that other programs read."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from alphaloom.data.store import META, Store
from alphaloom.errors import MissingFieldError, UsageError, unknown_name
from alphaloom.typing import Dates, Floats, PathLike

QLIB_NAMES = {
    "SH000903": "csi100",
    "SH000300": "csi300",
    "SH000905": "csi500",
    "SH000906": "csi800",
    "SH000852": "csi1000",
}
PRICES = ("open", "high", "low", "close", "vwap")


def export(store: Store, path: PathLike, format: str = "parquet") -> Path:  # noqa: A002
    """Return the file or folder that a store was written to.

    | format | what |
    |---|---|
    | parquet | a folder: one Parquet file a table, and `store.json` |
    | csv | a folder: one CSV file a table, and `store.json` |
    | qlib | a qlib binary folder: adjusted prices, volume / factor, factor; NaN on suspended days |
    | frame | one (datetime, instrument) frame, Parquet or pickle by the name's ending; the label last |

    Written aside and renamed.

    Raises:
        UsageError: the place is taken, or the format unknown.
        MissingFieldError: the store lacks what the format needs.
    """
    writers: dict[str, Callable[[Store, Path], None]] = {
        "parquet": _write_parquet,
        "csv": _write_csv,
        "qlib": _write_qlib,
        "frame": _write_frame,
    }
    if format not in writers:
        raise unknown_name("export format", format, writers)
    place = Path(path)
    if place.exists() and (place.is_file() or any(place.iterdir())):
        raise UsageError(f"{place} exists already; choose another place.")
    with _aside(place) as target:
        writers[format](store, target)
    return place


@contextmanager
def _aside(place: Path) -> Iterator[Path]:
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        target = folder / place.name
        yield target
        if place.exists():
            place.rmdir()
        target.rename(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_parquet(store: Store, target: Path) -> None:
    target.mkdir()
    for table in store.tables():
        store.scan(table).sink_parquet(target / f"{table}.parquet", compression="zstd")
    shutil.copyfile(store.path / META, target / META)


def _write_csv(store: Store, target: Path) -> None:
    target.mkdir()
    for table in store.tables():
        store.scan(table).sink_csv(target / f"{table}.csv")
    shutil.copyfile(store.path / META, target / META)


def _write_frame(store: Store, target: Path) -> None:
    """Write the frame table, or the bars of a store that has none, as a pandas frame."""
    table = "frame" if "frame" in store.tables() else "bars"
    frame = store.read(table).rename({"date": "datetime", "symbol": "instrument"})
    frame = frame.with_columns(pl.col("datetime").cast(pl.Datetime("ns")))
    label = store.meta.get("label")
    if label in frame.columns:
        frame = frame.select(pl.exclude(label), label)
    if target.suffix not in {".parquet", ".pkl", ".pickle"}:
        raise UsageError(f"{target.name}: a frame is written as .parquet or .pkl.")
    indexed = frame.to_pandas().set_index(["datetime", "instrument"])
    if target.suffix == ".parquet":
        indexed.to_parquet(target)
    else:
        indexed.to_pickle(target)


def _write_qlib(store: Store, target: Path) -> None:
    if "adj_factor" not in store.columns("bars"):
        raise MissingFieldError(
            f"qlib stores adjusted prices with their factor, and the bars of {store.path} have no adj_factor; map it "
            "to the constant 1 where prices are adjusted already."
        )
    bars = store.read("bars").sort("symbol", "date")
    calendar = _calendar(store, bars)
    numeric = [name for name in bars.columns if name not in {"date", "symbol"}]
    spans = []
    for (symbol,), rows in bars.partition_by("symbol", as_dict=True, maintain_order=True).items():
        spans.append((str(symbol), rows["date"][0], rows["date"][-1]))
        t = np.searchsorted(calendar, rows["date"].to_numpy().astype("datetime64[D]"))
        values = {name: rows[name].cast(pl.Float32).fill_null(float("nan")).to_numpy() for name in numeric}
        _write_stock(target / "features" / str(symbol).lower(), calendar, t, _adjusted(values))
    if "index_bars" in store.tables():
        for (index,), rows in store.read("index_bars").partition_by("index", as_dict=True).items():
            t = np.searchsorted(calendar, rows["date"].to_numpy().astype("datetime64[D]"))
            names = [name for name in rows.columns if name not in {"index", "date"}]
            values = {name: rows[name].fill_null(float("nan")).to_numpy() for name in names}
            _write_stock(target / "features" / str(index).lower(), calendar, t, values)
    _write_text(target / "calendars" / "day.txt", [str(day) for day in calendar])
    _write_text(target / "instruments" / "all.txt", [f"{s}\t{a}\t{b}" for s, a, b in spans])
    if "index_weights" in store.tables():
        _write_members(store, target, calendar)


def _calendar(store: Store, bars: pl.DataFrame) -> Dates:
    days = bars["date"].unique()
    if "index_bars" in store.tables():
        days = pl.concat([days, store.read("index_bars", ["date"])["date"].unique()]).unique()
    return days.sort().to_numpy().astype("datetime64[D]")


def _adjusted(values: dict[str, Floats]) -> dict[str, Floats]:
    """Return qlib's fields: prices times factor, volume over factor, VWAP; NaN on days without trade."""
    factor = values["adj_factor"].astype(np.float64)
    idle = ~(values["volume"] > 0)
    if "vwap" not in values and "amount" in values:
        whole = ~idle & (values["amount"] > 0)
        vwap = np.divide(values["amount"], values["volume"], out=np.full(idle.shape, np.nan, np.float32), where=whole)
        values = {**values, "vwap": vwap}
    result = {}
    for name, array in values.items():
        if name == "adj_factor":
            result["factor"] = array
        elif name in PRICES:
            result[name] = np.where(idle, np.nan, array * factor).astype(np.float32)
        elif name == "volume":
            result[name] = np.where(idle, np.nan, array / factor).astype(np.float32)
        else:
            result[name] = array
    return result


def _write_stock(folder: Path, calendar: Dates, t: np.ndarray, values: dict[str, Floats]) -> None:
    """Write one `.day.bin` a field: the calendar position of the first value, then the values, float32."""
    folder.mkdir(parents=True, exist_ok=True)
    first, last = int(t.min()), int(t.max())
    if last >= calendar.size:
        raise UsageError(f"{folder.name} has a date outside the calendar.")
    for name, array in values.items():
        if np.isnan(array).all():
            continue
        whole = np.full(last - first + 2, np.nan, dtype="<f4")
        whole[0] = first
        whole[t - first + 1] = array
        whole.tofile(folder / f"{name.lower()}.day.bin")


def _write_members(store: Store, target: Path, calendar: Dates) -> None:
    """Write membership spells of each index, rebuilt from its lists."""
    rows = store.read("index_weights", ["index", "date", "symbol"])
    for (index,), group in rows.partition_by("index", as_dict=True).items():
        lists = {day: set(part["symbol"]) for (day,), part in group.partition_by("date", as_dict=True).items()}
        days = sorted(lists)
        lines: list[str] = []
        since: dict[str, object] = {}
        for k, day in enumerate(days):
            previous = lists[days[k - 1]] if k else set()
            for symbol in sorted(previous - lists[day]):
                end = np.datetime64(day, "D") - 1
                lines.append(f"{symbol}\t{since.pop(symbol)}\t{end}")
            since |= dict.fromkeys(sorted(lists[day] - previous), day)
        end = max(calendar[-1], np.datetime64(days[-1], "D"))
        lines += [f"{symbol}\t{start}\t{end}" for symbol, start in since.items()]
        name = QLIB_NAMES.get(str(index), str(index).lower())
        _write_text(target / "instruments" / f"{name}.txt", sorted(lines))


def _write_text(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
