"""AlphaNet's operator rows against windows taken one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alphaloom.errors import AlignmentError, SettingError
from alphaloom.kernels import alphanet as kernel
from alphaloom.kernels.alphanet import operator_rows
from alphaloom.kernels.alphanet_layout import OPERATORS, OperatorLayout

LEVELS = np.array([1e-3, 1.0, 10.0, 3e3, 1e6, 1e9])


def by_window(inputs: np.ndarray, layout: OperatorLayout) -> np.ndarray:
    """Return `[T, N, F]` in float64 by a loop over every cell, window, operator and pair; for layouts of all operators.

    A window must lie in the data and be finite throughout.
    """
    n, T, N = inputs.shape
    x = np.where(np.abs(inputs) <= 1e18, inputs, np.nan).astype(float)
    out = np.full((T, N, layout.width), np.nan)
    with np.errstate(all="ignore"):
        for t in range(T):
            for s in range(N):
                row = []
                for d in layout.windows:
                    whole = x[:, max(t - d + 1, 0) : t + 1, s]
                    w = whole if t >= d - 1 else np.full((n, d), np.nan)
                    centred = w - w.mean(axis=1, keepdims=True)
                    centred[w.max(axis=1) == w.min(axis=1)] = 0.0
                    cov = np.array([[(centred[i] * centred[j]).sum() / (d - 1) for j in range(n)] for i in range(n)])
                    std = np.sqrt(np.diag(cov))
                    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
                    still = (std == 0) | np.isnan(std)
                    row += [cov[i, j] * 0 if still[i] or still[j] else cov[i, j] / std[i] / std[j] for i, j in pairs]
                    row += [cov[i, j] for i, j in pairs]
                    row += list(std)
                    row += [w[i].mean() * 0 if still[i] else w[i].mean() / std[i] for i in range(n)]
                    back = x[:, t - d, s] if t >= d else np.full(n, np.nan)
                    change = w[:, -1] / back - 1 + 0 * w.sum(axis=1)
                    row += list(np.where(np.abs(change) <= np.finfo(np.float32).max, change, np.nan))
                    row += [(w[i] * np.arange(1, d + 1)).sum() * 2 / (d * (d + 1)) for i in range(n)]
                    row += [w[i].mean() for i in range(n)]
                out[t, s] = row
    return out


def rows(inputs: np.ndarray, layout: OperatorLayout, dtype: type = np.float64) -> np.ndarray:
    """Return all rows, from a buffer that holds rubbish before."""
    out = np.full((*inputs.shape[1:], layout.width), 123.0, dtype)
    operator_rows(inputs.astype(np.float32), layout, 0, inputs.shape[1], out, threads=1)
    return out


def wandering(n: int, T: int, N: int, seed: int = 0) -> np.ndarray:
    """Return float32 random walks `[n, T, N]` at levels from 1e-3 to 1e9, with daily moves of 2 %."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.normal(0, 0.02, (n, T, N)), axis=1)
    return (np.exp(steps) * LEVELS[np.arange(n) % LEVELS.size][:, None, None]).astype(np.float32)


def test_float64_equals_brute_force_at_every_level() -> None:
    """In float64 all operators equal the loop to 1e-10, for series at levels from 1e-3 to 1e9."""
    inputs = wandering(6, 50, 3)
    layout = OperatorLayout.of(6, (2, 5, 10, 22), operators=OPERATORS)
    got, want = rows(inputs, layout), by_window(inputs, layout)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    scale = np.nanstd(want, axis=(0, 1))
    assert np.nanmax(np.abs(got - want) / scale) < 1e-10


def test_quiet_series_keep_their_digits() -> None:
    """Moves of a millionth of the level, where raw sums of squares lose 12 digits, are exact all the same."""
    rng = np.random.default_rng(1)
    inputs = (1e6 * (1 + 1e-6 * rng.integers(-3, 4, (3, 60, 2)))).astype(np.float32)
    layout = OperatorLayout.of(3, (5, 22), operators=("corr", "cov", "std"))
    moved = inputs.astype(float) - 1e6  # exact, and what the loop has no trouble with
    full = OperatorLayout.of(3, (5, 22), operators=OPERATORS)
    wanted = [name in {"corr", "cov", "std"} for name in _operators(full)]
    np.testing.assert_allclose(rows(inputs, layout), by_window(moved, full)[:, :, wanted], rtol=1e-10, atol=1e-13)


def _operators(layout: OperatorLayout) -> list[str]:
    return [
        next(o for o in sorted(OPERATORS, key=len, reverse=True) if name.startswith(o))
        for name in layout.columns([f"x{i}" for i in range(layout.n)])
    ]


def test_float32_error_is_small_against_the_spread() -> None:
    """In float32 every feature errs by less than 1e-4 of its standard deviation, at every level."""
    inputs = wandering(6, 60, 4, seed=2)
    layout = OperatorLayout.of(6, (2, 5, 10, 22), operators=OPERATORS)
    want = by_window(inputs, layout)
    error = np.nanmax(np.abs(rows(inputs, layout, np.float32) - want), axis=(0, 1)) / np.nanstd(want, axis=(0, 1))
    kinds = np.array(_operators(layout))
    assert error[kinds != "zscore"].max() < 1e-5
    assert error.max() < 1e-4


SERIES = arrays(
    np.float32,
    st.tuples(st.just(3), st.integers(1, 18), st.just(2)),
    elements=st.one_of(
        st.floats(2.0**-10, 2.0**20, width=32),
        st.sampled_from([1.0, 2.0, 0.0, -3.0, 1e9]),
        st.sampled_from([1.0, 1.0, np.nan, np.inf, -np.inf, 2.0**62]),
    ),
)
"""Three short series of two stocks: any levels, ties, zeros, missing, infinite and huge values."""
ANY = OperatorLayout.of(3, (2, 3, 7), operators=OPERATORS)


@settings(max_examples=150, deadline=None)
@given(SERIES)
def test_any_values_equal_the_loop(inputs: np.ndarray) -> None:
    """Whatever is missing, tied or at any level, the same cells are missing and the others equal the loop."""
    got, want = rows(inputs, ANY), by_window(inputs, ANY)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    kinds = np.array(_operators(ANY))
    top = np.nanmax(np.where(np.abs(inputs) <= 1e18, np.abs(inputs), 0.0)).astype(float)
    for kind in OPERATORS:
        unit = {"cov": top * top, "std": top, "decay_linear": top, "mean": top}.get(kind, 1.0)
        a, b = got[:, :, kinds == kind], want[:, :, kinds == kind]
        # A nearly constant window at 1e6 leaves the loop itself 1e-10 of its digits: correlations and z-scores show it.
        wide = 1e-6 if kind in {"corr", "zscore"} else 1e-12
        np.testing.assert_allclose(a, b, rtol=wide, atol=wide * max(unit, 1e-300), err_msg=kind)


@settings(max_examples=60, deadline=None)
@given(SERIES, st.integers(0, 17), st.integers(0, 17))
def test_neither_start_nor_end_matters(inputs: np.ndarray, a: int, b: int) -> None:
    """A row has the same bits from its own reach of rows alone, and when later rows are cut off."""
    T = inputs.shape[1]
    first, stop = sorted((a % T, b % T))
    stop += 1
    whole = rows(inputs, ANY, np.float32)
    part = np.empty((stop - first, 2, ANY.width), np.float32)
    operator_rows(inputs, ANY, first, stop, part, threads=1)
    np.testing.assert_array_equal(part, whole[first:stop])
    from_row = max(first - ANY.reach, 0)
    operator_rows(inputs[:, from_row:stop], ANY, first - from_row, stop - from_row, part, threads=1)
    np.testing.assert_array_equal(part, whole[first:stop])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(2, 300), min_size=1, max_size=8, unique=True))
def test_parts_make_up_the_windows(windows: list[int]) -> None:
    """Whatever the windows, each is joined from two parts that exist before it, the newer first."""
    layout = OperatorLayout.of(2, windows)
    length = [1]
    for a, b, m, n in layout.steps.tolist():
        assert (length[a], length[b]) == (m, n)
        length.append(m + n)
    assert [length[level] for level in layout.levels] == windows


@pytest.mark.parametrize("windows", [(2,), (7, 3), (11, 30, 2), (60, 13, 6)])
def test_any_windows_equal_the_loop(windows: tuple[int, ...]) -> None:
    """Windows of any length and order have their own values."""
    inputs = wandering(2, 75, 1, seed=3)
    layout = OperatorLayout.of(2, windows, operators=OPERATORS)
    np.testing.assert_allclose(rows(inputs, layout), by_window(inputs, layout), rtol=1e-8, atol=1e-12)


def test_what_does_not_vary_is_zero() -> None:
    """Equal float32 values give std, cov, corr and zscore of exactly 0 after any past, and a return of 0."""
    inputs = wandering(2, 80, 1, seed=4)
    inputs[0, 30:] = np.float32(1234.567)
    layout = OperatorLayout.of(2, (2, 5, 10, 22), operators=OPERATORS)
    names = layout.columns(["a", "b"])
    last = dict(zip(names, rows(inputs, layout)[60, 0], strict=True))
    for d in layout.windows:
        assert last[f"std_a_{d}"] == last[f"cov_a_b_{d}"] == last[f"corr_a_b_{d}"] == last[f"zscore_a_{d}"] == 0.0
        assert last[f"return_a_{d}"] == 0.0
        assert last[f"mean_a_{d}"] == pytest.approx(np.float64(np.float32(1234.567)), rel=1e-15)
        assert last[f"std_b_{d}"] > 0


def test_correlation_of_two_rows_is_a_sign() -> None:
    """Over two rows a correlation is -1, 0 or 1, and within [-1, 1] in float32 over more."""
    block = rows(wandering(4, 60, 5, seed=5), OperatorLayout.of(4, (2, 5), operators=("corr",)), np.float32)
    np.testing.assert_allclose(np.abs(block[1:, :, :6]), 1.0, rtol=1e-6)
    assert np.nanmax(np.abs(block)) <= 1.0


def test_windows_longer_than_the_data_are_missing() -> None:
    """No window is cut short: with fewer rows than it needs, nothing has a value."""
    layout = OperatorLayout.of(2, (22,), operators=OPERATORS)
    assert np.isnan(rows(wandering(2, 21, 3), layout)).all()
    last = rows(wandering(2, 22, 3), layout)[-1]
    assert np.array_equal(np.isnan(last), np.tile(np.array(_operators(layout)) == "return", (3, 1)))


@pytest.mark.parametrize(("depth", "positions"), [(1, 1), (8, 20), (16, 1000), (64, 384)])
def test_blocks_and_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch, depth: int, positions: int) -> None:
    """Rows and stocks may be worked on in any blocks and on several threads: the bits are the same."""
    inputs = wandering(3, 41, 29, seed=6)
    inputs[np.random.default_rng(0).random(inputs.shape) < 0.02] = np.nan
    layout = OperatorLayout.of(3, (2, 5))
    whole = rows(inputs, layout, np.float32)
    monkeypatch.setattr(kernel, "DEPTH", depth)
    monkeypatch.setattr(kernel, "POSITIONS", positions)
    monkeypatch.setattr(kernel, "STOCKS", 5)
    out = np.empty_like(whole)
    operator_rows(inputs, layout, 0, 41, out, threads=3)
    np.testing.assert_array_equal(out, whole)


def test_scaling_divides_by_the_last_value() -> None:
    """Scaled inputs are divided by their last value; a last value of 0 leaves std, cov and means missing."""
    inputs = wandering(3, 30, 2, seed=7)
    inputs[1, 20, 0] = 0.0
    layout = OperatorLayout.of(3, (5,), operators=OPERATORS)
    scaled = np.array([True, True, False])
    out = np.empty((30, 2, layout.width))
    operator_rows(inputs, layout, 0, 30, out, scaled=scaled, threads=1)
    for t, s in ((10, 0), (20, 0), (21, 0), (25, 1)):
        with np.errstate(divide="ignore"):
            unit = np.where(scaled, 1.0 / inputs[:, t, s].astype(float), 1.0)
        unit[~np.isfinite(unit)] = np.nan
        want = by_window(inputs[:, : t + 1, s : s + 1].astype(float), layout)[t, 0]
        for j, (kind, name) in enumerate(zip(_operators(layout), layout.columns(["0", "1", "2"]), strict=True)):
            i = [int(k) for k in name.split("_")[1 + (kind == "decay_linear") : -1]]
            factor = np.prod(unit[i]) if kind in {"cov", "std", "decay_linear", "mean"} else 1.0
            assert out[t, s, j] == pytest.approx(want[j] * factor, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_columns_follow_the_windows() -> None:
    """Names stand window by window, operators in order, pairs i < j; operators left out have no column."""
    layout = OperatorLayout.of(3, (2, 4), operators=("corr", "std"), corr_of_two=False)
    assert layout.columns(["a", "b", "c"]) == [
        "std_a_2", "std_b_2", "std_c_2",
        "corr_a_b_4", "corr_a_c_4", "corr_b_c_4", "std_a_4", "std_b_4", "std_c_4",
    ]  # fmt: skip
    assert layout.width == 9
    assert OperatorLayout.of(13, (2, 5, 10, 22)).width == 832
    assert OperatorLayout.of(9, (10,), operators=OPERATORS).width == 117


def test_wrong_requests_are_named() -> None:
    """Windows, operators, shapes and rows that cannot be are refused with what is allowed."""
    layout = OperatorLayout.of(2, (3,))
    inputs = wandering(2, 10, 4)
    good = np.empty((10, 4, layout.width), np.float32)
    with pytest.raises(SettingError, match="different lengths of 2 to 1000"):
        OperatorLayout.of(2, (3, 3))
    with pytest.raises(SettingError, match="different lengths"):
        OperatorLayout.of(2, (1,))
    with pytest.raises(SettingError, match="at least 2 inputs, got 1"):
        OperatorLayout.of(1, (3,))
    with pytest.raises(SettingError, match="Did you mean 'zscore'"):
        OperatorLayout.of(2, (3,), operators=("zscores",))
    with pytest.raises(AlignmentError, match=r"2 inputs need \[2, T, N\]"):
        operator_rows(inputs[:1], layout, 0, 10, good)
    with pytest.raises(SettingError, match="rows 0 to 10"):
        operator_rows(inputs, layout, 5, 11, good[:6])
    with pytest.raises(AlignmentError, match="C-contiguous"):
        operator_rows(inputs, layout, 0, 10, good[:5])
    with pytest.raises(AlignmentError, match="C-contiguous"):
        operator_rows(inputs, layout, 0, 10, np.empty((10, 4, 2 * layout.width), np.float32)[:, :, ::2])
    with pytest.raises(AlignmentError, match="scaled has shape"):
        operator_rows(inputs, layout, 0, 10, good, scaled=np.ones(3, bool))
    with pytest.raises(SettingError, match="threads is 0"):
        operator_rows(inputs, layout, 0, 10, good, threads=0)
