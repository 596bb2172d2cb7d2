"""What every registered transform promises, whoever wrote it."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.audit import audit_components
from alphaloom.errors import SettingError
from alphaloom.panel import Panel
from alphaloom.transforms.base import Transform, transforms
from alphaloom.transforms.chain import apply_chain, fit_chain, load_states, save_states


@pytest.fixture(scope="module")
def panel() -> Panel:
    """A market in which some stocks are outside the universe."""
    panel = random_panel(24, 30, 11)
    return panel.with_universe(panel.universe & (np.random.default_rng(0).random(panel.shape) > 0.1))


@pytest.fixture(scope="module")
def block(panel: Panel) -> np.ndarray:
    """Values with holes."""
    rng = np.random.default_rng(1)
    values = rng.standard_t(3, (*panel.shape, 3)).astype(np.float32)
    values[rng.random(values.shape) < 0.08] = np.nan
    return values


def run(transform: Transform, block: np.ndarray, panel: Panel) -> np.ndarray:
    """Return the block transformed, fitted on the first half when it must be."""
    states = fit_chain([transform], block, panel, slice(0, 12))
    return apply_chain([transform], states, block, panel)


@pytest.mark.parametrize("name", transforms.names())
class TestTransform:
    """One class of promises, run for each name."""

    def test_settings_round_trip_and_refuse_misspelling(self, name: str) -> None:
        """Default settings exist, read back to an equal record, and a misspelt one is refused by name."""
        transform = transforms[name]()
        assert transforms.parse(transform.describe()) == transform
        with pytest.raises(SettingError, match="unknown setting 'scael'"):
            transforms.parse({"name": name, "scael": 1})

    def test_needs_no_more_than_it_declares(self, name: str, panel: Panel, block: np.ndarray) -> None:
        """A panel of the required fields alone is enough."""
        transform = transforms[name]()
        expected = run(transform, block, panel)
        np.testing.assert_array_equal(run(transform, block, panel.select(transform.required)), expected)

    def test_input_is_kept_and_result_repeats(self, name: str, panel: Panel, block: np.ndarray) -> None:
        """Neither block nor panel changes, and a second run gives the same bits."""
        before, fields = block.copy(), {key: array.copy() for key, array in panel.fields.items()}
        first = run(transforms[name](), block, panel)
        np.testing.assert_array_equal(block, before)
        for key, array in fields.items():
            np.testing.assert_array_equal(panel[key], array)
        np.testing.assert_array_equal(run(transforms[name](), block, panel), first)

    def test_order_of_stocks_does_not_matter(self, name: str, panel: Panel, block: np.ndarray) -> None:
        """Reordering the stocks reorders the result."""
        order = np.random.default_rng(2).permutation(panel.symbols.size)
        shuffled = Panel(
            panel.dates,
            panel.symbols[order],
            panel.universe[:, order],
            {key: array[:, order] for key, array in panel.fields.items()},
            panel.categories,
        )
        out = run(transforms[name](), np.ascontiguousarray(block[:, order]), shuffled)
        np.testing.assert_allclose(out, run(transforms[name](), block, panel)[:, order], rtol=1e-4, atol=2e-6)

    def test_outsiders_change_no_member(self, name: str, panel: Panel, block: np.ndarray) -> None:
        """Statistics come from the members alone: other values of outsiders change nothing of theirs."""
        other = block.copy()
        other[~panel.universe] = np.float32(1e6)
        a, b = run(transforms[name](), block, panel), run(transforms[name](), other, panel)
        np.testing.assert_array_equal(a[panel.universe], b[panel.universe])

    def test_columns_do_not_touch_each_other(self, name: str, panel: Panel, block: np.ndarray) -> None:
        """A column's result is the same alone as beside others: a label is a block of one."""
        alone = np.ascontiguousarray(block[:, :, 1:2])
        out = run(transforms[name](), block, panel)[:, :, 1:2]
        np.testing.assert_array_equal(run(transforms[name](), alone, panel), out)

    def test_no_look_ahead(self, name: str, panel: Panel) -> None:
        """A date's result needs that date alone, a state the window alone."""
        report = audit_components(panel, transforms_=[transforms[name]()], cuts=3)
        assert report.passed, str(report.findings[:1])

    def test_state_survives_the_disk(self, name: str, panel: Panel, block: np.ndarray, tmp_path) -> None:
        """A saved state gives the same bits when loaded."""
        transform = transforms[name]()
        states = fit_chain([transform], block, panel, slice(0, 12))
        save_states(tmp_path / "state.npz", [transform], states)
        loaded = load_states(tmp_path / "state.npz", [transform])
        np.testing.assert_array_equal(
            apply_chain([transform], loaded, block, panel), apply_chain([transform], states, block, panel)
        )
        assert bool(states[0]) == transform.is_fitted
