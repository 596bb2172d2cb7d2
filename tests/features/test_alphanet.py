"""AlphaNet's features: presets and settings, the inputs' formulas, gaps, listings, and rows by blocks."""

import math
import re

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import MissingFieldError, SettingError
from alphaloom.features.alphanet import FIELDS, INPUTS, PRESETS, AlphaNet, OperatorRows
from alphaloom.features.base import features
from alphaloom.panel import Panel

FULL = AlphaNet(corr_of_two=True, collinear=True)


def market(T: int = 60, N: int = 12, seed: int = 0, *, gaps: bool = True) -> Panel:
    """Return a random market that has free turnover too."""
    panel = random_panel(T, N, seed=seed, gaps=gaps)
    share = np.random.default_rng(seed).uniform(1.2, 3.0, panel.shape)
    return panel.with_fields({"free_turnover": (panel["turnover"] * share).astype(np.float32)})


def expected_inputs(panel: Panel, n: int) -> dict[str, np.ndarray]:
    """Return every input `[T]` of stock n, written out from Table 3-1 and the V2 ratios."""
    names = ("open", "high", "low", "close", "vwap", "volume")
    o, h, low, c, vw, v = (panel[f"adj_{name}"][:, n].astype(float) for name in names)
    turn, free = panel["turnover"][:, n].astype(float), panel["free_turnover"][:, n].astype(float)
    with np.errstate(all="ignore"):
        made = {
            "open": o, "high": h, "low": low, "close": c, "vwap": vw, "volume": v,
            "returns": np.concatenate([[np.nan], c[1:] / c[:-1] - 1]), "turnover": turn, "free_turnover": free,
            "div_close_freeturn": c / free, "div_open_turn": o / turn, "div_volume_low": v / low,
            "div_vwap_high": vw / h, "div_low_high": low / h, "div_vwap_close_2": vw / c,
            "div_open_close": o / c - 1, "div_high_close": h / c - 1, "div_low_close": low / c - 1,
            "div_vwap_close": vw / c - 1, "volume_sqrt": v**0.125, "div_price_turnover": (o / turn) / (c / free),
        }  # fmt: skip
    return {name: np.where(np.isfinite(x), x, np.nan) for name, x in made.items()}


def by_name(column: str, inputs: dict[str, np.ndarray], t: int) -> float:
    """Return the value at row t of a column, from its name alone."""
    operator, names, d = re.fullmatch(r"(corr|cov|std|zscore|return|decay_linear|mean)_(.+)_(\d+)", column).groups()
    d = int(d)
    if operator in {"corr", "cov"}:
        first, second = next(
            (a, b)
            for a in inputs
            for b in inputs
            if f"{a}_{b}" == names and list(inputs).index(a) < list(inputs).index(b)
        )
        a, b = inputs[first][t - d + 1 : t + 1], inputs[second][t - d + 1 : t + 1]
        cov = ((a - a.mean()) * (b - b.mean())).sum() / (d - 1)
        if operator == "cov" or np.isnan(cov):
            return cov
        spread = a.std(ddof=1) * b.std(ddof=1)
        return cov / spread if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
    a = inputs[names][t - d : t + 1]
    w = a[1:]
    if operator == "std":
        return w.std(ddof=1)
    if operator == "zscore":
        return np.nan if np.isnan(w).any() else w.mean() / w.std(ddof=1) if np.ptp(w) > 0 else 0.0
    if operator == "return":
        return a[-1] / a[0] - 1 if not np.isnan(a).any() and a[0] != 0 else np.nan
    if operator == "mean":
        return w.mean()
    return (w * np.arange(1, d + 1)).sum() / (d * (d + 1) / 2)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_column_is_what_its_name_says(preset: str) -> None:
    """Each column of each version equals the operator of its name over the inputs of its name."""
    panel = market(seed=3)
    family = AlphaNet(preset=preset, corr_of_two=True, collinear=True)
    block = family.compute(panel)
    assert block.shape[2] == len(family.columns()) == len(set(family.columns()))
    operands = family.operands(panel)
    for n, t in ((1, 40), (2, 59), (4, 33), (0, 55)):
        truth = expected_inputs(panel, n)
        for i, name in enumerate(family.input_names):
            np.testing.assert_allclose(operands[i, :, n], truth[name], rtol=1e-6, atol=1e-7, err_msg=name)
        # The operators are checked on the family's own inputs, which are rounded to float32.
        held = {name: operands[i, :, n].astype(float) for i, name in enumerate(family.input_names)}
        for j, column in enumerate(family.columns()):
            want = by_name(column, held, t)
            got = float(block[t, n, j])
            assert math.isclose(got, want, rel_tol=2e-6, abs_tol=1e-9) or (np.isnan(got) and np.isnan(want)), (
                column, n, t, got, want,
            )  # fmt: skip


def test_numbers_of_features() -> None:
    """The full V4 has 4 x 208 features, V1 117 a window; the defaults leave out what carries nothing."""
    assert len(FULL.columns()) == 832
    assert len(AlphaNet(preset="v1", windows=(10,)).columns()) == 2 * 36 + 5 * 9
    assert len(AlphaNet(preset="v2").columns()) == 2 * 105 + 4 * 15
    assert len(AlphaNet(preset="v3").columns()) == 2 * (2 * 105 + 4 * 15)
    assert len(AlphaNet(preset="table34", collinear=True).columns()) == 3 * 208
    default = AlphaNet()
    assert "div_vwap_close_2" not in default.input_names
    assert len(default.columns()) == 4 * (2 * 66 + 4 * 12) - 66
    assert not any(name.startswith("corr") and name.endswith("_2") for name in default.columns())


def test_leaving_columns_out_changes_no_other() -> None:
    """The default columns have the bits that they have among all 832."""
    panel = market(40)
    every = dict(zip(FULL.columns(), np.moveaxis(FULL.compute(panel), 2, 0), strict=True))
    default = AlphaNet()
    for name, values in zip(default.columns(), np.moveaxis(default.compute(panel), 2, 0), strict=True):
        np.testing.assert_array_equal(values, every[name])


def test_left_out_input_is_collinear() -> None:
    """div_vwap_close_2 is div_vwap_close + 1; without free turnover, div_price_turnover is div_open_close + 1."""
    panel = market(30)
    family = AlphaNet(collinear=True, free_turnover="turnover")
    inputs = dict(zip(family.input_names, family.operands(panel), strict=True))
    np.testing.assert_allclose(inputs["div_vwap_close_2"], inputs["div_vwap_close"] + 1, rtol=1e-6)
    both = np.isfinite(inputs["div_price_turnover"])
    np.testing.assert_allclose(inputs["div_price_turnover"][both], inputs["div_open_close"][both] + 1, rtol=1e-6)
    assert not {"div_price_turnover", "div_vwap_close_2"} & set(AlphaNet(free_turnover="turnover").input_names)
    assert "free_turnover" not in AlphaNet(preset="v2", free_turnover="turnover").input_names


def test_free_turnover_is_asked_for_by_name() -> None:
    """Without free turnover the family is refused by the field's name; with the setting it is not read."""
    panel = random_panel(40, 4)
    panel = panel.select(name for name in panel.names if name != "free_turnover")
    with pytest.raises(MissingFieldError, match="free_turnover"):
        AlphaNet().compute(panel)
    family = AlphaNet(free_turnover="turnover")
    assert "free_turnover" not in family.required
    assert np.isfinite(family.compute(panel)[-1]).any()
    assert features.parse(family.describe()) == family


def test_lookback_is_derived() -> None:
    """The longest window, the day its return starts from, and the day before for the inputs' return."""
    assert AlphaNet().lookback == 23
    assert AlphaNet(windows=(3, 7)).lookback == 8
    panel = market(60, gaps=False)
    block = AlphaNet().compute(panel)
    complete = np.isfinite(block).all(axis=(1, 2))
    assert not complete[22]
    j = AlphaNet().columns().index("return_returns_22")
    assert np.isnan(block[22, :, j]).all()
    assert np.isfinite(block[23, :, j]).all()


def test_suspended_day_empties_its_windows() -> None:
    """A day without bars makes exactly the windows that hold it missing, for the inputs that need it."""
    panel = market(60, 1, gaps=False)
    held = {name: panel[name].copy() for name in ("adj_close", "adj_vwap", "turnover")}
    held["adj_close"][30] = np.nan
    family = AlphaNet(windows=(5,))
    block = dict(zip(family.columns(), family.compute(panel.with_fields(held))[:, 0].T, strict=True))
    missing = {name: set(np.flatnonzero(np.isnan(block[name][10:])) + 10) for name in block}
    assert missing["std_close_5"] == set(range(30, 35))
    assert missing["return_close_5"] == set(range(30, 36))
    assert missing["std_returns_5"] == set(range(30, 36))
    assert missing["std_turnover_5"] == set()
    assert missing["corr_close_turnover_5"] == set(range(30, 35))


def test_windows_end_at_the_listing() -> None:
    """A stock that is listed again is a new stock: nothing from before counts, and unlisted rows are missing."""
    panel = market(70, 2, gaps=False)
    fields = {name: panel[name].copy() for name in AlphaNet().required}
    fields["is_listed"][25:30, 0] = np.nan  # the other fields still hold values there
    block = FULL.compute(panel.with_fields(fields))
    assert np.isnan(block[25:30, 0]).all()
    second = FULL.compute(panel.with_fields(fields).rows(30, 70))
    np.testing.assert_array_equal(block[30:, 0], second[:, 0])


def test_scaled_features_do_not_depend_on_the_level() -> None:
    """With `scale: last`, a split of 8 and a hundred times the shares change nothing; without, they do."""
    panel = market(50, 4, gaps=False)
    other = panel.with_fields({
        **{name: panel[name] * np.float32(8) for name in ("adj_open", "adj_high", "adj_low", "adj_close", "adj_vwap")},
        "adj_volume": panel["adj_volume"] * np.float32(256),
    })  # fmt: skip
    family = AlphaNet(preset="v1", scale="last")
    np.testing.assert_array_equal(family.compute(other), family.compute(panel))
    plain = AlphaNet(preset="v1")
    column = plain.columns().index("cov_close_volume_10")
    np.testing.assert_allclose(plain.compute(other)[20, :, column], 2048 * plain.compute(panel)[20, :, column])
    close = panel["adj_close"][11:21, 0].astype(float)
    got = dict(zip(family.columns(), family.compute(panel)[20, 0], strict=True))
    assert got["std_close_10"] == pytest.approx(close.std(ddof=1) / close[-1], rel=1e-6)
    volume = panel["adj_volume"][11:21, 0].astype(float)
    assert got["cov_close_volume_10"] == pytest.approx(np.cov(close, volume)[0, 1] / close[-1] / volume[-1], rel=1e-6)
    assert got["mean_volume_10"] == pytest.approx(volume.mean() / volume[-1], rel=1e-6)


def test_rows_in_blocks_equal_the_whole() -> None:
    """Stored once or computed block by block, in any order of blocks, rows have the bits of `compute`."""
    panel = market(90, 5)
    family = AlphaNet(windows=(2, 5))
    whole = family.compute(panel)
    stored = OperatorRows(family, panel, budget_bytes=whole.nbytes)
    assert stored.is_stored
    assert stored.bytes_for(90) == whole.nbytes
    np.testing.assert_array_equal(stored.rows(3, 77), whole[3:77])
    blocks = OperatorRows(family, panel, budget_bytes=whole.nbytes // 3, threads=1)
    assert not blocks.is_stored
    assert blocks.block_rows == 30
    for first, stop in ((60, 90), (0, 30), (40, 52), (52, 70), (85, 90)):
        rows = blocks.rows(first, stop)
        np.testing.assert_array_equal(rows, whole[first:stop])
        assert not rows.flags.writeable


def test_rows_within_a_block_are_computed_once() -> None:
    """Rows inside the present block come from the buffer."""
    panel = market(90, 2)
    rows = OperatorRows(AlphaNet(windows=(5,)), panel, budget_bytes=10**5)
    first = rows.rows(10, 20)
    assert np.shares_memory(first, rows.rows(12, 15))


def test_impossible_requests_are_named() -> None:
    """Wrong windows, budgets and rows are refused with the value and what is allowed."""
    with pytest.raises(SettingError, match="different lengths"):
        AlphaNet.parse({"windows": [5, 5]})
    with pytest.raises(SettingError, match="greater than or equal to 2"):
        AlphaNet.parse({"windows": [1]})
    with pytest.raises(SettingError, match="preset"):
        AlphaNet.parse({"preset": "v5"})
    panel = market(30, 3)
    with pytest.raises(SettingError, match="one row of 3 stocks x 654 features takes 7848"):
        OperatorRows(AlphaNet(), panel, budget_bytes=7000)
    rows = OperatorRows(AlphaNet(), panel, budget_bytes=7848 * 4)
    with pytest.raises(SettingError, match="4 at once"):
        rows.rows(0, 5)
    with pytest.raises(SettingError, match="rows 0 to 30"):
        rows.rows(29, 31)


def test_every_input_is_used_and_every_bar_has_a_field() -> None:
    """The table of inputs holds those of the presets and no others."""
    assert set(INPUTS) == {name for preset in PRESETS.values() for name in preset.inputs}
    assert set(AlphaNet.inputs) == {*FIELDS.values(), "is_listed"}
