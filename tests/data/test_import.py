"""Imports: files in, a store out; bad input is refused with a clear error and nothing is written."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from stores import SYMBOLS, bars, small_store

from alphaloom.data.export import export
from alphaloom.data.import_ import import_data
from alphaloom.data.sources.csv import Csv
from alphaloom.data.store import Store
from alphaloom.errors import DataError, SettingError, UnsafeFileError, UsageError


def test_a_csv_file_becomes_a_store(tmp_path: Path) -> None:
    """The simplest use: one file of bars, columns named as in the store."""
    bars(20).write_csv(tmp_path / "bars.csv")
    report = import_data(tmp_path / "bars.csv", tmp_path / "s")
    assert (report.format, report.created, dict(report.rows)) == ("csv", True, {"bars": 100})
    assert Store(tmp_path / "s").read("bars")["close"].equals(bars(20)["close"].cast(pl.Float32))
    assert report.to_dict()["rows"] == {"bars": 100}


def test_one_file_a_symbol_named_after_it(tmp_path: Path) -> None:
    """A folder of files without a symbol column takes the symbols from their names, leading zeros kept."""
    folder = tmp_path / "daily"
    folder.mkdir()
    for (symbol,), rows in bars(20).partition_by("symbol", as_dict=True).items():
        rows.drop("symbol").write_csv(folder / f"{symbol}.csv")
    bars(20).filter(pl.col("symbol") == "SZ000001").drop("symbol").write_csv(folder / "000001.csv")
    import_data(folder, tmp_path / "s")
    assert Store(tmp_path / "s").read("bars")["symbol"].unique().sort().to_list() == ["000001", *SYMBOLS]


def test_a_mapping_renames_scales_and_sets(tmp_path: Path) -> None:
    """A mapping takes file columns by name, scales them, sets constants and turns vendors' symbols round."""
    frame = (
        bars(20)
        .rename({"close": "last", "turnover": "turn"})
        .with_columns(
            pl.col("turn") * 100,
            pl.col("date").dt.strftime("%d.%m.%Y"),
            pl.col("symbol").str.slice(2) + "." + pl.col("symbol").str.slice(0, 2),
            pl.lit("x").alias("remark"),
            pl.col("last").mul(3).alias("pe"),
        )
    )
    (tmp_path / "in").mkdir()
    frame.drop("adj_factor").write_csv(tmp_path / "in" / "prices.csv")
    mapping = {
        "bars": {
            "files": "prices.csv",
            "close": "last",
            "turnover": {"column": "turn", "scale": 0.01},
            "adj_factor": {"value": 1},
            "pe_ttm": "pe",
            "extras": ["pe_ttm"],
            "date_format": "%d.%m.%Y",
            "symbols": "china",
        }
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(mapping))
    import_data(tmp_path / "in", tmp_path / "s", format="csv", mapping=tmp_path / "map.yaml")
    stored = Store(tmp_path / "s").read("bars")
    assert stored.columns[-1] == "pe_ttm"
    assert "remark" not in stored.columns
    assert stored["symbol"].unique().sort().to_list() == SYMBOLS
    assert stored["turnover"].to_list() == pytest.approx(bars(20)["turnover"].to_list(), rel=1e-6)
    assert set(stored["adj_factor"]) == {1.0}


def test_a_bare_mapping_is_that_of_the_bars(tmp_path: Path) -> None:
    """`close: last` at the top of the file means the column of bars."""
    bars(5).rename({"close": "last"}).write_parquet(tmp_path / "x.parquet")
    import_data(tmp_path / "x.parquet", tmp_path / "s", mapping={"close": "last"})
    assert "close" in Store(tmp_path / "s").columns("bars")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"bars": {"close": "lst"}},
            r"has no column 'lst', which the mapping takes for bars.close.*Did you mean 'last'",
        ),
        ({"bars": {"clsoe": "last"}}, r"store column 'clsoe'.*Did you mean 'close'"),
        ({"bars": {"last": "close"}}, "looks turned round"),
        ({"bars": {"close": {"column": "last", "value": 1}}}, "give either `column` or `value`"),
        ({"bars": {"close": {"colum": "last"}}}, "unknown setting 'colum'"),
        ({"separatr": ";", "bars": {}}, r"unknown setting 'separatr'.*Did you mean 'separator'"),
    ],
)
def test_wrong_mappings_are_named(tmp_path: Path, mapping: dict, message: str) -> None:
    """A mapping's mistake is found before or while reading, and nothing is written."""
    bars(5).rename({"close": "last"}).write_csv(tmp_path / "bars.csv")
    with pytest.raises((SettingError, DataError), match=message):
        import_data(tmp_path / "bars.csv", tmp_path / "s", format="csv", mapping=mapping)
    assert not (tmp_path / "s").exists()


BAD = {
    "duplicate keys": (lambda f: pl.concat([f, f.head(1)]), r"duplicate keys: 1 of \(date, symbol\) repeat, first"),
    "high below low": (
        lambda f: f.with_columns(high=pl.col("low") - 1),
        r"100 x high below low, first 2020-01-02 SH600000",
    ),
    "unknown column": (lambda f: f.with_columns(foo=pl.lit(1.0)), "no column 'foo'"),
    "dates out of order": (lambda f: f.reverse(), "Dates out of order"),
    "no close": (lambda f: f.drop("close"), "needs column 'close'"),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("fault", list(BAD))
def test_bad_input_is_refused_and_nothing_is_written(tmp_path: Path, fault: str, suffix: str) -> None:
    """Each fault is a clear error; neither store nor leftovers appear, and an existing store keeps its bytes."""
    change, message = BAD[fault]
    place = tmp_path / "out"
    place.mkdir()
    frame = change(bars(20))
    file = tmp_path / f"bars.{suffix}"
    frame.write_csv(file) if suffix == "csv" else frame.write_parquet(file)
    with pytest.raises(DataError, match=message):
        import_data(file, place / "s")
    assert list(place.iterdir()) == []
    store = Store.create(place / "old")
    store.write("bars", bars(20, start="2021-01-04"))
    before = store.fingerprint()
    with pytest.raises(DataError, match=message):
        import_data(file, place / "old")
    assert Store(place / "old").fingerprint() == before


def test_wrong_types_are_named_with_their_place(tmp_path: Path) -> None:
    """A text among numbers is refused: in CSV with row and value, in Parquet with the column's type."""
    frame = bars(5).with_columns(pl.col("close").cast(pl.String))
    wrong = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 6).then(pl.lit("abc")).otherwise("close").alias("close")
    )
    wrong.write_csv(tmp_path / "bars.csv")
    with pytest.raises(DataError, match=r"bars.csv, column 'close', data row 7: 'abc' is not a number \(1 such"):
        import_data(tmp_path / "bars.csv", tmp_path / "s")
    wrong.write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(DataError, match="column 'close', data row 7: 'abc' is not a number"):
        import_data(tmp_path / "bars.parquet", tmp_path / "s")
    bars(5).with_columns(pl.lit(True).alias("close")).write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(DataError, match="must be Float32, found Boolean"):
        import_data(tmp_path / "bars.parquet", tmp_path / "s")
    bars(5).with_columns(date=pl.lit("yesterday")).write_csv(tmp_path / "bars.csv")
    with pytest.raises(DataError, match="'yesterday' is not a date such as 2024-12-31"):
        import_data(tmp_path / "bars.csv", tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_truncated_parquet_is_named(tmp_path: Path) -> None:
    """A file cut short is an error that names it, whether given alone or in a folder."""
    bars(20).write_parquet(tmp_path / "bars.parquet")
    data = (tmp_path / "bars.parquet").read_bytes()
    for size in (len(data) // 2, 3, 0):
        (tmp_path / "bars.parquet").write_bytes(data[:size])
        for format_ in ("parquet", None):
            with pytest.raises(UnsafeFileError, match=r"bars\.parquet \(\d+ bytes\) is not a whole Parquet file"):
                import_data(tmp_path / "bars.parquet", tmp_path / "s", format=format_)
    assert not (tmp_path / "s").exists()


def test_quarantine_and_sorting_let_the_rest_in(tmp_path: Path) -> None:
    """With quarantine the wrong rows are counted by reason and kept apart; with sorting any order is taken."""
    frame = pl.concat([bars(20), bars(20).head(1).with_columns(high=pl.lit(0.01))])
    frame.reverse().write_csv(tmp_path / "bars.csv")
    report = import_data(tmp_path / "bars.csv", tmp_path / "s", quarantine=True, sort=True)
    assert dict(report.rows) == {"bars": 100}
    assert {k: dict(v) for k, v in report.quarantined.items()} == {"bars": {"high below low": 1}}
    aside = Store(tmp_path / "s").quarantined("bars")
    assert aside is not None
    assert aside["reason"].to_list() == ["high below low"]


def test_a_second_import_extends_the_store(tmp_path: Path) -> None:
    """Importing newer files adds their days; importing the same files again changes nothing."""
    frame = bars(40)
    frame.head(150).write_parquet(tmp_path / "a.parquet")
    frame.tail(100).write_parquet(tmp_path / "b.parquet")
    import_data(tmp_path / "a.parquet", tmp_path / "s", format="parquet")
    report = import_data(tmp_path / "b.parquet", tmp_path / "s", format="parquet")
    assert (report.created, report.rows["bars"]) == (False, 200)
    before = Store(tmp_path / "s").fingerprint()
    import_data(tmp_path / "a.parquet", tmp_path / "s", format="parquet")
    assert Store(tmp_path / "s").fingerprint() == before
    assert len(Store(tmp_path / "s").meta["sources"]) == 2
    with pytest.raises(DataError, match=r"store of market 'china'.*market 'us'"):
        import_data(tmp_path / "a.parquet", tmp_path / "s", format="parquet", mapping={"market": "us"})


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_an_export_imports_to_an_equal_store(tmp_path: Path, format_: str) -> None:
    """Exported and imported again, a store has the same fingerprint, market and notes."""
    store = small_store(tmp_path / "s")
    store.annotate(notes=["a caveat"])
    export(store, tmp_path / "out", format_)
    report = import_data(tmp_path / "out", tmp_path / "back")
    assert report.format == format_
    assert report.notes == ("a caveat",)
    assert Store(tmp_path / "back").fingerprint() == store.fingerprint()


def test_forms_are_told_from_the_files_or_asked_for(tmp_path: Path) -> None:
    """An unknown form lists the sources; a missing path and an occupied place are usage errors."""
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UsageError, match=r"none knows these files.*Name it: .*csv.*qlib"):
        import_data(tmp_path / "notes.txt", tmp_path / "s")
    with pytest.raises(UsageError, match="does not exist"):
        import_data(tmp_path / "nowhere", tmp_path / "s")
    with pytest.raises(UsageError, match=r"no source named 'cvs'.*Did you mean 'csv'"):
        import_data(tmp_path / "notes.txt", tmp_path / "s", format="cvs")
    bars(5).write_csv(tmp_path / "bars.csv")
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "thesis.doc").write_text("x")
    with pytest.raises(UsageError, match="neither a store nor an empty folder"):
        import_data(tmp_path / "bars.csv", tmp_path / "busy")
    (tmp_path / "map.yaml").write_text("a: [")
    with pytest.raises(SettingError, match=r"map\.yaml is not YAML"):
        import_data(tmp_path / "bars.csv", tmp_path / "s", mapping=tmp_path / "map.yaml")


def test_csv_with_other_separator_and_encoding(tmp_path: Path) -> None:
    """Settings of the source reach it through the mapping; a wrong separator is explained."""
    bars(5).write_csv(tmp_path / "bars.csv", separator=";")
    with pytest.raises(DataError, match="has one column"):
        import_data(tmp_path / "bars.csv", tmp_path / "s")
    import_data(tmp_path / "bars.csv", tmp_path / "s", mapping={"separator": ";"})
    listing = "symbol,name\nSH600000,浦发银行\n"
    (tmp_path / "listing.csv").write_bytes(listing.encode("gbk"))
    import_data(tmp_path / "listing.csv", tmp_path / "s", format="csv", mapping={"encoding": "gbk"})
    assert Store(tmp_path / "s").read("listing")["name"].to_list() == ["浦发银行"]
    assert Csv().describe()["separator"] == ","
