"""Finished runs to a Comparison: what differs between them, and whether it is more than chance."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from alphaloom.errors import UsageError
from alphaloom.evaluation.paired import paired_test
from alphaloom.evaluation.signal import plain
from alphaloom.report.runs import RunFolder
from alphaloom.spec import distinct

MOST = 8
"""Runs in one comparison."""
DIFFERENCES = {
    "of": pl.String, "a": pl.String, "b": pl.String, "n": pl.Int64, "first": pl.String, "last": pl.String,
    "mean_a": pl.Float64, "mean_b": pl.Float64, "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "t_newey_west": pl.Float64, "p_newey_west": pl.Float64,
}  # fmt: skip
DAILY = "excess return, a day"


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a comparison reads of a finished run.

    Attributes:
        name: distinct among the runs compared.
        metrics: content of `metrics.json`.
        settings: the resolved recipe, flat: `models.0.hidden` to value.
        data_hash: of the store that it ran on.
        ic: `date, horizon, ic, rank_ic, n` of the traded signal; empty for a run made before `ic.parquet` was.
        nav: daily values of the first portfolio; empty without portfolios.
    """

    name: str
    folder: Path
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]
    data_hash: str
    ic: pl.DataFrame
    nav: pl.DataFrame

    @property
    def signal(self) -> Mapping[str, Any]:
        """Return the numbers of the traded signal."""
        found: Mapping[str, Any] = self.metrics["signals"][self.metrics["headline"]]
        return found

    @property
    def portfolio(self) -> Mapping[str, Any]:
        """Return the numbers of the first portfolio; empty without one."""
        return next(iter(self.metrics["portfolios"].values()), {})


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several runs and the tests of their differences.

    Attributes:
        runs: in the order given.
        differences: one row a pair and measure, `b` less `a` on their common dates: `of` (`RankIC, HORIZON ahead`, or
            the daily excess return), dates, both means, the difference with its paired bootstrap interval, Newey-West
            t and p, null where every date's difference is the same.
        settings: `setting` and one column a run, of those settings that are not equal.
        cautions: why numbers may not be comparable, one sentence each.
    """

    runs: tuple[RunResult, ...]
    differences: pl.DataFrame
    settings: pl.DataFrame
    cautions: tuple[str, ...]

    def overview(self) -> pl.DataFrame:
        """Return one row a run: verdict, RankIC with interval and t, in against out of sample, first portfolio."""
        return pl.DataFrame([_overview(run) for run in self.runs], infer_schema_length=None)

    def horizons(self) -> pl.DataFrame:
        """Return `run, horizon, days, mean, low, high, t_newey_west, n` of RankIC."""
        keep = ("mean", "low", "high", "ir", "t_newey_west", "t_non_overlapping", "n")
        rows = [
            {"run": run.name, "horizon": name, "days": item["days"], **{key: item["rank_ic"][key] for key in keep}}
            for run in self.runs
            for name, item in run.signal["horizons"].items()
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def yearly(self) -> pl.DataFrame:
        """Return the years of each run's first portfolio: `run, year, ret, benchmark, excess, ...`."""
        rows = [{"run": run.name, **year} for run in self.runs for year in run.portfolio.get("yearly", [])]
        return pl.DataFrame(rows, infer_schema_length=None)

    def verdict(self) -> str:
        """Return in one sentence whether any pair differs in RankIC by more than chance, at the first horizon."""
        tests = self.differences.filter(pl.col("of").str.starts_with("RankIC")).unique(["a", "b"], keep="first")
        clear = tests.filter((pl.col("low") > 0) | (pl.col("high") < 0)).sort("difference")
        if not tests.height:
            return "No common dates: nothing can be tested."
        if not clear.height:
            return "No difference in RankIC beyond chance"
        row = max(clear.to_dicts(), key=lambda item: abs(item["difference"]))
        better, worse = (row["b"], row["a"]) if row["difference"] > 0 else (row["a"], row["b"])
        return f"{better} ranks better than {worse}, beyond chance"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data; NaN becomes None."""
        numbers: dict[str, Any] = plain(
            {
                "verdict": self.verdict(),
                "cautions": list(self.cautions),
                "runs": self.overview().to_dicts(),
                "horizons": self.horizons().to_dicts(),
                "differences": self.differences.to_dicts(),
                "yearly": self.yearly().to_dicts(),
                "settings": self.settings.to_dicts(),
            }
        )
        return numbers


def compare_runs(folders: Sequence[Path], *, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Comparison:
    """Return the comparison of finished runs.

    Differences are taken date by date on common dates, and their mean is tested like any other: stationary block
    bootstrap of the differences, which keeps the pairs together, and Newey-West with the horizon's overlap
    (`evaluation.paired.paired_test`). Not corrected for the number of pairs.

    Raises:
        UsageError: fewer than two runs or more than `MOST`, one given twice, or one that is not finished.
    """
    paths = [Path(folder) for folder in folders]
    if not 2 <= len(paths) <= MOST:
        raise UsageError(f"Compare 2 to {MOST} runs; got {len(paths)}.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("A run cannot be compared with itself: each folder may stand once.")
    names = distinct([path.name for path in paths])
    runs = tuple(read_run(path, name) for path, name in zip(paths, names, strict=True))
    rows = []
    for a, b in itertools.combinations(runs, 2):
        for horizon in [name for name in a.signal["horizons"] if name in b.signal["horizons"]]:
            steps = max(run.signal["horizons"][horizon]["steps"] for run in (a, b))
            x, y = (run.ic.filter(pl.col("horizon") == horizon).select("date", value="rank_ic") for run in (a, b))
            rows.append(_difference(f"RankIC, {horizon} ahead", a.name, b.name, x, y, steps, level, resamples, seed))
        if a.nav.height and b.nav.height:
            x, y = (run.nav.slice(1).select("date", value="excess_ret") for run in (a, b))
            rows.append(_difference(DAILY, a.name, b.name, x, y, 1, level, resamples, seed))
    differences = pl.DataFrame([row for row in rows if row], schema=DIFFERENCES).fill_nan(None)
    return Comparison(runs, differences, _settings(runs), tuple(_cautions(runs)))


def read_run(path: Path, name: str) -> RunResult:
    """Return a finished run's results under a name.

    Raises:
        UsageError: no finished run there.
    """
    folder = RunFolder.existing(path)
    metrics = folder.read_json("metrics.json")
    ic = pl.DataFrame(schema={"date": pl.Date, "horizon": pl.String, "rank_ic": pl.Float64})
    if (folder.path / "ic.parquet").is_file():
        ic = folder.read_frame("ic.parquet").filter(pl.col("signal") == metrics["headline"])
    portfolios = list(metrics["portfolios"])
    return RunResult(
        name=name,
        folder=folder.path,
        metrics=metrics,
        settings=flat(yaml.safe_load(folder.read_text("recipe.yaml"))),
        data_hash=folder.state()["data_hash"],
        ic=ic,
        nav=folder.read_frame(f"nav-{portfolios[0]}.parquet") if portfolios else pl.DataFrame(),
    )


def flat(data: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested plain data as `a.0.b` to value; empty lists and mappings are values.

    >>> flat({"a": [1, {"b": 2}], "c": {}})
    {'a.0': 1, 'a.1.b': 2, 'c': {}}
    """
    if not isinstance(data, dict | list) or not data:
        return {prefix: data}
    items = data.items() if isinstance(data, dict) else enumerate(data)
    out: dict[str, Any] = {}
    for key, value in items:
        out |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return out


def _difference(
    of: str, a: str, b: str, x: pl.DataFrame, y: pl.DataFrame, steps: int, level: float, resamples: int, seed: int
) -> dict[str, Any] | None:
    """Return the row of `b` less `a` on dates that both have, None where there are fewer than three."""
    found = paired_test(x, y, steps=steps, level=level, resamples=resamples, seed=seed)
    if found is None:
        return None
    return {
        "of": of,
        "a": a,
        "b": b,
        "n": found.test.n,
        "first": str(found.first),
        "last": str(found.last),
        "mean_a": found.mean_a,
        "mean_b": found.mean_b,
        "difference": found.test.mean,
        **{key: getattr(found.test, key) for key in ("low", "high", "t_newey_west", "p_newey_west")},
    }


def _overview(run: RunResult) -> dict[str, Any]:
    test = run.signal["horizons"][run.signal["primary"]]["rank_ic"]
    own = [row for row in run.metrics["windows"] if row["model"] == run.metrics["headline"]] or run.metrics["windows"]
    portfolio = run.portfolio.get("metrics", {})
    keep = ("annual_return", "excess_annual_return", "information_ratio", "max_drawdown", "turnover_annual")
    return {
        "run": run.name,
        "verdict": run.metrics["verdict"]["words"],
        "rank_ic": test["mean"],
        "low": test["low"],
        "high": test["high"],
        "t_newey_west": test["t_newey_west"],
        "first": run.signal["first_date"],
        "last": run.signal["last_date"],
        "in_sample": _mean(row.get("in_sample_rank_ic") for row in own),
        "out_of_sample": _mean(row.get("out_of_sample_rank_ic") for row in own),
        "portfolio": next(iter(run.metrics["portfolios"]), None),
        **{key: portfolio.get(key) for key in keep},
    }


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _settings(runs: Sequence[RunResult]) -> pl.DataFrame:
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    rows = []
    for key in keys:
        values = [str(run.settings[key]) if key in run.settings else None for run in runs]
        if len(set(values)) > 1 and key != "description":
            rows.append({"setting": key, **dict(zip([run.name for run in runs], values, strict=True))})
    return pl.DataFrame(rows, schema={"setting": pl.String, **{run.name: pl.String for run in runs}})


def _cautions(runs: Sequence[RunResult]) -> list[str]:
    found = []
    if len({run.data_hash for run in runs}) > 1:
        found.append("The runs read different data (their hashes differ): differences may come from the data.")
    for key, words in (
        ("horizons.", "returns are measured differently"),
        ("universe", "the runs choose from different stocks"),
        ("backtest.", "portfolios are replayed under different terms"),
        ("risk.benchmark", "excess returns are over different benchmarks"),
    ):
        own = [{name: value for name, value in run.settings.items() if name.startswith(key)} for run in runs]
        if any(item != own[0] for item in own):
            found.append(f"Settings of {key.rstrip('.')} differ: {words}.")
    if len({(run.signal["first_date"], run.signal["last_date"]) for run in runs}) > 1:
        found.append("The runs were tested on different dates; paired differences use the common ones alone.")
    lacking = [run.name for run in runs if not run.ic.height]
    if lacking:
        found.append(
            f"No series of IC in {', '.join(lacking)}, made by an earlier version: `alphaloom report` adds it."
        )
    pairs = len(runs) * (len(runs) - 1) // 2
    if pairs > 1:
        found.append(f"{pairs} pairs were tested; intervals are not corrected for having looked at all of them.")
    return found
