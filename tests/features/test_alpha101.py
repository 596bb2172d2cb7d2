"""The 101 formulaic alphas against the paper's own formulas run with pandas, and against a few written out by hand."""

import ast

import numpy as np
import pytest
from alpha101_pandas import Paper
from panels import random_panel

from alphaloom.features.alpha101 import Alpha101, formulas
from alphaloom.language.operators import OPERATORS
from alphaloom.panel import Panel

CLOSE_CALLS = {"alpha005", "alpha045"}
"""They rank values that are often equal but for rounding: prices in cents less their mean, correlations of two days."""


def market(seed: int = 5) -> Panel:
    """Return a market with gaps in which some traded stocks are no members and some have no industry."""
    panel = random_panel(330, 24, seed=seed)
    rng = np.random.default_rng(seed)
    industry = panel["industry"].copy()
    industry[:, 4] = np.nan
    industry[200:, 9] = 2.0
    members = panel.universe & (rng.random(panel.shape) < 0.9)
    return Panel(panel.dates, panel.symbols, members, {**panel.fields, "industry": industry}, panel.categories)


@pytest.fixture(scope="module")
def panel() -> Panel:
    """The market of the comparisons."""
    return market()


@pytest.mark.parametrize("family", [Alpha101(), Alpha101(known=1.0), Alpha101(adv="volume", known=0.8)], ids=repr)
def test_every_alpha_is_what_the_paper_prints(family: Alpha101, panel: Panel) -> None:
    """Every alpha equals the printed formula run with pandas: the same cells missing, 99.9 % within 1e-4.

    The rest are ranks of values that are equal but for the last bit of float32: a sum of d days divided by d is rounded
    twice, a mean once.
    """
    block = family.compute(panel)
    paper = Paper(panel, adv=family.adv, share=family.known)
    wrong = {}
    for j, (name, formula) in enumerate(formulas().items()):
        ours, theirs = block[:, :, j].astype(float), paper.alpha(formula.paper).astype(float)
        missing = (np.isnan(ours) != np.isnan(theirs)).sum()
        both = ~np.isnan(theirs) & ~np.isnan(ours)
        far = (np.abs(ours - theirs)[both] > 1e-4 + 1e-4 * np.abs(theirs[both])).sum()
        loose = name in CLOSE_CALLS
        if missing > 3 * loose or far > (0.005 if loose else 0.001) * both.sum():
            wrong[name] = f"{missing} missing on one side, {far} of {both.sum()} differ"
    assert wrong == {}


def test_alphas_written_out_by_hand(panel: Panel) -> None:
    """Six alphas equal what their formulas say, written in numpy without either interpreter."""
    o, h, l, c, vw, v = (panel[f"adj_{name}"] for name in ("open", "high", "low", "close", "vwap", "volume"))  # noqa: E741

    def back(x: np.ndarray, d: int) -> np.ndarray:
        return np.vstack([np.full((d, x.shape[1]), np.nan, np.float32), x[:-d]])

    def blank(x: np.ndarray, *read: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(sum(read)), np.nan, x)

    slope = (back(c, 20) - back(c, 10)) / 10 - (back(c, 10) - c) / 10
    with np.errstate(divide="ignore", invalid="ignore"):
        bar = (2 * c - l - h) / (c - l)
    byhand = {
        "alpha012": np.sign(v - back(v, 1)) * -(c - back(c, 1)),
        "alpha041": np.sqrt(h * l) - vw,
        "alpha046": blank(np.where(slope > 0.25, -1, np.where(slope < 0, 1, -(c - back(c, 1)))), slope),
        "alpha049": blank(np.where(slope < -0.1, 1, -(c - back(c, 1))), slope),
        "alpha053": -(np.where(np.isfinite(bar), bar, np.nan) - back(bar, 9)),
        "alpha101": (c - o) / (h - l + 0.001),
    }
    block, columns = Alpha101().compute(panel), Alpha101().columns()
    for name, values in byhand.items():
        theirs = np.where(np.isfinite(values), values, np.nan)
        np.testing.assert_allclose(block[:, :, columns.index(name)], theirs, rtol=2e-4, atol=2e-4, err_msg=name)


def test_names_and_formulas() -> None:
    """There are 101; the longest history is that of alpha048; they compare stocks."""
    assert list(formulas()) == [f"alpha{k:03d}" for k in range(1, 102)] == Alpha101().columns()
    assert Alpha101().lookback == 251
    assert not Alpha101().is_local


@pytest.mark.parametrize("known", [0.0, 0.5, 1.0])
def test_every_window_says_how_many_values_it_needs(known: float) -> None:
    """`min_periods` is the share of the window asked for, rounded up, and no less than the statistic needs."""
    seen = 0
    for text in Alpha101(known=known).expressions().values():
        for call in ast.walk(ast.parse(text)):
            if isinstance(call, ast.Call) and (operator := OPERATORS[call.func.id]).window:
                given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
                if "min_periods" in operator.settings:
                    d = ast.literal_eval(call.args[len(operator.operands)])
                    assert given == {"min_periods": max(operator.least, int(np.ceil(known * d)))}
                    seen += 1
    assert seen > 200


def test_settings_choose_the_fields() -> None:
    """`cap` and `adv` decide which fields are read."""
    assert {"float_cap", "amount"} <= set(Alpha101().required)
    assert {"total_cap", "amount"} <= set(Alpha101(cap="total_cap").required)
    assert not {"float_cap", "amount"} & set(Alpha101(cap="total_cap", adv="volume").required)


def test_whole_windows_do_not_depend_on_the_share(panel: Panel) -> None:
    """Where all windows are whole, `known` changes nothing; elsewhere it gives values."""
    local = [j for j, text in enumerate(Alpha101().expressions().values()) if "cs_" not in text]
    assert len(local) > 15
    whole, half = (family.compute(panel)[:, :, local] for family in (Alpha101(known=1.0), Alpha101()))
    same = ~np.isnan(whole)
    np.testing.assert_array_equal(half[same], whole[same])
    assert same.sum() < 0.9 * (~np.isnan(half)).sum()
