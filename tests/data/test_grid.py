"""Small array helpers and membership lists against plain loops."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from alphaloom.data.grid import carry_forward, last_values, trailing_sum
from alphaloom.data.spells import lists_from_spells
from alphaloom.errors import DataError

VALUES = st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32))
BLOCKS = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=VALUES)
DAY = dt.date(2020, 1, 1)


@settings(max_examples=80, deadline=None)
@given(BLOCKS, st.data())
def test_values_are_carried_forward_as_in_a_loop(block: np.ndarray, data: st.DataObject) -> None:
    """NaN takes the last value above it, in the allowed cells alone; the input is not changed."""
    where = data.draw(st.none() | arrays(np.bool_, block.shape))
    before = block.copy()
    found = carry_forward(block, where)
    np.testing.assert_array_equal(before, block)
    for n in range(block.shape[1]):
        last = np.nan
        for t in range(block.shape[0]):
            if not np.isnan(block[t, n]):
                last = block[t, n]
            allowed = where is None or where[t, n]
            np.testing.assert_equal(found[t, n], last if np.isnan(block[t, n]) and allowed else block[t, n])


@settings(max_examples=80, deadline=None)
@given(BLOCKS, st.data())
def test_a_block_can_be_carried_forward_in_two_parts(block: np.ndarray, data: st.DataObject) -> None:
    """The second part starts from the last values of the first."""
    cut = data.draw(st.integers(1, block.shape[0]))
    whole, start = carry_forward(block), last_values(block[:cut])
    np.testing.assert_array_equal(start, whole[cut - 1])
    np.testing.assert_array_equal(carry_forward(block[cut:], start=start), whole[cut:])
    np.testing.assert_array_equal(last_values(block[cut - 1 :], start), whole[-1])


@settings(max_examples=80, deadline=None)
@given(BLOCKS, st.integers(1, 5), st.data())
def test_trailing_sums_do_not_depend_on_the_first_row(block: np.ndarray, window: int, data: st.DataObject) -> None:
    """Rows with a whole window have the same bits wherever the block begins."""
    cut = data.draw(st.integers(0, block.shape[0] - 1))
    np.testing.assert_array_equal(
        trailing_sum(block[cut:], window)[window - 1 :], trailing_sum(block, window)[cut:][window - 1 :]
    )


@settings(max_examples=80, deadline=None)
@given(BLOCKS, st.integers(1, 5))
def test_trailing_sums_are_those_of_a_loop(block: np.ndarray, window: int) -> None:
    """The sum over the last rows, NaN counted as 0."""
    found = trailing_sum(block, window)
    for t in range(block.shape[0]):
        expected = np.nansum(block[max(0, t - window + 1) : t + 1], axis=0)
        np.testing.assert_allclose(found[t], expected, atol=1e-5)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 20), st.none() | st.integers(1, 10)), min_size=1))
def test_lists_hold_the_members_of_every_day(spells: list[tuple[str, int, int | None]]) -> None:
    """The list in force on any day holds exactly the stocks whose spell covers it (days with no member have none)."""
    frame = pl.DataFrame(
        [
            ("I", symbol, DAY + dt.timedelta(start), None if length is None else DAY + dt.timedelta(start + length))
            for symbol, start, length in spells
        ],
        schema={"index": pl.String, "symbol": pl.String, "opt_in": pl.Date, "opt_out": pl.Date},
        orient="row",
    )
    lists = lists_from_spells(frame)
    for k in range(35):
        day = DAY + dt.timedelta(k)
        expected = sorted({s for s, start, length in spells if start <= k and (length is None or k < start + length)})
        known = lists.filter(pl.col("date") <= day)
        if expected:
            last = known.filter(pl.col("date") == known["date"].max())
            assert sorted(last["symbol"]) == expected


def test_spells_that_end_before_they_start_are_refused() -> None:
    """A spell needs a start, and an end after it."""
    frame = pl.DataFrame({"index": ["I"], "symbol": ["A"], "opt_in": [DAY], "opt_out": [DAY - dt.timedelta(1)]})
    with pytest.raises(DataError, match="1 membership spells"):
        lists_from_spells(frame)
