"""Daily cross-sectional regressions: factor returns and specific returns."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from alphaloom.errors import AlignmentError, DataError
from alphaloom.kernels.constrained_wls import regress
from alphaloom.spec import Spec
from alphaloom.typing import Bools, Doubles, Floats, Ints

COUNTRY = "country"
PRECISION_BOUND = 20.0
"""Weights of the inverse specific variance lie within this factor of their median."""


class RegressionSettings(Spec):
    """How factor returns are regressed."""

    weights: Literal["sqrt_cap", "inverse_variance"] = "sqrt_cap"
    """Square root of capitalisation, as published; or the inverse of the specific variance foreseen the day before by
    a first pass with the former. The second halves the errors of factor returns where volatilities differ much."""
    huber: Annotated[float, Field(gt=0)] | None = None
    """Bound of Huber's robust regression, in robust deviations of the weighted residuals; 1.345 is usual. Null: least
    squares."""
    least_in_industry: Annotated[int, Field(ge=1)] = 3
    """Industries with fewer stocks on a day share one return on that day. What stocks of an industry do together then
    counts as their own, so that risk of the industry is foreseen too low: pool no more than must be."""


@dataclass(frozen=True, eq=False)
class CrossSections:
    """Regressions of all days: row t explains the returns of day t by exposures and weights of row t - 1.

    K factors: `country`, P industries, Q styles. Row 0, and rows with too few stocks, are NaN.
    """

    factors: tuple[str, ...]
    industries: int
    """P."""
    returns: Doubles
    """Factor returns `[T, K]`, fractions; NaN where a factor is not determined: an industry without stocks, or a style
    that nobody has."""
    errors: Doubles
    """Their standard errors `[T, K]`, whatever the variances of the stocks (HC2)."""
    noise: Doubles
    """Covariance of their errors `[T, K, K]`, likewise; 0 for factors that are not determined."""
    specific: Floats
    """Specific returns `[T, N]` of every stock whose return, industry and styles are known."""
    stocks: Ints
    """Stocks in each regression `[T]`."""
    r2: Doubles
    """Weighted share of squared returns explained `[T]`."""
    inflation: Doubles
    """Variance inflation factors of the styles `[T, Q]`."""
    members: Ints
    """Stocks of each industry in the regression `[T, P]`."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """`country`, `industry` or `style`, of each factor."""
        Q = len(self.factors) - 1 - self.industries
        return (COUNTRY, *["industry"] * self.industries, *["style"] * Q)


@dataclass(frozen=True, eq=False)
class Cells:
    """What a regression reads, arrays `[T, N]`, all as of the row's close."""

    styles: Floats
    """`[T, N, Q]`, NaN unknown."""
    industry: Ints
    """Code, -1 unknown; with no industries at all, anything."""
    cap: Doubles
    """Capitalisation, NaN unknown."""
    members: Bools
    """Stocks that regressions may be made of; those without capitalisation are left out."""

    def rows(self, start: int, stop: int) -> "Cells":
        """Return the rows `start` to `stop - 1`."""
        part = slice(start, stop)
        return Cells(self.styles[part], self.industry[part], self.cap[part], self.members[part])


def weights_of(cells: Cells, specific_variance: Doubles | None = None) -> Doubles:
    """Return regression weights `[T, N]`, 0 outside the members.

    With the variance `[T, N]` foreseen at each row: its inverse, within a factor of 20 of the day's median; members for
    which none is foreseen stay out. Without it, and on days without any: the square root of capitalisation.
    """
    inside = cells.members & (cells.cap > 0)
    weights = np.where(inside, np.sqrt(np.where(inside, cells.cap, 0.0)), 0.0)
    if specific_variance is None:
        return weights
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(inside & (specific_variance > 0), 1.0 / specific_variance, np.nan)
    for t in range(weights.shape[0]):
        told = np.isfinite(precision[t])
        if told.any():
            middle = np.median(precision[t, told])
            bounded = np.clip(precision[t], middle / PRECISION_BOUND, middle * PRECISION_BOUND)
            weights[t] = np.where(told, bounded, 0.0)
    return weights


def cross_sections(
    returns: Doubles,
    cells: Cells,
    industries: tuple[str, ...],
    styles: tuple[str, ...],
    settings: RegressionSettings,
    weights: Doubles | None = None,
) -> CrossSections:
    """Return the regressions of returns `[T, N]` on exposures of the row before.

    Weighted least squares, or Huber's. A stock is in day t's regression when it is a member, and its capitalisation,
    industry and styles are known at t - 1, and its return of day t is. The cap-weighted mean of the industry returns is
    0, taken over all members of t - 1 whose capitalisation and industry are known, whoever trades on day t.

    Args:
        returns: simple returns of day t, NaN for stocks that did not trade on it or on the day before.
        cells: exposures, capitalisation and members.
        industries: their names by code; empty for a model without.
        styles: names of the Q styles.
        settings: robust or not, and thin industries.
        weights: `[T, N]`; by default the square root of capitalisation.

    Raises:
        AlignmentError: shapes differ.
        DataError: no day had enough stocks.
    """
    T, N = returns.shape
    P, Q = len(industries), len(styles)
    for what, array, shape in (
        ("styles", cells.styles, (T, N, Q)),
        ("industry", cells.industry, (T, N)),
        ("capitalisation", cells.cap, (T, N)),
        ("members", cells.members, (T, N)),
    ):
        if array.shape != shape:
            raise AlignmentError(f"The {what} of a regression must be {shape}; given {array.shape}.")
    K = 1 + P + Q
    out = CrossSections(
        factors=(COUNTRY, *industries, *styles),
        industries=P,
        returns=np.full((T, K), np.nan),
        errors=np.full((T, K), np.nan),
        noise=np.zeros((T, K, K)),
        specific=np.full((T, N), np.nan, np.float32),
        stocks=np.zeros(T, np.int64),
        r2=np.full(T, np.nan),
        inflation=np.full((T, Q), np.nan),
        members=np.zeros((T, P), np.int64),
    )
    used = weights_of(cells) if weights is None else weights
    fit = np.full((T - 1, 2), np.nan)
    regress(
        np.ascontiguousarray(returns[1:], dtype=np.float64),
        np.ascontiguousarray(cells.styles[:-1]),
        np.ascontiguousarray(cells.industry[:-1]),
        np.ascontiguousarray(used[:-1]),
        np.where(cells.members & (cells.cap > 0), cells.cap, 0.0)[:-1],
        P,
        settings.least_in_industry,
        settings.huber or 0.0,
        out.returns[1:],
        out.errors[1:],
        out.specific[1:],
        out.inflation[1:],
        fit,
        out.members[1:],
        out.noise[1:],
    )
    out.stocks[1:] = fit[:, 0]
    out.r2[1:] = fit[:, 1]
    if np.isnan(out.returns).all():
        raise DataError(
            f"No day from row 1 to {T - 1} has more stocks than factors ({K}): at most {out.stocks.max()} have a known "
            "return, capitalisation, industry and styles. Take fewer industries or styles, or a wider universe."
        )
    return out


def simple_returns(price: Floats) -> Doubles:
    """Return price[t] / price[t - 1] - 1 `[T, N]`, NaN where a stock did not trade on both days."""
    out = np.full(price.shape, np.nan)
    out[1:] = price[1:].astype(np.float64) / price[:-1] - 1.0
    return out
