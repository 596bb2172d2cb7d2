"""`alphaloom features ...`: list, describe, compute, check, profile, and compare treatments of missing values."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alphaloom.cli.display import print_json, print_pairs, print_table
from alphaloom.cli.feature_compute import compute
from alphaloom.cli.feature_study import FamilyArg, check, missing, one_family, profile

if TYPE_CHECKING:
    from alphaloom.feature_study.facts import FeatureFacts
    from alphaloom.features.base import FeatureFamily

app = typer.Typer(
    help="List, describe, compute, check and profile feature families.", no_args_is_help=True, rich_markup_mode=None
)

JsonOpt = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="Family whose features to list.", metavar="[NAME]")] = None,
    all_: Annotated[bool, typer.Option("--all", help="List the features of every family.")] = False,
    json: JsonOpt = False,
) -> None:
    """List the families, or with NAME or --all every feature with its expression or meaning."""
    import polars as pl

    from alphaloom.feature_study.facts import family_facts, feature_facts
    from alphaloom.features.base import features

    families = [one_family(name)] if name else [features[item]() for item in features.names()]
    if not name and not all_:
        facts = [family_facts(family) for family in families]
        if json:
            print_json({"families": facts})
            return
        columns = ("family", "features", "lookback", "kind", "what")
        rows = [{key: item[key] for key in columns} for item in facts]
        print_table(pl.DataFrame(rows))
        typer.echo("describe NAME says more; list NAME lists its features.")
        return
    listed = [(family, item) for family in families for item in feature_facts(family)]
    if json:
        print_json({"features": [{"family": family.name, **_plain(item)} for family, item in listed]})
        return
    rows = [
        {
            "family": family.name,
            "feature": item.feature,
            "lookback": item.lookback,
            "meaning": item.meaning,
            "expression": item.expression,
        }
        for family, item in listed
    ]
    frame = pl.DataFrame(rows)
    print_table(frame.drop([key for key in ("meaning", "expression") if (frame[key] == "").all()]))


@app.command()
def describe(
    name: FamilyArg,
    feature: Annotated[str | None, typer.Argument(help="One feature of it.", metavar="[FEATURE]")] = None,
    store: Annotated[Path | None, typer.Option("--store", help="Say whether this store has the fields.")] = None,
    json: JsonOpt = False,
) -> None:
    """Describe a family (definition, settings, look-back, fields) or one of its features (expression, unit, source)."""
    from alphaloom.data.store import Store
    from alphaloom.feature_study.facts import family_facts, fields_in, one_feature

    family = one_family(name)
    item = one_feature(family, feature) if feature else None
    facts = _plain(item) if item else family_facts(family)
    lacking = {} if store is None else fields_in(Store(store), item.inputs if item else family.required)
    if json:
        print_json(facts | ({} if store is None else {"store": str(store), "lacking": lacking}))
        return
    if item:
        _print_feature(family, item)
    else:
        _print_family(facts)
    if store is not None:
        wrong = {field: reason for field, reason in lacking.items() if reason}
        typer.echo(f"\n{store} has all {len(lacking)} fields." if not wrong else f"\n{store} lacks fields:")
        for reason in wrong.values():
            typer.echo(f"  {reason}")


def _plain(item: "FeatureFacts") -> dict[str, Any]:
    return {**vars(item), "inputs": list(item.inputs)}


def _print_feature(family: "FeatureFamily", item: "FeatureFacts") -> None:
    typer.echo(f"{item.feature} of {family.name}{f': {item.meaning}' if item.meaning else ''}")
    kind = "this stock alone" if item.is_local else "all stocks of a date"
    facts = {
        "expression": item.expression,
        "unit": item.unit,
        "look-back": f"{item.lookback} rows",
        "reads": ", ".join(item.inputs),
        "depends on": kind,
        "source": item.source,
    }
    print_pairs({key: value for key, value in facts.items() if value})


def _print_family(facts: dict[str, Any]) -> None:
    typer.echo(f"{facts['family']}\n\n{facts['description']}\n")
    print_pairs(
        {
            "features": facts["features"],
            "look-back": f"{facts['lookback']} rows",
            "kind": facts["kind"],
            "reads": ", ".join(facts["inputs"]),
        }
    )
    if facts["settings"]:
        typer.echo("\nsettings")
    for item in facts["settings"]:
        typer.echo(f"  {item['setting']} = {item['value']}")
        typer.echo(f"      {' '.join(item['meaning'].split())}")


app.command()(compute)
app.command()(check)
app.command()(profile)
app.command()(missing)
