"""Planted alphas and markets without any: do the models find what is there, and nothing else?

    python -m benchmarks planted                   every alpha, every model meant for it, against the ceiling
    python -m benchmarks planted leaders linear    some of them
    python -m benchmarks planted null 20           the market without alpha, 20 seeds
    python -m benchmarks planted null-networks     the market without alpha, every network once

Each market is simulated, each model is fitted on rolling windows by the main path, and out-of-sample RankIC is compared
with that of the true expected returns on the same dates and stocks.
"""

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from alphaloom.data.simulate import SimulatedMarket, Truth, simulate
from alphaloom.evaluation.ic import ic_series
from alphaloom.evaluation.inference import mean_test
from alphaloom.features.base import FeatureFamily, features
from alphaloom.panel import Panel
from alphaloom.pipeline import run
from alphaloom.recipe import Recipe
from benchmarks.record import save

INDUSTRIES = 8
"""Of the markets on which models look for other stocks by their industry."""


@features.register("one_day")
class OneDay(FeatureFamily):
    """One day's bar and its volume against yesterday's: what a sequence model must combine over days by itself."""

    inputs: ClassVar[tuple[str, ...]] = ("adj_open", "adj_high", "adj_low", "adj_close", "adj_volume")

    @property
    def lookback(self) -> int:
        """Yesterday's close and volume."""
        return 1

    def columns(self) -> list[str]:
        """Six columns."""
        return ["KMID", "KLEN", "KSFT", "RETURN", "DVOL", "FLOW"]

    def compute(self, panel: Panel) -> np.ndarray:
        """Return body, range, place of the close, return, log volume change, and body times that change."""
        o, h, low, c, v = (panel[name].astype(np.float64) for name in self.inputs)
        out = np.full((*panel.shape, 6), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            out[:, :, 0], out[:, :, 1], out[:, :, 2] = (c - o) / o, (h - low) / o, (2 * c - h - low) / o
            out[1:, :, 3], out[1:, :, 4] = c[1:] / c[:-1] - 1, np.clip(np.log(v[1:] / v[:-1]), -2, 2)
            out[:, :, 5] = out[:, :, 0] * out[:, :, 4]
        out[~np.isfinite(out)] = np.nan
        return out.astype(np.float32)


@features.register("who")
class Who(FeatureFamily):
    """Industry as dummies and the rank of traded value within it: what attention needs to find the leaders."""

    inputs: ClassVar[tuple[str, ...]] = ("industry", "amount", "is_listed")

    @property
    def lookback(self) -> int:
        """Twenty days of traded value."""
        return 19

    @property
    def is_local(self) -> bool:
        """Value is ranked among the stocks of the day."""
        return False

    def columns(self) -> list[str]:
        """The dummies and the rank."""
        return [*(f"INDUSTRY{k}" for k in range(INDUSTRIES)), "TRADED"]

    def compute(self, panel: Panel) -> np.ndarray:
        """Return the dummies, and the rank within the industry from -1 to 1."""
        listed = panel["is_listed"] > 0
        dummies = np.where(listed[..., None], panel["industry"][..., None] == np.arange(INDUSTRIES), np.nan)
        totals = np.cumsum(np.nan_to_num(panel["amount"].astype(np.float64)), axis=0)
        value = totals.copy()
        value[20:] -= totals[:-20]
        rank = np.full(panel.shape, np.nan)
        for code in range(INDUSTRIES):
            own = np.where(dummies[..., code] == 1, value, np.inf)
            place, count = np.argsort(np.argsort(own, axis=1), axis=1), np.isfinite(own).sum(axis=1, keepdims=True)
            rank = np.where(np.isfinite(own), 2 * (place + 0.5) / np.maximum(count, 1) - 1, rank)
        return np.concatenate([dummies, rank[..., None]], axis=2).astype(np.float32)


NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0}
BASE = {
    "universe": [{"name": "listed", "days": 60}, "not_suspended", "not_locked"],
    "features": ["alpha158"],
    "transforms": [{"name": "mad_clip"}, {"name": "zscore", "clip": 5}, {"name": "fill"}],
    "label": {"name": "forward_return", "horizon": 5, "price": "vwap"},
    "label_transforms": ["rank_gauss"],
    "horizons": {"periods": [5], "price": "vwap"},
    "evaluation": {"resamples": 200},
}
TREES = [
    {"name": "ridge", "penalty": 1.0},
    {"name": "lightgbm", "select_on": "rank_ic", "early_stopping_rounds": 20},
    {"name": "xgboost", "select_on": "rank_ic", "early_stopping_rounds": 20},
]


def scored(recipe: Recipe, market: SimulatedMarket, threads: int) -> pl.DataFrame:
    """Return scores of every model beside the label and the true expected return."""
    with tempfile.TemporaryDirectory() as folder:
        store = simulate(market, Path(folder) / "store")
        out = run(recipe, store, Path(folder) / "run", threads=threads)
        scores = pl.read_parquet(out.folder / "scores.parquet")
        names = recipe.model_names()
        if len(names) == 1:
            scores = scores.with_columns(pl.col("score").alias(f"score_{names[0]}"))
        return scores.join(known_return(store.path, market), on=["date", "symbol"], how="left").drop_nulls("label")


def known_return(store: Path, market: SimulatedMarket) -> pl.DataFrame:
    """Return `date, symbol, truth`: what bars up to each close say of the return from the next VWAP on, five days long.

    Signals that pay over five days are known at once for what is still to come of them (`alpha_5`). The sequential
    signal reads bars seven and more days old: its values of the next five days are fixed already, so the alphas of the
    days held count in full, half of the first and the last (bought and sold at VWAP).
    """
    alpha = Truth.of(store).alpha().sort("symbol", "date")
    if market.alpha == "sequential":
        weights = [0.5, 1.0, 1.0, 1.0, 1.0, 0.5]
        ahead = [w * pl.col("alpha").shift(-k).over("symbol") for k, w in enumerate(weights)]
        alpha = alpha.with_columns(pl.sum_horizontal(ahead).alias("truth"))
    else:
        alpha = alpha.with_columns(pl.col("alpha_5").alias("truth"))
    return alpha.select("date", "symbol", "truth").collect()


def rank_ic_of(frame: pl.DataFrame, column: str) -> np.ndarray:
    """Return the RankIC of a column with the label, one value a date."""
    dates, symbols = frame["date"].unique().sort(), frame["symbol"].unique().sort()
    t = np.searchsorted(dates.to_numpy(), frame["date"].to_numpy())
    n = np.searchsorted(symbols.to_numpy().astype(str), frame["symbol"].to_numpy().astype(str))
    grids = []
    for name in (column, "label"):
        grid = np.full((dates.len(), symbols.len()), np.nan)
        grid[t, n] = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        grids.append(grid)
    return ic_series(*grids).rank_ic


def networks(names: list[str], **settings: object) -> list[dict[str, object]]:
    """Return settings of several networks, trained alike."""
    steps = {"lr": 1e-3, "epochs": 15, "patience": 5, "days_per_step": 2}
    return [{"name": name, "optimisation": steps, **settings} for name in names]


@dataclass(frozen=True)
class Planted:
    """How one alpha is looked for: with which features and models, on which market, and in which windows."""

    features: list[object]
    models: list[dict[str, object]]
    """Those meant for the alpha, and some that should see less of it."""
    market: dict[str, object] = field(default_factory=dict)
    recipe: dict[str, object] = field(default_factory=dict)
    steps: int = 3
    """Decisions within a label: how far neighbouring dates' returns overlap."""


SEQUENCE = {"steps": 16, "dropout": 0.0}
ALPHAS: dict[str, Planted] = {
    "linear": Planted(["alpha158"], [*TREES, *networks(["linear", "mlp", "gru"]), {"name": "factorvae", "steps": 5}]),
    "sequential": Planted(
        ["one_day"],
        [
            *TREES,
            *networks(["rnn", "lstm", "gru", "alstm"], hidden=32, **SEQUENCE),
            *networks(["transformer"], d_model=32, ff=64, **SEQUENCE),
        ],
    ),
    # What other stocks did shows as one number an industry and day: few independent bets, so many days of few
    # industries and a strong alpha.
    "leaders": Planted(
        ["one_day", "who"],
        [
            TREES[1],
            *networks(["gru"], steps=3, dropout=0.0),
            *networks(["master"], d_model=32, steps=3, dropout=0.0, attention_dropout=0.0, loss="ic"),
        ],
        market={"stocks": 200, "years": 9, "industries": INDUSTRIES, "alpha_ic": 0.4},
        recipe={
            "transforms": ["zscore", "fill"],
            "schedule": "daily",
            "windows": {"train_months": 84, "test_months": 24, "valid_share": 0.1},
            "horizons": {"periods": [5], "price": "vwap"},
        },
        steps=5,
    ),
    "operators": Planted(
        [{"name": "alphanet", "free_turnover": "turnover"}],
        [
            TREES[0],
            *networks(["alphanet_v1", "alphanet_v2", "alphanet_v3"]),
            *networks(["alphanet_v4"], hidden=8, layers=1, steps=10),
        ],
        recipe={"transforms": []},  # AlphaNet normalises its own inputs
    ),
}


def planted(alphas: list[str], threads: int = 2) -> list[dict[str, object]]:
    """Return one row a market and model: RankIC, its error, the ceiling, and how many errors lie between."""
    rows = []
    for alpha in alphas:
        plan = ALPHAS[alpha]
        recipe = Recipe.parse(
            {
                **BASE,
                "schedule": "every 2",
                "windows": {"train_months": 36, "test_months": 12, "valid_share": 0.15},
                "horizons": {"periods": [3], "price": "vwap"},
                **plan.recipe,
                "name": f"planted-{alpha}",
                "features": plan.features,
                "models": plan.models,
            }
        )
        settings = {"stocks": 300, "years": 5, "seed": 5, "alpha": alpha, "alpha_ic": 0.1}
        frame = scored(recipe, SimulatedMarket.parse(settings | plan.market), threads)
        ceiling = rank_ic_of(frame, "truth")
        for name in recipe.model_names():
            found = rank_ic_of(frame, f"score_{name}")
            test, gap = mean_test(found, steps=plan.steps), mean_test(ceiling - found, steps=plan.steps)
            rows.append(
                {
                    "alpha": alpha,
                    "model": name,
                    "dates": test.n,
                    "rank_ic": test.mean,
                    "se": test.se,
                    "t_newey_west": test.t_newey_west,
                    "ceiling": float(np.nanmean(ceiling)),
                    "gap": gap.mean,
                    "gap_in_errors": gap.mean / test.se,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def null(seeds: int, threads: int = 2) -> list[dict[str, object]]:
    """Return one row a seed: RankIC and its Newey-West t in a market without alpha, for ridge and LightGBM together."""
    rows = []
    for seed in range(seeds):
        recipe = Recipe.parse(
            {
                **BASE,
                "name": "null",
                "seed": seed,
                "models": TREES[:2],
                "windows": {"train_months": 18, "test_months": 6},
                "horizons": {"periods": [1], "price": "vwap"},
            }
        )
        frame = scored(recipe, SimulatedMarket(stocks=300, years=4, seed=seed, alpha="none"), threads)
        row: dict[str, object] = {"seed": seed}
        for column in ("score", "score_ridge", "score_lightgbm"):
            test = mean_test(rank_ic_of(frame, column))
            row |= {f"{column}_rank_ic": test.mean, f"{column}_t": test.t_newey_west}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def null_networks(threads: int = 2) -> list[dict[str, object]]:
    """Return one row a network: RankIC and its Newey-West t in a market without alpha."""
    rows = []
    for alpha, plan in ALPHAS.items():
        recipe = Recipe.parse(
            {
                **BASE,
                **{name: plan.recipe[name] for name in ("transforms",) if name in plan.recipe},
                "name": f"null-{alpha}",
                "features": plan.features,
                "models": [model for model in plan.models if model not in TREES],
                "windows": {"train_months": 24, "test_months": 12},
                "horizons": {"periods": [1], "price": "vwap"},
            }
        )
        market = SimulatedMarket(stocks=300, years=5, seed=7, alpha="none", industries=INDUSTRIES)
        frame = scored(recipe, market, threads)
        for name in recipe.model_names():
            test = mean_test(rank_ic_of(frame, f"score_{name}"))
            rows.append({"model": name, "dates": test.n, "rank_ic": test.mean, "t_newey_west": test.t_newey_west})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main(arguments: list[str]) -> int:
    """Run what the command line asks for and write the table."""
    if arguments[:1] == ["null"]:
        rows = null(int(arguments[1]) if len(arguments) > 1 else 20)
        small = sum(abs(float(str(row["score_t"]))) < 2 for row in rows)
        save(
            "planted_null",
            "Markets without alpha",
            rows,
            {},
            [f"|t| (Newey-West) of the combined score's RankIC is below 2 in {small} of {len(rows)} seeds."],
        )
        return 0
    if arguments[:1] == ["null-networks"]:
        rows = null_networks()
        large = max(abs(float(str(row["t_newey_west"]))) for row in rows)
        notes = [
            f"The largest |t| (Newey-West) of {len(rows)} networks is {large:.1f}; weekly, non-overlapping labels."
        ]
        save("planted_null_networks", "Networks on a market without alpha", rows, {}, notes)
        return 0
    notes = [
        "`ceiling` is the RankIC of the true expected return, as far as bars up to t fix it, same dates and stocks.",
        "`se` and t are Newey-West; `gap_in_errors` is (ceiling - RankIC) in units of `se`.",
    ]
    save("planted", "Planted alphas, out of sample", planted(arguments or list(ALPHAS)), {}, notes)
    return 0
