"""Compiled time-series operators against windows taken one by one."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from naive_operators import naive
from series_call import call

from alphaloom.kernels.series_work import CODES, KERNELS, composition
from alphaloom.language.operators import OPERATORS

WINDOWS = (1, 2, 3, 5, 8, 20, 60, 252)
WEIGHTED = [name for name in KERNELS if "half_life" in OPERATORS[name].settings]
VALUES = st.one_of(
    st.just(float("nan")),
    st.sampled_from([float("inf"), float("-inf"), -0.0, 0.0]),
    st.integers(1, 4).map(float),
    st.floats(0.5, 2.0, width=32),
)
"""Missing values, infinities, ties and arbitrary values."""
SERIES = st.integers(1, 70).flatmap(lambda T: st.tuples(*[arrays(np.float32, T, elements=VALUES)] * 2))

BOUNDS = {
    "ts_slope": (3e-7, 1e-9), "ts_resid": (1e-6, 3e-7), "ts_rsquare": (3e-6, 1e-8), "ts_zscore": (1e-6, 1e-7),
    "ts_cov": (3e-7, 3e-8), "ts_corr": (3e-7, 1e-7), "ts_beta": (3e-7, 1e-7), "ts_residual": (1e-6, 3e-7),
    "ts_rsquare_on": (1e-6, 1e-7), "ts_residual_std": (1e-5, 3e-7), "ts_skew": (1e-6, 1e-6), "ts_kurt": (1e-6, 1e-6),
    "ts_var": (3e-7, 0.0), "ts_std": (3e-7, 0.0),
}  # fmt: skip
"""Greatest relative error, and absolute error in units of the series' spread, against float64 windows."""


def parameters_of(name: str) -> list[dict]:
    """Return the settings to try: as the engine passes them, with the key "parameter"."""
    if name in {"ts_argmin", "ts_argmax"}:
        return [{"gap": "skip"}, {"gap": "first"}]
    if name == "ts_quantile":
        return [{"q": 0.0}, {"q": 0.2}, {"q": 0.8}, {"q": 1.0}]
    if name in {"ts_corr", "ts_rsquare"}:
        return [{}, {"min_std": 0.3}]
    return [{}]


def number(name: str, given_: dict) -> float:
    """Return the settings as the one number that the kernel takes."""
    if name == "ts_median":
        return 0.5
    return 1.0 if given_.get("gap") == "first" else float(next((v for v in given_.values() if v != "skip"), 0.0))


def operands(name: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the operator's operands."""
    return (x, y) if KERNELS[name] == "pairs" else (x,)


def unit(name: str, x: np.ndarray, y: np.ndarray) -> float:
    """Return the size of a result's unit, to measure absolute errors in."""
    a, b = (np.max(np.abs(z[np.isfinite(z)]), initial=1e-30) for z in (x, y))
    sizes = {"ts_cov": a * b, "ts_beta": a / b, "ts_slope": a, "ts_resid": a, "ts_residual": a, "ts_residual_std": a}
    return float(sizes.get(name, 1.0))


def close(name: str, got: np.ndarray, exact: np.ndarray, size: float) -> None:
    """Assert that a result is within the stated bounds, and missing in the same places."""
    relative, absolute = BOUNDS.get(name, (2e-7, 1e-37))
    with np.errstate(over="ignore"):
        exact = exact.astype(np.float32).astype(float) if name == "ts_product" else exact
    np.testing.assert_allclose(got, exact, rtol=relative, atol=absolute * size + 1e-37, err_msg=name)


@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=12, deadline=None)
@given(SERIES)
@example((np.full(9, np.nan, np.float32), np.zeros(9, np.float32)))
@example((np.full(30, 1234.567, np.float32), np.arange(30, dtype=np.float32)))
@example((np.arange(30, dtype=np.float32), np.full(30, 0.1, np.float32)))
def test_operators(name: str, series: tuple[np.ndarray, np.ndarray]) -> None:
    """Every operator is what its window says, with missing values, infinities, ties, and windows beyond the data."""
    inputs = operands(name, *series)
    for given_ in parameters_of(name):
        asked = [(name, d, 0, number(name, given_)) for d in WINDOWS]
        for d, got in zip(WINDOWS, call(asked, *inputs), strict=True):
            close(name, got, naive(name, *inputs, window=d, **given_), unit(name, *series))


@pytest.mark.parametrize("name", KERNELS)
def test_fewest_values(name: str) -> None:
    """With fewer than `min_periods` known values in the window the result is missing."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(5, 1, (2, 80)).astype(np.float32)
    x[rng.random(80) < 0.4] = np.nan
    y[rng.random(80) < 0.2] = np.inf
    inputs = operands(name, x, y)
    given_ = parameters_of(name)[0]
    for d, least in ((5, 5), (10, 6), (30, 1)):
        fewest = max(least, OPERATORS[name].least)
        got = call([(name, d, fewest, number(name, given_))], *inputs)[0]
        close(name, got, naive(name, *inputs, window=d, min_periods=fewest, **given_), unit(name, x, y))
        assert d != 5 or np.isnan(got).any()


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("half_life", [0.7, 12.0])
def test_half_life(name: str, half_life: float) -> None:
    """With a half-life rows weigh 0.5 ** (age / half_life), and (co)variances are weighted means."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(5, 1, (2, 150)).astype(np.float32)
    x[rng.random(150) < 0.2] = np.nan
    inputs = operands(name, x, y)
    asked = [(name, d, 0, 0.0) for d in WINDOWS]
    for d, got in zip(WINDOWS, call(asked, *inputs, half_life=half_life), strict=True):
        close(name, got, naive(name, *inputs, window=d, half_life=half_life), unit(name, x, y))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("level", "spread"), [(1e-3, 1e-4), (100.0, 1.0), (1e6, 0.2), (1e6, 1e4)])
def test_levels(name: str, level: float, spread: float) -> None:
    """Prices from 0.001 to 1,000,000, also with little variation, keep their digits."""
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(2, 130))
    x = (level + spread * noise[0]).astype(np.float32)
    y = (level + spread * (0.5 * noise[0] + noise[1])).astype(np.float32)
    x[40:60] = x[39]
    if name == "ts_product":
        x /= np.float32(level)
    given_ = parameters_of(name)[-1] if name == "ts_quantile" else {}
    for d in (5, 20, 60):
        got = call([(name, d, 0, number(name, given_))], *operands(name, x, y))[0]
        exact = naive(name, *operands(name, x, y), window=d, **given_)
        scale = spread**2 if name == "ts_cov" else spread if unit(name, x, y) > 1.1 and name != "ts_beta" else 1.0
        _, absolute = BOUNDS.get(name, (2e-7, 1e-37))
        slack = 3.0 if level / spread > 1e5 else 1.0  # residuals carry the rounding of what they are taken from
        np.testing.assert_allclose(got, exact, rtol=1e-6 * slack, atol=(absolute + 3e-7) * scale * slack)


@pytest.mark.parametrize("name", KERNELS)
def test_start_of_the_data(name: str) -> None:
    """A result is the same bit for bit wherever the data begin, if the window is there, and wherever they end."""
    rng = np.random.default_rng(6)
    x, y = (100 + rng.normal(0, 1e-3, (2, 160))).astype(np.float32)
    x[rng.random(160) < 0.1] = np.nan
    x[50:75] = 100.0
    given_ = parameters_of(name)[-1]
    d = 12
    rows = 64 if name == "ts_ewm" else d
    d = 5 if name == "ts_ewm" else d
    asked = [(name, d, 0, number(name, given_))]
    for half_life in (0.0, 7.0) if name in WEIGHTED else (0.0,):
        whole = call(asked, *operands(name, x, y), half_life=half_life)
        for first, stop in ((1, 160), (7, 150), (31, 97), (59, 160 if name == "ts_ewm" else 90)):
            part = call(asked, *operands(name, x[first:stop], y[first:stop]), half_life=half_life)
            np.testing.assert_array_equal(part[:, rows - 1 :], whole[:, first + rows - 1 : stop])


@pytest.mark.parametrize("kernel", CODES)
def test_company(kernel: str) -> None:
    """What else is asked for in the same call changes no bit of a result."""
    rng = np.random.default_rng(7)
    x, y = (50 + rng.normal(0, 1, (2, 140))).astype(np.float32)
    x[rng.random(140) < 0.1] = np.nan
    asked = [
        (name, d, 0, number(name, given_))
        for name in CODES[kernel]
        for given_ in parameters_of(name)
        for d in (9, 3, 60, 20)
    ]
    together = call(asked, *operands(CODES[kernel][0], x, y))
    for one, expected in zip(asked, together, strict=True):
        np.testing.assert_array_equal(call([one], *operands(CODES[kernel][0], x, y))[0], expected)


def test_composition() -> None:
    """Every length is the sum of two shorter ones that are there, whatever else is composed."""
    every = {int(row[0]): tuple(row[1:]) for row in composition(range(1, 600))}
    for d in (1, 7, 23, 60, 252, 599):
        steps = composition([d])
        assert (np.diff(steps[:, 0]) > 0).all()
        assert steps[0].tolist() == [1, 1, 0]
        for length, newer, older in steps[1:]:
            assert newer + older == length
            assert {int(newer), int(older)} <= set(steps[:, 0].tolist())
            assert every[int(length)] == (newer, older)
    with pytest.raises(ValueError, match="at least 1"):
        composition([5, 0])


def test_every_operator_has_a_kernel() -> None:
    """All time-series operators but the shifts are computed by one of the kernels."""
    series = {name for name, operator in OPERATORS.items() if operator.kind == "series"}
    assert set(KERNELS) == series - {"delay", "delta", "returns"}
