"""Factor risk model with country, industries and the CNE5 styles."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from alphaloom.data.universe.base import UniverseRule
from alphaloom.data.universe.base import universe_rules as rule_registry
from alphaloom.data.universe.build import build_universe
from alphaloom.data.universe.build import required_fields as universe_fields
from alphaloom.errors import DataError, MissingFieldError
from alphaloom.panel import Panel
from alphaloom.risk.base import Style
from alphaloom.risk.base import styles as style_registry
from alphaloom.risk.covariance import CovarianceSettings, factor_covariance
from alphaloom.risk.cross_section import capitalisation
from alphaloom.risk.estimator import Progress, RiskEstimator, risk_models
from alphaloom.risk.exposures import Exposures, compute_exposures
from alphaloom.risk.factor_risk import FactorRisk
from alphaloom.risk.left_out import SCHEMA, allow, wanted_fields
from alphaloom.risk.presets import preset, preset_names
from alphaloom.risk.regression import (
    Cells,
    CrossSections,
    RegressionSettings,
    cross_sections,
    simple_returns,
    weights_of,
)
from alphaloom.risk.specific import SpecificRisk, SpecificSettings, specific_risk
from alphaloom.typing import Bools, Doubles, Floats

NAMES = (
    "beta", "momentum", "size", "earnings_yield", "residual_volatility", "growth", "book_to_price", "leverage",
    "liquidity", "nonlinear_size",
)  # fmt: skip
"""The ten CNE5 styles in their published order."""


@risk_models.register("cne5")
class Cne5Risk(RiskEstimator):
    """Country, industries and styles; factor returns by daily cross-sectional regression (seed 004, figure 3-2).

    r_n = f_country + f_industry(n) + sum_k X_nk f_k + u_n, exposures of t - 1, returns of t. The forecast is
    X F X' + diag(specific variances), see `factor_covariance` and `specific_risk`.

    Styles, or descriptors of styles, whose fields the panel lacks are left out and recorded on the result. Regressions
    are made of the `universe`; forecasts cover every listed stock with known capitalisation and industry. A stock that
    did not trade on a day or the day before has no part in that day's regression; a new one has none until the universe
    takes it, and the specific risk of stocks like it until its own history is long enough; one that was delisted ends
    with its last return.

    Source: Barra China Equity Model CNE5 (exposures); USE4 methodology notes, 2011 (regression and risk).
    """

    styles: Annotated[tuple[Annotated[Style, style_registry], ...], Field(min_length=1)] = NAMES  # type: ignore[assignment]
    """Styles."""
    industries: bool = True
    """Whether industries (field `industry`) are factors."""
    universe: tuple[Annotated[UniverseRule, rule_registry], ...] = ("listed", "not_suspended")  # type: ignore[assignment]
    """Rules for the stocks that standardisation and regressions are made of; independent of the panel's universe."""
    least_coverage: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A style that a smaller share of the universe knows on a day counts as unknown for all on that day."""
    preset: str = "use4l"
    """Published settings that `covariance` and `specific` start from."""
    regression: RegressionSettings = RegressionSettings()
    """Factor returns."""
    covariance: CovarianceSettings = CovarianceSettings()
    """Their covariance."""
    specific: SpecificSettings = SpecificSettings()
    """Specific risk."""

    @model_validator(mode="before")
    @classmethod
    def _lay_over_preset(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("preset", "use4l") not in preset_names():
            return data
        parts = preset(data.get("preset", "use4l"))
        given = {name: data[name] for name in parts if isinstance(data.get(name), Mapping)}
        laid = {name: {**settings, **given.get(name, {})} for name, settings in parts.items()}
        return {**data, **{name: part for name, part in laid.items() if name not in data or name in given}}

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in preset_names():
            raise ValueError(f"there is no preset {name!r}; there are: {', '.join(preset_names())}")
        return name

    @property
    def required(self) -> tuple[str, ...]:
        """Prices, capitalisation, industries, and what the universe's rules read."""
        industry = ("industry",) if self.industries else ()
        return tuple(dict.fromkeys(["adj_close", "log_cap", "is_listed", *industry, *universe_fields(self.universe)]))

    @property
    def wanted(self) -> tuple[str, ...]:
        """Fields of all descriptors, from each of their sources."""
        return tuple(wanted_fields(self.styles))

    def fit(self, panel: Panel, progress: Progress | None = None) -> FactorRisk:
        """Return the model of every day of the panel.

        Raises:
            MissingFieldError: the panel lacks a required field, or the fields of every style.
            DataError: too few dates or stocks; the message says which.
        """
        tell = progress or _silent
        tell("exposures", 0, 1)
        market, _ = build_universe(self.universe, panel)
        allowed = allow(self.styles, set(panel.names))
        if not allowed.styles:
            lacking = "; ".join(f"{style}: {why}" for style, _, _, why in allowed.left_out.iter_rows())
            raise MissingFieldError(f"The panel has the fields of none of the styles: {lacking}.")
        exposures = compute_exposures(market, allowed.styles)
        enough = _enough(exposures, self.least_coverage)
        seen = [style for k, style in enumerate(allowed.styles) if enough[:, k].any()]
        names = tuple(style.name for style in seen)
        cells = self._cells(market, exposures.panel.stack(names), enough[:, enough.any(axis=0)])
        industries = panel.categories.get("industry", ()) if self.industries else ()
        returns = simple_returns(panel["adj_close"])
        tell("regressions", 0, 1)
        regressions, specific = self._regressed(returns, cells, industries, names)
        T = panel.dates.size
        factor = factor_covariance(
            regressions.returns,
            self.covariance,
            noise=regressions.noise,
            progress=lambda done, total: tell("covariance", done, total),
        )
        model = FactorRisk(
            dates=panel.dates,
            symbols=panel.symbols,
            cells=cells,
            regressions=regressions,
            factor=factor,
            specific=specific,
            coverage=exposures.known,
            left_out=pl.concat(
                [allowed.left_out, _unseen([s for s in allowed.styles if s not in seen], self.least_coverage)]
            ),
        )
        if not model.ready.any():
            days = int(np.isfinite(regressions.returns[:, 0]).sum())
            raise DataError(
                f"{days} of the panel's {T} days have factor returns: too few for a forecast. covariance.least asks "
                f"for {self.covariance.least} days, specific.enough for {self.specific.enough} of a stock. Load more "
                "history or lessen them."
            )
        return model

    def _cells(self, market: Panel, exposures: Floats, enough: Bools) -> Cells:
        """Return what regressions read; a style `[T, N, Q]` is 0 for all on days on which not enough know it."""
        listed = market["is_listed"] == 1
        cap = np.where(listed, capitalisation(market).astype(np.float64), np.nan)
        block = np.where(enough[:, None, :] | ~listed[:, :, None], exposures, np.float32(0.0))
        code = np.full(market.shape, -1, np.int64)
        if self.industries:
            known = listed & np.isfinite(market["industry"])
            code[known] = market["industry"][known]
        return Cells(block, code, cap, market.universe & listed)

    def _regressed(
        self, returns: Doubles, cells: Cells, industries: tuple[str, ...], names: tuple[str, ...]
    ) -> tuple[CrossSections, SpecificRisk]:
        found = cross_sections(returns, cells, industries, names, self.regression)
        specific = specific_risk(found.specific, cells, len(industries), self.specific)
        if self.regression.weights == "sqrt_cap":
            return found, specific
        weights = weights_of(cells, specific.volatility.astype(np.float64) ** 2)
        found = cross_sections(returns, cells, industries, names, self.regression, weights)
        return found, specific_risk(found.specific, cells, len(industries), self.specific)


def _enough(exposures: Exposures, least: float) -> Bools:
    """Return where enough members know a style `[T, Q]`."""
    columns = []
    for name in exposures.panel.names:
        part = exposures.missing.filter(pl.col("style") == name)
        members, missing = (part[key].to_numpy().astype(np.float64) for key in ("members", "missing"))
        columns.append(members - missing >= np.maximum(least * members, 1.0))
    return np.column_stack(columns)


def _unseen(never: list[Style], least: float) -> pl.DataFrame:
    why = f"known for less than {least:.0%} of the universe on every day"
    rows = [(style.name, name, style.weights[name], why) for style in never for name in style.used]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
