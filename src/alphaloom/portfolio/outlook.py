"""What is known at each decision's close, before anyone asks what is held."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alphaloom.errors import DataError
from alphaloom.language.parse import parse
from alphaloom.language.plan import Plan
from alphaloom.panel import Panel
from alphaloom.portfolio.base import Construction, Decision
from alphaloom.portfolio.tradability import tradable
from alphaloom.risk.forecast import RiskModel
from alphaloom.typing import Doubles, Floats, Ints


@dataclass(frozen=True, eq=False)
class Market:
    """All that decisions are made from, beside the scores."""

    panel: Panel
    """Market fields (`required_fields`); only members of its universe are bought."""
    exposures: Panel | None = None
    """Style exposures, one field a style, on the same axes; needed by constructions that use risk."""
    benchmark: Doubles | None = None
    """Weights `[T, N]` that sum to 1 on the decision rows; None means no benchmark."""
    risk_model: RiskModel | None = None
    """Source of variance forecasts, for constructions that use them."""
    capital: float | None = None
    """Money at the first decision, in the market's currency."""
    limits: bool = True
    """Whether closes at a price limit bar trading; needs the fields `limit_up` and `limit_down`."""


def required_fields(*constructions: Construction, limits: bool = True) -> list[str]:
    """Return the panel fields that decisions of these constructions read."""
    names = ["adj_close", "is_suspended", "is_listed"]
    if limits:
        names += ["close", "limit_up", "limit_down"]
    if any(item.uses_industry for item in constructions):
        names.append("industry")
    names += [name for item in constructions for name in item.inputs]
    plan = _plan(constructions)
    return list(dict.fromkeys([*names, *(plan.inputs if plan is not None else ())]))


def _plan(constructions: Sequence[Construction]) -> Plan | None:
    texts = dict.fromkeys(text for item in constructions for text in item.expressions)
    return Plan.of({text: parse(text, look_ahead=False) for text in texts}) if texts else None


def outlooks(constructions: Sequence[Construction], score: Floats, rows: Ints, market: Market) -> Iterator[Decision]:
    """Yield each row's decision with nothing held, complete for all these constructions: shared work is done once.

    Unknown exposures are 0. Knowable at the row's close: expressions and forecasts read rows up to it alone.

    Args:
        constructions: who will decide.
        score: `[T, N]`; NaN where there is none.
        rows: rows of the decisions, increasing.
        market: the rest.
    """
    panel, N = market.panel, market.panel.shape[1]
    fields = dict.fromkeys(name for item in constructions for name in item.inputs)
    styled = market.exposures is not None and any(item.uses_risk for item in constructions)
    industries = any(item.uses_industry for item in constructions)
    forecast = any(item.uses_forecast for item in constructions)
    measured = _measured(constructions, rows, panel)
    for row in rows.tolist():
        can_buy, can_sell = tradable(panel, row, limits=market.limits)
        styles, exposures = _exposures(market.exposures, row) if styled else ((), np.zeros((0, N)))
        yield Decision(
            date=panel.dates[row],
            score=score[row].astype(np.float64),
            current=np.zeros(N),
            can_buy=can_buy,
            can_sell=can_sell,
            benchmark=np.zeros(N) if market.benchmark is None else market.benchmark[row].astype(np.float64),
            exposures=exposures,
            styles=styles,
            industry=panel["industry"][row].astype(np.float64) if industries else np.full(N, np.nan),
            fields={name: panel[name][row].astype(np.float64) for name in fields},
            measured={name: block[row - rows[0]].astype(np.float64) for name, block in measured.items()},
            risk=market.risk_model.forecast(row) if forecast and market.risk_model is not None else None,
            capital=market.capital,
        )


def _measured(constructions: Sequence[Construction], rows: Ints, panel: Panel) -> Mapping[str, Floats]:
    """Return the expressions' values from the first row to the last `[rows, N]`."""
    plan = _plan(constructions)
    if plan is None:
        return {}
    block = plan.compute(panel.rows(0, int(rows[-1]) + 1), start_row=int(rows[0]))
    return {name: block[:, :, k] for k, name in enumerate(plan.names)}


def _exposures(panel: Panel | None, row: int) -> tuple[tuple[str, ...], Doubles]:
    if panel is None or not panel.names:
        return (), np.zeros((0, 0 if panel is None else panel.shape[1]))
    values = np.stack([panel[name][row] for name in panel.names]).astype(np.float64)
    return tuple(panel.names), np.nan_to_num(values, nan=0.0)


def require_forecasts(constructions: Sequence[Construction], market: Market) -> None:
    """Check that what the constructions need beside fields is there.

    Raises:
        DataError: exposures or a risk model are lacking.
    """
    for item in constructions:
        if item.uses_risk and market.exposures is None:
            raise DataError(
                f"The construction {type(item).name!r} needs style exposures; none were given. Choose styles, or pass "
                "an exposures panel without fields to do without."
            )
        if item.uses_forecast and market.risk_model is None:
            raise DataError(
                f"The construction {type(item).name!r} needs forecasts of the variance; no risk model was given. "
                "Choose one, or leave out risk aversion, tracking error and alpha by volatility."
            )
