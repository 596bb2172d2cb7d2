"""Alpha158 and Alpha360: qlib's own values, an independent computation, and what gaps do."""

from pathlib import Path

import numpy as np
import pytest
from alpha_reference import alpha158, alpha360
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from panels import business_days, random_panel

from alphaloom.errors import MissingFieldError
from alphaloom.features.alpha158 import Alpha158
from alphaloom.features.alpha360 import Alpha360
from alphaloom.features.base import FeatureFamily
from alphaloom.panel import Panel

GOLDEN = Path(__file__).parents[1] / "golden" / "alpha_qlib.npz"
BARS = ("open", "high", "low", "close", "volume", "vwap")


def panel_of(bars: dict[str, np.ndarray], listed: np.ndarray) -> Panel:
    """Return the panel of bars `[T, N]`."""
    fields = {f"adj_{name}": np.ascontiguousarray(bars[name], dtype=np.float32) for name in BARS}
    fields["is_listed"] = np.where(listed, 1.0, np.nan).astype(np.float32)
    symbols = np.array([f"S{n}" for n in range(listed.shape[1])])
    return Panel(business_days(listed.shape[0]), symbols, listed, fields)


def gate(name: str, theirs: np.ndarray) -> np.ndarray:
    """Return the allowed difference."""
    wide = name.rstrip("0123456789") in {"CORR", "CORD", "WVMA"}
    return np.full(theirs.shape, 2e-4) if wide else 1e-6 + 1e-5 * np.abs(theirs)


def assert_column(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Check one column: the same cells missing, the others within the gate."""
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs), err_msg=f"{name}: missing where it should not be")
    both = ~np.isnan(theirs)
    a, b = ours[both].astype(float), theirs[both].astype(float)
    far = np.flatnonzero(np.abs(a - b) > gate(name, b))
    assert far.size == 0, f"{name}: {far.size} values differ, first {a[far[0]]} against {b[far[0]]}"


@pytest.mark.parametrize("family", [Alpha158(), Alpha360()], ids=lambda family: family.name)
def test_every_column_equals_qlib(family: FeatureFamily) -> None:
    """Each column equals what qlib 0.9.7 itself gave on suspensions, gaps, late listings, ties and frozen prices."""
    with np.load(GOLDEN) as held:
        bars = {name: held[f"bar_{name}"] for name in BARS}
        listed, t, n = held["listed"], held[f"{family.name}_t"], held[f"{family.name}_n"]
        theirs = held[f"{family.name}_values"]
    ours = family.compute(panel_of(bars, listed))[t, n]
    assert ours.shape == theirs.shape == (t.size, len(family.columns()))
    for j, name in enumerate(family.columns()):
        assert_column(name, ours[:, j], theirs[:, j])


def test_every_column_equals_plain_pandas() -> None:
    """Each column equals its definition written with pandas, on a random market with gaps."""
    panel = random_panel(110, 5, seed=3)
    ours = Alpha158().compute(panel)
    for n in range(panel.shape[1]):
        rows = np.flatnonzero(panel["is_listed"][:, n] == 1.0)
        theirs = alpha158({name: panel[f"adj_{name}"][rows, n] for name in BARS})
        assert list(theirs) == Alpha158().columns()
        for j, name in enumerate(theirs):
            assert_column(name, ours[rows, n, j], theirs[name])
        unlisted = np.setdiff1d(np.arange(panel.shape[0]), rows)
        assert np.isnan(ours[unlisted, n]).all()


def test_alpha360_equals_plain_pandas() -> None:
    """Each of the 360 columns is bit for bit the shifted series over today's close or volume."""
    panel = random_panel(90, 8, seed=4)
    ours = Alpha360().compute(panel)
    for n in range(panel.shape[1]):
        rows = np.flatnonzero(panel["is_listed"][:, n] == 1.0)
        theirs = alpha360({name: panel[f"adj_{name}"][rows, n] for name in BARS})
        assert list(theirs) == Alpha360().columns()
        np.testing.assert_array_equal(ours[rows, n], np.stack(list(theirs.values()), axis=1))


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data())
def test_any_pattern_of_gaps_equals_plain_pandas(data: st.DataObject) -> None:
    """Whatever single values are missing, tied, frozen or zero, each column equals its definition."""
    T = data.draw(st.integers(1, 40), label="T")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    step = data.draw(st.sampled_from([0.01, 0.5, 2.0]), label="tick")
    close = np.round(10 * np.exp(np.cumsum(rng.normal(0, 0.02, T))) / step) * step
    bars = {
        "close": close,
        "open": np.round(close * (1 + rng.normal(0, 0.01, T)), 2),
        "volume": np.round(np.exp(rng.normal(8, 1, T))) * (rng.random(T) > data.draw(st.sampled_from([0.0, 0.3]))),
        "vwap": close * (1 + rng.normal(0, 0.002, T)),
    }
    bars["high"] = np.maximum(bars["open"], close) + np.round(rng.random(T), 1)
    bars["low"] = np.minimum(bars["open"], close) - np.round(rng.random(T), 1)
    for name in BARS:
        bars[name] = bars[name].astype(np.float32)
        bars[name][rng.random(T) < data.draw(st.sampled_from([0.0, 0.1, 0.6]), label=name)] = np.nan
    ours = Alpha158().compute(panel_of({k: v[:, None] for k, v in bars.items()}, np.ones((T, 1), dtype=bool)))[:, 0]
    theirs = alpha158(bars)
    assert list(theirs) == Alpha158().columns()
    for j, name in enumerate(theirs):
        assert_column(name, ours[:, j], theirs[name])


@pytest.fixture(scope="module")
def suspended() -> tuple[Panel, np.ndarray]:
    """One stock whose row 80 is suspended, and its features."""
    panel = random_panel(120, 1, seed=1, gaps=False)
    fields = {name: array.copy() for name, array in panel.fields.items()}
    for name in BARS:
        fields[f"adj_{name}"][80] = np.nan
    panel = panel.with_fields(fields)
    return panel, Alpha158().compute(panel)[:, 0]


def test_suspended_day_keeps_what_needs_the_past_alone(suspended: tuple[Panel, np.ndarray]) -> None:
    """On a suspended day features of today's values are missing; those of past rows alone are not."""
    past = ("RSQR", "CORR", "CORD", "IMAX", "IMIN", "IMXD", "CNT", "SUM", "VSUM", "WVMA")
    for j, name in enumerate(Alpha158().columns()):
        assert np.isnan(suspended[1][80, j]) == (not name.startswith(past)), name


def test_first_suspended_day_has_the_latest_extreme(suspended: tuple[Panel, np.ndarray]) -> None:
    """A missing value counts as the extreme: IMAX5 is 1 on the first suspended day and falls by 1/5 a day."""
    values = suspended[1][80:85, Alpha158().columns().index("IMAX5")]
    np.testing.assert_array_equal(values, np.array([5, 4, 3, 2, 1], np.float32) / np.float32(5))


def test_positions_keep_the_gap(suspended: tuple[Panel, np.ndarray]) -> None:
    """The slope is taken over row positions: the day after a suspension lies two steps from the day before."""
    panel, features = suspended
    close = panel["adj_close"][77:82, 0].astype(float)
    slope = np.polyfit(np.array([0, 1, 2, 4]), close[[0, 1, 2, 4]], 1)[0]
    assert features[81, Alpha158().columns().index("BETA5")] == pytest.approx(slope / close[-1], rel=1e-6)


def test_windows_start_at_the_listing() -> None:
    """Nothing before the listing counts: a late stock has the values it would have in a market that starts then."""
    panel = random_panel(100, 1, seed=2, gaps=False)
    late = np.ones((100, 1), dtype=bool)
    late[:37] = False
    bars = {name: panel[f"adj_{name}"] for name in BARS}
    for family in (Alpha158(), Alpha360()):
        whole = family.compute(panel_of(bars, late))
        alone = family.compute(panel_of({k: v[37:] for k, v in bars.items()}, late[37:]))
        assert np.isnan(whole[:37]).all()
        np.testing.assert_array_equal(whole[37:], alone)


def test_return_to_the_market_starts_afresh() -> None:
    """A stock that is delisted and listed again is a new stock to every window."""
    panel = random_panel(100, 1, seed=5, gaps=False)
    listed = np.ones((100, 1), dtype=bool)
    listed[40:50] = False
    bars = {name: panel[f"adj_{name}"] for name in BARS}
    both = Alpha158().compute(panel_of(bars, listed))
    second = Alpha158().compute(panel_of({k: v[50:] for k, v in bars.items()}, listed[50:]))
    np.testing.assert_array_equal(both[50:], second)


def test_frozen_price_is_exact() -> None:
    """Where nothing moves for a whole window, dispersion is exactly 0 and correlations are missing, after any past."""
    panel = random_panel(160, 1, seed=6, gaps=False)
    bars = {name: panel[f"adj_{name}"].copy() for name in BARS}
    for name in BARS:
        bars[name][90:] = 1e7 if name == "volume" else 3333.33
    features = Alpha158().compute(panel_of(bars, np.ones((160, 1), dtype=bool)))[155, 0]
    value = dict(zip(Alpha158().columns(), features, strict=True))
    for d in (5, 10, 20, 30, 60):
        assert value[f"STD{d}"] == value[f"VSTD{d}"] == value[f"WVMA{d}"] == value[f"SUMP{d}"] == 0.0
        assert np.isnan([value[f"RSQR{d}"], value[f"CORR{d}"], value[f"CORD{d}"]]).all()
        assert value[f"MA{d}"] == value[f"MAX{d}"] == value[f"QTLU{d}"] == 1.0


@pytest.mark.parametrize("family", [Alpha158(), Alpha360()], ids=lambda family: family.name)
def test_blocks_and_threads_do_not_matter(family: FeatureFamily, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stocks beyond one block, and several threads, give the values of one thread and of each stock alone."""
    panel = random_panel(70, 150, seed=7)
    monkeypatch.setattr("numba.get_num_threads", lambda: 1)
    one = family.compute(panel)
    monkeypatch.setattr("numba.get_num_threads", lambda: 3)
    np.testing.assert_array_equal(family.compute(panel), one)
    last = panel.columns(np.arange(150) == 149)
    np.testing.assert_array_equal(family.compute(last), one[:, 149:])


def test_needed_field_is_named() -> None:
    """A panel without VWAP is refused by name."""
    panel = random_panel(70, 3)
    without = panel.select([name for name in panel.names if name != "adj_vwap"])
    with pytest.raises(MissingFieldError, match="adj_vwap"):
        Alpha158().compute(without)
