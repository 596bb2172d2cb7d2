"""How numbers are written, ticks chosen and tables made."""

import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaloom.report.content import (
    NONE,
    Column,
    any_table,
    count,
    number,
    percent,
    probability,
    significant,
    table,
    text,
)
from alphaloom.report.theme import fade, round_ticks, shades


@pytest.mark.parametrize(
    ("form", "value", "written"),
    [
        (number(2), -1234.567, "−1,234.57"),
        (percent(1), 0.1234, "12.3\u00a0%"),
        (percent(0), -0.5, "−50\u00a0%"),
        (count, 1234567.0, "1,234,567"),
        (probability, 1e-9, "< 0.001"),
        (probability, 0.0456, "0.046"),
        (significant, 0.000123456, "0.0001235"),
        (significant, 12345.0, "12,345"),
        (text, datetime.date(2024, 12, 31), "2024-12-31"),
        (text, datetime.datetime(2024, 12, 31, 9, 5), "2024-12-31 09:05"),  # noqa: DTZ001
    ],
)
def test_numbers_are_written_for_people(form, value, written):
    """Thousands are separated, minus signs are true ones, fractions become percentages."""
    assert form(value) == written


@pytest.mark.parametrize("form", [number(2), percent(1), count, probability, significant, text])
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_undefined_is_a_dash(form, value):
    """A missing number is shown as missing, never as zero or nan."""
    assert form(value) == NONE


def test_a_table_has_the_columns_the_frame_has():
    """Columns that a study lacks are left out; the others keep the order asked for."""
    frame = pl.DataFrame({"b": [1.5, None], "a": ["x", "y"]})
    made = table(
        "t", frame, (Column("a", "A", text, numeric=False), Column("z", "Z", text), Column("b", "B", number(1)))
    )
    assert made.titles == ["A", "B"]
    assert made.rows == [("x", "1.5"), ("y", NONE)]


def test_any_table_writes_every_column():
    """A frame of unknown make is shown whole; a year is no quantity."""
    made = any_table("t", pl.DataFrame({"year": [2024], "n_rows": [12345], "value": [0.5], "name": ["x"]}))
    assert list(made.titles) == ["year", "n rows", "value", "name"]
    assert made.rows == [("2024", "12,345", "0.5", "x")]


@given(st.floats(0.01, 100), st.floats(1.02, 1000))
def test_ticks_of_a_log_axis(low, ratio):
    """Ticks lie within the bounds, increase, and are neither too many nor too few to read."""
    ticks = round_ticks(low, low * ratio)
    assert all(low * 0.999 <= tick <= low * ratio * 1.001 for tick in ticks)
    assert ticks == sorted(set(ticks))
    assert 2 <= len(ticks) <= 9


def test_colours():
    """Shades run from the lowest to the highest colour; a faded colour keeps its hue."""
    assert shades(5)[0] == "rgb(207,92,92)"
    assert shades(5)[-1] == "rgb(59,130,196)"
    assert len(set(shades(12))) == 12
    assert shades(1) == ["#3b82c4"]
    assert fade("#3b82c4", 0.5) == "rgba(59,130,196,0.5)"
