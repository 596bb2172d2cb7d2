"""Each universe rule against a plain reading of its sentence."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.data.universe.base import universe_rules
from alphaloom.errors import MissingFieldError, SettingError
from alphaloom.panel import Panel

nan = np.nan


def tiny(**fields: list[list[float]]) -> Panel:
    """Return a panel of the given fields."""
    arrays = {name.replace("__", ":"): np.array(rows, dtype=np.float32) for name, rows in fields.items()}
    T, N = next(iter(arrays.values())).shape
    dates = np.datetime64("2024-01-01", "D") + np.arange(T)
    return Panel(dates, np.array([f"S{n}" for n in range(N)]), np.ones((T, N), dtype=bool), arrays)


def keep(description: object, panel: Panel) -> list[list[bool]]:
    """Return the rule's answer as lists."""
    return universe_rules.parse(description).keep(panel).tolist()


def test_listed_counts_trading_days() -> None:
    """The day on which the count is reached stays; a stock of unknown age does not."""
    panel = tiny(listed_days=[[2, 3, 4, nan]])
    assert keep({"name": "listed", "days": 3}, panel) == [[False, True, True, False]]


def test_not_st_drops_unknown_flags_unless_told() -> None:
    """A missing flag is no proof: it is dropped by default and kept when asked."""
    panel = tiny(is_st=[[0, 1, nan]])
    assert keep("not_st", panel) == [[True, False, False]]
    assert keep({"name": "not_st", "unknown": "keep"}, panel) == [[True, False, True]]


def test_not_suspended_needs_a_trading_day() -> None:
    """Suspended and unlisted stocks are out."""
    assert keep("not_suspended", tiny(is_suspended=[[0, 1, nan]])) == [[True, False, False]]


def test_not_locked_removes_one_price_days_at_a_limit() -> None:
    """Locked up, locked down, touched only, in between, and a day without limits, on each side asked for."""
    high = [[11.0, 9.0, 11.0, 10.5, 11.0]]
    low = [[11.0, 9.0, 10.0, 9.5, 11.0]]
    panel = tiny(high=high, low=low, limit_up=[[11, 11, 11, 11, nan]], limit_down=[[9, 9, 9, 9, nan]])
    assert keep("not_locked", panel) == [[False, False, True, True, True]]
    assert keep({"name": "not_locked", "side": "up"}, panel) == [[False, True, True, True, True]]
    assert keep({"name": "not_locked", "side": "down"}, panel) == [[True, False, True, True, True]]


def test_not_locked_needs_limits() -> None:
    """Without limit prices the rule cannot be followed, and says so."""
    with pytest.raises(MissingFieldError, match="no field 'limit_up'"):
        keep("not_locked", tiny(high=[[1]], low=[[1]]))


def test_index_members_are_a_union() -> None:
    """A member of any of the indices stays; the needed fields follow from the setting."""
    panel = tiny(member__A=[[1, nan, nan]], member__B=[[nan, 1, nan]])
    rule = {"name": "index_members", "indices": ["A", "B"]}
    assert keep(rule, panel) == [[True, True, False]]
    assert universe_rules.parse(rule).required == ("member:A", "member:B")
    with pytest.raises(SettingError, match="indices"):
        universe_rules.parse({"name": "index_members", "indices": []})


@pytest.mark.parametrize("window", [1, 3, 20])
def test_min_amount_averages_the_known_days(window: int) -> None:
    """Mean over the window of known values, suspended days as 0, unknown days left out, no known day no stay."""
    panel = random_panel(30, 12, 8)
    amount = panel["amount"].copy()
    amount[np.random.default_rng(0).random(amount.shape) < 0.2] = nan
    amount[:, 5] = nan
    panel = panel.with_fields({"amount": amount})
    level = float(np.nanmedian(amount))
    rule = universe_rules.parse({"name": "min_amount", "amount": level, "window": window})
    out = rule.keep(panel)
    assert rule.lookback == window - 1
    for t in range(30):
        for n in range(12):
            days = range(max(0, t - window + 1), t + 1)
            values = [0.0 if panel["is_suspended"][s, n] == 1 else float(amount[s, n]) for s in days]
            known = [v for v in values if not np.isnan(v)]
            assert out[t, n] == (bool(known) and sum(known) / len(known) >= level)
    assert 0 < out.mean() < 1
