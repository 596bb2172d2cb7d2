"""Scores of the run that a rule chooses, window by window."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from alphaloom.comparison.choose import RULES, choose_runs
from alphaloom.errors import UsageError
from alphaloom.report.runs import RunFolder

WINDOWS = ("2020-01", "2020-07", "2021-01")
FACTS = {"a": [(0.10, 0.05), (0.30, 0.01), (0.10, 0.04)], "b": [(0.20, 0.06), (0.05, 0.03), (0.08, 0.01)]}


@pytest.fixture
def runs(tmp_path):
    """Two finished runs with scores on three windows."""
    rng = np.random.default_rng(0)
    out = []
    for name, facts in FACTS.items():
        folder = RunFolder.open(tmp_path / name, "name: x\n", name, "d")
        windows = [
            {"window": w, "model": m, "in_sample_rank_ic": i, "out_of_sample_rank_ic": o}
            for w, (i, o) in zip(WINDOWS, facts, strict=True)
            for m in ("gru", "ridge")
        ]
        (folder.path / "metrics.json").write_text(json.dumps({"windows": windows}))
        days = [f"{window}-{d:02d}" for window in WINDOWS for d in range(1, 11)]
        label = rng.normal(size=(30, 40))
        frame = pl.DataFrame(
            {
                "date": pl.Series(np.repeat(days, 40)).str.to_date(),
                "symbol": [f"S{k:02d}" for k in range(40)] * 30,
                "score": (0.3 * label + rng.normal(size=label.shape)).ravel(),
                "label": label.ravel(),
                "window": np.repeat(WINDOWS, 400),
            }
        )
        folder.write_frame("scores.parquet", frame)
        folder.finish()
        out.append(folder.path)
    return out


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        ("out_of_sample", ["b", "b", "a"]),
        ("gap", ["a", "b", "a"]),
        ("earlier_out_of_sample", ["a", "a", "b"]),
        ("earlier_gap", ["a", "a", "a"]),
    ],
)
def test_rules_by_hand(runs, rule, chosen):
    """Each rule's choice; scores are those of the chosen run; rules on the window itself are hindsight."""
    found = choose_runs(runs, rule)
    assert found.windows["chosen"].to_list() == chosen
    assert found.is_hindsight is not rule.startswith("earlier")
    for window, name in zip(WINDOWS, chosen, strict=True):
        own = pl.read_parquet(runs["ab".index(name)] / "scores.parquet").filter(pl.col("window") == window)
        mine = found.scores.filter(pl.col("window") == window)
        assert mine.drop("run").equals(own)
        assert mine["run"].unique().to_list() == [name]


def test_rank_ic_is_that_of_scipy(runs):
    """The mean over dates of Spearman's correlation with the label."""
    frame = pl.read_parquet(runs[0] / "scores.parquet")
    daily = [spearmanr(day["score"], day["label"]).statistic for _, day in frame.group_by("date", maintain_order=True)]
    found = choose_runs(runs, "gap")
    assert found.tests["a"].mean == pytest.approx(np.mean(daily))
    assert found.table()["scores"].to_list() == ["chosen", "a", "b"]


def test_what_cannot_be_chosen_is_refused(runs):
    """One run, an unknown rule, other windows."""
    with pytest.raises(UsageError, match="two runs or more"):
        choose_runs(runs[:1], "gap")
    with pytest.raises(UsageError, match=", ".join(RULES)):
        choose_runs(runs, "luck")
    metrics = json.loads((runs[1] / "metrics.json").read_text())
    (runs[1] / "metrics.json").write_text(json.dumps({"windows": metrics["windows"][2:]}))
    with pytest.raises(UsageError, match="other windows"):
        choose_runs(runs, "gap")
