"""Settings of the simulated market."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from alphaloom.spec import Spec

AlphaKind = Literal["none", "linear", "nonlinear", "sequential", "cross", "operators", "skewed", "leaders", "all"]
COMPONENTS: tuple[str, ...] = ("linear", "nonlinear", "sequential", "cross")
"""The planted alphas, in the order of the truth's columns."""


class SimulatedMarket(Spec):
    """A market like China's A shares, drawn from a seed: the same settings give the same store, byte for byte.

    Every stock's return on day t is

        r = country + industry + sum_k X_k(t-1) f_k(t) + alpha(t-1) + u(t)

    in simple returns, cut at the day's price limits and rounded to the price grid. X are ten CNE5 styles known at
    the close of t-1, f the factor returns, alpha the planted expected return and u a Student t shock without drift,
    whose volatility falls when the price rises (so that the distribution of a return over several days stays
    symmetric, and neither its mean nor its rank depends on volatility).
    """

    stocks: Annotated[int, Field(ge=30, le=7000)] = 300
    """Number of stocks that are listed at some time, delisted ones included."""
    years: Annotated[int, Field(ge=1, le=40)] = 3
    """Length in years from `start`."""
    start: dt.date = dt.date(2016, 1, 1)
    """First day; trading begins on the first trading day from it on. Price limits follow the true dates of reforms."""
    seed: Annotated[int, Field(ge=0)] = 777
    """Every random number follows from it."""
    alpha: AlphaKind = "all"
    """The planted alpha. `all` adds linear, nonlinear, sequential and cross with equal variance; `none` leaves nothing
    to predict."""
    alpha_ic: Annotated[float, Field(ge=0, le=0.5)] = 0.08
    """Mean RankIC of the true expected return against the realised return of the next five days. Without effect
    when `alpha` is `none`. The value reached is in the truth's `meta.json`."""
    industries: Annotated[int, Field(ge=2, le=28)] = 28
    """Number of industries; at most one for every six stocks."""
    listings: Annotated[float, Field(ge=0, le=0.6)] = 0.15
    """Fraction of the stocks that list after `start`; STAR stocks, none before 2019-07-22, are counted in it first."""
    delist_rate: Annotated[float, Field(ge=0, le=0.1)] = 0.008
    """Fraction of the listed stocks delisted each year, at least one unless 0, from those under risk warning. Besides,
    what closes below 1.00 for twenty days is always delisted."""
    st_share: Annotated[float, Field(ge=0, le=0.2)] = 0.03
    """Fraction of the listed stocks under risk warning (ST), reviewed on the first trading day of May."""
    suspensions: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Multiplies the rates of short (1 to 8 days) and long (20 to 120 days) suspensions."""
    industry_changes: Annotated[float, Field(ge=0, le=1)] = 0.03
    """Fraction of the stocks that change industry once."""
    specific_vol: Annotated[float, Field(gt=0.002, lt=0.05)] = 0.017
    """Daily specific volatility of the median stock, as a fraction, before the regime's scale."""
    premia: Annotated[float, Field(ge=-5, le=5)] = 0.0
    """Multiplies typical annual style premia (momentum +2 %, size -4 %, ...). With 0 no style earns anything."""
    exposures: Literal["latent", "observed"] = "latent"
    """What the true exposures to beta, momentum, residual volatility and liquidity are. `latent`: hidden traits (and a
    fading sum of excess returns), which past prices and volumes tell with errors. `observed`: CNE5's own descriptors of
    the simulated past, winsorised and standardised as published, so that whoever computes them right knows what
    tomorrow's returns are exposed to."""
    blocked_moves: Literal["auto", "carry", "drop"] = "auto"
    """What becomes of a move beyond the price limit: carried into the next days, with the run of new listings, the
    catch-up after suspensions and the decline before delisting; or dropped. `auto` carries unless `alpha` is `none`,
    because a carried move makes the next day's return predictable."""

    @model_validator(mode="after")
    def _start_in_range(self) -> "SimulatedMarket":
        if not dt.date(2010, 1, 1) <= self.start <= dt.date(2040, 12, 31):
            raise ValueError(f"start must lie between 2010-01-01 and 2040-12-31 (given: {self.start})")
        return self

    @property
    def end(self) -> dt.date:
        """Last calendar day."""
        year = self.start.year + self.years
        day = 28 if (self.start.month, self.start.day) == (2, 29) else self.start.day
        return dt.date(year, self.start.month, day) - dt.timedelta(days=1)

    @property
    def carries(self) -> bool:
        """Whether moves beyond the limit are carried into the next days."""
        return self.alpha != "none" if self.blocked_moves == "auto" else self.blocked_moves == "carry"

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the planted alphas."""
        if self.alpha == "none":
            return ()
        return COMPONENTS if self.alpha == "all" else (self.alpha,)
