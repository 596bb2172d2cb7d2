"""What every registered universe rule promises, whoever wrote it."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.audit import audit_components
from alphaloom.data.universe.base import universe_rules
from alphaloom.errors import MissingFieldError, SettingError
from alphaloom.panel import Panel


@pytest.fixture(scope="module")
def panel() -> Panel:
    """A market with gaps."""
    return random_panel(60, 20, 31)


@pytest.mark.parametrize("name", universe_rules.names())
class TestRule:
    """One class of promises, run for each name."""

    def test_settings_round_trip_and_refuse_misspelling(self, name: str) -> None:
        """Default settings exist, read back to an equal record, and a misspelt one is refused by name."""
        rule = universe_rules[name]()
        assert universe_rules.parse(rule.describe()) == rule
        with pytest.raises(SettingError, match="unknown setting 'dys'"):
            universe_rules.parse({"name": name, "dys": 1})

    def test_answers_for_every_cell_from_its_fields_alone(self, name: str, panel: Panel) -> None:
        """A boolean `[T, N]` from the required fields; without one of them, an error that names it."""
        rule = universe_rules[name]()
        out = rule.keep(panel)
        assert out.shape == panel.shape
        assert out.dtype == np.bool_
        np.testing.assert_array_equal(rule.keep(panel.select(rule.required)), out)
        for absent in rule.required:
            with pytest.raises(MissingFieldError, match=f"no field '{absent}'"):
                rule.keep(panel.select([field for field in rule.required if field != absent]))

    def test_order_of_stocks_does_not_matter(self, name: str, panel: Panel) -> None:
        """Reordering the stocks reorders the answer."""
        rule = universe_rules[name]()
        order = np.argsort(panel.symbols)[::-1]
        fields = {key: array[:, order] for key, array in panel.fields.items()}
        flipped = Panel(panel.dates, panel.symbols[order], panel.universe[:, order], fields, panel.categories)
        np.testing.assert_array_equal(rule.keep(flipped), rule.keep(panel)[:, order])

    def test_lookback_is_enough(self, name: str, panel: Panel) -> None:
        """A panel that starts `lookback` rows before t gives the same answer at t."""
        rule = universe_rules[name]()
        full = rule.keep(panel)
        for t in range(rule.lookback, 60, 7):
            short = panel.rows(t - rule.lookback, t + 1)
            np.testing.assert_array_equal(rule.keep(short)[-1], full[t])

    def test_no_look_ahead(self, name: str, panel: Panel) -> None:
        """The answer at t does not change when only later dates do."""
        report = audit_components(panel, rules=[universe_rules[name]()], cuts=4)
        assert report.passed, str(report.findings[:1])
