"""Risk model on simulated markets whose factor returns and risk are known: what it finds of them.

Two markets: one as volatile as China's, where the smaller factors are lost in the noise of single stocks, and a quiet
one, where they are not. On each the regression is given the true exposures, which tells what any estimator could reach,
and the model makes its own from prices and statements. Forecasts of the model are tested on portfolios.
"""

import argparse
import tempfile
from pathlib import Path

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
from alphaloom.risk.models.cne5 import NAMES
from alphaloom.risk.regression import Cells, RegressionSettings, cross_sections, simple_returns
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
    correlations: dict[str, dict[str, float]] = {}
    risk: dict[str, pl.DataFrame] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in (("market", {}), ("quiet", {"specific_vol": args.quiet_vol})):
            made = SimulatedMarket(stocks=args.stocks, years=args.years, seed=args.seed, **settings)
            store = simulate(made, Path(folder) / name)
            truth = Truth.of(store.path)
            correlations[f"{name}, true exposures"] = against_truth(truth, with_true_exposures(store, truth))
            model, panel = fit(store)
            correlations[f"{name}, own exposures"] = against_truth(
                truth, dict(zip(model.factors, model.regressions.returns.T, strict=True))
            )
            risk[name] = tested(model, panel)
    factors = [*NAMES, *(f for f in next(iter(correlations.values())) if f not in NAMES)]
    rows = [{"factor": factor, **{key: found[factor] for key, found in correlations.items()}} for factor in factors]
    industries = [row for row in rows if row["factor"] not in {*NAMES, "country"}]
    rows = [row for row in rows if row["factor"] in {*NAMES, "country"}]
    for word, pick in (("industries, least", np.min), ("industries, median", np.median)):
        rows.append({"factor": word, **{key: float(pick([row[key] for row in industries])) for key in correlations}})
    what = (
        f"{args.stocks:,} stocks, {args.years} years, seed {args.seed}; correlations of daily factor returns from row "
    )
    what += (
        f"{WARM} on. Specific volatility of the median stock a day: 1.7 %, {args.quiet_vol:.1%} in the quiet market."
    )
    notes = [what]
    for name, table in risk.items():
        words = ", ".join(
            f"{kind} {bias:.3f} ({least:.3f} to {most:.3f})"
            for kind, bias, least, most in table.select("kind", "bias", "least", "most").iter_rows()
        )
        notes.append(f"Bias statistics over a day, {name}: mean and range over portfolios: {words}.")
    facts = {"bias": {name: table.to_dicts() for name, table in risk.items()}}
    save("risk_truth", "Risk model against the truth of simulated markets", rows, facts, notes)
    return 0


def with_true_exposures(store: Store, truth: Truth) -> dict[str, np.ndarray]:
    """Return the regression's factor returns when the true exposures are known."""
    panel = load_panel(store, ["adj_close", "is_listed", "log_cap", "listed_days"])
    frame = truth.exposures().select("date", "symbol", *NAMES, "industry").collect()
    known = Panel.from_frame(frame, dates=panel.dates, symbols=panel.symbols)
    listed = panel["is_listed"] == 1
    code = np.where(listed & np.isfinite(known["industry"]), np.nan_to_num(known["industry"]), -1).astype(np.int64)
    cap = np.where(listed, np.exp(panel["log_cap"].astype(np.float64)), np.nan)
    cells = Cells(known.stack(NAMES), code, cap, listed & (panel["listed_days"] >= 60))
    found = cross_sections(
        simple_returns(panel["adj_close"]), cells, known.categories["industry"], NAMES, RegressionSettings()
    )
    return dict(zip(found.factors, found.returns.T, strict=True))


def fit(store: Store):
    """Return the model with exposures of its own, and the market."""
    estimator = risk_models.parse({"name": "cne5", "styles": STYLES, "preset": "next_day"})
    there = set(available_fields(store))
    panel = load_panel(store, [*estimator.required, *(name for name in estimator.wanted if name in there)])
    return estimator.fit(panel), panel


def against_truth(truth: Truth, found: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the correlation of each factor's returns with the true ones."""
    true = truth.factor_returns()
    return {
        name: float(np.corrcoef(values[WARM:], true[name].to_numpy()[WARM:])[0, 1]) for name, values in found.items()
    }


def tested(model, panel: Panel) -> pl.DataFrame:
    """Return bias statistics by kind of portfolio, over a day."""
    rows = np.flatnonzero(model.ready)
    found = bias_test(
        model,
        simple_returns(panel["adj_close"]),
        model.cells.cap,
        BiasSettings(horizons=(1,)),
        rows=rows[rows >= WARM],
        styles=NAMES,
        pure=model.pure,
    )
    return found.summary()
