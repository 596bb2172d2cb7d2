"""Store fields derive from what was known; tables that know the future are found."""

import polars as pl
import pytest

from alphaloom.audit.data_signs import audit_data
from alphaloom.audit.point_in_time import audit_fields, known_at
from alphaloom.data import fields as catalogue
from alphaloom.data.fields import FieldRule, available_fields
from alphaloom.data.simulate import SimulatedMarket, simulate


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return two years of a market with delistings, suspensions, dividends, announcements and index changes."""
    made = SimulatedMarket(stocks=60, years=2, seed=4, industry_changes=0.2)
    return simulate(made, tmp_path_factory.mktemp("s") / "store")


def copy(store, path, **changed):
    """Return a copy of the store with other tables."""
    symbols = store.read("bars", ["symbol"])["symbol"].unique().to_list()
    made = known_at(store, None, symbols, path)
    for table, frame in changed.items():
        made.write(table, frame, "replace", extras=catalogue.extra_columns(store, table))
    return made


def test_every_field_derives_from_what_was_known(store):
    """Bars, listings, industries, members, weights, announced figures: all that the store can give."""
    names = available_fields(store)
    assert {"is_listed", "industry", "log_cap", "member:SH000300", "fund:book"} <= {*names, "fund:book"}
    report = audit_fields(store, names, cuts=3, symbols=40, seed=2)
    assert report.passed, report.leaks[:3]
    assert (report.table()["cells"] > 0).all()


def test_a_field_that_reads_later_rows_is_named(store, monkeypatch):
    """Volume over its mean of all dates, and tomorrow's close: the first date and stock that changed are told."""
    rules = {
        "relative": FieldRule("x", (("bars.close",),), lambda d: d.raw("volume") / d.raw("volume").mean()),
        "honest": FieldRule("x", (("bars.close",),), lambda d: d.raw("volume") * 2),
    }
    for name, rule in rules.items():
        monkeypatch.setitem(catalogue.RULES, name, rule)
    report = audit_fields(store, ["relative", "honest"], symbols=20)
    assert {finding.name for finding in report.findings} == {"relative"}
    assert {finding.change for finding in report.findings} == {"rows known later left out of the store"}


def test_an_honest_store_has_no_leak(store):
    """The simulated market passes; its delistings and industries leave nothing to warn of."""
    report = audit_data(store)
    assert report.passed, report.leaks
    assert set(report.table()["result"]) == {"passed"}


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        (
            "fundamentals",
            lambda frame: frame.with_columns(pl.col("period_end").alias("announce_date")).unique(
                ["symbol", "period_end", "announce_date", "item"], keep="last", maintain_order=True
            ),
            "announced on or before the end of their period",
        ),
        (
            "bars",
            lambda frame: frame.with_columns(pl.col("adj_factor") / pl.col("adj_factor").last().over("symbol")),
            "rebased by the last day's factor",
        ),
        (
            "index_weights",
            lambda frame: frame.filter(pl.col("date") == pl.col("date").max().over("index")),
            "has one list of members",
        ),
    ],
)
def test_tables_that_know_the_future_are_found(store, tmp_path, table, change, words):
    """Restated figures, rebased factors, today's members for all dates."""
    made = copy(store, tmp_path / "made", **{table: change(store.read(table))})
    report = audit_data(made)
    assert not report.passed
    assert words in str(report.leaks[0])


def test_a_market_of_survivors_is_warned_of(tmp_path):
    """Hundreds of stocks of which none ever leaves: no leak, but told; and so is a snapshot of industries."""
    made = SimulatedMarket(stocks=220, years=3, seed=1, delist_rate=0.0, industry_changes=0.0)
    store = simulate(made, tmp_path / "store")
    last = store.read("bars", ["date"])["date"].max()
    staying = store.read("bars").filter((pl.col("date") == last).any().over("symbol"))
    store.write("bars", staying, "replace", extras=catalogue.extra_columns(store, "bars"))
    report = audit_data(store)
    assert report.passed
    told = {problem.name: problem.words for problem in report.warnings}
    assert "leave the market" in told["delistings"]
    assert "snapshot" in told["industries"]
