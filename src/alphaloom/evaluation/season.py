"""Monthly means taken apart: trend, season, and the rest."""

import numpy as np
import polars as pl

LEAST_MONTHS = 25
"""Two years and a month: fewer say nothing of a season."""


def monthly_season(monthly: pl.DataFrame) -> pl.DataFrame:
    """Return `year, month, mean, trend, season, rest` by seasonal decomposition; no rows where it cannot be made.

    The three parts sum to the mean. Robust STL with a period of 12 months (statsmodels); no rows when a month
    between the first and the last has no value, or with fewer than 25 months.

    Args:
        monthly: `year, month, mean`, one row a month, in order (`monthly_table`).

    Source: Cleveland, Cleveland, McRae and Terpenning (1990); seed 001 shows months of RankIC by season.
    """
    known = monthly.drop_nulls("mean").sort("year", "month")
    place = known["year"].to_numpy().astype(np.int64) * 12 + known["month"].to_numpy()
    schema: dict[str, type[pl.DataType]] = {
        "year": pl.Int32,
        "month": pl.Int32,
        **dict.fromkeys(("mean", "trend", "season", "rest"), pl.Float64),
    }
    if place.size < LEAST_MONTHS or (np.diff(place) != 1).any():
        return pl.DataFrame(schema=schema)
    from statsmodels.tsa.seasonal import STL

    found = STL(known["mean"].to_numpy(), period=12, robust=True).fit()
    parts = {"trend": found.trend, "season": found.seasonal, "rest": found.resid}
    return pl.DataFrame({**known.select("year", "month", "mean").to_dict(), **parts}, schema=schema)


def seasonal_strength(season: pl.DataFrame) -> float:
    """Return how much of what is not trend is season, from 0 to 1: `max(0, 1 - var(rest) / var(season + rest))`.

    Source: Wang, Smith and Hyndman (2006).
    """
    both = (season["season"] + season["rest"]).to_numpy()
    spread = float(np.var(both)) if both.size else 0.0
    return max(0.0, 1.0 - float(np.var(season["rest"].to_numpy())) / spread) if spread > 0 else float("nan")
