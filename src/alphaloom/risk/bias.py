"""Are risk forecasts right? Standardised returns of test portfolios, and the statistics made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.risk.forecast import RiskForecast, RiskModel
from alphaloom.spec import Spec
from alphaloom.typing import Bools, Doubles, Ints

Progress = Callable[[int, int], None]
"""Called with the number of days done and their total."""
Portfolios = Mapping[str, Mapping[str, Doubles]]
"""Weights `[N]` by kind and name."""


class BiasSettings(Spec):
    """Which portfolios risk forecasts are tested on."""

    horizons: tuple[Annotated[int, Field(ge=1)], ...] = (1, 21)
    """Days over which returns are summed; spans do not overlap."""
    random: Annotated[int, Field(ge=0)] = 40
    """Random portfolios: equal weights of stocks drawn once; and as many that hold them against the market."""
    names: Annotated[int, Field(ge=1)] = 100
    """Stocks in each; a third of all, if those are fewer."""
    optimised: Annotated[int, Field(ge=0)] = 20
    """Portfolios of least risk for forecasts drawn at random on each day; the one of least variance comes besides."""
    share: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    """Share of the stocks at either end of a style that its portfolio is long and short."""
    window: Annotated[int, Field(ge=4)] = 12
    """Spans in a window of MRAD; for spans of a day, that many months of 21."""
    seed: int = 0
    """Of all that is drawn."""


@dataclass(frozen=True, eq=False)
class BiasTest:
    """Returns of test portfolios over the volatility foreseen of them, and their statistics.

    `series`: `horizon`, `kind`, `portfolio`, `date` of the forecast, `volatility` foreseen over the span, `return`
    realised, `z` the one over the other. `table`: one row for each portfolio and horizon, see `statistics`.
    """

    series: pl.DataFrame
    table: pl.DataFrame

    def summary(self) -> pl.DataFrame:
        """Return, by horizon and kind: portfolios, spans, mean `bias`, its range, `inside`, mean `mrad` and `q`."""
        return self.table.group_by("horizon", "kind", maintain_order=True).agg(
            pl.len().alias("portfolios"),
            pl.col("spans").max(),
            pl.col("bias").mean(),
            pl.col("bias").min().alias("least"),
            pl.col("bias").max().alias("most"),
            ((pl.col("bias") >= pl.col("low")) & (pl.col("bias") <= pl.col("high"))).mean().alias("inside"),
            pl.col("mrad").mean(),
            pl.col("q").mean(),
        )


def bias_test(
    model: RiskModel,
    returns: Doubles,
    cap: Doubles,
    settings: BiasSettings,
    *,
    rows: Ints | None = None,
    styles: Sequence[str] = (),
    pure: Callable[[int], tuple[tuple[str, ...], Doubles]] | None = None,
    progress: Progress | None = None,
) -> BiasTest:
    """Return the test of a model's forecasts on random, style, optimised and pure factor portfolios.

    A span's return is the sum of the portfolio's daily returns at the weights of its first close; a day without a
    return of its own counts as 0. Its variance is the daily forecast times its days.

    Args:
        model: the forecasts.
        returns: simple returns `[T, N]` of each day, NaN without trading.
        cap: capitalisation `[T, N]` for the market that active portfolios are held against.
        settings: portfolios and horizons.
        rows: rows that forecasts may be taken of, increasing; all by default.
        styles: factors of the model that get a long-short portfolio.
        pure: from a row to names and portfolios `[K, N]` of the factors themselves.
        progress: told of the rows done.

    Raises:
        DataError: no forecast has a whole span after it.
    """
    T = returns.shape[0]
    rows = np.arange(T, dtype=np.int64) if rows is None else rows
    filled = np.nan_to_num(returns)
    total = np.vstack([np.zeros((1, returns.shape[1])), np.cumsum(filled, axis=0)])
    begins = {horizon: rows[rows + horizon < T][::horizon].tolist() for horizon in settings.horizons}
    wanted = sorted({row for some in begins.values() for row in some})
    if not wanted:
        raise DataError(f"No forecast of {rows.size} rows has a span of {min(settings.horizons)} days after it.")
    scores = np.random.default_rng(settings.seed).random((settings.random, returns.shape[1]))
    parts: list[_Part] = []
    for k, row in enumerate(wanted):
        forecast = model.forecast(row)
        traded = np.isfinite(forecast.specific) & np.isfinite(returns[row]) & (cap[row] > 0)
        held = _portfolios(forecast, traded, cap[row], scores, settings, styles, row)
        if pure is not None:
            names, weights = pure(row)
            held["factor"] = dict(zip(names, weights, strict=True))
        labels = [(kind, name) for kind, some in held.items() for name in some]
        block = np.array([weights for some in held.values() for weights in some.values()])
        variance = _variances(forecast, block)
        for horizon, some in begins.items():
            if row in some:
                gained = block @ (total[row + horizon + 1] - total[row + 1])
                parts.append(_Part(horizon, labels, forecast.date, np.sqrt(horizon * variance), gained))
        if progress is not None:
            progress(k + 1, len(wanted))
    series = _series(parts).sort("horizon", "kind", "portfolio", "date")
    return BiasTest(series, statistics(series, settings.window))


def statistics(series: pl.DataFrame, window: int = 12) -> pl.DataFrame:
    """Return statistics of standardised returns z by `horizon`, `kind` and `portfolio`.

    `bias`: standard deviation of z, 1 when risk is foreseen right, above when it is foreseen too low; `low`, `high`:
    what 95 % of right forecasts of normal returns lie within, 1 -+ sqrt(2 / spans). `mrad`: mean distance from 1 of the
    bias statistics of windows, about 0.17 for right forecasts of normal returns in windows of 12. `q`: mean of
    z^2 - ln z^2, which is least for the best forecasts (2.27 for right forecasts of normal returns).

    Source: Menchero, Morozov and Pasqua (2013), *Predicting risk at short horizons*; Patton (2011) for q.
    """
    rows = []
    for (horizon, kind, portfolio), part in series.group_by("horizon", "kind", "portfolio", maintain_order=True):
        z = part["z"].to_numpy()
        z = z[np.isfinite(z)]
        width = window * 21 if horizon == 1 else window
        bound = np.sqrt(2.0 / z.size) if z.size else np.nan
        square = np.where(z == 0, np.nan, z**2)
        rows.append(
            {
                "horizon": horizon,
                "kind": kind,
                "portfolio": portfolio,
                "spans": z.size,
                "bias": float(z.std(ddof=1)) if z.size > 1 else np.nan,
                "low": 1.0 - bound,
                "high": 1.0 + bound,
                "mrad": _mrad(z, width),
                "q": float(np.nanmean(square - np.log(square))) if z.size else np.nan,
            }
        )
    return pl.DataFrame(rows)


def _mrad(z: Doubles, width: int) -> float:
    """Return the mean of |bias - 1| over all windows of `width` neighbouring values; NaN with fewer values."""
    if z.size < width:
        return float("nan")
    windows = np.lib.stride_tricks.sliding_window_view(z, width)
    return float(np.abs(windows.std(axis=1, ddof=1) - 1.0).mean())


def _portfolios(
    forecast: RiskForecast,
    traded: Bools,
    cap: Doubles,
    scores: Doubles,
    settings: BiasSettings,
    styles: Sequence[str],
    row: int,
) -> dict[str, dict[str, Doubles]]:
    n = int(traded.sum())
    market = np.where(traded, cap, 0.0) / cap[traded].sum()
    size = max(1, min(settings.names, n // 3))
    drawn = {}
    for k, score in enumerate(scores):
        chosen = np.argpartition(np.where(traded, score, np.inf), size - 1)[:size]
        weights = np.zeros(traded.size)
        weights[chosen] = 1.0 / size
        drawn[f"{k + 1:02d}"] = weights
    held: dict[str, dict[str, Doubles]] = {
        "market": {"cap": market},
        "random": drawn,
        "random active": {name: weights - market for name, weights in drawn.items()},
        "style": {
            name: _long_short(forecast.exposures[forecast.factors.index(name)], traded, settings.share)
            for name in styles
            if name in forecast.factors
        },
        "optimised": _optimised(forecast, traded, settings, row),
    }
    return {kind: some for kind, some in held.items() if some}


def _long_short(exposure: Doubles, traded: Bools, share: float) -> Doubles:
    stocks = np.flatnonzero(traded)
    order = stocks[np.argsort(exposure[stocks], kind="stable")]
    m = max(1, int(share * stocks.size))
    weights = np.zeros(exposure.size)
    weights[order[-m:]] = 1.0 / m
    weights[order[:m]] = -1.0 / m
    return weights


def _optimised(forecast: RiskForecast, traded: Bools, settings: BiasSettings, row: int) -> dict[str, Doubles]:
    """Return the portfolio of least variance and, for random forecasts of returns a, those proportional to V^-1 a."""
    if settings.optimised == 0:
        return {}
    rng = np.random.default_rng([settings.seed, row])
    scale = np.sqrt(forecast.specific[traded])
    alphas = np.vstack([np.ones(scale.size), rng.standard_normal((settings.optimised, scale.size)) * scale])
    best = solve(forecast, traded, alphas)
    out = {}
    for k, found in enumerate(best):
        weights = np.zeros(traded.size)
        weights[traded] = found / (found.sum() if k == 0 else np.abs(found).sum())
        out["least variance" if k == 0 else f"{k:02d}"] = weights
    return out


def solve(forecast: RiskForecast, stocks: Bools, right: Doubles) -> Doubles:
    """Return V^-1 b `[m, n]` for the rows b of `right`, V the forecast covariance of the chosen n stocks.

    V^-1 = D^-1 - D^-1 X' (I + F X D^-1 X')^-1 F X D^-1, which needs no inverse of F: it may be singular.
    """
    X, D = forecast.exposures[:, stocks], forecast.specific[stocks]
    scaled = right / D
    inner = np.eye(X.shape[0]) + forecast.covariance @ ((X / D) @ X.T)
    loads = np.linalg.solve(inner, forecast.covariance @ (X @ scaled.T))
    return np.asarray(scaled - (X.T @ loads).T / D)


def _variances(forecast: RiskForecast, weights: Doubles) -> Doubles:
    """Return the variance of each portfolio `[m]`; NaN where a stock with a weight is not covered."""
    loads = weights @ forecast.exposures.T
    common = ((loads @ forecast.covariance) * loads).sum(axis=1)
    covered = np.isfinite(forecast.specific)
    own = weights[:, covered] ** 2 @ forecast.specific[covered]
    return np.where((weights[:, ~covered] != 0).any(axis=1), np.nan, common + own)


@dataclass(frozen=True, eq=False)
class _Part:
    """One span of all portfolios."""

    horizon: int
    labels: Sequence[tuple[str, str]]
    date: np.datetime64
    volatility: Doubles
    gained: Doubles


def _series(parts: Sequence[_Part]) -> pl.DataFrame:
    sizes = [len(part.labels) for part in parts]
    volatility = np.concatenate([part.volatility for part in parts])
    gained = np.concatenate([part.gained for part in parts])
    return pl.DataFrame(
        {
            "horizon": np.repeat([part.horizon for part in parts], sizes),
            "kind": [kind for part in parts for kind, _ in part.labels],
            "portfolio": [name for part in parts for _, name in part.labels],
            "date": np.repeat(np.array([part.date for part in parts], dtype="datetime64[D]"), sizes),
            "volatility": volatility,
            "return": gained,
            "z": np.divide(gained, volatility, out=np.full(gained.shape, np.nan), where=volatility > 0),
        }
    )
