"""`alphaloom sweep`: portfolios of the same scores over a grid of settings."""

from pathlib import Path
from typing import Annotated

import typer

from alphaloom.cli.display import Progress, print_json, print_table
from alphaloom.cli.study import thread_count

SHOWN = {
    "point": "portfolio",
    "annual_return": "return",
    "excess_annual_return": "excess",
    "excess_t": "t",
    "information_ratio": "IR",
    "sharpe": "Sharpe",
    "max_drawdown": "drawdown",
    "excess_max_drawdown": "excess dd",
    "turnover_annual": "turnover",
    "cost_annual": "cost",
    "cash_weight_mean": "cash",
    "relaxed": "relaxed",
}
"""Columns of the printed table and their headings."""


def sweep(
    scores: Annotated[
        Path, typer.Argument(help="Folder of a run, or a file of scores: date, symbol, score.", metavar="SCORES")
    ],
    store: Annotated[Path, typer.Argument(help="Store of market data.", metavar="STORE")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the table, every portfolio and the report.")],
    settings: Annotated[
        str | None, typer.Option("--settings", help="YAML of a sweep, or the name of a shipped one.")
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", help="An axis: portfolio.num_stock=100,200,300. May be repeated."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting for all points: a.b=c. May be repeated.")
    ] = None,
    score: Annotated[
        str | None, typer.Option("--score", help="Of a run with several models: whose scores to trade.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", help="Processes; 0 for one a core.", min=0)] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another sweep in the folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print machine-readable results.")] = False,
) -> None:
    """Trade the same scores under every combination of settings; heat maps, years and the efficient frontier.

    Settings of a portfolio or of the backtest can vary. The base is a run's first portfolio, risk, universe and
    backtest, or those of --settings and --set. An interrupted sweep goes on from the portfolios that are finished.
    """
    from alphaloom.data.store import Store
    from alphaloom.report.sweep_page import sweep_metrics
    from alphaloom.sweep.read import read_scores, read_sweep
    from alphaloom.sweep.run import run_sweep

    held = Store(store)
    chosen = read_sweep(scores, held, file=settings, grid=grid or [], overrides=set_ or [])
    frame, origin = read_scores(scores, score)
    progress = Progress(quiet=json)
    with progress.running():
        report = run_sweep(
            frame,
            held,
            out,
            chosen,
            origin=origin,
            threads=thread_count(threads),
            overwrite=overwrite,
            progress=progress,
        )
    if json:
        print_json(sweep_metrics(report))
        return
    table = report.table()
    shown = {name: title for name, title in SHOWN.items() if table[name].is_not_null().any()}
    print_table(table.select(*shown).rename(shown), "a year, after costs", digits=3)
    typer.echo(f"report: {out / 'report.html'}")


COMMANDS = (sweep,)
