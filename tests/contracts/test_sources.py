"""What every data source keeps to, whoever wrote it."""

from pathlib import Path

import polars as pl
import pytest
from stores import bars, small_store

from alphaloom.data.conform import conform
from alphaloom.data.export import export
from alphaloom.data.import_ import import_data
from alphaloom.data.schema import TABLES
from alphaloom.data.sources.base import Facts, Source, sources
from alphaloom.data.store import Store
from alphaloom.errors import AlphaloomError, SettingError


def ashare(folder: Path) -> Path:
    """Write the layout that the source `ashare_panel` reads."""
    folder.mkdir()
    frame = (
        bars(60).with_columns(pl.lit("J66").alias("industry"), turnover=pl.col("turnover") * 100).drop("total_shares")
    )
    frame.write_parquet(folder / "ashare_daily.parquet")
    frame.head(20).select(
        "date",
        "symbol",
        *(pl.lit(float(k)).alias(name) for k, name in enumerate(("pe_ttm", "ps_ttm", "pcf_ttm", "pb_mrq"))),
        pl.lit(1, dtype=pl.Int8).alias("is_st"),
    ).write_parquet(folder / "ashare_valuation.parquet")
    days = frame["date"].unique().sort()
    static = frame.select(pl.col("symbol").unique().sort())
    static.with_columns(
        name=pl.lit("x"), csrc_code=pl.lit("J66"), list_date=pl.lit(days[0]), board=pl.lit("Main")
    ).write_parquet(folder / "ashare_static.parquet")
    pl.DataFrame(
        {
            "index": "SH000300",
            "symbol": ["SH600000", "SZ000001"],
            "opt_in": [days[0], days[5]],
            "opt_out": [days[9], None],
        }
    ).write_parquet(folder / "index_members.parquet")
    pl.DataFrame({"date": days, "symbol": "SH000300", "name": "x", "close": 100.0}).write_parquet(
        folder / "index_daily.parquet"
    )
    return folder


def us(folder: Path) -> Path:
    """Write the layout that the source `us_panel` reads."""
    folder.mkdir()
    frame = bars(20, symbols=["A", "B"]).select("date", "symbol", "open", "high", "low", "close", "volume")
    frame.write_parquet(folder / "us_daily.parquet")
    pl.DataFrame({"symbol": ["A", "B"], "exchange": "NYSE", "industry": "Banks"}).write_parquet(
        folder / "us_static.parquet"
    )
    return folder


def sample(name: str, folder: Path) -> Path:
    """Return a small input in the form of a source."""
    if name == "ashare_panel":
        return ashare(folder / "in")
    if name == "us_panel":
        return us(folder / "in")
    if name == "frame":
        return export(small_store(folder / "s"), folder / "in.parquet", "frame")
    return export(small_store(folder / "s"), folder / "in", name)


@pytest.mark.parametrize("name", sources.names())
def test_a_source_is_made_of_its_settings(name: str) -> None:
    """Default-constructible, and a misspelt setting is refused by name."""
    source = sources[name]()
    assert sources.parse(source.describe()) == source
    with pytest.raises(SettingError, match="unknown setting 'no_such_setting'"):
        sources.parse({"name": name, "no_such_setting": 1})


@pytest.mark.parametrize("name", sources.names())
def test_a_source_yields_tables_of_the_schema(name: str, tmp_path: Path) -> None:
    """Every table has the schema's columns and types, comes in one run of parts, and reading changes no file."""
    path = sample(name, tmp_path)
    before = {file: file.stat().st_mtime_ns for file in path.parent.rglob("*") if file.is_file()}
    source: Source = sources[name]()
    facts = source.facts(path)
    assert isinstance(facts, Facts)
    seen: list[str] = []
    for table, frame in source.read(path):
        assert not conform(TABLES[table], frame, extras=facts.extras.get(table, ())).is_empty()
        if not seen or seen[-1] != table:
            assert table not in seen
            seen.append(table)
    assert {"bars", "frame"} & set(seen)
    assert before == {file: file.stat().st_mtime_ns for file in path.parent.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", sources.names())
def test_a_source_knows_its_own_files_and_no_others(name: str, tmp_path: Path) -> None:
    """Exactly one source recognises a sample, so that no format need be named."""
    path = sample(name, tmp_path)
    assert [cls.name for cls in sources if cls.recognises(path)] == [name]
    report = import_data(path, tmp_path / "store")
    assert report.format == name
    assert import_data(path, tmp_path / "again").rows == report.rows
    assert Store(tmp_path / "again").fingerprint() == Store(tmp_path / "store").fingerprint()


@pytest.mark.parametrize("name", sources.names())
def test_nothing_to_read_is_an_error_of_ours(name: str, tmp_path: Path) -> None:
    """An empty folder is refused in plain words, and no store appears."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(AlphaloomError):
        import_data(tmp_path / "empty", tmp_path / "store", format=name)
    assert not (tmp_path / "store").exists()


def test_the_ashare_layout_in_the_stores_units(tmp_path: Path) -> None:
    """Percent becomes fraction, spells become lists, the snapshot of industries is noted as one."""
    report = import_data(ashare(tmp_path / "in"), tmp_path / "s")
    store = Store(tmp_path / "s")
    rows = store.read("bars")
    assert rows["turnover"].drop_nulls().to_list() == pytest.approx(
        bars(60)["turnover"].fill_nan(None).drop_nulls().to_list()
    )
    assert rows["pb_mrq"].drop_nulls().to_list() == [3.0] * 20
    assert rows["is_st"].drop_nulls().all()
    lists = store.read("index_weights")
    days = rows["date"].unique().sort()
    assert lists.group_by("date", maintain_order=True).agg("symbol").rows() == [
        (days[0], ["SH600000"]),
        (days[5], ["SH600000", "SZ000001"]),
        (days[9], ["SZ000001"]),
    ]
    assert lists["weight"].null_count() == lists.height
    assert any("not point in time" in note for note in report.notes)
    assert store.read("listing")["board"].unique().to_list() == ["main"]
