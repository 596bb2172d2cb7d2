"""Features of a panel: one block, checked promises."""

from typing import ClassVar

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import DataError, SettingError
from alphaloom.features.alpha158 import Alpha158
from alphaloom.features.alpha360 import Alpha360
from alphaloom.features.base import FeatureFamily
from alphaloom.features.compute import compute_features, max_lookback, required_fields
from alphaloom.panel import Panel
from alphaloom.typing import Floats


class Sum3(FeatureFamily):
    """Sum of the close over three rows."""

    name: ClassVar[str] = "sum3"
    inputs: ClassVar[tuple[str, ...]] = ("adj_close",)
    label: str = "SUM3"
    rows: int = 2

    @property
    def lookback(self) -> int:
        """Two rows."""
        return self.rows

    def columns(self) -> list[str]:
        """Return one name."""
        return [self.label]

    def compute(self, panel: Panel) -> Floats:
        """Return the sums."""
        x = panel["adj_close"]
        out = np.full((*panel.shape, 1), np.nan, np.float32)
        out[2:, :, 0] = x[2:] + x[1:-1] + x[:-2]
        return out


def test_families_stand_side_by_side() -> None:
    """Features of several families follow each other in the order given, each as its family computes it."""
    panel = random_panel(70, 6)
    result = compute_features([Sum3(), Alpha158()], panel)
    assert result.names == ["SUM3", *Alpha158().columns()]
    result.same_axes(panel)
    np.testing.assert_array_equal(result["SUM3"], Sum3().compute(panel)[:, :, 0])
    np.testing.assert_array_equal(result.stack()[:, :, 1:], Alpha158().compute(panel))


@pytest.mark.parametrize("start_row", [1, 40, 69])
def test_later_rows_alone_are_the_same(start_row: int) -> None:
    """Asking for the last rows only gives those rows of the whole, from the look-back on."""
    panel = random_panel(70, 6)
    whole = compute_features([Sum3()], panel)
    part = compute_features([Sum3()], panel, start_row=start_row)
    assert part.shape == (70 - start_row, 6)
    assert part.dates[0] == panel.dates[start_row]
    np.testing.assert_array_equal(part["SUM3"], whole["SUM3"][start_row:])


def test_daily_update_equals_the_whole() -> None:
    """Alpha158 of the last row from 61 rows is bit for bit that of the whole history."""
    panel = random_panel(200, 20, seed=2)
    whole = compute_features([Alpha158()], panel).stack()
    last = compute_features([Alpha158()], panel.rows(200 - 61, 200), start_row=60).stack()
    np.testing.assert_array_equal(last[0], whole[-1])


def test_one_block_lies_behind_the_panel() -> None:
    """The training block is the panel's own memory, not a second copy."""
    result = compute_features([Alpha158()], random_panel(70, 6))
    assert np.shares_memory(result.stack(), result["KMID"])


def test_fields_and_lookback_are_joined() -> None:
    """Needed fields are listed once; the look-back is the longest."""
    families = [Sum3(), Alpha360(), Alpha158()]
    assert required_fields(families)[:2] == ["adj_close", "adj_high"]
    assert len(required_fields(families)) == len(set(required_fields(families))) == 7
    assert max_lookback(families) == 60
    assert max_lookback([]) == 0


def test_repeated_name_is_refused() -> None:
    """Two features of one name are refused with both owners."""
    with pytest.raises(SettingError, match="'OPEN0': one of alpha158, one of alpha360"):
        compute_features([Alpha158(), Alpha360()], random_panel(70, 3))


def test_no_family_is_refused() -> None:
    """Nothing to compute is a mistake."""
    with pytest.raises(SettingError, match="No feature family"):
        compute_features([], random_panel(70, 3))


def test_start_row_outside_is_refused() -> None:
    """A first row that the panel does not have is refused."""
    with pytest.raises(SettingError, match="start_row is 70; the panel has rows 0 to 69"):
        compute_features([Sum3()], random_panel(70, 3), start_row=70)


def test_lookback_longer_than_the_data_is_refused() -> None:
    """A window longer than the data is refused with both lengths."""
    with pytest.raises(DataError, match="'alpha158' looks back 60 rows, so it needs at least 61; the panel has 60"):
        compute_features([Alpha158()], random_panel(60, 3))


def test_empty_feature_is_named() -> None:
    """A feature without any value in the universe is refused, with the fields to look at."""
    panel = random_panel(70, 5)
    blank = panel.with_fields({"adj_vwap": np.full(panel.shape, np.nan, np.float32)})
    with pytest.raises(DataError, match=r"Feature 'VWAP0' of 'alpha158' has no value .* adj_vwap"):
        compute_features([Alpha158()], blank)


def test_value_outside_the_universe_does_not_count() -> None:
    """A feature that only stocks outside the universe have is as good as absent."""
    panel = random_panel(70, 2, gaps=False)
    close = panel["adj_close"].copy()
    close[:, 0] = np.nan
    universe = np.zeros(panel.shape, dtype=bool)
    universe[:, 0] = True
    panel = panel.with_fields({"adj_close": close})
    compute_features([Sum3()], panel)
    with pytest.raises(DataError, match="'SUM3'"):
        compute_features([Sum3()], panel.with_universe(universe))


def test_empty_universe_is_refused() -> None:
    """Features without a universe are refused: nothing could be learned from them."""
    panel = random_panel(70, 2)
    with pytest.raises(DataError, match="universe is empty"):
        compute_features([Sum3()], panel.with_universe(np.zeros(panel.shape, dtype=bool)))


def test_wrong_shape_is_named() -> None:
    """A family whose block does not fit its columns is named."""

    class Wrong(Sum3):
        name: ClassVar[str] = "wrong"

        def columns(self) -> list[str]:
            return ["A", "B"]

    with pytest.raises(DataError, match=r"'wrong' returned float32 .* need float32"):
        compute_features([Wrong()], random_panel(10, 2))
