"""Comparisons: tests of paired differences agree with a naive bootstrap; what differs is said."""

import json

import numpy as np
import polars as pl
import pytest
from finished_runs import write_run
from studies import make_study

from alphaloom.comparison.compare import DAILY, compare_runs, flat
from alphaloom.comparison.page import comparison_page, write_comparison
from alphaloom.errors import UsageError
from alphaloom.evaluation.resampling import block_for, widening
from alphaloom.report.page import render


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return three runs: the same signals with different ones traded, the third with other portfolios first."""
    root = tmp_path_factory.mktemp("runs")
    study = make_study()
    reverse = dict(reversed(study.portfolios.items()))
    return [
        write_run(
            root / "strong", study, {"name": "x", "models": [{"name": "gru", "hidden": 8}], "universe": ["a"]}
        ).path,
        write_run(
            root / "weak",
            make_study(headline="gru", portfolios=reverse, signals=study.signals),
            {"name": "x", "models": [{"name": "gru", "hidden": 16}], "universe": ["a"]},
        ).path,
        write_run(root / "other", study, {"name": "y", "models": ["ridge"], "universe": ["b"]}, "d2").path,
    ]


def naive(x, y, steps):
    """Return mean and half widths of y - x by resampling whole pairs of dates, one date after another."""
    n, rng = x.size, np.random.default_rng(5)
    block = block_for(y - x, 3 * steps if steps > 1 else 1)
    rows = np.empty((4000, n), dtype=int)
    rows[:, 0] = rng.integers(n, size=4000)
    for k in range(1, n):
        fresh = rng.random(4000) < 1 / block
        rows[:, k] = np.where(fresh, rng.integers(n, size=4000), (rows[:, k - 1] + 1) % n)
    draws = y[rows].mean(axis=1) - x[rows].mean(axis=1)
    mean = (y - x).mean()
    return mean, widening(n, block, 0.95) * (np.quantile(draws, [0.025, 0.975]) - mean)


def agrees(row, x, y, steps):
    """Return whether a row's difference and interval are those of the naive way, within the noise of resampling."""
    mean, widths = naive(x, y, steps)
    mine = np.array([row["low"], row["high"]]) - row["difference"]
    return row["difference"] == pytest.approx(mean, rel=1e-9) and np.allclose(mine, widths, rtol=0.12)


def test_differences_agree_with_a_naive_paired_bootstrap(folders):
    """The mean difference of RankIC and of daily excess returns, with their intervals, pair by pair."""
    found = compare_runs(folders[:2]).differences
    a, b = (pl.read_parquet(folder / "ic.parquet") for folder in folders[:2])
    for horizon, steps in (("1", 1), ("4", 4)):
        x = a.filter(signal="ensemble", horizon=horizon).select("date", "rank_ic")
        y = b.filter(signal="gru", horizon=horizon).select("date", "rank_ic")
        both = x.join(y, on="date", suffix="_b").drop_nulls().to_numpy()[:, 1:].astype(float)
        row = found.row(by_predicate=pl.col("of") == f"RankIC, {horizon} ahead", named=True)
        assert agrees(row, both[:, 0], both[:, 1], steps)
        assert row["n"] == both.shape[0]
    files = [folders[0] / "nav-linear programme.parquet", folders[1] / "nav-top 50.parquet"]
    navs = [pl.read_parquet(file) for file in files]
    x, y = (nav["excess_ret"].to_numpy()[1:] for nav in navs)
    row = found.row(by_predicate=pl.col("of") == DAILY, named=True)
    assert agrees(row, x, y, 1)


def test_the_same_signal_shows_no_difference_but_other_data_are_told(folders):
    """Equal series differ by exactly 0; other data, universes and several pairs are said."""
    comparison = compare_runs(folders)
    same = comparison.differences.filter((pl.col("a") == "strong") & (pl.col("b") == "other"))
    assert (same["difference"] == 0.0).all()
    assert same["low"].null_count() == same.height
    assert compare_runs([folders[0], folders[2]]).verdict() == "No difference in RankIC beyond chance"
    words = " ".join(comparison.cautions)
    for part in ("different data", "different stocks", "3 pairs"):
        assert part in words
    assert comparison.verdict() == "strong ranks better than weak, beyond chance"
    assert dict(comparison.settings.select("setting", "weak").iter_rows())["models.0.hidden"] == "16"
    assert comparison.settings.filter(setting="models.0.name")["other"].to_list() == [None]
    json.dumps(comparison.to_dict(), allow_nan=False)


def test_the_page_shows_all_runs(folders, tmp_path):
    """The page holds every run and its tables, and the numbers lie beside it without touching a metrics.json."""
    write_comparison(compare_runs(folders), tmp_path / "page.html")
    assert {file.name for file in tmp_path.iterdir()} == {"page.html", "page.json"}
    page = comparison_page(compare_runs(folders))
    assert [section.key for section in page.sections] == ["overview", "signal", "portfolios", "settings"]
    html = render(page)
    for text in ("strong less", "Paired differences", "models.0.hidden", "Excess return by year"):
        assert text in html or text.replace("strong less", "other less strong") in html


def test_a_run_without_series_is_said_and_still_compared(folders, tmp_path):
    """A run made before ic.parquet was has its figures shown, and no test."""
    study = make_study(portfolios={})
    old = write_run(tmp_path / "old", study, {"name": "x"})
    (old.path / "ic.parquet").unlink()
    comparison = compare_runs([folders[0], old.path])
    assert comparison.differences.height == 0
    assert any("No series of IC in old" in item for item in comparison.cautions)
    assert comparison.verdict().startswith("No common dates")
    assert "Overview" in render(comparison_page(comparison))


def test_wrong_calls_are_refused(folders, tmp_path):
    """One run, too many, the same twice, or none at all."""
    with pytest.raises(UsageError, match="2 to 8"):
        compare_runs(folders[:1])
    with pytest.raises(UsageError, match="itself"):
        compare_runs([folders[0], folders[0]])
    with pytest.raises(UsageError, match="holds no run"):
        compare_runs([folders[0], tmp_path])


def test_flat_settings():
    """Nested settings become paths; empty ones stay."""
    assert flat({"a": [1, {"b": None}], "c": {}, "d": []}) == {"a.0": 1, "a.1.b": None, "c": {}, "d": []}
