"""Scores made of several runs, each window's from the run that a rule chooses: which rule is worth following?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from alphaloom.errors import DataError, UsageError
from alphaloom.evaluation.inference import MeanTest, mean_test
from alphaloom.report.runs import RunFolder
from alphaloom.spec import distinct

Rule: TypeAlias = Literal["out_of_sample", "gap", "earlier_out_of_sample", "earlier_gap"]
RULES: Mapping[str, str] = {
    "out_of_sample": "highest RankIC out of sample in the window itself: known only afterwards",
    "gap": "smallest difference of RankIC in and out of sample in the window itself: known only afterwards",
    "earlier_out_of_sample": "highest mean RankIC out of sample in the windows before the last one",
    "earlier_gap": "smallest mean difference of RankIC in and out of sample in the windows before the last one",
}
"""What each rule takes. The first two are those of the seed study; the others could be followed: the last labels of the
window just before end inside the one to be chosen for, so that its RankIC is not known in time."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a rule chose.

    `scores`: `date, symbol, score, label, window, run`. `windows`: `window`, of each run `in RUN`, `out RUN`, and
    `chosen`. `tests`: the mean daily RankIC of the chosen scores and of each run, on the same dates.
    """

    rule: str
    scores: pl.DataFrame
    windows: pl.DataFrame
    tests: Mapping[str, MeanTest]

    @property
    def is_hindsight(self) -> bool:
        """Whether the rule needs what is known only after the window."""
        return not self.rule.startswith("earlier")

    def table(self) -> pl.DataFrame:
        """Return one row for the chosen scores and each run: mean RankIC, its interval and t."""
        keys = ("mean", "low", "high", "t_newey_west", "n")
        return pl.DataFrame(
            [{"scores": name, **{k: getattr(test, k) for k in keys}} for name, test in self.tests.items()]
        )


def choose_runs(runs: Sequence[Path], rule: Rule) -> Chosen:
    """Return scores in which each window is that of the run which the rule chooses; ties go to the run given first.

    Where no earlier window counts yet, the first run is taken. Labels may not be longer than a window, and runs must be
    tested on the same windows. Their traded scores are taken; RankIC in and out of sample is the mean over the models.

    Args:
        runs: folders of two finished runs or more.
        rule: one of `RULES`; the scores of the first two are no forecasts.

    Raises:
        UsageError: fewer than two runs, an unknown rule, or other windows.
        DataError: a run has no RankIC in sample.

    Source: experiment of section 3.1.7 of the seed study of weekly boosting.
    """
    if len(runs) < 2:
        raise UsageError(f"Choosing needs two runs or more; given {len(runs)}.")
    if rule not in RULES:
        raise UsageError(f"There is no rule {rule!r}; choose {', '.join(RULES)}.")
    folders = [RunFolder.existing(run) for run in runs]
    names = distinct([folder.path.name for folder in folders])
    table: pl.DataFrame | None = None
    for name, folder in zip(names, folders, strict=True):
        own = _windows(folder, name)
        if table is not None and own["window"].to_list() != table["window"].to_list():
            raise UsageError(f"{folder.path} was tested on other windows than {folders[0].path}.")
        table = own if table is None else table.join(own, on="window", maintain_order="left")
    assert table is not None
    merit = np.column_stack([_merit(table, name, rule) for name in names])
    chosen = [names[k] for k in np.argmax(merit, axis=1).tolist()]
    table = table.with_columns(pl.Series("chosen", chosen))
    frames = {name: folder.read_frame("scores.parquet") for name, folder in zip(names, folders, strict=True)}
    columns = ("date", "symbol", "score", "label", "window")
    picked = pl.concat(
        [
            frames[name].filter(pl.col("window") == window).select(*columns, pl.lit(name).alias("run"))
            for window, name in table.select("window", "chosen").iter_rows()
        ]
    )
    tests = {"chosen": _test(picked), **{name: _test(frame) for name, frame in frames.items()}}
    return Chosen(rule, picked, table, tests)


def _windows(folder: RunFolder, name: str) -> pl.DataFrame:
    rows = pl.DataFrame(folder.read_json("metrics.json")["windows"], infer_schema_length=None)
    keys = ("in_sample_rank_ic", "out_of_sample_rank_ic")
    if any(key not in rows.columns or rows[key].null_count() for key in keys):
        raise DataError(f"{folder.path} has windows without RankIC in or out of sample: there is nothing to choose by.")
    means = rows.group_by("window", maintain_order=True).agg(pl.col(keys).mean())
    return means.rename({keys[0]: f"in {name}", keys[1]: f"out {name}"})


def _merit(table: pl.DataFrame, name: str, rule: str) -> np.ndarray:
    """Return by how much the rule likes a run in each window `[W]`; where it says so, by those before the last one."""
    out, inside = table[f"out {name}"].to_numpy(), table[f"in {name}"].to_numpy()
    own = -np.abs(inside - out) if rule.endswith("gap") else out
    if not rule.startswith("earlier"):
        return own
    before = np.cumsum(own) / np.arange(1, own.size + 1)
    return np.concatenate([[0.0, 0.0], before])[: own.size]


def _test(frame: pl.DataFrame) -> MeanTest:
    known = frame.drop_nulls("label").sort("date")
    daily = known.group_by("date", maintain_order=True).agg(
        pl.corr(pl.col("score").rank(), pl.col("label").rank()).alias("rank_ic")
    )
    return mean_test(daily["rank_ic"].fill_null(float("nan")).to_numpy())
