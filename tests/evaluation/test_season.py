"""Seasonal decomposition of monthly RankIC."""

import numpy as np
import polars as pl

from alphaloom.evaluation.season import monthly_season, seasonal_strength


def months(values: np.ndarray, start: int = 2018) -> pl.DataFrame:
    """Return a table of months from January of a year."""
    k = np.arange(values.size)
    return pl.DataFrame({"year": start + k // 12, "month": k % 12 + 1, "mean": values, "n": 4})


def test_a_planted_season_is_found():
    """Parts sum to the means; the season repeats, the trend rises, and the strength is near 1 and near 0 without."""
    k = np.arange(60)
    rng = np.random.default_rng(1)
    season = 0.03 * np.sin(2 * np.pi * k / 12)
    found = monthly_season(months(0.02 + 0.0005 * k + season + 0.002 * rng.normal(size=60)))
    np.testing.assert_allclose((found["trend"] + found["season"] + found["rest"]).to_numpy(), found["mean"].to_numpy())
    np.testing.assert_allclose(found["season"].to_numpy(), season, atol=0.006)
    assert found["trend"][-1] > found["trend"][0]
    assert seasonal_strength(found) > 0.95
    assert found.select("year", "month").row(13) == (2019, 2)


def test_what_cannot_be_taken_apart():
    """Two years or less, or a month without a value: no rows, no strength."""
    values = np.random.default_rng(2).normal(size=40)
    assert monthly_season(months(values[:24])).is_empty()
    assert monthly_season(months(values).filter(~((pl.col("year") == 2019) & (pl.col("month") == 5)))).is_empty()
    assert np.isnan(seasonal_strength(monthly_season(months(values[:24]))))
