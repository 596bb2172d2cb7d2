"""What every feature family promises, checked for all that are registered."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.features.base import FeatureFamily, features
from alphaloom.features.compute import compute_features
from alphaloom.panel import Panel

EXTRA_ROWS = 45
STOCKS = 14


@pytest.fixture(params=features.names())
def family(request: pytest.FixtureRequest) -> FeatureFamily:
    """Each registered family with its default settings."""
    return features[request.param]()


@pytest.fixture
def panel(family: FeatureFamily) -> Panel:
    """A random market with gaps, a little longer than the family's look-back."""
    return random_panel(family.lookback + EXTRA_ROWS, STOCKS, seed=11)


def test_description_reads_back(family: FeatureFamily) -> None:
    """The plain description of a family makes an equal one."""
    assert features.parse(family.describe()) == family
    assert family.name == type(family).__module__.rsplit(".", 1)[-1]


def test_columns_are_unique_and_fit(family: FeatureFamily, panel: Panel) -> None:
    """There is one float32 value a column, date and stock, and no name twice."""
    columns = family.columns()
    assert len(columns) == len(set(columns)) > 0
    block = family.compute(panel)
    assert block.shape == (*panel.shape, len(columns))
    assert block.dtype == np.float32
    assert not np.isinf(block).any()


def test_every_feature_has_values(family: FeatureFamily, panel: Panel) -> None:
    """On an ordinary market every feature has values."""
    made = compute_features([family], panel)
    assert made.names == family.columns()
    assert all((~np.isnan(made[name]) & panel.universe).any() for name in made.names)


def test_declared_fields_suffice(family: FeatureFamily, panel: Panel) -> None:
    """A family reads the fields that it declares and no others."""
    assert family.required
    np.testing.assert_array_equal(family.compute(panel.select(family.required)), family.compute(panel))


def test_input_is_left_alone_and_result_repeats(family: FeatureFamily, panel: Panel) -> None:
    """Computing changes no input and gives the same bits again."""
    before = {name: array.copy() for name, array in panel.fields.items()}
    first = family.compute(panel)
    np.testing.assert_array_equal(family.compute(panel), first)
    for name, array in before.items():
        np.testing.assert_array_equal(panel[name], array)


def test_row_t_knows_no_later_row(family: FeatureFamily, panel: Panel) -> None:
    """Computed from data cut at t, row t is what it is in the whole."""
    whole = family.compute(panel)
    for t in (0, family.lookback // 2, family.lookback, family.lookback + 7, panel.shape[0] - 2):
        np.testing.assert_array_equal(family.compute(panel.rows(0, t + 1))[t], whole[t])


def test_lookback_is_honest(family: FeatureFamily, panel: Panel) -> None:
    """Row t needs no row before t - lookback: neither its absence nor another value changes it."""
    whole = family.compute(panel)
    k = 20
    t = family.lookback + k
    np.testing.assert_array_equal(family.compute(panel.rows(k, t + 1))[-1], whole[t])
    changed = {}
    for name in family.required:
        array = panel[name].copy()
        if name not in panel.categories and not name.startswith(("is_", "member:")):
            array[:k] *= np.float32(1.7)
        changed[name] = array
    np.testing.assert_array_equal(family.compute(panel.with_fields(changed))[t:], whole[t:])


def test_order_of_stocks_does_not_matter(family: FeatureFamily, panel: Panel) -> None:
    """Reordering the symbols reorders the features."""
    order = np.random.default_rng(0).permutation(panel.shape[1])
    moved = Panel(
        panel.dates,
        panel.symbols[order],
        panel.universe[:, order],
        {name: np.ascontiguousarray(array[:, order]) for name, array in panel.fields.items()},
        panel.categories,
    )
    np.testing.assert_array_equal(family.compute(moved), family.compute(panel)[:, order])
