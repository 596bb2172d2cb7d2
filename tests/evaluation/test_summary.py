"""Tables of an IC series against pandas and SciPy."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alphaloom.errors import UsageError
from alphaloom.evaluation.summary import (
    TWELVE_ROWS,
    SampleWindow,
    factor_rows,
    monthly_table,
    window_table,
    yearly_table,
)


def series(D: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an IC series with holes, its number of names, and weekly dates."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.05, 0.1, D)
    x[[3, 50]] = np.nan
    n = rng.integers(200, 400, D)
    dates = np.busday_offset("2020-01-03", np.arange(D) * 5, roll="forward").astype("datetime64[D]")
    return x, n, dates


def test_twelve_rows_equal_pandas_and_scipy():
    """Every row of the single-factor table, from an independent computation on the same dates."""
    x, n, _ = series()
    got = factor_rows(x, n)
    s = pd.Series(x).dropna()
    size = n[~np.isnan(x)]
    t, p = stats.ttest_1samp(s, 0.0)
    single = 2 * stats.t.sf(np.abs(s * np.sqrt((size - 2) / (1 - s**2))), size - 2) < 0.05
    expected = {
        "ir": s.mean() / s.std(),
        "kurtosis": s.kurt(),
        "mean": s.mean(),
        "negative": (s < 0).sum(),
        "p_value": p,
        "positive": (s > 0).sum(),
        "sig_negative": (single & (s < 0)).mean(),
        "sig_positive": (single & (s > 0)).mean(),
        "significance": single.mean(),
        "skew": s.skew(),
        "std": s.std(),
        "t_stat": t,
    }
    assert tuple(got) == TWELVE_ROWS
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-9, err_msg=name)


def test_one_denominator():
    """Significance is exactly the sum of its signed parts, and counts and shares are of the same dates."""
    x, n, _ = series()
    got = factor_rows(x, n)
    assert got["significance"] == got["sig_negative"] + got["sig_positive"]
    assert got["positive"] + got["negative"] == (~np.isnan(x)).sum()
    np.testing.assert_allclose(got["t_stat"], got["ir"] * np.sqrt((~np.isnan(x)).sum()))


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [0.1], [0.1, 0.1, 0.1]])
def test_degenerate_series_give_nan_not_errors(values):
    """Too few or constant values: what is undefined is NaN, counts are still counted."""
    x = np.array(values, dtype=float)
    got = factor_rows(x, np.full(x.size, 100))
    assert tuple(got) == TWELVE_ROWS
    assert np.isnan(got["t_stat"])
    assert got["positive"] == (x > 0).sum()


def test_monthly_table_equals_pandas():
    """Means by year and month over defined dates; months without any are absent."""
    x, _, dates = series()
    s = pd.Series(x, index=pd.DatetimeIndex(dates)).dropna()
    expected = s.groupby([s.index.year, s.index.month]).agg(["mean", "size"])
    got = monthly_table(dates, x)
    assert list(zip(got["year"], got["month"], strict=True)) == list(expected.index)
    np.testing.assert_allclose(got["mean"].to_numpy(), expected["mean"])
    assert got["n"].to_list() == expected["size"].to_list()


def test_yearly_table_equals_pandas():
    """One row a year with mean, deviation, ratio and hit rate of that year's dates."""
    x, _, dates = series()
    s = pd.Series(x, index=pd.DatetimeIndex(dates)).dropna()
    got = yearly_table(dates, x)
    for row in got.iter_rows(named=True):
        part = s[s.index.year == row["year"]]
        expected = [part.size, part.mean(), part.std(), part.mean() / part.std(), (part > 0).mean()]
        np.testing.assert_allclose([row[k] for k in ("n", "mean", "std", "ir", "positive")], expected)


def test_window_table_compares_in_and_out_of_sample():
    """Each window's out-of-sample mean is over its own test dates, both ends included."""
    x, _, dates = series()
    start, end = dates[10].item(), dates[30].item()
    got = window_table(dates, x, [SampleWindow("a", start, end, 0.2)]).row(0, named=True)
    assert (got["window"], got["test_start"], got["n"]) == ("a", start, 21)
    np.testing.assert_allclose(got["out_of_sample_rank_ic"], np.nanmean(x[10:31]))
    np.testing.assert_allclose(got["gap"], 0.2 - np.nanmean(x[10:31]))
    empty = window_table(dates, x, [SampleWindow("b", date(1999, 1, 1), date(1999, 2, 1), 0.2)]).row(0, named=True)
    assert empty["n"] == 0
    assert np.isnan(empty["out_of_sample_rank_ic"])
    with pytest.raises(UsageError, match="Window 'c' is tested from"):
        window_table(dates, x, [SampleWindow("c", end, start, 0.2)])
