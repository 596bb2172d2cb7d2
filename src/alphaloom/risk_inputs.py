"""What decisions need beside scores and prices: style exposures, benchmark weights, forecasts of the variance."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from alphaloom.panel import Panel
from alphaloom.portfolio.benchmark import benchmark_weights
from alphaloom.portfolio.benchmark import required_fields as benchmark_fields
from alphaloom.recipe import RiskSettings
from alphaloom.risk.exposures import required_fields as style_fields
from alphaloom.risk.exposures import style_exposures
from alphaloom.risk.forecast import RiskModel
from alphaloom.typing import Doubles


@dataclass(frozen=True, eq=False)
class Risk:
    """Style exposures, benchmark weights `[T, N]` and forecasts of the variance, as far as the settings ask for them.

    Each row is knowable at its date's close.
    """

    exposures: Panel
    """One field a style; none where the settings name no style."""
    benchmark: Doubles | None
    methods: Mapping[str, int]
    """On how many dates the benchmark weights came about in which way (published, float_cap, ...)."""
    model: RiskModel | None = None


def risk_fields(settings: RiskSettings, available: Iterable[str]) -> dict[str, list[str]]:
    """Return the panel fields that `risk_inputs` reads, by who needs them; `available` are those the store can give."""
    there, model = set(available), settings.model
    fields: dict[str, list[str]] = {"the risk styles": style_fields(settings.styles) if settings.styles else []}
    if settings.benchmark is not None:
        fields["the benchmark"] = benchmark_fields(settings.benchmark, settings.unknown_weights)
    if model is not None:
        fields["the risk model"] = [*model.required, *(name for name in model.wanted if name in there)]
    return fields


def risk_inputs(settings: RiskSettings, market: Panel, *, first: int = 0, stop: int | None = None) -> Risk:
    """Return exposures and forecasts of every date of the market, and benchmark weights of rows `first` to `stop` - 1.

    Raises:
        DataError: benchmark weights are unknown on some date, or a risk model has too little to be fitted on.
        MissingFieldError: the market lacks a field (`risk_fields`).
    """
    bare = market.with_fields({}, keep=False)
    exposures = style_exposures(market, settings.styles) if settings.styles else bare
    model = None if settings.model is None else settings.model.fit(market)
    if settings.benchmark is None:
        return Risk(exposures, None, {}, model)
    part = market.rows(first, market.dates.size if stop is None else stop)
    made = benchmark_weights(part, settings.benchmark, unknown=settings.unknown_weights)
    weights = np.zeros(market.shape)
    weights[first : first + part.dates.size] = made.weights
    methods = dict(made.record["method"].value_counts(sort=True).iter_rows())
    filled = {"members given the median capitalisation": made.record["filled"].sum()}
    return Risk(exposures, weights, methods | filled, model)
