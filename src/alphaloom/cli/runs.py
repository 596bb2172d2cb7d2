"""Commands on results: show, report, evaluate, optimise, backtest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from alphaloom.cli.display import print_json, print_pairs, print_run, print_table

StoreArg = Annotated[Path, typer.Argument(help="Store of market data.", metavar="STORE")]
RunArg = Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")]
SetOpt = Annotated[list[str] | None, typer.Option("--set", help="Override a setting: a.b=c. May be repeated.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]


def show(run: RunArg, json: JsonOpt = False) -> None:
    """Print what a run found: verdict, signals, windows, portfolios."""
    from alphaloom.report.runs import RunFolder

    metrics = RunFolder.existing(run).read_json("metrics.json")
    if json:
        print_json(metrics)
    else:
        print_run(metrics)


def report(run: RunArg, store: StoreArg) -> None:
    """Make a run's report again from its stored models and scores, without training."""
    import yaml

    from alphaloom.data.store import Store
    from alphaloom.pipeline import run as run_recipe
    from alphaloom.recipe import Recipe
    from alphaloom.report.runs import RunFolder

    recipe = Recipe.parse(yaml.safe_load(RunFolder.existing(run).read_text("recipe.yaml")), where="recipe.yaml")
    done = run_recipe(recipe, Store(store), run, threads=1, train=False)
    typer.echo(str(done.folder / "report.html"))


def evaluate(
    scores: Annotated[Path, typer.Argument(help="Scores made anywhere: date, symbol, score.", metavar="SCORES")],
    store: StoreArg,
    out: Annotated[Path, typer.Option("--out", help="Folder for metrics, IC, quantiles and the report.")],
    horizons: Annotated[str, typer.Option("--horizons", help="Trading days ahead, comma-separated.")] = "1,5,10",
    price: Annotated[str, typer.Option("--price", help="Price of entry and exit: open, close or vwap.")] = "open",
    lag: Annotated[int, typer.Option("--lag", help="Trading days from score to entry.", min=0)] = 1,
    styles: Annotated[
        str | None, typer.Option("--styles", help="Styles to take out of the scores, comma-separated: size,beta.")
    ] = None,
    set_: SetOpt = None,
    json: JsonOpt = False,
) -> None:
    """Evaluate scores made anywhere."""
    from alphaloom.data.store import Store
    from alphaloom.outside import evaluate_scores

    metrics = evaluate_scores(
        scores,
        Store(store),
        out,
        horizons=horizons,
        price=price,
        lag=lag,
        styles=[name.strip() for name in styles.split(",")] if styles else [],
        overrides=set_ or [],
    )
    if json:
        print_json(metrics)
    else:
        typer.echo(metrics["verdict"]["words"])
        typer.echo(f"report: {out / 'report.html'}")


def optimise(
    scores: Annotated[
        Path, typer.Argument(help="Scores: date, symbol, score (or datetime, instrument).", metavar="SCORES")
    ],
    store: StoreArg,
    out: Annotated[Path, typer.Option("--out", help="Weights file (.parquet or .csv); notes lie beside it.")],
    set_: SetOpt = None,
    json: JsonOpt = False,
) -> None:
    """Turn scores into target weights, with a table of notes on every decision.

    Settings: portfolio (a construction: linear_programme, optimise, ...), risk.styles, risk.benchmark,
    risk.unknown_weights, universe, capital. The notes tell the solver, the certified gap, what gave way and what binds.
    """
    from alphaloom.data.store import Store
    from alphaloom.outside import optimise_scores

    facts = optimise_scores(scores, Store(store), out, overrides=set_ or [])
    if json:
        print_json(facts)
    else:
        print_pairs(facts)


def backtest(
    weights: Annotated[
        Path, typer.Argument(help="Target weights: date, symbol, weight (or datetime, instrument).", metavar="WEIGHTS")
    ],
    store: StoreArg,
    out: Annotated[Path, typer.Option("--out", help="Folder for metrics, values, orders, fills and the report.")],
    benchmark: Annotated[str | None, typer.Option("--benchmark", help="Index to compare with.")] = None,
    portfolio: Annotated[
        str | None, typer.Option("--portfolio", help="Which one, of a file with a column portfolio.")
    ] = None,
    set_: SetOpt = None,
    json: JsonOpt = False,
) -> None:
    """Replay target weights under the market's rules, order by order.

    The settings of --set are those of a recipe's backtest: capital, price, lag, participation, carry_days, impact, ...
    """
    from alphaloom.data.store import Store
    from alphaloom.outside import backtest_weights

    done = backtest_weights(weights, Store(store), out, benchmark=benchmark, portfolio=portfolio, overrides=set_ or [])
    if json:
        print_json(done)
        return
    _print_backtest(done)
    typer.echo(f"report: {out / 'report.html'}")


def _print_backtest(done: Mapping[str, Any]) -> None:
    import polars as pl

    yearly = pl.DataFrame(done["yearly"], infer_schema_length=None)
    print_table(yearly.select(pl.col(name) for name in YEARLY_FIGURES if yearly[name].is_not_null().any()), "by year")
    if done["unfilled"]:
        print_table(pl.DataFrame(done["unfilled"]), "unfilled, and why")
    print_pairs({name: done["metrics"][name] for name in WHOLE_FIGURES if done["metrics"].get(name) is not None})


YEARLY_FIGURES = (
    "year", "ret", "benchmark", "excess", "universe", "volatility", "sharpe", "max_drawdown", "information_ratio",
    "turnover", "cost",
)  # fmt: skip
WHOLE_FIGURES = (
    "annual_return", "excess_annual_return", "universe_excess_annual_return", "volatility", "sharpe",
    "information_ratio", "max_drawdown", "turnover_annual", "cost_annual", "cash_weight_mean", "decisions", "orders",
    "fills", "unfilled_orders", "delisted",
)  # fmt: skip

COMMANDS = (show, report, evaluate, optimise, backtest)
