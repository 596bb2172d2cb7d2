"""Panel: axes are checked, arrays read-only, frames and folders round-trip."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import business_days, random_panel

from alphaloom.errors import AlignmentError, DataError, MissingFieldError
from alphaloom.panel import Panel, as_date


def small() -> Panel:
    """Return a 3 x 2 panel."""
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    return Panel(business_days(3), np.array(["A", "B"]), np.ones((3, 2), bool), {"close": values})


def test_arrays_are_read_only():
    """Nobody can change a panel's data by accident."""
    panel = small()
    for array in (panel["close"], panel.universe, panel.dates, panel.symbols):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dates": business_days(3)[::-1]}, AlignmentError, "Dates must increase"),
        ({"symbols": np.array(["A", "A"])}, AlignmentError, "'A' appears twice"),
        ({"universe": np.ones((2, 2), bool)}, AlignmentError, "'universe' has shape"),
        ({"fields": {"x": np.ones((3, 3), np.float32)}}, AlignmentError, "'x' has shape"),
        ({"fields": {"x": np.ones((3, 2))}}, DataError, "dtype float64; a panel holds float32"),
    ],
)
def test_a_wrong_axis_or_type_is_refused(change, error, message):
    """A panel that does not fit together cannot be made; the message says what is off."""
    panel = small()
    parts = {"dates": panel.dates, "symbols": panel.symbols, "universe": panel.universe, "fields": dict(panel.fields)}
    with pytest.raises(error, match=message):
        Panel(**{**parts, **change})


def test_missing_field_names_the_nearest():
    """Asking for an absent field says what there is and what was probably meant."""
    with pytest.raises(MissingFieldError, match=r"no field 'clos'. Did you mean 'close'"):
        small()["clos"]


def test_misaligned_panels_are_refused():
    """Panels on other dates or symbols do not meet."""
    panel = small()
    with pytest.raises(AlignmentError, match="differ in symbols at position 1: B and C"):
        panel.same_axes(Panel(panel.dates, np.array(["A", "C"]), panel.universe, {}))
    with pytest.raises(AlignmentError, match="3 and 2 dates"):
        panel.same_axes(panel.rows(0, 2))


def test_block_is_shared_without_a_copy():
    """Fields of a block panel are views, and stacking them gives the block back."""
    panel = small()
    block = np.random.default_rng(0).random((3, 2, 4), dtype=np.float32)
    made = Panel.from_block(panel, "abcd", block)
    assert np.shares_memory(made.stack(), block)
    np.testing.assert_array_equal(made.stack(["d", "a"]), block[:, :, [3, 0]])


@settings(max_examples=25, deadline=None)
@given(T=st.integers(2, 12), N=st.integers(1, 6), seed=st.integers(0, 99))
def test_frame_round_trip(T, N, seed):
    """A panel goes to a long frame and back unchanged, categories and missing values included."""
    panel = random_panel(T, N, seed)
    frame = panel.to_frame(drop_empty=False)
    back = Panel.from_frame(frame, dates=panel.dates, symbols=panel.symbols, universe=panel.universe)
    for name in panel.names:
        if name not in panel.categories:
            np.testing.assert_array_equal(back[name], panel[name])
    texts = np.array([*panel.categories["industry"], ""])
    again = np.array([*back.categories["industry"], ""])

    def words(names, codes):
        return names[np.where(np.isnan(codes), len(names) - 1, codes).astype(int)]

    np.testing.assert_array_equal(words(texts, panel["industry"]), words(again, back["industry"]))


def test_repeated_keys_are_refused():
    """One row for each date and symbol; the first offender is named."""
    frame = pl.DataFrame({"date": ["2020-01-02"] * 2, "symbol": ["A"] * 2, "x": [1.0, 2.0]})
    frame = frame.with_columns(pl.col("date").str.to_date())
    with pytest.raises(DataError, match="1 .date, symbol. keys repeat, first 2020-01-02 A"):
        Panel.from_frame(frame)


def test_saved_panels_load_memory_mapped(tmp_path):
    """A saved panel is equal after loading, mapped from disk, and overwriting leaves no scraps."""
    panel = random_panel(20, 5)
    for _ in range(2):
        panel.save(tmp_path / "p")
    back = Panel.load(tmp_path / "p")
    panel.same_axes(back)
    assert back.categories == panel.categories
    for name in panel.names:
        np.testing.assert_array_equal(back[name], panel[name])
    assert [entry.name for entry in tmp_path.iterdir()] == ["p"]
    with pytest.raises(DataError, match="holds no panel"):
        Panel.load(tmp_path)


def test_between_includes_both_ends():
    """`between` keeps the dates named, and the neighbours of dates that are no trading days."""
    panel = random_panel(10, 2)
    assert panel.between(panel.dates[2], panel.dates[4]).dates.tolist() == panel.dates[2:5].tolist()
    assert panel.between("1990-01-01", "2100-01-01").shape == panel.shape
    with pytest.raises(DataError, match="'monday' is not a date"):
        as_date("monday")


def test_columns_takes_flags_alone() -> None:
    """Positions, which could repeat a symbol, are refused."""
    panel = random_panel(5, 3)
    with pytest.raises(AlignmentError, match="keep must be boolean"):
        panel.columns(np.array([0, 0, 1]))
