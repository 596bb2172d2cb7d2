"""Scores to a SignalReport: is there skill, how sure, how long does it last, what does it cost to follow?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl

from alphaloom.errors import AlignmentError, DataError, UsageError
from alphaloom.evaluation.closer import exposure_table, group_table, neutral_score, weighted_table
from alphaloom.evaluation.context import Context
from alphaloom.evaluation.forward import Forward
from alphaloom.evaluation.horizon import LEDGER, HorizonReport, judge_horizon
from alphaloom.evaluation.ic import ic_series
from alphaloom.evaluation.inference import MeanTest, mean_test
from alphaloom.evaluation.quantiles import assign_quantiles
from alphaloom.evaluation.settings import EvaluationSettings
from alphaloom.evaluation.summary import SampleWindow, monthly_table, window_table, yearly_table
from alphaloom.kernels.cross_rank import rank_ic
from alphaloom.typing import Array, Bools, Dates, Symbols


@dataclass(frozen=True, eq=False)
class SignalReport:
    """Everything measured of one set of scores.

    Attributes:
        dates: `[D]` evaluated dates.
        settings: how it was measured.
        primary: name of the horizon shown first; the first of `horizons`.
        horizons: one report a horizon.
        decay: `period, n, rank_ic, se, t_newey_west`: RankIC against the return of the single period that lies so many
            ahead; empty when no horizon is one step long.
        monthly: `year, month, mean, n` of RankIC at the primary horizon.
        yearly: `year, n, mean, std, ir, positive, t_newey_west` of the same.
        windows: in- and out-of-sample RankIC by training window; empty when none were given.
        weighted, groups, exposures: closer looks, as far as a context was given (see `alphaloom.evaluation.closer`).
        neutral: RankIC at the primary horizon after exposures and groups are taken out of the scores; None without.
        outside: scored cells that were not members and so left out before everything else.
    """

    dates: Dates
    settings: EvaluationSettings
    primary: str
    horizons: Mapping[str, HorizonReport]
    decay: pl.DataFrame
    monthly: pl.DataFrame
    yearly: pl.DataFrame
    windows: pl.DataFrame
    outside: int
    weighted: pl.DataFrame = field(default_factory=pl.DataFrame)
    groups: pl.DataFrame = field(default_factory=pl.DataFrame)
    exposures: pl.DataFrame = field(default_factory=pl.DataFrame)
    neutral: MeanTest | None = None

    @property
    def headline(self) -> HorizonReport:
        """Return the report of the primary horizon."""
        return self.horizons[self.primary]

    @property
    def has_closer_looks(self) -> bool:
        """Return whether a context of stocks was given."""
        return self.neutral is not None or any(table.height for table in (self.weighted, self.groups, self.exposures))

    def ic_frame(self) -> pl.DataFrame:
        """Return `date, horizon, ic, rank_ic, n`, one row a date and horizon; null where undefined."""
        return pl.concat(
            pl.DataFrame(
                {
                    "date": self._days(),
                    "horizon": [name] * self.dates.size,
                    "ic": pl.Series(item.series.ic).fill_nan(None),
                    "rank_ic": pl.Series(item.series.rank_ic).fill_nan(None),
                    "n": pl.Series(item.series.n),
                }
            )
            for name, item in self.horizons.items()
        )

    def left_out_frame(self, symbols: Symbols) -> pl.DataFrame:
        """Return `date, symbol, horizon, reason`: every member that was not used, of these symbols `[N]`, and why."""
        frames = []
        for name, item in self.horizons.items():
            d, n = np.nonzero((item.places > 0) & (item.places < LEDGER.index("used")))
            frames.append(
                pl.DataFrame(
                    {
                        "date": pl.Series(self.dates[d]).cast(pl.Date),
                        "symbol": pl.Series(symbols[n].tolist(), dtype=pl.String),
                        "horizon": pl.Series([name] * d.size, dtype=pl.String),
                        "reason": pl.Series([LEDGER[k] for k in item.places[d, n].tolist()], dtype=pl.String),
                    }
                )
            )
        return pl.concat(frames)

    def quantile_frame(self) -> pl.DataFrame:
        """Return `date, horizon, quantile, return, n, turnover`; quantile 1 holds the lowest scores."""
        frames = []
        for name, item in self.horizons.items():
            D, Q = item.returns.shape
            frames.append(
                pl.DataFrame(
                    {
                        "date": pl.Series(np.repeat(self.dates, Q)).cast(pl.Date),
                        "horizon": [name] * (D * Q),
                        "quantile": pl.Series(np.tile(np.arange(1, Q + 1), D)),
                        "return": pl.Series(item.returns.ravel()).fill_nan(None),
                        "n": pl.Series(item.counts.ravel()),
                        "turnover": pl.Series(item.turnover.ravel()).fill_nan(None),
                    }
                )
            )
        return pl.concat(frames)

    def factor_table(self) -> pl.DataFrame:
        """Return the twelve rows and the honest tests beside them, one column a horizon; first column `row`."""
        extra = (
            "t_newey_west",
            "p_newey_west",
            "t_non_overlapping",
            "p_non_overlapping",
            "se",
            "n",
            "n_non_overlapping",
        )
        columns: dict[str, list[Any]] = {"row": [*self.headline.rows, *extra]}
        for name, item in self.horizons.items():
            columns[name] = [*item.rows.values(), *(float(getattr(item.rank_ic, key)) for key in extra)]
        return pl.DataFrame(columns)

    def metrics(self) -> dict[str, Any]:
        """Return all numbers as plain data for JSON; NaN becomes None."""
        numbers: dict[str, Any] = plain(
            {
                "first_date": str(self.dates[0]),
                "last_date": str(self.dates[-1]),
                "dates": int(self.dates.size),
                "primary": self.primary,
                "settings": self.settings.dump(),
                "horizons": {name: item.metrics() for name, item in self.horizons.items()},
                "decay": self.decay.to_dicts(),
                "monthly": self.monthly.to_dicts(),
                "yearly": self.yearly.to_dicts(),
                "windows": self.windows.to_dicts(),
                "outside": self.outside,
                "weighted": self.weighted.to_dicts(),
                "groups": self.groups.to_dicts(),
                "exposures": self.exposures.to_dicts(),
                "neutral_rank_ic": None if self.neutral is None else asdict(self.neutral),
            }
        )
        return numbers

    def _days(self) -> pl.Series:
        return pl.Series(self.dates).cast(pl.Date)


def evaluate_signal(
    score: Array,
    forward: Mapping[str, Forward],
    dates: Dates,
    *,
    settings: EvaluationSettings | None = None,
    universe: Bools | None = None,
    windows: Sequence[SampleWindow] = (),
    context: Context | None = None,
) -> SignalReport:
    """Return the report of scores `[D, N]` on `dates [D]`.

    Args:
        score: higher is better; NaN where there is none.
        forward: returns by horizon; the first is the primary one.
        dates: evaluated dates, increasing.
        settings: how to measure; the defaults when None.
        universe: `[D, N]`, cells that may count; the scored ones when None.
        windows: training windows with their in-sample RankIC, for the comparison with out-of-sample.
        context: weights, groups and exposures of the stocks, for closer looks.

    Raises:
        UsageError: no horizon, or windows that end before they start.
        AlignmentError: shapes differ, or the dates do not increase.
        DataError: a score is infinite, or a weight negative.
    """
    settings = settings or EvaluationSettings()
    _check(score, forward, dates, universe)
    scored = ~np.isnan(score)
    members = scored if universe is None else universe
    score = np.where(members, score, np.nan)
    bucket = assign_quantiles(score, settings.quantiles, min_names=settings.min_names)
    horizons = {name: judge_horizon(name, score, bucket, members, item, settings) for name, item in forward.items()}
    primary = next(iter(horizons))
    first = horizons[primary]
    context = context or Context()
    context.check(score.shape)
    nearest = forward[primary]
    neutral = None
    if context.exposures or context.groups is not None:
        left = ic_series(neutral_score(score, context), nearest.returns, min_names=settings.min_names)
        neutral = mean_test(
            left.rank_ic,
            steps=nearest.steps,
            level=settings.confidence,
            resamples=settings.resamples,
            seed=settings.seed,
        )
    return SignalReport(
        dates=dates,
        settings=settings,
        primary=primary,
        horizons=horizons,
        decay=decay_table(score, forward, settings),
        monthly=monthly_table(dates, first.series.rank_ic),
        yearly=yearly_table(dates, first.series.rank_ic, steps=first.steps),
        windows=window_table(dates, first.series.rank_ic, windows, steps=first.steps),
        outside=int((scored & ~members).sum()),
        weighted=weighted_table(score, bucket, forward, context, settings),
        groups=group_table(score, nearest, context),
        exposures=exposure_table(score, nearest, context),
        neutral=neutral,
    )


def decay_table(score: Array, forward: Mapping[str, Forward], settings: EvaluationSettings) -> pl.DataFrame:
    """Return `period, n, rank_ic, se, t_newey_west` of scores against the k-th single period ahead.

    Uses the first horizon that is one step long; the k-th period ahead of date d is then the first ahead of d + k - 1.
    """
    rows = []
    singles = [item.returns for item in forward.values() if item.steps == 1]
    reachable = [k for k in settings.decay_periods if singles and k <= score.shape[0]]
    for k in reachable:
        late, n = rank_ic(score[: score.shape[0] - k + 1], singles[0][k - 1 :])
        test = mean_test(np.where(n >= settings.min_names, late, np.nan), resamples=2)
        rows.append((k, test.n, test.mean, test.se, test.t_newey_west))
    schema = {
        "period": pl.Int64,
        "n": pl.Int64,
        "rank_ic": pl.Float64,
        "se": pl.Float64,
        "t_newey_west": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def plain(value: Any) -> Any:
    """Return nested mappings, sequences, numpy scalars and dates as JSON-able data; NaN and infinities become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def _check(score: Array, forward: Mapping[str, Forward], dates: Dates, universe: Bools | None) -> None:
    if not forward:
        raise UsageError("An evaluation needs at least one horizon of forward returns.")
    if score.ndim != 2 or dates.shape != score.shape[:1]:
        raise AlignmentError(f"Scores must be [D, N] on dates [D]; got {score.shape} and {dates.shape}.")
    if dates.size == 0 or np.any(np.diff(dates) <= np.timedelta64(0, "D")):
        raise AlignmentError("Evaluated dates must be given and increase; sort them and drop repeats.")
    for name, item in forward.items():
        if item.returns.shape != score.shape:
            raise AlignmentError(f"Forward returns {name!r} are {item.returns.shape}; the scores are {score.shape}.")
    if universe is not None and universe.shape != score.shape:
        raise AlignmentError(f"The universe is {universe.shape}; the scores are {score.shape}.")
    with np.errstate(invalid="ignore"):
        huge = np.abs(score) > np.finfo(np.float32).max
    if huge.any():
        d, n = (int(axis[0]) for axis in np.nonzero(huge))
        raise DataError(
            f"{int(huge.sum())} scores are infinite or beyond float32, first {score[d, n]} on {dates[d]}, "
            f"column {n}; use NaN for none."
        )
