"""What a frame must be before it enters the store."""

import datetime as dt

import polars as pl
import pytest
from stores import bars

from alphaloom.data.conform import conform, table_named
from alphaloom.data.schema import BARS, FRAME
from alphaloom.errors import DataError, UnknownNameError


def test_numbers_become_the_schemas_types_and_order() -> None:
    """Any width of number becomes float32, NaN becomes null, columns take the schema's order."""
    frame = bars(5).select(pl.all().reverse())[::-1].select(sorted(bars(5).columns))
    result = conform(BARS, frame)
    assert result.columns[:7] == ["date", "symbol", "open", "high", "low", "close", "volume"]
    assert result["close"].dtype == pl.Float32
    with_nan = conform(BARS, bars(5).with_columns(pl.lit(float("nan")).alias("amount")))
    assert with_nan["amount"].null_count() == with_nan.height


def test_midnight_becomes_a_date_and_a_time_of_day_is_refused() -> None:
    """The store is daily: a datetime at midnight is its day, any other an error."""
    frame = bars(3).with_columns(pl.col("date").cast(pl.Datetime("us")))
    assert conform(BARS, frame)["date"].dtype == pl.Date
    with pytest.raises(DataError, match="times of day"):
        conform(BARS, frame.with_columns(pl.col("date") + dt.timedelta(hours=15)))


def test_zero_and_one_become_booleans_and_two_does_not() -> None:
    """A flag may be 0 and 1; anything else is refused with its value."""
    assert conform(BARS, bars(3).with_columns(pl.lit(1).alias("is_st")))["is_st"].all()
    with pytest.raises(DataError, match=r"is_st.*true or false.*found 2"):
        conform(BARS, bars(3).with_columns(pl.lit(2).alias("is_st")))


def test_unknown_column_is_refused_with_the_nearest_name() -> None:
    """A column that the schema does not name is an error unless it was declared."""
    frame = bars(3).with_columns(pl.lit(1.0).alias("turnovr"))
    with pytest.raises(DataError, match=r"no column 'turnovr'.*Did you mean 'turnover'"):
        conform(BARS, frame)
    assert "turnovr" in conform(BARS, frame, extras=["turnovr"]).columns


def test_frame_table_takes_any_column_in_its_order() -> None:
    """A frame's features need no declaration and keep their order, the label last."""
    frame = pl.DataFrame({"date": [dt.date(2020, 1, 2)], "symbol": ["A"], "z": [1.0], "a": [2.0]})
    assert conform(FRAME, frame).columns == ["date", "symbol", "z", "a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.col("close").cast(pl.String), r"'close' of table 'bars' must be Float32, found String.*for example"),
        (pl.lit("x").alias("is_st"), r"'is_st'.*must be Boolean, found String"),
        (pl.lit(float("inf")).alias("amount"), r"'amount'.*infinite in 15 rows"),
        (pl.lit(None, dtype=pl.String).alias("symbol"), "'symbol' of table 'bars' is null"),
    ],
)
def test_wrong_values_are_refused_by_column(change: pl.Expr, message: str) -> None:
    """A wrong type, an infinite number and a null key are errors that name the column."""
    with pytest.raises(DataError, match=message):
        conform(BARS, bars(3, symbols=["A", "B", "C", "D", "E", "F"]).head(15).with_columns(change))


def test_missing_required_column_is_refused() -> None:
    """Bars without a close are no bars."""
    with pytest.raises(DataError, match="needs column 'close'"):
        conform(BARS, bars(3).drop("close"))


def test_dates_that_step_back_within_a_stock_are_refused() -> None:
    """Rows may be grouped by stock or by date; within a stock dates must not step back, unless sorting is asked for."""
    frame = bars(5)
    conform(BARS, frame.sort("symbol", "date"))
    with pytest.raises(DataError, match=r"Dates out of order in table 'bars': \w+ has 2020-01-0\d after 2020-01-0\d"):
        conform(BARS, frame.reverse())
    conform(BARS, frame.reverse(), sort=True)


def test_unknown_table_names_the_nearest() -> None:
    """A misspelt table is an error with a suggestion."""
    with pytest.raises(UnknownNameError, match="Did you mean 'bars'"):
        table_named("barz")
