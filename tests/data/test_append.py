"""Cached fields of a store that grows: extended by the new rows, bit for bit what a derivation from scratch gives."""

import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import business_days
from stores import bars, small_store

from alphaloom.data import field_cache
from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_calendar, load_panel
from alphaloom.data.store import Store
from alphaloom.panel import Panel

IMPORTER = """
import sys
import polars as pl
from alphaloom.data.import_ import import_data
from alphaloom.data.store import Store
store, frame, file = sys.argv[1], pl.read_parquet(sys.argv[2]), sys.argv[3]
held = Store(store).read("bars", ["date"])["date"].max()
print("ready", flush=True)
for day in frame.filter(pl.col("date") > held).partition_by("date", maintain_order=True):
    day.write_parquet(file)
    import_data(file, store, format="parquet")
"""
"""Imports one day after the other."""
POOL = ["SH600000", "SH600001", "SH688001", "SZ000001", "SZ300001", "SZ300002"]
T = 45
DAYS: list[date] = business_days(T, "2019-12-02").astype("datetime64[D]").tolist()
EXTRAS = ("pe_ttm",)
WAYS: list[set[str]] = [
    set(),
    {"adj_factor"},
    {"adj_factor", "turnover", "amount", "is_st", "pe_ttm"},
    {"adj_factor", "turnover", "total_shares", "free_turnover", "vwap", "is_suspended", "limit_up", "limit_down"},
    {"adj_factor", "float_shares", "total_shares", "is_st", "is_delisting"},
    {"turnover"},
]
"""Further columns of bars: each set leads to other derivations."""


def random_bars(rng: np.random.Generator, more: set[str]) -> pl.DataFrame:
    """Return bars of `T` days: stocks list, pause, return and end at random, columns are null for long spells."""
    rows = []
    for symbol in POOL:
        first, last = sorted(rng.integers(-20, T + 20, 2).tolist())
        gap = rng.random() < 0.5
        start, length = int(rng.integers(0, T)), int(rng.integers(1, 25))
        sparse = rng.random() * 0.3
        silent = range(*sorted(rng.integers(0, T, 2).tolist()))  # days on which columns are null and nothing is sold
        for t, day in enumerate(DAYS):
            away = not first <= t <= last or (gap and start <= t < start + length) or rng.random() < sparse
            if away and not (symbol == POOL[0] and t == 0):
                continue
            idle = rng.random() < 0.2 or t in silent
            close = float(np.round(np.exp(rng.normal(2, 1)), 2)) + 0.01
            row = {
                "date": day,
                "symbol": symbol,
                "open": close,
                "high": close,
                "low": close,
                "close": None if rng.random() < 0.15 or t in silent else close,
                "volume": 0.0 if idle else float(np.round(np.exp(rng.normal(10, 2)))),
                "adj_factor": float(np.exp(rng.normal(0, 1))),
                "amount": float(np.exp(rng.normal(12, 2))),
                "turnover": float(rng.choice([0.0, 0.01, rng.random()])),
                "free_turnover": float(rng.random()),
                "float_shares": float(np.exp(rng.normal(15, 1))),
                "total_shares": float(np.exp(rng.normal(16, 1))),
                "vwap": close,
                "is_st": bool(rng.random() < 0.3),
                "is_delisting": bool(rng.random() < 0.3),
                "is_suspended": idle,
                "limit_up": close * 1.1,
                "limit_down": close * 0.9,
                "pe_ttm": float(rng.normal()),
            }
            for name in (
                "adj_factor",
                "turnover",
                "float_shares",
                "total_shares",
                "is_st",
                "pe_ttm",
                "is_suspended",
                "is_delisting",
            ):
                if rng.random() < 0.15 or t in silent:
                    row[name] = None
            rows.append(row)
    frame = pl.DataFrame(rows, infer_schema_length=None).sort("date", "symbol")
    return frame.select("date", "symbol", "open", "high", "low", "close", "volume", *sorted(more))


def some(rng: np.random.Generator, value: float) -> float | None:
    """Return the value, sometimes null."""
    return None if rng.random() < 0.2 else value


def random_events(rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Return the tables of events, on any day of the week, some before the first and some after the last bar."""

    def days(count: int) -> list[date]:
        return [DAYS[0] - timedelta(9), *(DAYS[0] + timedelta(int(k)) for k in rng.integers(-8, 80, count))]

    def stock() -> str:
        return str(rng.choice(POOL))

    tables = {
        "industry": pl.DataFrame(
            [(stock(), day, str(rng.choice(["Banks", "Steel"]))) for day in days(12)],
            schema=["symbol", "from_date", "industry"],
            orient="row",
        ),
        "index_weights": pl.DataFrame(
            [("I", day, stock(), some(rng, rng.random())) for day in days(6) for _ in range(3)],
            schema={"index": pl.String, "date": pl.Date, "symbol": pl.String, "weight": pl.Float64},
            orient="row",
        ),
        "index_bars": pl.DataFrame(
            [("I", day, float(rng.random() + 1)) for day in [*DAYS[1::2], *days(3)]],
            schema=["index", "date", "close"],
            orient="row",
        ),
        "fundamentals": pl.DataFrame(
            [
                (stock(), DAYS[0] - timedelta(int(rng.integers(0, 3)) * 90), day, "book", some(rng, rng.normal()))
                for day in days(20)
            ],
            schema={
                "symbol": pl.String,
                "period_end": pl.Date,
                "announce_date": pl.Date,
                "item": pl.String,
                "value": pl.Float64,
            },
            orient="row",
        ),
        "macro": pl.DataFrame(
            [("cpi", DAYS[0] - timedelta(int(rng.integers(0, 60))), day, some(rng, rng.normal())) for day in days(8)],
            schema={"series": pl.String, "date": pl.Date, "known_date": pl.Date, "value": pl.Float64},
            orient="row",
        ),
        "frame": pl.DataFrame(
            [(day, stock(), float(rng.normal())) for day in [*DAYS, *days(10)]],
            schema=["date", "symbol", "mine"],
            orient="row",
        ),
    }
    keys = {
        "industry": ["symbol", "from_date"],
        "index_weights": ["index", "date", "symbol"],
        "index_bars": ["index", "date"],
        "fundamentals": ["symbol", "period_end", "announce_date", "item"],
        "macro": ["series", "date", "known_date"],
        "frame": ["date", "symbol"],
    }
    return {name: frame.unique(keys[name], keep="first", maintain_order=True) for name, frame in tables.items()}


LISTING = pl.DataFrame(
    [
        ("SH600000", date(2010, 1, 4), "main"),
        ("SH600001", None, "main"),
        ("SH688001", DAYS[9], None),
        ("SZ000001", DAYS[-1], "main"),
        ("SZ300001", DAYS[20], "chinext"),
    ],
    schema={"symbol": pl.String, "list_date": pl.Date, "board": pl.String},
    orient="row",
)
KNOWN_BY = {
    "industry": "from_date",
    "index_weights": "date",
    "index_bars": "date",
    "fundamentals": "announce_date",
    "macro": "known_date",
    "frame": "date",
}


def write_until(store: Store, frame: pl.DataFrame, events: dict[str, pl.DataFrame], stop: int, ahead: int) -> None:
    """Bring the store to its state after `stop` days, with the events of the `ahead` days that follow."""
    rows = frame.filter(pl.col("date") <= DAYS[stop - 1])
    known = store.read("bars", ["date"])["date"].max() if store.files("bars") else date(1990, 1, 1)
    store.write("bars", rows.filter(pl.col("date") > known), extras=EXTRAS)
    for table, content in events.items():
        until = DAYS[stop - 1] + timedelta(ahead)
        store.write(table, content.filter(pl.col(KNOWN_BY[table]) <= until), mode="replace", sort=True)
    listed = LISTING.filter(pl.col("symbol").is_in(rows["symbol"].unique().to_list()))
    store.write("listing", listed.with_columns(pl.lit(f"name {stop}").alias("name")), mode="replace")


def from_scratch(store: Store, place: Path, names: list[str]) -> Panel:
    """Return the panel of a copy of the store without a cache."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(store.path, place, ignore=shutil.ignore_patterns("cache"))
    return load_panel(Store(place), names)


def assert_same_bits(found: Panel, expected: Panel) -> None:
    """Every array of the panels has the same bits, NaN included."""
    np.testing.assert_array_equal(found.dates, expected.dates)
    np.testing.assert_array_equal(found.symbols, expected.symbols)
    np.testing.assert_array_equal(found.universe, expected.universe)
    assert found.categories == expected.categories
    for name in expected.names:
        np.testing.assert_array_equal(found[name].view(np.uint32), expected[name].view(np.uint32), err_msg=name)


def folders(store: Store) -> list[Path]:
    """Return the cached states, oldest first."""
    return sorted((store.path / "cache").glob("fields-*"), key=lambda item: item.stat().st_mtime_ns)


GROWTH = {
    "seed": st.integers(0, 10**6),
    "more": st.sampled_from(WAYS),
    "stops": st.lists(st.integers(1, T), min_size=2, max_size=4, unique=True).map(sorted),
    "ahead": st.integers(0, 10),
}


@settings(max_examples=5, deadline=None, derandomize=True)
@given(**GROWTH)
def test_extended_fields_are_those_of_a_fresh_derivation(
    tmp_path_factory: pytest.TempPathFactory, seed: int, more: set[str], stops: list[int], ahead: int
) -> None:
    """Whatever the bars, events and new stocks of the days that are added, in every field and row."""
    check_growth(tmp_path_factory.mktemp("growing"), seed, more, stops, ahead)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(**GROWTH)
def test_extended_fields_are_those_of_a_fresh_derivation_many_times(
    tmp_path_factory: pytest.TempPathFactory, seed: int, more: set[str], stops: list[int], ahead: int
) -> None:
    """The same over many stores."""
    check_growth(tmp_path_factory.mktemp("growing"), seed, more, stops, ahead)


def check_growth(place: Path, seed: int, more: set[str], stops: list[int], ahead: int) -> None:
    """Grow a random store step by step; after each, its cached fields are those of a copy without a cache."""
    rng = np.random.default_rng(seed)
    frame, events = random_bars(rng, more), random_events(rng)
    store = Store.create(place / "s")
    for stage, stop in enumerate(stops):
        if frame.filter(pl.col("date") <= DAYS[stop - 1]).height == store_rows(store):
            continue
        write_until(store, frame, events, stop, ahead)
        names = available_fields(store)
        assert_same_bits(load_panel(store, names), from_scratch(store, place / "fresh", names))
        if stage:
            assert (folders(store)[-1] / "past.npz").is_file()
    shutil.rmtree(place)


def store_rows(store: Store) -> int:
    """Return the number of bars."""
    return store.read("bars", ["date"]).height if store.files("bars") else 0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a small store whose fields are cached."""
    made = small_store(tmp_path / "s")
    load_panel(made, available_fields(made))
    return made


def add_days(store: Store, T: int) -> None:
    """Add bars up to day T."""
    last = load_calendar(store)[-1].item()
    store.write("bars", bars(T).filter(pl.col("date") > last, pl.col("symbol") != "SH688001"))


def test_new_rows_are_added_in_place(store: Store) -> None:
    """The files of the older state are shared and keep their rows; they are longer by the new rows."""
    old = folders(store)[-1]
    before = np.fromfile(old / "field-adj_close.rows", dtype=np.float32)
    panel = load_panel(store, ["adj_close"])
    add_days(store, 61)
    load_panel(store, ["adj_close"])
    new = folders(store)[-1]
    assert new != old
    assert (old / "field-adj_close.rows").samefile(new / "field-adj_close.rows")
    after = np.fromfile(new / "field-adj_close.rows", dtype=np.float32)
    assert after.size == before.size + 5
    np.testing.assert_array_equal(before, after[: before.size])
    np.testing.assert_array_equal(panel["adj_close"].ravel(), before)


def test_rows_left_by_a_killed_extension_are_written_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ends after it added all rows and before the new state stands leaves the older state whole."""
    old = folders(store)[-1]
    size = (old / "field-close.rows").stat().st_size

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    add_days(store, 61)
    with monkeypatch.context() as patch:
        patch.setattr(field_cache, "_save_past", stop)
        with pytest.raises(KeyboardInterrupt):
            load_panel(store, ["close"])
    assert folders(store) == [old]
    assert (old / "field-close.rows").stat().st_size > size
    add_days(store, 62)
    names = available_fields(store)
    found = load_panel(store, names)
    assert (folders(store)[-1] / "past.npz").is_file()
    assert_same_bits(found, from_scratch(store, tmp_path / "fresh", names))


def test_a_panel_in_use_never_changes(store: Store) -> None:
    """Rows of the past that look otherwise once a stock returns go to a new file, not to the mapped one."""
    panel = load_panel(store, ["is_listed"])
    before = panel["is_listed"].copy()
    last = load_calendar(store)[-1].item()
    store.write("bars", bars(61, symbols=["SH688001", "SH600000", "SZ000001"]).filter(pl.col("date") > last))
    after = load_panel(store, ["is_listed"])
    assert np.isnan(before[57, 2])
    assert after["is_listed"][57, 2] == 1
    np.testing.assert_array_equal(panel["is_listed"], before)


@pytest.mark.parametrize("change", ["past", "column", "table", "earlier row", "listing"])
def test_any_other_change_derives_afresh(store: Store, tmp_path: Path, change: str) -> None:
    """A changed past, a new column, a new table, a row on an old day: no field is taken over."""
    frame = store.read("bars")
    if change == "past":
        store.write("bars", frame.with_columns(pl.col("close") * 0.999), mode="replace")
    elif change == "column":
        store.write("bars", frame.with_columns(pl.lit(value=False).alias("is_st")), mode="replace")
    elif change == "table":
        store.write(
            "macro", pl.DataFrame([("cpi", DAYS[0], DAYS[0], 1.0)], schema=["series", "date", "known_date", "value"],
                                  orient="row")
        )  # fmt: skip
    elif change == "earlier row":
        late = frame.filter(pl.col("symbol") == "SH600000").with_columns(pl.lit("SH600009").alias("symbol"))
        store.write("bars", late[20:21])
    else:
        listing = store.read("listing").with_columns(pl.col("list_date") - timedelta(30))
        store.write("listing", listing, mode="replace")
    names = available_fields(store)
    found = load_panel(store, names)
    assert not (folders(store)[-1] / "past.npz").exists()
    assert_same_bits(found, from_scratch(store, tmp_path / "fresh", names))


def test_a_long_way_back_derives_afresh(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a returning stock would need more rows than allowed, the fields are derived over the whole store."""
    monkeypatch.setattr(field_cache, "LONGEST", 5)
    add_days(store, 61)
    names = available_fields(store)
    found = load_panel(store, names)
    assert not (folders(store)[-1] / "past.npz").exists()
    assert_same_bits(found, from_scratch(store, tmp_path / "fresh", names))


def test_other_states_of_a_store_do_not_meet(store: Store, tmp_path: Path) -> None:
    """Two different next days, one after the other, each leave the fields of the other as they are."""
    shutil.copytree(store.path / "bars", tmp_path / "bars")
    add_days(store, 61)
    one = load_panel(store, ["close", "adj_close"])
    kept = one["close"].copy()
    shutil.rmtree(store.path / "bars")
    shutil.copytree(tmp_path / "bars", store.path / "bars")
    last = load_calendar(store)[-1].item()
    store.write("bars", bars(62, seed=3).filter(pl.col("date") > last))
    names = available_fields(store)
    assert_same_bits(load_panel(store, names), from_scratch(store, tmp_path / "fresh", names))
    np.testing.assert_array_equal(one["close"], kept)


def test_new_texts_are_new_codes(store: Store, tmp_path: Path) -> None:
    """An industry named for the first time renumbers the codes of all dates."""
    add_days(store, 61)
    last = load_calendar(store)[-1].item()
    store.write("industry", pl.DataFrame({"symbol": ["SZ000001"], "from_date": [last], "industry": ["Airlines"]}))
    found = load_panel(store, ["industry", "close"])
    assert found.categories["industry"][0] == "Airlines"
    assert_same_bits(found, from_scratch(store, tmp_path / "fresh", ["industry", "close"]))


@pytest.mark.slow
def test_a_killed_import_of_a_day_leaves_whole_days(tmp_path: Path) -> None:
    """Whenever the process dies, the store has all rows of each day up to some day, and its fields are theirs."""
    frame = bars(160).filter(pl.col("symbol") != "SH688001")
    days = frame["date"].unique().sort().to_list()
    store = Store.create(tmp_path / "s")
    store.write("bars", frame.filter(pl.col("date") < days[60]))
    frame.write_parquet(tmp_path / "all.parquet")
    rng = random.Random(1)
    for _ in range(5):
        load_panel(store, ["adj_close", "float_cap"])
        command = [
            sys.executable,
            "-c",
            IMPORTER,
            str(store.path),
            str(tmp_path / "all.parquet"),
            str(tmp_path / "bars.parquet"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.1, 0.5))
            process.send_signal(signal.SIGKILL)
        store = Store(store.path)
        rows = store.read("bars")
        last = rows["date"].max()
        assert rows.height == frame.filter(pl.col("date") <= last).height
        found = load_panel(store, ["adj_close", "float_cap"])
        assert_same_bits(found, from_scratch(store, tmp_path / "fresh", ["adj_close", "float_cap"]))
    assert last > days[60]
