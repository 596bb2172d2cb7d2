"""Rolling kernels against windows taken one by one."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alphaloom.errors import SettingError
from alphaloom.kernels import rolling as k
from alphaloom.kernels import rolling_order as order
from alphaloom.kernels import rolling_spans as spans

SERIES = arrays(
    np.float32,
    st.integers(1, 90),
    elements=st.one_of(st.just(np.nan), st.integers(1, 5).map(float), st.floats(1.0, 2.0, width=32)),
)
"""Short series with missing values, ties and arbitrary values."""


def padded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a padded series and its mask."""
    x, m = np.empty(values.size + k.PAD), np.empty(values.size + k.PAD)
    k.load(values, x, m)
    return x, m


def by_window(values: np.ndarray, rule: Callable[[np.ndarray], float]) -> np.ndarray:
    """Return `rule` of every window `[5, T]`, the rows of a window given from old to new."""
    return np.array([[rule(values[max(0, t - d + 1) : t + 1]) for t in range(values.size)] for d in k.WINDOWS])


def empty(values: np.ndarray) -> np.ndarray:
    """Return room for one result `[5, L]`."""
    return np.empty((5, values.size + k.PAD))


def moments(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return mask counts, sums and centred squares of a series."""
    x, m = padded(values)
    out = {name: empty(values) for name in ("n", "n1", "n0", "S", "S2", "C", "W", "Wm", "Qm")} | {"x": x, "m": m}
    k.counts(m, out["n"], out["n1"], out["n0"])
    k.window_sums(x, out["S"])
    k.window_sums(x * x, out["S2"])
    k.centred_squares(x, m, out["S"], out["S2"], out["n1"], out["C"])
    k.lag_sums(m, out["n"], out["Wm"])
    k.lag_sums(x, out["S"], out["W"])
    k.square_lag_sums(m, out["n"], out["Wm"], out["Qm"])
    return out


@settings(max_examples=40, deadline=None)
@given(SERIES)
def test_sums_and_moments(values: np.ndarray) -> None:
    """Counts, plain and lag-weighted sums, and centred squares are those of each window; no rows give NaN."""
    got = {name: array[..., k.PAD :] for name, array in moments(values).items()}
    np.testing.assert_array_equal(got["n"], by_window(values, lambda a: (~np.isnan(a)).sum()))
    np.testing.assert_allclose(got["S"], by_window(values.astype(float), np.nansum), rtol=1e-14)
    lags = by_window(values.astype(float), lambda a: np.nansum(a * np.arange(a.size - 1, -1, -1)))
    np.testing.assert_allclose(got["W"], lags, rtol=1e-13, atol=1e-13)
    squares = by_window(values, lambda a: (np.arange(a.size - 1, -1, -1)[~np.isnan(a)] ** 2).sum())
    np.testing.assert_array_equal(got["Qm"], squares)
    centred = by_window(
        values.astype(float), lambda a: np.nan if np.isnan(a).all() else ((a - np.nanmean(a)) ** 2)[~np.isnan(a)].sum()
    )
    np.testing.assert_allclose(got["C"], centred, rtol=1e-7, atol=1e-18)


def test_nearly_constant_series_keeps_its_digits() -> None:
    """A series that moves by one float32 step at a high level has exact squares, products and slopes."""
    rng = np.random.default_rng(0)
    level = np.float32(5000.0)
    values = np.where(rng.random(150) < 0.5, level, np.nextafter(level, np.float32(np.inf))).astype(np.float32)
    got = moments(values)
    exact = values.astype(float) - 5000.0
    np.testing.assert_allclose(
        got["C"][:, k.PAD :], by_window(exact, lambda a: ((a - a.mean()) ** 2).sum()), rtol=1e-8, atol=0
    )
    lagged = empty(values)
    k.lag_products(got["x"], got["m"], got["S"], got["W"], got["Wm"], got["n1"], got["C"], got["S2"], lagged)
    slope = by_window(exact, lambda a: (np.arange(a.size)[::-1] - (a.size - 1) / 2) @ (a - a.mean()))
    np.testing.assert_allclose(lagged[:, k.PAD :], slope, rtol=1e-6, atol=1e-13)
    other = moments(rng.normal(size=150).astype(np.float32))
    product, crossed = empty(values), empty(values)
    k.window_sums(got["x"] * other["x"], product)
    k.centred_products(
        got["x"], other["x"], got["m"], got["S"], other["S"], product, got["n1"],
        got["C"], got["S2"], other["C"], other["S2"], crossed,
    )  # fmt: skip
    y = other["x"][k.PAD :]
    for w, d in enumerate(k.WINDOWS):
        for t in (0, 3, 77, 149):
            a, b = exact[max(0, t - d + 1) : t + 1], y[max(0, t - d + 1) : t + 1]
            assert crossed[w, k.PAD + t] == pytest.approx(((a - a.mean()) * (b - b.mean())).sum(), rel=1e-6, abs=1e-12)


def test_constant_series_has_no_variance() -> None:
    """Equal values give squares of exactly 0, whatever stood before them."""
    values = np.concatenate([np.random.default_rng(1).normal(1e4, 3e3, 60), np.full(61, 1234.567)]).astype(np.float32)
    assert (moments(values)["C"][:, -1] == 0.0).all()


@settings(max_examples=40, deadline=None)
@given(SERIES)
def test_maxima_and_their_places(values: np.ndarray) -> None:
    """The maximum skips missing values; the place is that of the first missing value, else of the first maximum."""
    T = values.size
    x = np.full(T + k.PAD, -np.inf, np.float32)
    x[k.PAD :] = np.where(np.isnan(values), -np.inf, values)
    row = np.concatenate([np.zeros(k.PAD), np.arange(T)]).astype(np.float32)
    V, at = np.empty((5, T + k.PAD), np.float32), np.empty((5, T + k.PAD), np.float32)
    order.window_maxima(x, row, V, at)
    highest = by_window(values, lambda a: np.max(a, where=~np.isnan(a), initial=-np.inf))
    np.testing.assert_array_equal(V[:, k.PAD :], highest)
    places = np.empty((5, T), np.float32)
    order.first_extreme_places(values, V, at, places)
    expected = by_window(values, lambda a: np.nan if np.isnan(a).all() else a.argmax() + 1)
    np.testing.assert_array_equal(places, expected)


@settings(max_examples=40, deadline=None)
@given(SERIES)
def test_ranks(values: np.ndarray) -> None:
    """The rank is the average rank among the values present, as a share of their number."""
    got = moments(values)
    out = np.empty((5, values.size), np.float32)
    order.window_ranks(values, got["n1"], out)
    for w, d in enumerate(k.WINDOWS):
        expected = pd.Series(values).rolling(d, min_periods=1).rank(pct=True)
        np.testing.assert_allclose(out[w], expected, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(SERIES, min_size=1, max_size=4))
def test_quantiles(series: list[np.ndarray]) -> None:
    """Quantiles interpolate linearly between the values present, series by series."""
    T = max(values.size for values in series)
    X = np.full((len(series), T), np.nan, np.float32)
    for b, values in enumerate(series):
        X[b, : values.size] = values
    q = np.array([0.0, 0.2, 0.5, 0.8, 1.0])
    out = np.empty((q.size, len(series), 5, T))
    order.window_quantiles(X, q, out)
    for b, values in enumerate(X):
        for z, level in enumerate(q):
            for w, d in enumerate(k.WINDOWS):
                expected = pd.Series(values).rolling(d, min_periods=1).quantile(level)
                np.testing.assert_allclose(out[z, b, w], expected, rtol=1e-12)


def test_result_does_not_depend_on_where_data_begin() -> None:
    """Sums and squares of a row are the same bits when rows before its windows are cut off."""
    values = np.random.default_rng(2).lognormal(3, 1, 200).astype(np.float32)
    whole, part = moments(values), moments(values[77:])
    for name in ("S", "S2", "C", "W"):
        np.testing.assert_array_equal(whole[name][:, k.PAD + 77 + 59 :], part[name][:, k.PAD + 59 :])


def test_listed_spans() -> None:
    """Each unbroken listed run is a span, by stock, then by date; a stock that is never listed has none."""
    nan = np.nan
    is_listed = np.array([[1, nan, nan, 1], [1, nan, 1, 0], [nan, nan, 1, 1], [1, nan, 1, 1]], np.float32)
    column, start, stop = spans.listed_spans(is_listed)
    assert column.tolist() == [0, 0, 2, 3, 3]
    assert start.tolist() == [0, 3, 1, 0, 2]
    assert stop.tolist() == [2, 4, 4, 1, 4]


def test_gather_and_scatter_are_inverse() -> None:
    """Spans gathered from a field and scattered into a block stand where they stood."""
    rng = np.random.default_rng(3)
    field = spans.contiguous(rng.random((50, 3)).astype(np.float32))
    column, start, stop = np.array([0, 2, 2]), np.array([5, 0, 40]), np.array([50, 33, 50])
    rows = np.empty((3, 45), np.float32)
    spans.gather(field, column, start, stop, rows)
    block = np.full((50, 3, 2), np.nan, np.float32)
    for b in range(3):
        spans.scatter(np.stack([rows[b], -rows[b]]), stop[b] - start[b], start[b], column[b], block)
        assert np.isnan(rows[b, stop[b] - start[b] :]).all()
    listed = np.zeros((50, 3), dtype=bool)
    listed[5:, 0] = listed[:33, 2] = listed[40:, 2] = True
    np.testing.assert_array_equal(block[listed], np.stack([field[listed], -field[listed]], axis=1))
    assert np.isnan(block[~listed]).all()


def test_unlisted_cells_are_blanked() -> None:
    """Only cells outside the listing become NaN."""
    listed = np.array([[True, False], [False, True]])
    block = np.ones((2, 2, 3), np.float32)
    spans.blank_unlisted(listed, block)
    np.testing.assert_array_equal(np.isnan(block).all(axis=2), ~listed)
    assert (block[listed] == 1).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_cover_everything_once(threads: int) -> None:
    """Work is cut into blocks that meet without overlap, whatever the number of threads."""
    seen: list[tuple[int, int]] = []
    spans.in_blocks(lambda a, b: seen.append((a, b)), 10, 4, threads)
    assert sorted(seen) == [(0, 4), (4, 8), (8, 10)]


def test_failure_in_a_block_is_raised() -> None:
    """An error in one thread reaches the caller."""

    def fail(first: int, stop: int) -> None:
        raise ValueError(f"block {first}")

    with pytest.raises(ValueError, match="block"):
        spans.in_blocks(fail, 10, 2, 2)
    with pytest.raises(SettingError, match="threads is 0"):
        spans.in_blocks(fail, 10, 2, 0)
