"""A fitted factor risk model: exposures, factor returns, covariance and specific risk of every day."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from alphaloom.errors import DataError
from alphaloom.risk.covariance import FactorCovariance
from alphaloom.risk.forecast import RiskForecast
from alphaloom.risk.pure import pure_portfolios
from alphaloom.risk.regression import Cells, CrossSections, weights_of
from alphaloom.risk.specific import SpecificRisk
from alphaloom.typing import Bools, Dates, Doubles, Symbols


@dataclass(frozen=True, eq=False)
class FactorRisk:
    """What `alphaloom.risk.models.cne5` fits; T dates, N symbols, K factors (country, P industries, Q styles).

    Estimation and coverage differ: regressions are made of `cells.members` whose exposures and returns are known; a
    forecast covers every listed stock with known capitalisation and industry, whose unknown styles count as 0.
    """

    dates: Dates
    symbols: Symbols
    cells: Cells
    regressions: CrossSections
    factor: FactorCovariance
    specific: SpecificRisk
    coverage: pl.DataFrame
    """`date`, `style`, `descriptor`, `members`, `known`."""
    left_out: pl.DataFrame
    """`style`, `descriptor`, `weight`, `why`: what the model does without."""

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the K factors."""
        return self.regressions.factors

    @property
    def ready(self) -> Bools:
        """Whether there is a forecast of each row `[T]`: the country's and some stocks' own risk can be told."""
        known: Bools = np.isfinite(self.factor.values[:, 0, 0])
        return known & np.isfinite(self.specific.volatility).any(axis=1)

    def exposures(self, row: int) -> tuple[Doubles, Bools]:
        """Return exposures `[K, N]` at a row's close, 0 for stocks not covered, and which are covered `[N]`."""
        styles = self.cells.styles[row].astype(np.float64)
        P = self.regressions.industries
        industry = self.cells.industry[row]
        covered: Bools = np.isfinite(styles).all(axis=1) & (self.cells.cap[row] > 0)
        if P:
            covered &= industry >= 0
        out = np.zeros((len(self.factors), self.symbols.size))
        stocks = np.flatnonzero(covered)
        out[0, stocks] = 1.0
        if P:
            out[1 + industry[stocks], stocks] = 1.0
        out[1 + P :, stocks] = styles[stocks].T
        return out, covered

    def forecast(self, row: int) -> RiskForecast:
        """Return what is known at the close of a row.

        It holds the factors that have enough returns by then. A stock that has an exposure to another one (a new
        industry) is not covered. A style that too few know yet is left out for all.

        Raises:
            DataError: too few returns by that row; the message names the first date with a forecast.
        """
        covariance = self.factor.values[row]
        ready = np.isfinite(np.diag(covariance))
        if not ready[0] or np.isnan(self.specific.volatility[row]).all():
            later = np.flatnonzero(self.ready)
            hint = f"the first forecast is of {self.dates[later[0]]}" if later.size else "no date has enough"
            raise DataError(
                f"Too little history for a risk forecast at {self.dates[row]}: {hint}. Begin later, load earlier data, "
                "or lessen covariance.least and specific.enough."
            )
        exposures, covered = self.exposures(row)
        P = self.regressions.industries
        unready = ~ready[1 : 1 + P]
        covered &= ~(exposures[1 : 1 + P][unready] != 0).any(axis=0)
        volatility = self.specific.volatility[row].astype(np.float64)
        covered &= np.isfinite(volatility)
        return RiskForecast(
            date=self.dates[row],
            factors=tuple(name for name, use in zip(self.factors, ready, strict=True) if use),
            exposures=np.where(covered, exposures[ready], 0.0),
            covariance=covariance[np.ix_(ready, ready)],
            specific=np.where(covered, volatility**2, np.nan),
        )

    def pure(self, row: int) -> tuple[tuple[str, ...], Doubles]:
        """Return names and portfolios `[K', N]` of the factors that row's members can tell apart.

        Least-squares weights of the square root of capitalisation. Left out are industries without members and styles
        that nobody has; the portfolios are those of the regression if all members' returns are known.

        Raises:
            DataError: the members cannot tell the factors apart.
        """
        exposures, covered = self.exposures(row)
        weights = weights_of(self.cells.rows(row, row + 1))[0]
        use = covered & (weights > 0)
        P = self.regressions.industries
        has = exposures[1 : 1 + P][:, use].any(axis=1)
        styles = exposures[1 + P :][:, use]
        varied = np.ptp(styles, axis=1) > 0 if use.any() else np.zeros(styles.shape[0], np.bool_)
        codes = np.cumsum(has) - 1
        industry = codes[self.cells.industry[row, use]] if P else np.zeros(int(use.sum()), np.int64)
        cap = self.cells.cap[row, use]
        share = np.bincount(industry, weights=cap, minlength=int(has.sum())) / cap.sum() if P else np.empty(0)
        out = np.zeros((1 + int(has.sum()) + int(varied.sum()), self.symbols.size))
        out[:, use] = pure_portfolios(styles[varied].T, industry, weights[use], share)
        kept = np.concatenate([[True], has, varied])
        return tuple(name for name, keep in zip(self.factors, kept, strict=True) if keep), out
