"""`alphaloom features check | profile | missing`: what a family's values are like on a store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alphaloom.cli.display import Progress, columns_that_fit, print_json, print_table

if TYPE_CHECKING:
    import polars as pl

    from alphaloom.features.base import FeatureFamily
    from alphaloom.labels.base import Label

FamilyArg = Annotated[
    str,
    typer.Argument(help="Feature family, or with settings: '{name: factors, groups: [value]}'.", metavar="NAME"),
]
StoreArg = Annotated[Path, typer.Argument(help="Store of market data.", metavar="STORE")]
LabelOpt = Annotated[
    str,
    typer.Option("--label", help="What IC is taken with, a label or one with settings: '{name: ..., horizon: 10}'."),
]
FromOpt = Annotated[
    str | None, typer.Option("--from", help="First day, ISO; by default the first with the whole look-back before it.")
]
ToOpt = Annotated[str | None, typer.Option("--to", help="Last day, ISO.")]
OutOpt = Annotated[Path | None, typer.Option("--out", help="HTML file to write.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]

PROFILE_COLUMNS = (
    "feature", "group", "coverage", "rank_ic", "rank_ic_t", "rank_icir", "ic", "ac_1", "ac_20", "turnover", "mean",
    "std", "ms",
)  # fmt: skip
POLICY_COLUMNS = (
    "policy", "coverage", "rank_ic", "rank_ic_change", "rank_ic_change_t", "composite", "composite_change_t", "ridge",
    "ridge_change", "ridge_change_se", "ridge_change_t",
)  # fmt: skip


def one_family(text: str) -> "FeatureFamily":
    """Return the one family that a text names.

    Raises:
        SettingError: an unknown family or setting, or several families.
    """
    from alphaloom.errors import SettingError
    from alphaloom.features.materialise import parse_families

    families = parse_families(text)
    if len(families) != 1:
        raise SettingError(f"{text!r} names {len(families)} feature families; name one.")
    return families[0]


def check(name: FamilyArg, store: StoreArg, json: JsonOpt = False) -> None:
    """Audit a family for look-ahead and look-back, and list what is odd about its values; exit 1 when it leaks."""
    from alphaloom.audit.family import check_family
    from alphaloom.data.load import load_panel
    from alphaloom.data.store import Store
    from alphaloom.feature_study.blocks import required_fields

    family = one_family(name)
    found = check_family(family, load_panel(Store(store), required_fields(family)))
    if json:
        print_json({"family": family.describe(), **found.to_dict()})
    else:
        compared = found.audit.checks[0]
        result = "does not know the future" if found.audit.passed else "KNOWS THE FUTURE"
        typer.echo(
            f"{family.name} {result}: {compared.cells:,} values recomputed on data cut, or replaced, after "
            f"{compared.cuts} dates."
        )
        for leak in found.audit.findings[:20]:
            typer.echo(f"  {leak}")
        kept = "keeps to" if not found.too_far_back else "READS BEFORE"
        typer.echo(f"It {kept} its look-back of {family.lookback} rows, tried at {found.dates_checked} dates.")
        for column in found.too_far_back[:20]:
            typer.echo(f"  {column}")
        typer.echo(f"Remarks on its values: {len(found.problems) or 'none'}.")
        for problem in found.problems:
            typer.echo(f"  {problem.feature} {problem.words} ({problem.kind})")
    if not found.passed:
        raise typer.Exit(1)


def profile(
    name: FamilyArg,
    store: StoreArg,
    label: LabelOpt = "forward_return",
    start: FromOpt = None,
    end: ToOpt = None,
    out: OutOpt = None,
    json: JsonOpt = False,
) -> None:
    """Measure every feature of a family: coverage, distribution, autocorrelation, IC, turnover, cost, like features."""
    from alphaloom.data.load import load_panel
    from alphaloom.data.store import Store
    from alphaloom.feature_study.blocks import required_fields
    from alphaloom.feature_study.profile import profile_features
    from alphaloom.report.feature_page import headline, write_feature_page

    family, target, market = one_family(name), _label(label), Store(store)
    _check_page(out)
    panel = load_panel(market, required_fields(family, target), end=end)
    progress = Progress(quiet=json)
    with progress.running():
        made = profile_features(family, panel, target, start=start, end=end, progress=progress)
    if out is not None:
        write_feature_page(made, out, footer={"data": market.fingerprint()})
    if json:
        print_json(made.to_dict() | ({"file": str(out)} if out else {}))
        return
    _print_columns(made.table, PROFILE_COLUMNS)
    for group in made.groups:
        typer.echo(f"group {group.number} (mean |correlation| {group.mean:.2f}): {', '.join(group.features)}")
    for problem in made.problems:
        typer.echo(f"{problem.feature} {problem.words} ({problem.kind})")
    typer.echo(headline(made))
    if out is not None:
        typer.echo(str(out))


def missing(
    name: FamilyArg,
    store: StoreArg,
    label: LabelOpt = "forward_return",
    limit: Annotated[int, typer.Option("--limit", help="Days over which a value is carried forward at most.")] = 20,
    start: FromOpt = None,
    end: ToOpt = None,
    out: OutOpt = None,
    json: JsonOpt = False,
) -> None:
    """Compare ways of treating missing values: coverage, RankIC and its stability, forecasts made of all features."""
    from alphaloom.data.load import load_panel
    from alphaloom.data.store import Store
    from alphaloom.feature_study.missing_policies import available, policies, required_fields
    from alphaloom.feature_study.missing_values import compare_policies, conclusion
    from alphaloom.report.missing_page import write_missing_page

    target, wanted = _label(label), policies(one_family(name), limit=limit)
    market = Store(store)
    _check_page(out)
    compared, left_out = available(wanted, market)
    panel = load_panel(market, required_fields(compared, target), end=end)
    progress = Progress(quiet=json)
    with progress.running():
        study = compare_policies(compared, panel, target, start=start, end=end, progress=progress)
    if out is not None:
        write_missing_page(study, out, footer={"data": market.fingerprint()})
    if json:
        print_json(study.to_dict() | {"left_out": left_out} | ({"file": str(out)} if out else {}))
        return
    _print_columns(study.table(), POLICY_COLUMNS)
    for policy, reason in left_out.items():
        typer.echo(f"left out {policy}: {reason}")
    for sentence in conclusion(study):
        typer.echo(sentence)
    if out is not None:
        typer.echo(str(out))


def _label(text: str) -> "Label":
    import yaml

    from alphaloom.errors import SettingError
    from alphaloom.labels.base import labels

    try:
        return labels.parse(yaml.safe_load(text))
    except yaml.YAMLError:
        raise SettingError(
            f"--label {text!r} is no label; write forward_return, or '{{name: forward_return, horizon: 10}}'."
        ) from None


def _check_page(out: Path | None) -> None:
    """Refuse a place where no page can be written, before the work.

    Raises:
        UsageError: it is a folder, lies below a file, or is not ours to write.
    """
    import os

    from alphaloom.errors import UsageError

    if out is None:
        return
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name an HTML file in it, such as {out / 'page.html'}.")
    home = next(folder for folder in out.absolute().parents if folder.exists())
    if not home.is_dir():
        raise UsageError(f"--out {out}: {home} is a file, not a folder.")
    if not os.access(home, os.W_OK):
        raise UsageError(f"--out {out}: no right to write in {home}.")


def _print_columns(frame: "pl.DataFrame", columns: Sequence[str]) -> None:
    import shutil
    import sys

    shown = frame.select(columns).fill_nan(None).rename(lambda key: key.replace("_", " "))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 160
    fitting = columns_that_fit(shown, width, 3)
    if sys.stdout.isatty() and len(fitting) < len(shown.columns):
        print_table(shown.select(fitting), digits=3)
        typer.echo(f"Too wide for this terminal: {', '.join(shown.columns[len(fitting) :])}; see --out or --json.")
    else:
        print_table(shown, digits=3)
