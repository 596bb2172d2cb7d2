"""Fields that are the same for every stock: index bars by date, macro series by the day on which they were known."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from stores import small_store

from alphaloom.data.fields import available_fields, check_fields
from alphaloom.data.load import load_calendar, load_index, load_panel
from alphaloom.data.store import Store
from alphaloom.errors import MissingFieldError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a small store with a macro series: two periods, a revision, an old period published late."""
    made = small_store(tmp_path / "s")
    days = load_calendar(made).tolist()
    rows = [
        ("cpi", date(2019, 11, 30), date(2019, 12, 9), 1.0),
        ("cpi", date(2019, 12, 31), days[5], 2.0),
        ("cpi", date(2019, 11, 30), days[9], 1.5),  # an older period, revised late: must not replace the newer
        ("cpi", date(2019, 12, 31), days[12], 2.5),  # the newer period, revised
        ("pmi", date(2019, 12, 31), days[3], 50.0),
    ]
    made.write("macro", pl.DataFrame(rows, schema=["series", "date", "known_date", "value"], orient="row"), sort=True)
    return made


def test_index_bars_are_the_same_for_every_stock(store: Store) -> None:
    """Each column holds the index's own series, unlisted stocks included; a date without a bar is missing."""
    frame = store.read("index_bars")
    gap = load_calendar(store)[7].item()
    store.write("index_bars", frame.filter(pl.col("date") != gap), mode="replace")
    panel = load_panel(store, ["index:SH000300:close"])
    series = load_index(store, "SH000300", panel.dates).astype(np.float32)
    assert np.isnan(series[7])
    for n in range(panel.shape[1]):
        np.testing.assert_array_equal(panel["index:SH000300:close"][:, n], series)


def test_macro_values_join_by_the_day_they_were_known(store: Store) -> None:
    """The latest period known by then, in its latest version; nothing before it was known."""
    panel = load_panel(store, ["macro:cpi", "macro:pmi"])
    cpi, pmi = panel["macro:cpi"], panel["macro:pmi"]
    assert [float(cpi[t, 0]) for t in (0, 4, 5, 9, 11, 12, 59)] == [1.0, 1.0, 2.0, 2.0, 2.0, 2.5, 2.5]
    assert np.isnan(pmi[2, 3])
    assert pmi[3, 3] == 50.0
    assert (cpi == cpi[:, :1]).all()


def test_macro_and_index_know_no_future(store: Store, tmp_path: Path) -> None:
    """A store cut at a day gives the rows of the whole one."""
    last = load_calendar(store)[10].item()
    cut = Store.create(tmp_path / "cut")
    for table, key in (("bars", "date"), ("index_bars", "date"), ("macro", "known_date")):
        cut.write(table, store.read(table).filter(pl.col(key) <= last))
    names = ["macro:cpi", "macro:pmi", "index:SH000300:close"]
    whole, part = load_panel(store, names, end=last), load_panel(cut, names)
    for name in names:
        np.testing.assert_array_equal(whole[name][:, :2], part[name][:, :2])


def test_they_are_among_the_available_fields(store: Store) -> None:
    """The catalogue of a store lists every index column and macro series."""
    assert {"index:SH000300:close", "macro:cpi", "macro:pmi"} <= set(available_fields(store))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("index:SH000905:close", "no index and column 'SH000905:close'; it has: SH000300:close"),
        ("index:SH000300:amount", "it has: SH000300:close"),
        ("macro:gdp", "no series 'gdp'; it has: cpi, pmi"),
    ],
)
def test_absent_ones_are_refused_with_what_there_is(store: Store, name: str, message: str) -> None:
    """The message lists the indices, columns or series of the store."""
    with pytest.raises(MissingFieldError, match=message):
        check_fields(store, [name])


def test_a_store_without_the_table_says_so(tmp_path: Path) -> None:
    """Without a macro table the message names the table and the tables there are."""
    with pytest.raises(MissingFieldError, match="needs column 'value' of table 'macro'.*bars"):
        check_fields(small_store(tmp_path / "s"), ["macro:cpi"])
