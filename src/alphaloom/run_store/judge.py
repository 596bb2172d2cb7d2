"""What remains of a run's portfolio once everything that was tried on the same data is counted."""

from pathlib import Path

import polars as pl

from alphaloom.errors import DataError, UsageError
from alphaloom.evaluation.validity.judge import Validity, judge_trials
from alphaloom.evaluation.validity.trials import Trials
from alphaloom.report.runs import RunFolder
from alphaloom.run_store.row import read_row
from alphaloom.run_store.trials import trials_of


def judge_run(run: Path, root: Path, *, portfolio: str | None = None, resamples: int = 1000) -> Validity:
    """Return the corrections for searching: every portfolio of every run on the same data and universe is a trial.

    Excess returns where all have a benchmark, else returns; days that all have in common.

    Args:
        run: the run that was chosen.
        root: folder of the runs that were made, the chosen one among them.
        portfolio: of that run; its first one when None.
        resamples: bootstrap samples.

    Raises:
        UsageError: no such run or portfolio in the folder.
        DataError: no run has daily values.
    """
    folder = RunFolder.existing(run)
    row = read_row(folder.path, folder.path.name)
    if row.data_hash is None:
        raise UsageError(f"{run} does not say which data it was made from.")
    navs: dict[str, pl.DataFrame] = {}
    for trial in trials_of(root, row.data_hash, row.universe_hash):
        for file in trial.navs:
            navs[f"{trial.row.name} {file.stem.removeprefix('nav-')}"] = pl.read_parquet(file).slice(1)
    if not navs:
        raise DataError(f"No finished run in {root} on the same data has a portfolio.")
    own = [name for name in navs if (root / name.rsplit(" ", 1)[0]).resolve() == folder.path.resolve()]
    wanted = portfolio or next(iter(folder.read_json("metrics.json")["portfolios"]), "")
    chosen = next((name for name in own if name.rsplit(" ", 1)[1] == wanted), None)
    if chosen is None:
        raise UsageError(
            f"{root} holds no portfolio {wanted!r} of {run} (a run with the same recipe may stand for it). There are: "
            f"{', '.join(navs)}."
        )
    against = all(nav["excess_ret"].is_not_null().all() for nav in navs.values())
    return judge_trials(Trials.of(navs, "excess_ret" if against else "ret"), chosen, resamples=resamples)
