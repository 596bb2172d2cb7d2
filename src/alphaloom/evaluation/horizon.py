"""A score judged at one horizon."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from alphaloom.evaluation.forward import Forward
from alphaloom.evaluation.ic import ICSeries, ic_series
from alphaloom.evaluation.inference import MeanTest, mean_test
from alphaloom.evaluation.quantiles import (
    chain_dates,
    monotonicity,
    quantile_returns,
    quantile_turnover,
    rank_autocorrelation,
    spread_cost,
)
from alphaloom.evaluation.settings import EvaluationSettings
from alphaloom.evaluation.summary import factor_rows
from alphaloom.typing import Array, Bools, Dates, Doubles, Ints

LEDGER = ("members", "no_score", "beyond_data", "no_return", "thin_date", "used")


@dataclass(frozen=True, eq=False)
class HorizonReport:
    """Everything measured at one horizon; arrays are per date `[D]` or per date and quantile `[D, Q]`.

    Attributes:
        name, steps, days, exits: as in `Forward`.
        series: IC and RankIC.
        rank_ic, ic, spread, spread_net, top_excess: means with their uncertainty. `spread` is the top quantile's
            return less the bottom's; `spread_net` after trading costs; `top_excess` the top's less the mean of all
            placed names.
        rows: the twelve single-factor rows of RankIC.
        returns, counts, turnover: of the quantiles, lowest scores first; turnover against `steps` dates before.
        market: equal-weighted mean return of all placed names, `[D]`.
        net: spread after costs, `[D]`.
        autocorrelation: rank correlation of scores with those `steps` dates before, `[D]`.
        ledger: cells of the sample and where they went; `members` is the sum of the others.
        places: for each cell `[D, N]` its place in `LEDGER`; 0 outside the sample.
    """

    name: str
    steps: int
    days: float
    exits: Dates
    series: ICSeries
    rank_ic: MeanTest
    ic: MeanTest
    spread: MeanTest
    spread_net: MeanTest
    top_excess: MeanTest
    rows: Mapping[str, float]
    returns: Doubles
    counts: Ints
    turnover: Doubles
    market: Doubles
    net: Doubles
    autocorrelation: Doubles
    ledger: Mapping[str, int]
    places: Array
    annual_days: int

    @property
    def periods_per_year(self) -> float:
        """Return how many holding periods of this length make a year."""
        return self.annual_days / self.days

    def quantile_summary(self) -> pl.DataFrame:
        """Return one row a quantile, 1 the lowest scores.

        Columns: `horizon, quantile, mean` (per holding period), `excess` (over all placed names), `annual_arithmetic`
        (mean x periods a year), `annual_geometric` (of back-to-back periods), `volatility_annual` (std x sqrt of
        periods a year), `turnover` (one-way, per holding period), `names` (mean number), `n` (dates).
        """
        scale = self.periods_per_year
        chain = chain_dates(self._complete(), self.steps)
        rows = []
        for q in range(self.returns.shape[1]):
            x = self.returns[:, q]
            x = x[~np.isnan(x)]
            excess = self.returns[:, q] - self.market
            rows.append(
                (
                    self.name,
                    q + 1,
                    _mean(x),
                    _mean(excess),
                    _mean(x) * scale,
                    _compound(self.returns[chain, q], scale),
                    float(x.std(ddof=1) * np.sqrt(scale)) if x.size > 1 else float("nan"),
                    _mean(self.turnover[:, q]),
                    _mean(self.counts[self.counts[:, q] > 0, q]),
                    x.size,
                )
            )
        schema: dict[str, type[pl.DataType]] = {"horizon": pl.String, "quantile": pl.Int64}
        schema |= dict.fromkeys(
            (
                "mean",
                "excess",
                "annual_arithmetic",
                "annual_geometric",
                "volatility_annual",
                "turnover",
                "names",
            ),
            pl.Float64,
        )
        return pl.DataFrame(rows, schema={**schema, "n": pl.Int64}, orient="row")

    def curves(self, dates: Dates) -> pl.DataFrame:
        """Return the growth of each quantile over back-to-back holding periods.

        Columns: `date`; `Q1` to `Q<n>` and `all`, wealth of 1 compounded; `spread` and `spread_net`, plain sums. The
        first row is the first decision, later ones the ends of the periods. Periods in which some quantile has no
        return are left out.
        """
        chain = chain_dates(self._complete(), self.steps)
        Q = self.returns.shape[1]
        compounded = np.column_stack([self.returns, self.market])[chain]
        summed = np.column_stack([self.returns[:, -1] - self.returns[:, 0], self.net])[chain]
        wealth = np.vstack([np.ones(Q + 1), np.cumprod(1.0 + compounded, axis=0)])
        totals = np.vstack([np.zeros(2), np.cumsum(summed, axis=0)])
        when = np.concatenate([dates[chain[:1]], self.exits[chain]]) if chain.size else dates[:0]
        keep = when.size
        columns = {"date": pl.Series(when.astype("datetime64[D]")).cast(pl.Date)}
        for k, name in enumerate([*(f"Q{q + 1}" for q in range(Q)), "all"]):
            columns[name] = pl.Series(wealth[:keep, k])
        columns["spread"], columns["spread_net"] = pl.Series(totals[:keep, 0]), pl.Series(totals[:keep, 1])
        return pl.DataFrame(columns)

    def metrics(self) -> dict[str, Any]:
        """Return the headline numbers as plain data; NaN stays NaN."""
        return {
            "steps": self.steps,
            "days": self.days,
            "rank_ic": asdict(self.rank_ic),
            "ic": asdict(self.ic),
            "twelve_rows": dict(self.rows),
            "spread": asdict(self.spread),
            "spread_net": asdict(self.spread_net),
            "top_excess": asdict(self.top_excess),
            "spread_annual": self.spread.mean * self.periods_per_year,
            "spread_net_annual": self.spread_net.mean * self.periods_per_year,
            "monotonicity": self.monotonicity,
            "rank_autocorrelation": _mean(self.autocorrelation),
            "top_turnover": _mean(self.turnover[:, -1]),
            "quantiles": self.quantile_summary().drop("horizon").to_dicts(),
            "ledger": dict(self.ledger),
        }

    @property
    def monotonicity(self) -> float:
        """Return the rank correlation of quantile number and mean return."""
        return monotonicity(np.array([_mean(self.returns[:, q]) for q in range(self.returns.shape[1])]))

    def _complete(self) -> Bools:
        return np.asarray(~np.isnan(self.returns).any(axis=1) & ~np.isnat(self.exits))


def judge_horizon(
    name: str, score: Array, bucket: Ints, members: Bools, forward: Forward, settings: EvaluationSettings
) -> HorizonReport:
    """Return what is measured of scores `[D, N]` (NaN outside `members`) against one set of forward returns.

    `bucket` is `assign_quantiles` of the scores.
    """
    Q = settings.quantiles
    series = ic_series(score, forward.returns, min_names=settings.min_names)
    returns, counts = quantile_returns(bucket, forward.returns, Q)
    placed_returns = np.where(np.isnan(returns), 0.0, returns * counts).sum(axis=1)
    total = counts.sum(axis=1)
    market = np.divide(placed_returns, total, out=np.full(total.size, np.nan), where=total > 0)
    turnover = quantile_turnover(bucket, Q, steps=forward.steps)
    spread = returns[:, -1] - returns[:, 0]
    net = spread - spread_cost(turnover, settings.cost_bps)

    places = sample_places(score, members, forward, series)

    def test(values: Doubles) -> MeanTest:
        return mean_test(
            values,
            steps=forward.steps,
            level=settings.confidence,
            resamples=settings.resamples,
            seed=settings.seed,
        )

    return HorizonReport(
        name=name,
        steps=forward.steps,
        days=forward.days,
        exits=forward.exits,
        series=series,
        rank_ic=test(series.rank_ic),
        ic=test(series.ic),
        spread=test(spread),
        spread_net=test(net),
        top_excess=test(returns[:, -1] - market),
        rows=factor_rows(series.rank_ic, series.n, level=settings.significance),
        returns=returns,
        counts=counts,
        turnover=turnover,
        market=market,
        net=net,
        autocorrelation=rank_autocorrelation(score, steps=forward.steps, min_names=settings.min_names),
        ledger=sample_ledger(places),
        places=places,
        annual_days=settings.annual_days,
    )


def sample_places(score: Array, members: Bools, forward: Forward, series: ICSeries) -> Array:
    """Return for each (date, name) cell its place in `LEDGER`, 0 for what is no member; the first reason counts.

    `no_score`; `beyond_data`, the return ends after the last date or decision; `no_return`, no price at entry or exit
    (suspended, delisted); `thin_date`, too few names that day or no variation; `used`.
    """
    place = {name: k for k, name in enumerate(LEDGER)}
    out = np.full(score.shape, place["used"], dtype=np.int8)
    out[np.broadcast_to(np.isnan(series.rank_ic)[:, None], score.shape)] = place["thin_date"]
    out[np.isnan(forward.returns)] = place["no_return"]
    out[np.isnat(forward.exits)] = place["beyond_data"]
    out[np.isnan(score)] = place["no_score"]
    out[~members] = 0
    return out


def sample_ledger(places: Array) -> dict[str, int]:
    """Return how many cells were members and where each went; `members` is the sum of the others."""
    counts = np.bincount(places.ravel(), minlength=len(LEDGER))
    return {"members": int(counts[1:].sum()), **{name: int(counts[k]) for k, name in enumerate(LEDGER) if k}}


def _mean(values: Array) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def _compound(returns: Doubles, periods_per_year: float) -> float:
    """Return the yearly growth rate of back-to-back returns; -1 when the money is lost."""
    if returns.size == 0:
        return float("nan")
    wealth = float(np.prod(1.0 + returns))
    return float(max(wealth, 0.0) ** (periods_per_year / returns.size) - 1.0)
