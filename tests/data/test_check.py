"""Health checks and summaries: what is planted is found, counted and shown."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from stores import bars, small_store

from alphaloom.data.check import HealthReport, check
from alphaloom.data.info import info
from alphaloom.data.store import Store
from alphaloom.errors import UnknownNameError


def found(report: HealthReport) -> dict[str, int]:
    """Return the counts by problem, where not 0."""
    return {f"{item.table}: {item.problem}": item.count for item in report.findings if item.count}


def draw(renderable: object) -> str:
    """Return what a terminal would show."""
    console = Console(width=160, record=True, file=(Path("/dev/null").open("w")))  # noqa: SIM115
    console.print(renderable)
    return console.export_text()


def test_a_sound_store_has_only_notes(tmp_path: Path) -> None:
    """The gaps and suspensions of the sample are counted; nothing is an error."""
    report = check(small_store(tmp_path / "s"))
    assert report.ok
    assert found(report) == {
        "bars: day missing between a stock's first and last row": 2,
        "bars: day without trade": 6,
        "bars: adj_factor changes": 1,
    }
    assert report.span == ("2020-01-02", "2020-03-25")


def test_planted_faults_are_found_with_examples(tmp_path: Path) -> None:
    """Bars that contradict themselves, a move beyond the limit, a doubtful factor, a thin day, a missing listing."""
    store = small_store(tmp_path / "s")
    frame = store.read("bars")
    day = frame["date"].unique().sort()

    def at(t: int, symbol: str) -> pl.Expr:
        return (pl.col("date") == day[t]) & (pl.col("symbol") == symbol)

    frame = frame.with_columns(
        high=pl.when(at(5, "SH600000")).then(pl.col("low")).otherwise("high"),
        close=pl.when(at(8, "SZ300001")).then(pl.col("close") * 1.3).otherwise("close"),
        adj_factor=pl.when(at(50, "SH600000")).then(5.0).otherwise("adj_factor"),
        turnover=pl.when(at(7, "SH600000")).then(2.0).otherwise("turnover"),
        amount=pl.when(at(7, "SH600000")).then(pl.col("amount") * 100).otherwise("amount"),
    )
    frame = frame.filter(~((pl.col("date") == day[52]) & pl.col("symbol").is_in(["SH600000", "SZ000001", "SH600004"])))
    store.write("bars", frame, mode="replace")
    store.write("listing", store.read("listing").filter(pl.col("symbol") != "SZ000001"), mode="replace")
    store.annotate(known_issues=[{"symbol": "SH600000", "date": "2020-01-09"}])
    report = check(store)
    counts = found(report)
    assert report.ok  # doubtful, none of it breaks the store's promise
    assert counts["bars: high below open or close"] == 2  # also the raised close
    assert counts["bars: close beyond the day's price limit"] >= 3
    assert counts["bars: adj_factor changes threefold or more"] == 2
    assert counts["bars: turnover above 100 %"] == 1
    assert counts["bars: amount / volume outside low to high by more than 0.2 % + 0.01"] == 2  # also the lowered high
    assert counts["bars: day missing between a stock's first and last row"] == 5
    assert counts["bars: day with far fewer stocks than its neighbours"] == 1
    assert counts["listing: stock of the bars without a row"] == 1
    assert counts["bars: issue known to the source, kept as found"] == 1
    jump = next(item for item in report.findings if item.problem.startswith("close beyond"))
    assert jump.examples[0].startswith(f"SZ300001 {day[8]} (+")
    text = draw(report.render())
    assert "close beyond the day's price limit" in text
    assert "Looked for and not found" in text
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True
    assert report.table()["severity"][0] == "warning"


def test_a_broken_promise_is_an_error(tmp_path: Path) -> None:
    """Rows that slipped into the files by other hands than the store's are errors."""
    store = small_store(tmp_path / "s")
    file = store.files("bars")[0]
    frame = pl.read_parquet(file)
    pl.concat([frame, frame.head(1)]).with_columns(low=pl.col("high") + 1).write_parquet(file)
    report = check(store)
    assert not report.ok
    assert found(report)["bars: duplicate key"] == 2
    assert found(report)["bars: high below low"] == frame.height + 1


def test_a_market_without_limits_is_checked_for_jumps(tmp_path: Path) -> None:
    """Where no limit holds, adjusted moves above 50 % are reported; without a factor, raw ones."""
    store = Store.create(tmp_path / "s", market="us")
    frame = bars(20, symbols=["A", "B"]).drop("adj_factor")
    late = (pl.col("symbol") == "A") & (pl.col("date") > pl.date(2020, 1, 15))
    prices = [
        pl.when(late).then(pl.col(name) * 2).otherwise(name).alias(name) for name in ("open", "high", "low", "close")
    ]
    store.write("bars", frame.with_columns(prices))
    counts = found(check(store))
    assert counts["bars: adjusted move above 50% without limit"] == 1


def test_quarantined_rows_are_counted(tmp_path: Path) -> None:
    """Rows set aside stay visible, by reason."""
    store = Store.create(tmp_path / "s")
    frame = bars(10)
    store.write(
        "bars", frame.with_columns(low=pl.when(pl.int_range(pl.len()) < 2).then(99.0).otherwise("low")), quarantine=True
    )
    item = next(item for item in check(store).findings if "quarantine" in item.problem)
    assert (item.count, item.examples) == (2, ("2 x high below low",))


def test_a_summary_shows_what_a_person_asks_first(tmp_path: Path) -> None:
    """Shape, span, types, missing, distinct, distribution, coverage, first and last rows, as computed plainly."""
    store = small_store(tmp_path / "s")
    summary = info(store, ["bars", "listing"])
    table = summary.tables[0]
    frame = store.read("bars")
    values = frame["amount"].drop_nulls().to_numpy().astype(float)
    row = table.distribution.filter(pl.col("column") == "amount").row(0, named=True)
    assert row["count"] == values.size
    expected = [values.mean(), values.std(ddof=1), values.min(), *np.quantile(values, [0.25, 0.5, 0.75]), values.max()]
    assert [row[k] for k in ("mean", "std", "min", "25%", "50%", "75%", "max")] == pytest.approx(expected, rel=1e-6)
    columns = {item["column"]: item for item in table.columns.iter_rows(named=True)}
    assert columns["amount"]["missing"] == 4
    assert columns["amount"]["missing_pct"] == round(100 * 4 / frame.height, 2)
    assert columns["close"]["distinct"] == frame["close"].n_unique()
    assert columns["symbol"]["dtype"] == "String"
    assert (table.rows, table.symbols, table.span) == (frame.height, 5, ("2020-01-02", "2020-03-25"))
    per_day = frame.group_by("date").len()["len"]
    assert table.coverage.row(0) == (2020, 60, per_day.min(), per_day.median(), per_day.max())
    assert table.head.equals(frame.head(5))
    assert table.tail.equals(frame.tail(5))
    text = draw(summary.render())
    for wanted in (
        "bars: 283 rows x 11 columns",
        "missing_pct",
        "75%",
        "rows a date, by year",
        "last rows",
        "Company 0",
    ):
        assert wanted in text
    plain = json.loads(json.dumps(summary.to_dict()))
    assert plain["tables"][0]["head"][0]["date"] == "2020-01-02"
    assert plain["fingerprint"] == store.fingerprint()
    with pytest.raises(UnknownNameError, match="no table named 'barz'"):
        info(store, ["barz"])


def test_a_frame_is_summarised_too() -> None:
    """Any frame has a summary, empty columns and NaN included."""
    frame = pl.DataFrame(
        {"datetime": [None], "x": [float("nan")], "flag": [True]}, schema_overrides={"datetime": pl.Date}
    )
    table = info(frame).tables[0]
    assert table.columns["missing"].to_list() == [1, 1, 0]
    assert table.span is None
    assert "frame: 1 rows" in draw(info(frame).render())
