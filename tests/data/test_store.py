"""The store on disk: whole tables or nothing, unique keys, a hash of what is in it."""

import json
import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from stores import bars, small_store

from alphaloom.data import batch as batch_module
from alphaloom.data.store import Store
from alphaloom.errors import DataError, MissingFieldError, UnknownNameError, UnsafeFileError, UsageError


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file of a store but its cache."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "cache" not in file.relative_to(folder).parts
    }


def test_rows_come_back_sorted_and_equal(tmp_path: Path) -> None:
    """What is written is read: same keys, float32 values, sorted by key, one file a year."""
    store = Store.create(tmp_path / "s")
    frame = bars(60, start="2019-11-20")
    assert store.write("bars", frame.sort("symbol", "date")) == frame.height
    assert [file.name for file in store.files("bars")] == ["2019.parquet", "2020.parquet"]
    back = store.read("bars")
    assert back.select("date", "symbol").equals(frame.select("date", "symbol"))
    assert back["close"].equals(frame["close"].cast(pl.Float32))


def test_parts_are_merged_whatever_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table streamed in parts, one a stock and flushed often, equals the table written at once."""
    whole, parts = Store.create(tmp_path / "a"), Store.create(tmp_path / "b")
    frame = bars(60)
    whole.write("bars", frame)
    monkeypatch.setattr(batch_module, "FLUSH_ROWS", 50)
    parts.write("bars", iter(frame.partition_by("symbol")[::-1]))
    assert parts.read("bars").equals(whole.read("bars"))
    assert parts.fingerprint() == whole.fingerprint()


def test_extending_adds_new_keys_and_allows_equal_repeats(tmp_path: Path) -> None:
    """New days are added, a repeated row with equal values changes nothing, other years' files are left alone."""
    store = Store.create(tmp_path / "s")
    frame = bars(60, start="2019-11-20")
    store.write("bars", frame.head(150))
    store.write("bars", frame.tail(frame.height - 100))
    assert store.read("bars").height == frame.height
    before = store.fingerprint()
    store.write("bars", frame.head(10))
    assert store.fingerprint() == before


def test_a_stored_key_with_other_values_is_refused(tmp_path: Path) -> None:
    """History is not rewritten by an extension; the message shows both values."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(10))
    before = snapshot(store.path)
    with pytest.raises(DataError, match=r"stored already with other values.*close is .* in the store"):
        store.write("bars", bars(10).with_columns(pl.col("close") + 0.01))
    assert snapshot(store.path) == before


def test_a_new_column_is_null_in_the_older_years(tmp_path: Path) -> None:
    """All files of a table have the same columns."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(10, start="2019-12-02"))
    store.write("bars", bars(10).with_columns(pl.lit(2.0).alias("pe")), extras=["pe"])
    frame = store.read("bars")
    assert frame.filter(pl.col("date").dt.year() == 2019)["pe"].null_count() == bars(10).height
    assert frame.filter(pl.col("date").dt.year() == 2020)["pe"].to_list() == [2.0] * bars(10).height
    store.write("bars", bars(20).tail(20).with_columns(pl.lit(3.0).alias("pe")))  # known from the store by now


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: pl.concat([f, f.head(2)]), r"duplicate keys: 2 of \(date, symbol\)"),
        (lambda f: f.with_columns(high=pl.col("low") - 1.0), r"60 x high below low, first 2021"),
        (lambda f: f.with_columns(low=pl.lit(0.0)), "low not above zero"),
        (lambda f: f.with_columns(adj_factor=pl.lit(-1.0)), "adj_factor not above zero"),
        (lambda f: f.reverse(), "Dates out of order"),
    ],
)
def test_wrong_rows_are_refused_and_nothing_is_written(tmp_path: Path, change, message: str) -> None:
    """A refused table leaves the store byte for byte as it was, with no file beside it."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(10))
    before = snapshot(store.path)
    with pytest.raises(DataError, match=message):
        store.write("bars", change(bars(12, start="2021-01-04")))
    assert snapshot(store.path) == before
    assert not list(store.path.glob(".*"))


def test_quarantine_sets_rows_aside_with_reasons(tmp_path: Path) -> None:
    """With quarantine, good rows are stored; refused rows and conflicting keys are kept apart and counted."""
    store = Store.create(tmp_path / "s")
    frame = bars(10)
    wrong = frame.head(1).with_columns(high=pl.lit(0.5), low=pl.lit(9.0), close=pl.lit(-1.0))
    conflict = frame.slice(3, 1).with_columns(pl.col("volume") + 1)
    given = pl.concat([frame.tail(frame.height - 1), wrong, conflict, frame.slice(5, 1)]).sort("date", "symbol")
    rows = store.write("bars", given, quarantine=True)
    assert rows == frame.height - 2  # without the wrong row and the key given twice
    aside = store.quarantined("bars")
    assert aside is not None
    assert dict(aside["reason"].value_counts().iter_rows()) == {
        "close not above zero; high below low": 1,
        "duplicate key, other values": 2,
        "repeated row": 1,
    }


def test_an_interrupted_change_of_folder_is_undone(tmp_path: Path) -> None:
    """When a write dies between its two renames, opening the store puts the old table back."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(10))
    whole = store.read("bars")
    (store.path / "bars").rename(store.path / ".old-bars")
    assert Store(store.path).read("bars").equals(whole)
    shutil.copytree(store.path / "bars", store.path / ".old-bars")
    Store(store.path)
    assert not (store.path / ".old-bars").exists()


def test_an_error_while_parts_arrive_leaves_the_store_whole(tmp_path: Path) -> None:
    """A source that fails half-way changes nothing."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(10))
    before = snapshot(store.path)

    def parts():
        yield bars(10, start="2021-01-04")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write("bars", parts())
    assert snapshot(store.path) == before


def test_several_tables_take_effect_together(tmp_path: Path) -> None:
    """Within `writing`, an error in the second table leaves the first unwritten too."""
    store = Store.create(tmp_path / "s")

    def both() -> None:
        with store.writing() as batch:
            batch.write("bars", bars(5))
            batch.write("listing", pl.DataFrame({"name": ["x"]}))

    with pytest.raises(DataError, match="needs column 'symbol'"):
        both()
    assert store.tables() == []


def test_fingerprint_depends_on_content_alone(tmp_path: Path) -> None:
    """Equal data give equal hashes wherever they are; one changed value gives another."""
    a, b = small_store(tmp_path / "a"), small_store(tmp_path / "b")
    assert a.fingerprint() == b.fingerprint()
    shutil.rmtree(a.path / "cache")
    assert a.fingerprint() == b.fingerprint()
    changed = b.read("bars").with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(1.5).otherwise("close").alias("close")
    )
    b.write("bars", changed.with_columns(low=pl.lit(0.1)), mode="replace")
    assert a.fingerprint() != b.fingerprint()


def test_absent_tables_columns_and_stores_are_named(tmp_path: Path) -> None:
    """Errors say what is missing and what there is."""
    with pytest.raises(DataError, match=r"is not a store.*data import"):
        Store(tmp_path)
    store = Store.create(tmp_path / "s")
    with pytest.raises(MissingFieldError, match=r"has no table 'bars'; it has: none"):
        store.read("bars")
    store.write("bars", bars(5))
    with pytest.raises(MissingFieldError, match=r"no column 'clse'.*Did you mean 'close'"):
        store.read("bars", ["clse"])
    with pytest.raises(UnknownNameError, match="no table named 'nothing'"):
        store.scan("nothing")
    with pytest.raises(UsageError, match="not an empty folder"):
        Store.create(store.path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    """A file that is cut short is an error with its path, not a stack trace of the reader."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(5))
    file = store.files("bars")[0]
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(UnsafeFileError, match=r"2020\.parquet is not a whole Parquet file"):
        store.read("bars")
    (store.path / "store.json").write_text("{")
    with pytest.raises(UnsafeFileError, match=r"store\.json is damaged"):
        Store(store.path)


def test_later_formats_are_refused(tmp_path: Path) -> None:
    """A store of a later version is not half understood."""
    store = Store.create(tmp_path / "s", market="us")
    assert Store(store.path).market == "us"
    (store.path / "store.json").write_text(json.dumps({**store.meta, "format": 99}))
    with pytest.raises(DataError, match="store format 99"):
        Store(store.path)


def test_rows_from_a_date_on_are_those_of_a_filter(tmp_path: Path) -> None:
    """Whatever the date: inside a year, on its first day, before the first row and after the last."""
    store = Store.create(tmp_path / "s")
    store.write("bars", bars(60, start="2019-11-20"))
    whole = store.read("bars")
    for text in ("2018-05-01", "2019-12-20", "2020-01-01", "2020-01-15", "2021-01-01"):
        since = date.fromisoformat(text)
        assert store.read("bars", since=since).equals(whole.filter(pl.col("date") >= since))
