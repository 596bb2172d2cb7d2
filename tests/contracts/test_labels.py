"""What every registered label promises, whoever wrote it."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.audit import audit_components
from alphaloom.errors import SettingError
from alphaloom.labels.base import labels
from alphaloom.panel import Panel


@pytest.fixture(scope="module")
def panel() -> Panel:
    """A market with gaps."""
    return random_panel(70, 15, 21)


def change_row(panel: Panel, t: int) -> Panel:
    """Return the panel with all numbers of row t scaled, each stock by its own factor."""
    fields = {}
    for name, array in panel.fields.items():
        fields[name] = array.copy()
        fields[name][t] *= 1 + 0.1 * np.arange(1, array.shape[1] + 1, dtype=np.float32)
    return Panel(panel.dates, panel.symbols, panel.universe, fields, panel.categories)


@pytest.mark.parametrize("name", labels.names())
class TestLabel:
    """One class of promises, run for each name."""

    def test_settings_round_trip_and_refuse_misspelling(self, name: str) -> None:
        """Default settings exist, read back to an equal record, and a misspelt one is refused by name."""
        label = labels[name]()
        assert labels.parse(label.describe()) == label
        with pytest.raises(SettingError, match="unknown setting 'horizn'"):
            labels.parse({"name": name, "horizn": 1})

    def test_span_is_ordered(self, name: str, panel: Panel) -> None:
        """Entry after t, end after entry; -1 and T where there is none; NaN wherever the end is beyond the data."""
        label = labels[name]()
        T = panel.dates.size
        entries, ends, out = label.entries(panel.dates), label.ends(panel.dates), label.compute(panel)
        dated = ends < T
        assert dated.any()
        assert (entries[dated] > np.arange(T)[dated]).all()
        assert (ends[dated] > entries[dated]).all()
        assert ((entries >= -1) & (entries < T) & (ends <= T)).all()
        assert np.isnan(out[~dated]).all()
        assert out.shape == panel.shape
        assert out.dtype == np.float32

    def test_end_is_exact(self, name: str, panel: Panel) -> None:
        """Changing the day after the end changes nothing; changing the day of the end changes the label."""
        label = labels[name]()
        full, ends = label.compute(panel), label.ends(panel.dates)
        rows = [t for t in np.flatnonzero(ends < panel.dates.size) if not np.isnan(full[t]).all()]
        for t in rows[:: max(1, len(rows) // 6)]:
            at_end = label.compute(change_row(panel, ends[t]))[t]
            assert not np.array_equal(at_end, full[t], equal_nan=True)
            if ends[t] + 1 < panel.dates.size:
                np.testing.assert_array_equal(label.compute(change_row(panel, ends[t] + 1))[t], full[t])

    def test_needs_no_more_than_it_declares(self, name: str, panel: Panel) -> None:
        """A panel of the required fields alone is enough; the input is not changed."""
        label = labels[name]()
        alone = panel.select(label.required)
        np.testing.assert_array_equal(label.compute(alone), label.compute(panel))

    def test_order_of_stocks_does_not_matter(self, name: str, panel: Panel) -> None:
        """Reordering the stocks reorders the result."""
        label = labels[name]()
        order = np.argsort(panel.symbols)[::-1]
        fields = {key: array[:, order] for key, array in panel.fields.items()}
        flipped = Panel(panel.dates, panel.symbols[order], panel.universe[:, order], fields, panel.categories)
        np.testing.assert_array_equal(label.compute(flipped), label.compute(panel)[:, order])

    def test_nothing_beyond_the_declared_end(self, name: str, panel: Panel) -> None:
        """The audit finds no value that reads past its declared end."""
        report = audit_components(panel, labels_=[labels[name]()], cuts=6)
        assert report.passed, str(report.findings[:1])
