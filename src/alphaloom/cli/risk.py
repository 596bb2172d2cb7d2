"""`alphaloom risk ...`: fit a risk model, report it, attribute portfolios, neutralise scores."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from alphaloom.cli.display import Progress, print_json, print_pairs, print_table

app = typer.Typer(
    help="Factor risk models: fit, report, attribution, neutral scores.", no_args_is_help=True, rich_markup_mode=None
)

StoreArg = Annotated[Path, typer.Argument(help="Store of market data.", metavar="STORE")]
FolderArg = Annotated[Path, typer.Argument(help="Folder of a fitted risk model.", metavar="FOLDER")]
SetOpt = Annotated[list[str] | None, typer.Option("--set", help="Override a setting: a.b=c. May be repeated.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]


@app.command()
def fit(
    store: StoreArg,
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    styles: Annotated[
        str | None, typer.Option("--styles", help="Comma-separated; all ten CNE5 styles by default.")
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="Published half-lives and lags to start from.")] = "use4l",
    start: Annotated[str | None, typer.Option("--from", help="First day to write; earlier ones give history.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day.")] = None,
    universe: Annotated[
        list[str] | None,
        typer.Option("--universe", help="Rule of the estimation universe: a name, or {name: ..., setting: ...}."),
    ] = None,
    set_: SetOpt = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Test forecasts on portfolios.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a risk model in the folder.")] = False,
    json: JsonOpt = False,
) -> None:
    """Fit a factor risk model: exposures, factor returns, covariances and specific risk of every day, and their test.

    Settings of --set are those of `alphaloom models "risk model"`, such as covariance.volatility_half_life=42; bias.*
    are those of the test.
    """
    from alphaloom.data.store import Store
    from alphaloom.risk.bias import BiasSettings
    from alphaloom.risk.estimator import risk_models
    from alphaloom.risk_fit import fit_risk

    data: dict[str, Any] = {"name": "cne5", "preset": preset}
    if styles is not None:
        data["styles"] = [name.strip() for name in styles.split(",")]
    if universe is not None:
        data["universe"] = _parsed(universe, "--universe")
    data, tested = _overridden(data, set_ or [])
    settings: Any = risk_models.parse(data, where="risk")
    progress = Progress(quiet=json)
    with progress.running():
        facts = fit_risk(
            Store(store),
            out,
            settings,
            bias=BiasSettings.parse(tested, where="bias") if test else None,
            start=start,
            end=end,
            overwrite=overwrite,
            progress=progress,
        )
    if json:
        print_json(facts)
    else:
        _print(facts)


@app.command()
def report(
    folder: FolderArg,
    out: Annotated[Path | None, typer.Option("--out", help="Page to write; report.html in FOLDER by default.")] = None,
) -> None:
    """Write the page of a risk model: factor returns, volatilities, bias statistics, coverage."""
    from alphaloom.risk_fit import report_risk

    typer.echo(str(report_risk(folder, out)))


@app.command()
def attribute(
    weights: Annotated[Path, typer.Argument(help="Target weights: date, symbol, weight.", metavar="WEIGHTS")],
    folder: FolderArg,
    store: StoreArg,
    out: Annotated[Path, typer.Option("--out", help="Folder for tables and the report.")],
    benchmark: Annotated[str | None, typer.Option("--benchmark", help="Index; active weights are attributed.")] = None,
    unknown: Annotated[
        Literal["refuse", "float_cap", "log_cap", "equal"],
        typer.Option("--unknown-weights", help="Stand-in for index weights that the store does not know."),
    ] = "refuse",
    json: JsonOpt = False,
) -> None:
    """Attribute a portfolio's return and risk to country, industries, styles and the stocks themselves."""
    from alphaloom.data.store import Store
    from alphaloom.risk_fit import attribute_weights

    facts = attribute_weights(weights, folder, Store(store), out, benchmark=benchmark, unknown=unknown)
    if json:
        print_json(facts)
        return
    by_kind, shares = facts.pop("by_kind"), facts.pop("risk_share")
    print_pairs(facts)
    print_pairs(by_kind, "contribution to return")
    print_pairs(shares, "share of variance")


@app.command()
def neutralise(
    scores: Annotated[Path, typer.Argument(help="Scores: date, symbol, score.", metavar="SCORES")],
    folder: FolderArg,
    out: Annotated[Path, typer.Option("--out", help="Scores file (.parquet or .csv).")],
    json: JsonOpt = False,
) -> None:
    """Take out of scores, made anywhere, what country, industries and styles explain of them."""
    from alphaloom.risk_fit import neutral_scores

    facts = neutral_scores(scores, folder, out)
    if json:
        print_json(facts)
    else:
        print_pairs(facts)


def _parsed(texts: list[str], option: str) -> list[Any]:
    import yaml

    from alphaloom.errors import UsageError

    try:
        return [yaml.safe_load(text) for text in texts]
    except yaml.YAMLError:
        raise UsageError(f"{option} {texts}: give a name, or settings as {{name: listed, days: 60}}.") from None


def _overridden(data: dict[str, Any], texts: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the model's and the test's settings after the overrides; those of the test begin with `bias.`."""
    from alphaloom.recipe import override

    tested: dict[str, Any] = {}
    for text in texts:
        if text.startswith("bias."):
            tested = override(tested, text.removeprefix("bias."))
        else:
            data = override(data, text)
    return data, tested


def _print(facts: dict[str, Any]) -> None:
    import polars as pl

    factors = pl.DataFrame(facts["factors"])
    columns = ("factor", "return", "volatility", "abs_t", "significant", "vif", "stability", "forecast")
    print_table(factors.filter(pl.col("kind") != "industry").select(columns), "country and styles, a year", digits=3)
    if facts["bias"]:
        table = pl.DataFrame(facts["bias"])
        summary = table.group_by("horizon", "kind", maintain_order=True).agg(
            pl.len().alias("portfolios"), pl.col("bias").mean(), pl.col("mrad").mean(), pl.col("q").mean()
        )
        print_table(summary, "bias statistics")
    for row in facts["left_out"]:
        typer.echo(f"left out of {row['style']}: {row['descriptor']} (weight {row['weight']}), {row['why']}")
    print_pairs({key: facts[key] for key in ("from", "to", "r2", "folder")})
