"""Files of scores made anywhere: what is read, and what is refused in plain words."""

import json

import numpy as np
import polars as pl
import pytest

from alphaloom.cli import call
from alphaloom.data.load import load_panel
from alphaloom.data.store import Store
from alphaloom.errors import DataError, UnknownNameError, UsageError
from alphaloom.outside import backtest_weights, optimise_scores, read_frame

ROWS = {"date": ["2017-03-01", "2017-03-02"], "symbol": ["A", "B"], "score": [1.0, 2.0]}


@pytest.mark.parametrize("form", [pl.String, pl.Date, pl.Datetime])
def test_dates_of_any_type_are_read(tmp_path, form):
    """ISO text, dates and times of day all come out as dates."""
    frame = pl.DataFrame(ROWS).with_columns(pl.col("date").str.to_date())
    frame.with_columns(pl.col("date").cast(form)).write_parquet(tmp_path / "s.parquet")
    assert read_frame(tmp_path / "s.parquet", "score").equals(frame)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS | {"date": ["01/03/2017", "02/03/2017"]}, "does not hold dates"),
        ({name: values[:0] for name, values in ROWS.items()}, "holds no row"),
    ],
)
def test_files_without_dates_or_rows_are_refused(tmp_path, rows, words):
    """A date in another form and an empty file are named."""
    schema = {"date": pl.String, "symbol": pl.String, "score": pl.Float64}
    pl.DataFrame(rows, schema=schema).write_parquet(tmp_path / "s.parquet")
    with pytest.raises(DataError, match=words):
        read_frame(tmp_path / "s.parquet", "score")


def test_optimise_needs_no_settings(market, tmp_path):
    """Scores alone give weights with the default construction; its settings can be changed one by one."""
    store = Store(market)
    panel = load_panel(store, ["adj_close", "is_suspended"])
    frame = panel.select(["adj_close"]).to_frame().rename({"adj_close": "score"})
    day = panel.dates[200].item()
    frame.filter(pl.col("date") == day).write_parquet(tmp_path / "s.parquet")
    optimise_scores(tmp_path / "s.parquet", store, tmp_path / "w.parquet", overrides=["portfolio.num_stock=20"])
    weights = pl.read_parquet(tmp_path / "w.parquet")
    assert weights["weight"].sum() == pytest.approx(1.0, abs=1e-5)
    assert weights["weight"].max() <= 1 / 20 + 1e-6


@pytest.fixture
def weights_file(market, tmp_path):
    """Two portfolios of ten equal weights each on three dates, in one file."""
    panel = load_panel(Store(market), ["is_suspended"])
    rows = []
    for t in (200, 205, 210):
        there = panel.symbols[panel.universe[t]]
        for name, chosen in (("a", there[:10]), ("b", there[10:20])):
            rows += [{"date": panel.dates[t].item(), "symbol": s, "weight": 0.1, "portfolio": name} for s in chosen]
    pl.DataFrame(rows).write_parquet(tmp_path / "w.parquet")
    return tmp_path / "w.parquet"


def test_backtest_writes_values_orders_and_a_report(market, weights_file, tmp_path):
    """Metrics, values, orders, fills and the page; every order's wanted shares are accounted for."""
    done = backtest_weights(weights_file, Store(market), tmp_path / "b", portfolio="b", benchmark="SH000300")
    nav, orders, fills = (pl.read_parquet(tmp_path / "b" / f"{name}.parquet") for name in ("nav", "orders", "fills"))
    assert nav["nav"][-1] > 0
    assert (orders["wanted"] == orders["filled"] + orders["unfilled"]).all()
    assert fills.height == (orders["filled"] > 0).sum()
    assert done["metrics"]["decisions"] == 3
    assert np.isfinite(done["metrics"]["universe_annual_return"])
    assert {"year", "ret", "sharpe", "max_drawdown", "excess", "information_ratio", "turnover", "cost"} <= set(
        done["yearly"][0]
    )
    page = (tmp_path / "b" / "report.html").read_text()
    assert "All stocks that may be held earned" in page
    assert json.loads((tmp_path / "b" / "metrics.json").read_text())["relaxations"] == []


def test_one_of_several_portfolios_must_be_named(market, weights_file, tmp_path):
    """A file of several portfolios is not mixed up; a wrong name is met with the nearest."""
    store = Store(market)
    with pytest.raises(UsageError, match=r"w\.parquet holds 2 portfolios: a, b\. Choose one with --portfolio"):
        backtest_weights(weights_file, store, tmp_path / "b")
    with pytest.raises(UnknownNameError, match="no portfolio named 'c'"):
        backtest_weights(weights_file, store, tmp_path / "b", portfolio="c")
    one = pl.read_parquet(weights_file).filter(pl.col("portfolio") == "a").drop("portfolio")
    one.write_csv(tmp_path / "one.csv")
    alone = backtest_weights(tmp_path / "one.csv", store, tmp_path / "c")
    assert alone["metrics"] == pytest.approx(
        backtest_weights(weights_file, store, tmp_path / "d", portfolio="a")["metrics"], nan_ok=True
    )
    with pytest.raises(UsageError, match="has no column 'portfolio'"):
        backtest_weights(tmp_path / "one.csv", store, tmp_path / "e", portfolio="a")


def test_a_wrong_path_is_one_plain_line(tmp_path, capsys):
    """A folder that is not there is bad usage, not a defect."""
    assert call(["schema", "--out", str(tmp_path / "absent" / "schema.json")]) == 2
    assert capsys.readouterr().err.startswith("Error: No such file or directory: ")


FORMS = ["parquet", "csv", "pkl", "datetime parquet", "datetime csv"]


@pytest.mark.parametrize("form", FORMS)
def test_frames_by_datetime_and_instrument_are_read(tmp_path, form):
    """The names that qlib and pandas users give to keys, as columns or as an index, mean date and symbol."""
    frame = pl.DataFrame(ROWS).with_columns(pl.col("date").str.to_date())
    indexed = frame.to_pandas().assign(date=lambda f: f["date"].astype("datetime64[ns]"))
    indexed = indexed.set_index(["date", "symbol"]).rename_axis(["datetime", "instrument"])
    named = frame.rename({"date": "datetime", "symbol": "instrument"})
    file = tmp_path / f"s.{form.split()[-1]}"
    if form == "pkl":
        indexed.to_pickle(file)
    elif form == "parquet":
        indexed.to_parquet(file)
    elif form == "csv":
        indexed.to_csv(file)
    elif form == "datetime parquet":
        named.write_parquet(file)
    else:
        named.write_csv(file)
    assert read_frame(file, "score").sort("symbol").equals(frame)


def test_optimise_writes_notes_that_prove_and_explain(market, tmp_path, capsys):
    """The command's notes name solver, gap, what gave way and what binds; its summary counts them."""
    panel = load_panel(Store(market), ["adj_close"])
    days = [panel.dates[row].item() for row in (200, 205, 210)]
    frame = panel.select(["adj_close"]).to_frame().rename({"adj_close": "score"})
    frame.filter(pl.col("date").is_in(days)).write_parquet(tmp_path / "s.parquet")
    limits = (
        "[{name: cap, num_stock: 20}, {name: turnover, limit: 0.2}, {name: participation, share: 0.5},"
        " {name: industry, limit: 0.3, against: zero}]"
    )
    settings = [f"portfolio={{name: optimise, constraints: {limits}}}", "capital=10000000"]
    words = [word for text in settings for word in ("--set", text)]
    out = tmp_path / "w.parquet"
    assert call(["optimise", str(tmp_path / "s.parquet"), str(market), "--out", str(out), *words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    notes = pl.read_parquet(tmp_path / "w-notes.parquet")
    assert notes["date"].to_list() == days
    assert {"status", "solver", "fallback", "gap", "violation", "relaxed", "binding", "excess_turnover"} <= {
        *notes.columns
    }
    assert facts["solvers"] == "dual simplex 3"
    assert facts["largest_gap"] <= 1e-8
    assert notes["off"].to_list() == ["turnover", "", ""]
    assert notes["binding"][0] != ""
    assert notes.filter(pl.col("relaxed") == "")["violation"].max() <= 1e-8
