"""What the losses that weigh winners earn over squared error on a simulated market with skewed payoffs.

    python -m benchmarks skewed_payoffs        three seeds of a strong and of a usual alpha
    python -m benchmarks skewed_payoffs 1      one seed of each

In the market `skewed` one feature tells winners, liquid ones more, and another tells losers, who lose more than
winners gain. A linear network has to choose between the two; each loss is fitted by the main path on the same samples,
windows and seeds. Compared is the return of the fifth with the highest scores over the next five days, in basis points,
less that of squared error on the same date: as realised from the next VWAP on, and as expected by the truth, each with
all stocks alike and weighted by traded value.

The weights follow realised returns, which tell of expected ones only as far as the alpha is strong. With features that
grow with volatility they tell of volatility instead, which is why this market's features do not.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from alphaloom.data.simulate import SimulatedMarket, simulate
from alphaloom.evaluation.inference import mean_test
from alphaloom.pipeline import run
from alphaloom.recipe import Recipe
from benchmarks.planted import BASE, known_return
from benchmarks.record import save

LOSSES: dict[str, object] = {
    "mse": "mse",
    "ic": "ic",
    "weighted_pearson": "weighted_pearson",
    "weighted_pearson_steep": {"name": "weighted_pearson", "decay": 0.1},
    "liquidity_pearson": "liquidity_pearson",
    "liquidity_product": {"name": "liquidity_pearson", "form": "product"},
    "long_weighted_mse": "long_weighted_mse",
    "exponential_mse": "exponential_mse",
    "sigmoid_mse": {"name": "sigmoid_mse", "version": 1},
}
FEATURES = {
    "DRIFT": "(close / delay(close, 5) - 1) / ts_sum(abs(returns), 5)",
    "AGREEMENT": "ts_corr(close, volume ** 0.125, 10)",
}
STEPS = {"lr": 3e-3, "epochs": 20, "patience": 6, "days_per_step": 4}


def scored(seed: int, ic: float) -> pl.DataFrame:
    """Return the scores of every loss beside realised and expected returns and the day's traded value."""
    recipe = Recipe.parse(
        {
            **BASE,
            "name": "skewed",
            "seed": seed,
            "features": [{"name": "expressions", "define": FEATURES}],
            "label_transforms": ["zscore"],
            "schedule": "every 2",
            "windows": {"train_months": 24, "test_months": 12, "valid_share": 0.2},
            "horizons": {"periods": [3], "price": "vwap"},
            "models": [{"name": "linear", "loss": loss, "optimisation": STEPS} for loss in LOSSES.values()],
        }
    )
    market = SimulatedMarket(stocks=500, years=6, seed=seed, alpha="skewed", alpha_ic=ic)
    with tempfile.TemporaryDirectory() as folder:
        store = simulate(market, Path(folder) / "store")
        out = run(recipe, store, Path(folder) / "run", threads=1)
        frame = pl.read_parquet(out.folder / "scores.parquet").drop_nulls("label")
        frame = frame.rename({f"score_{a}": b for a, b in zip(recipe.model_names(), LOSSES, strict=True)})
        amount = store.read("bars").select("date", "symbol", "amount")
        return frame.join(known_return(store.path, market), on=["date", "symbol"], how="left").join(
            amount, on=["date", "symbol"], how="left"
        )


def top_fifth(frame: pl.DataFrame, loss: str) -> pl.DataFrame:
    """Return by date what the fifth with the highest scores earns: realised and expected, equal and by value."""
    rank = pl.col(loss).rank("ordinal", descending=True).over("date")
    best = frame.filter(rank <= pl.len().over("date") / 5)
    value = pl.col("amount").fill_null(0.0)
    return (
        best.group_by("date")
        .agg(
            realised=pl.col("label").mean(),
            realised_by_value=(pl.col("label") * value).sum() / value.sum(),
            expected=pl.col("truth").mean(),
            expected_by_value=(pl.col("truth") * value).sum() / value.sum(),
        )
        .sort("date")
    )


def compared(seeds: int, ic: float) -> list[dict[str, object]]:
    """Return one row a loss for alphas of RankIC `ic`.

    Each holds the mean difference from squared error in basis points and its t, over the dates of all seeds.
    """
    measures = ("realised", "realised_by_value", "expected", "expected_by_value")
    differences: dict[str, dict[str, list[np.ndarray]]] = {loss: {m: [] for m in measures} for loss in LOSSES}
    for seed in range(seeds):
        frame = scored(seed, ic)
        plain = top_fifth(frame, "mse")
        for loss in LOSSES:
            own = top_fifth(frame, loss)
            for m in measures:
                base = plain[m].to_numpy() if loss != "mse" else 0.0
                differences[loss][m].append(1e4 * (own[m].to_numpy() - base))
    rows = []
    for loss, by_measure in differences.items():
        row: dict[str, object] = {"alpha_ic": ic, "loss": loss}
        for m, parts in by_measure.items():
            test = mean_test(np.concatenate(parts), steps=3)
            row |= {m: test.mean, f"{m}_t": test.t_newey_west}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def main(arguments: list[str]) -> int:
    """Run the comparison and write the table."""
    seeds = int(arguments[0]) if arguments else 3
    rows = [row for ic in (0.3, 0.1) for row in compared(seeds, ic)]
    notes = [
        f"{seeds} markets of 500 stocks and 6 years for each strength, tested every second day; t is Newey-West.",
        "Rows of `mse` hold its own returns; the others hold differences from it on the same dates and stocks.",
        "`by_value`: weighted by the traded value of the day of the decision.",
    ]
    save("skewed_payoffs", "Losses on skewed payoffs, top fifth, bps in five days", rows, {}, notes)
    return 0
