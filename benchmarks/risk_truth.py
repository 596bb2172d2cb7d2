"""Risk model on simulated markets whose factor returns and risk are known: what it finds of them.

Three markets of the size of China's: the default one, whose exposures to beta, volatility, liquidity and momentum are
hidden traits; one as volatile, whose exposures are what CNE5's descriptors observe; and a quiet one of that kind. In
each the model makes exposures of its own from prices, volumes and statements, and its factor returns are compared with
the true ones, beside the correlation that standard errors allow: `best` with the true exposures and weights of the true
inverse variance, which no linear estimator surpasses, `expected` with the weights in use. Forecasts of the model are
tested on portfolios, over a day.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_panel
from alphaloom.data.simulate import SimulatedMarket, simulate
from alphaloom.data.simulate.truth import Truth
from alphaloom.data.store import Store
from alphaloom.panel import Panel
from alphaloom.risk.bias import BiasSettings, bias_test
from alphaloom.risk.estimator import risk_models
from alphaloom.risk.factor_risk import FactorRisk
from alphaloom.risk.models.cne5 import NAMES
from alphaloom.risk.regression import (
    Cells,
    CrossSections,
    RegressionSettings,
    cross_sections,
    simple_returns,
    weights_of,
)
from alphaloom.typing import Doubles
from benchmarks.record import save

STYLES = [
    "beta", "momentum", "size", "earnings_yield", "residual_volatility", {"name": "growth", "years": 2},
    "book_to_price", "leverage", "liquidity", {"name": "nonlinear_size", "centre": "equal"},
]  # fmt: skip
"""Styles as the simulated market defines them: growth of the last year, size cubed about its plain mean."""
WARM = 504
"""First rows left out: until then momentum has less than its window."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--years", type=int, default=4)
    parser.add_argument("--quiet-vol", type=float, default=0.004, help="daily specific volatility of the quiet market")
    parser.add_argument("--seed", type=int, default=777)
    args = parser.parse_args(arguments)
    size = {"stocks": args.stocks, "years": args.years, "seed": args.seed}
    observed = {"exposures": "observed"}
    markets: dict[str, dict[str, Any]] = {
        "default": size,
        "observed": {**size, **observed},
        "quiet": {**size, **observed, "specific_vol": args.quiet_vol},
    }
    rows: list[dict[str, Any]] = []
    risk: dict[str, pl.DataFrame] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in markets.items():
            store = simulate(SimulatedMarket(**settings), Path(folder) / name)
            model, panel = fit(store, preset="next_day")
            rows += [{"market": name, **row} for row in of_market(store, model, panel)]
            risk[name] = tested(model, panel)
    what = (
        f"{args.stocks:,} stocks, {args.years} years, seed {args.seed}; correlations of daily factor returns with the "
    )
    what += f"true ones from row {WARM} on. Specific volatility of the median stock a day: 1.7 %; in the quiet market "
    what += f"{args.quiet_vol:.1%}."
    words = "exposures: mean correlation of the model's own exposures with the true ones over stocks. best, expected: "
    words += (
        "the correlation that the standard errors of a regression on the true exposures allow, with weights of the "
    )
    words += "true inverse variance and of the square root of capitalisation. sqrt_cap, inverse_variance: found with "
    words += "exposures of the model's own and these weights."
    notes = [what, words]
    for name, table in risk.items():
        words = ", ".join(
            f"{kind} {bias:.3f} ({least:.3f} to {most:.3f})"
            for kind, bias, least, most in table.select("kind", "bias", "least", "most").iter_rows()
        )
        notes.append(f"Bias statistics over a day, {name}: mean and range over portfolios: {words}.")
    facts = {"bias": {name: table.to_dicts() for name, table in risk.items()}}
    save("risk_truth", "Risk model against the truth of simulated markets", rows, facts, notes)
    return 0


def fit(store: Store, **settings: Any) -> tuple[FactorRisk, Panel]:
    """Return the model with exposures of its own, and the market."""
    estimator = risk_models.parse({"name": "cne5", "styles": STYLES, **settings})
    there = set(available_fields(store))
    panel = load_panel(store, [*estimator.required, *(name for name in estimator.wanted if name in there)])
    return estimator.fit(panel), panel


def of_market(store: Store, model: FactorRisk, panel: Panel) -> list[dict[str, Any]]:
    """Return a row for the country, each style, and the worst and the middle of the industries."""
    truth = Truth.of(store.path)
    true = truth.factor_returns()
    known = Panel.from_frame(
        truth.exposures().select("date", "symbol", *NAMES, "industry", "specific_vol").collect(),
        dates=panel.dates,
        symbols=panel.symbols,
    )
    code = np.where(np.isfinite(known["industry"]), np.nan_to_num(known["industry"]), -1).astype(np.int64)
    cells = Cells(known.stack(NAMES), code, model.cells.cap, model.cells.members)
    industries = known.categories["industry"]
    returns = simple_returns(panel["adj_close"])
    with np.errstate(divide="ignore"):
        precision = np.where(cells.members & (cells.cap > 0), 1.0 / known["specific_vol"].astype(np.float64) ** 2, 0.0)
    plain = RegressionSettings()
    best = cross_sections(returns, cells, industries, NAMES, plain, np.nan_to_num(precision))
    expected = cross_sections(returns, cells, industries, NAMES, plain)
    weighted = inverse_variance(model, returns)
    columns = {
        "best": {name: allowed(best, name, true) for name in best.factors},
        "expected": {name: allowed(expected, name, true) for name in expected.factors},
        "sqrt_cap": {name: found(model.regressions, name, true) for name in model.factors},
        "inverse_variance": {name: found(weighted, name, true) for name in model.factors},
    }
    own = {name: same(model, known, k) for k, name in enumerate(NAMES)}
    rows: list[dict[str, Any]] = [
        {"factor": name, "exposures": own.get(name, ""), **{key: column[name] for key, column in columns.items()}}
        for name in (*NAMES, "country")
    ]
    for word, pick in (("industries, least", np.min), ("industries, median", np.median)):
        of = {key: float(pick([column[name] for name in industries])) for key, column in columns.items()}
        rows.append({"factor": word, "exposures": "", **of})
    return rows


def inverse_variance(model: FactorRisk, returns: Doubles) -> CrossSections:
    """Return the regressions of the model's own exposures with weights of the inverse variance that it foresaw."""
    P = model.regressions.industries
    return cross_sections(
        returns,
        model.cells,
        model.factors[1 : 1 + P],
        model.factors[1 + P :],
        RegressionSettings(weights="inverse_variance"),
        weights_of(model.cells, model.specific.volatility.astype(np.float64) ** 2),
    )


def found(sections: CrossSections, name: str, true: pl.DataFrame) -> float:
    """Return the correlation of a factor's returns with the true ones."""
    values = sections.returns[WARM:, sections.factors.index(name)]
    return float(np.corrcoef(values, true[name].to_numpy()[WARM:])[0, 1])


def allowed(sections: CrossSections, name: str, true: pl.DataFrame) -> float:
    """Return the correlation of true returns with themselves and independent errors of the size of standard errors."""
    variance = true[name].to_numpy()[WARM:].var()
    error = np.nanmean(sections.errors[WARM:, sections.factors.index(name)] ** 2)
    return float(np.sqrt(variance / (variance + error)))


def same(model: FactorRisk, known: Panel, k: int) -> float:
    """Return the mean correlation, every 21 days, of the model's exposures to a style with the true ones."""
    values = []
    for t in range(WARM, known.dates.size, 21):
        members = model.cells.members[t]
        values.append(np.corrcoef(model.cells.styles[t, members, k], known[NAMES[k]][t, members])[0, 1])
    return float(np.mean(values))


def tested(model: FactorRisk, panel: Panel) -> pl.DataFrame:
    """Return bias statistics over a day by kind of portfolio, and of the portfolio of least variance by itself."""
    rows = np.flatnonzero(model.ready)
    result = bias_test(
        model,
        simple_returns(panel["adj_close"]),
        model.cells.cap,
        BiasSettings(horizons=(1,)),
        rows=rows[rows >= WARM],
        styles=NAMES,
        pure=model.pure,
    )
    bias = pl.col("bias")
    least = result.table.filter(pl.col("portfolio") == "least variance").select(
        pl.lit("least variance").alias("kind"), bias, bias.alias("least"), bias.alias("most")
    )
    return pl.concat([result.summary().select("kind", "bias", "least", "most"), least])
