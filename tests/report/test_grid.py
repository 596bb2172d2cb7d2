"""Grids of recipes: paired differences and effects agree with naive ones; pages read well at every size."""

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from grids import DATES, WEEKS, failed_point, make_grid, make_point
from scipy import stats

from alphaloom.errors import UnknownNameError, UsageError
from alphaloom.report.figures_grid import choice_heat, choice_line, difference_forest, rank_ic_forest, window_heat
from alphaloom.report.grid import GridReport
from alphaloom.report.grid_page import findings, grid_metrics, grid_page, headline_figures, verdict, write_grid_page
from alphaloom.report.grid_tables import cautions, factor_table, spread_table, window_table
from alphaloom.report.page import figure_data, render
from alphaloom.report.translation import catalogue, texts_of

AXES = {"loss": ("mse", "rank_ic"), "training": ("rolling", "2y", "1y")}
GAINS = {"rank_ic": -0.012, "2y": 0.004}


@pytest.fixture(scope="module")
def grid():
    """Six points of two choices; the last has no result."""
    return make_grid(AXES, GAINS, failing={("rank_ic", "1y")}, has_portfolios=True)


def values(report, name):
    """Return a point's RankIC at horizon 1."""
    point = next(item for item in report.points if item.name == name)
    return point.ic.filter(horizon="1")["rank_ic"].to_numpy()


def t_by_hand(x, steps=1):
    """Return mean, Newey-West t and p with fixed-b lags, sum by sum."""
    n, mean = len(x), sum(x) / len(x)
    lags = min(max(3 * steps, int(np.ceil(1.3 * np.sqrt(n)))), n // 3)
    e = [value - mean for value in x]
    total = sum(value * value for value in e)
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * sum(e[k] * e[k - lag] for k in range(lag, n))
    b = (lags + 1) / n
    t = mean / (np.sqrt(total) / n / np.sqrt(1 - b + b * b / 3))
    return mean, t, 2 * stats.t.sf(abs(t), 1.5 / b)


def holm_by_hand(p):
    """Return p-values after Holm's correction, step by step."""
    order = sorted(range(len(p)), key=lambda k: p[k])
    out, highest = [0.0] * len(p), 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[k]))
        out[k] = highest
    return out


def test_differences_are_paired_by_date_and_corrected_by_holm(grid):
    """Mean, t, p and Holm's p of each point against the baseline, worked out by hand; the true ones are found."""
    tests = grid.comparisons()
    known = tests.filter(pl.col("difference").is_not_null())
    base = values(grid, grid.baseline)
    by_hand = {name: t_by_hand(values(grid, name) - base) for name in known["point"]}
    assert len(by_hand) == 4
    for row in known.to_dicts():
        mean, t, p = by_hand[row["point"]]
        assert row["difference"] == pytest.approx(mean)
        assert row["t"] == pytest.approx(t)
        assert row["p"] == pytest.approx(p)
        assert row["difference_low"] < mean < row["difference_high"]
        assert row["mean"] - row["base_mean"] == pytest.approx(mean)
        assert (row["n"], str(row["first"])) == (WEEKS, str(DATES[0]))
        gain = sum(GAINS.get(row[f"axis {axis}"], 0.0) for axis in AXES)
        assert abs(mean - gain) < 4 * abs(mean / t)
    assert known["p_holm"].to_list() == pytest.approx(holm_by_hand([by_hand[name][2] for name in known["point"]]))
    lost = tests.filter(pl.col("difference").is_null()).to_dicts()
    assert [row["point"] for row in lost] == ["loss rank_ic, training 1y"]
    assert lost[0]["p_holm"] is None


def test_intervals_agree_with_a_naive_bootstrap_of_pairs(grid):
    """Resampling whole dates of both points, one after another, gives the same width."""
    base, other = values(grid, grid.baseline), values(grid, "loss mse, training 2y")
    rng, n = np.random.default_rng(3), base.size
    draws = rng.integers(n, size=(4000, n))
    spread = (other[draws].mean(axis=1) - base[draws].mean(axis=1)).std()
    row = grid.comparisons().row(by_predicate=pl.col("point") == "loss mse, training 2y", named=True)
    assert (row["difference_high"] - row["difference_low"]) / 2 == pytest.approx(1.96 * spread, rel=0.2)


def test_effects_average_by_date_over_pairs_that_both_have_a_result(grid):
    """All else equal: `rank_ic` over two of three trainings, `1y` over one of two losses."""
    effects = {(row["axis"], row["value"]): row for row in grid.effects().to_dicts()}
    assert set(effects) == {("loss", "rank_ic"), ("training", "2y"), ("training", "1y")}
    row = effects["loss", "rank_ic"]
    pairs = [(f"loss mse, training {x}", f"loss rank_ic, training {x}") for x in ("rolling", "2y")]
    x = np.mean([values(grid, b) - values(grid, a) for a, b in pairs], axis=0)
    mean, t, p = t_by_hand(x)
    assert (row["pairs"], row["possible"]) == (2, 3)
    assert (row["difference"], row["t"], row["p"]) == pytest.approx((mean, t, p))
    assert row["base"] == "mse"
    assert mean == pytest.approx(-0.012, abs=0.004)
    assert effects["training", "1y"]["pairs"] == 1
    found = [effects[key]["p"] for key in effects]
    assert [effects[key]["p_holm"] for key in effects] == pytest.approx(holm_by_hand(found))


def test_overlap_of_the_horizon_widens_the_error():
    """Where returns overlap over 13 dates, lags reach three times as far."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.05, 0.1, (2, WEEKS))
    points = [make_point("a", ("a",), a), make_point("b", ("b",), b)]
    for point in points:
        point.metrics["signals"]["own"]["horizons"]["1"]["steps"] = 13
    report = GridReport("t", "", {"x": ("a", "b")}, "a", points)
    assert report.steps == 13
    row = report.comparisons().row(0, named=True)
    assert (row["difference"], row["t"], row["p"]) == pytest.approx(t_by_hand(b - a, 13))


def test_other_dates_are_compared_on_common_ones():
    """A point tested later shares a part of the dates; missing values do not count, and it is said."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.05, 0.1, (2, WEEKS))
    b[5] = np.nan
    points = [make_point("a", ("a",), a), make_point("b", ("b",), b, dates=DATES + 7 * 60)]
    report = GridReport("t", "", {"x": ("a", "b")}, "a", points)
    row = report.comparisons().row(0, named=True)
    x = b[: WEEKS - 60] - a[60:]
    assert row["n"] == WEEKS - 61
    assert row["difference"] == pytest.approx(np.nanmean(x))
    assert any("different dates" in line for line in cautions(report))


def test_replicates_are_averaged_by_date_and_their_spread_is_told():
    """One comparison a cell over the seeds that both have; the spread between seeds is their deviation."""
    axes = {"steps": ("5", "20"), "seed": ("1", "2", "3")}
    report = make_grid(axes, {"20": 0.006}, replicate="seed", failing={("20", "3")})
    (row,) = report.comparisons().to_dicts()
    x = np.mean([values(report, f"steps 20, seed {s}") - values(report, f"steps 5, seed {s}") for s in "12"], axis=0)
    assert (row["point"], row["replicates"]) == ("steps 20", 2)
    assert (row["difference"], row["t"], row["p"]) == pytest.approx(t_by_hand(x))
    (effect,) = report.effects().to_dicts()
    assert (effect["difference"], effect["pairs"], effect["possible"]) == (pytest.approx(row["difference"]), 2, 3)
    spread = {item["point"]: item for item in spread_table(report).to_dicts()}
    means = [values(report, f"steps 5, seed {s}").mean() for s in "123"]
    assert spread["steps 5"]["std"] == pytest.approx(np.std(means, ddof=1))
    assert (spread["steps 5"]["lowest"], spread["steps 5"]["highest"]) == pytest.approx((min(means), max(means)))
    assert spread["steps 20"]["replicates"] == 2
    by_point = report.table().filter(pl.col("axis steps") == "20")
    assert by_point["difference"].to_list() == pytest.approx([row["difference"]] * 3)


def test_time_spent_searching_counts(grid):
    """The page's hours are those of fits and of candidates; a grid without searches has no column for them."""
    searched = [replace(grid.points[0], metrics={**grid.points[0].metrics, "tuning": [{"seconds": 3600.0}] * 2})]
    report = replace(grid, points=[*searched, *grid.points[1:]])
    assert report.table()["search_seconds"].to_list() == [7200.0] + [None] * (len(grid.points) - 1)
    (hours,) = [figure for figure in headline_figures(report) if figure.label == "Hours of fitting"]
    fits = sum(float(point.windows["seconds"].sum()) for point in grid.finished) / 3600
    assert (float(hours.value), hours.detail) == (pytest.approx(fits + 2, abs=0.06), "2.0 of them trying candidates")
    assert "searching" in render(grid_page(report))
    assert "searching" not in render(grid_page(grid))


def test_the_table_holds_a_row_a_point(grid):
    """Own figures, means over the traded model's windows, the portfolio's, and the difference; null after a failure."""
    frame = grid.table()
    assert frame["point"].to_list() == [point.name for point in grid.points]
    row = frame.row(1, named=True)
    x = values(grid, row["point"])
    assert row["rank_ic"] == pytest.approx(x.mean())
    assert row["ir"] == pytest.approx(x.mean() / x.std(ddof=1))
    assert row["t_newey_west"] == pytest.approx(t_by_hand(x)[1])
    assert (row["in_sample_rank_ic"], row["gap"]) == pytest.approx((0.104, 0.05))
    assert row["seconds"] == pytest.approx(2 * 10 * 30.0)
    point = grid.points[1]
    assert row["information_ratio"] == point.portfolio["metrics"]["information_ratio"]
    daily = point.nav["excess_ret"].to_numpy()[1:] - grid.base.nav["excess_ret"].to_numpy()[1:]
    assert row["excess_difference"] == pytest.approx(daily.mean() * 243)
    assert row["excess_t"] == pytest.approx(t_by_hand(daily)[1])
    lost = frame.row(-1, named=True)
    assert lost["failure"].startswith("RunError")
    empty = {key: value for key, value in lost.items() if key not in {"point", "axis loss", "axis training", "failure"}}
    assert set(empty.values()) == {None}
    assert frame.row(0, named=True)["difference"] is None


def test_single_factor_rows_and_windows_agree_with_naive_ones(grid):
    """Moments by SciPy, shares by counting; a window's RankIC is the mean over its dates."""
    row = factor_table(grid, "1").row(2, named=True)
    x = values(grid, row["point"])
    assert (row["mean"], row["std"]) == pytest.approx((x.mean(), x.std(ddof=1)))
    assert (row["positive"], row["negative"]) == pytest.approx(((x > 0).mean(), (x < 0).mean()))
    assert row["skew"] == pytest.approx(stats.skew(x, bias=False))
    assert row["kurtosis"] == pytest.approx(stats.kurtosis(x, bias=False))
    assert row["significance"] == pytest.approx(row["sig_positive"] + row["sig_negative"])
    assert factor_table(grid, "4")["mean"].to_list() == pytest.approx((factor_table(grid, "1")["mean"] / 2).to_list())
    own = window_table(grid).filter(point=row["point"])
    assert own["rank_ic"].to_list() == pytest.approx(x.reshape(10, 26).mean(axis=1).tolist())


def test_equal_points_differ_by_exactly_nothing():
    """A point with the baseline's own series has a difference of 0, no t, and no place in Holm's correction."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.05, 0.1, (2, WEEKS))
    points = [make_point(name, (name,), x) for name, x in (("a", a), ("same", a), ("b", b))]
    report = GridReport("t", "", {"x": ("a", "same", "b")}, "a", points)
    same, other = report.comparisons().to_dicts()
    assert (same["difference"], same["t"], same["p_holm"]) == (0.0, None, None)
    assert other["p_holm"] == pytest.approx(other["p"])
    render(grid_page(report))


def test_the_verdict_and_the_findings_tell_what_counts(grid):
    """Points tried and failed, baseline, best with Holm's p, clear effects; the losers are counted beyond chance."""
    tests = grid.comparisons()
    better = tests.filter((pl.col("p_holm") < 0.05) & (pl.col("difference") > 0)).height
    worse = tests.filter((pl.col("p_holm") < 0.05) & (pl.col("difference") < 0)).height
    assert worse == 2
    assert f"{worse} of 4 worse" in verdict(grid)
    assert ("better" in verdict(grid)) == (better > 0)
    words = " ".join(findings(grid))
    assert "Points tried: 6, without a result: 1." in words
    assert "after Holm's correction (comparisons: 4)" in words
    assert "not corrected for its having been chosen" in words
    assert "loss rank_ic −0.0" in words
    chance = make_grid({"loss": ("mse", "rank_ic")}, {}, seed=2)
    assert verdict(chance) == "No point differs from the baseline beyond chance"


def test_other_data_and_lengths_are_said():
    """Hashes and lengths of horizons that differ, and points without the horizon."""
    rng = np.random.default_rng(0)
    points = [make_point(x, (x,), rng.normal(size=WEEKS), data_hash=x) for x in "abc"]
    points[1].metrics["signals"]["own"]["horizons"]["1"]["days"] = 21.0
    points[2] = replace(points[2], ic=points[2].ic.filter(horizon="4"))
    report = GridReport("t", "", {"x": ("a", "b", "c")}, "a", points)
    words = " ".join(cautions(report))
    for part in ("different data", "not equally long", "not compared: c."):
        assert part in words
    assert report.comparisons()["difference"].null_count() == 1
    render(grid_page(report))


def test_points_beside_the_grid_are_compared_and_have_no_part_in_effects():
    """One beside is compared like any other, with every replicate of the baseline; effects are as without it."""
    axes = {"steps": ("5", "20"), "seed": ("1", "2")}
    grid = make_grid(axes, {"20": 0.006}, replicate="seed")
    x = np.random.default_rng(9).normal(0.04, 0.1, WEEKS)
    report = replace(grid, points=[*grid.points, make_point("ridge", (), x), failed_point("lost", ())])
    rows = {row["point"]: row for row in report.comparisons().to_dicts()}
    assert list(rows) == ["steps 20", "ridge", "lost"]
    base = np.mean([values(grid, f"steps 5, seed {s}") for s in "12"], axis=0)
    assert rows["ridge"]["difference"] == pytest.approx((x - base).mean())
    assert rows["ridge"]["axis steps"] is None
    assert rows["lost"]["difference"] is None
    assert report.effects().equals(grid.effects())
    turned = replace(report, baseline="ridge")
    rows = {row["point"]: row for row in turned.comparisons().to_dicts()}
    assert rows["steps 5"]["difference"] == pytest.approx((base - x).mean())
    assert turned.effects().height == 0
    figure = figure_data(rank_ic_forest(report, report.table()))
    assert [trace["name"] for trace in figure["data"]] == ["steps 5", "steps 20", "beside the grid"]
    for item in (report, turned):
        assert "ridge" in render(grid_page(item))
    alone = GridReport("t", "", {}, "ridge", report.points[-2:])
    assert alone.comparisons()["point"].to_list() == ["lost"]
    render(grid_page(alone))


def test_wrong_grids_are_refused(grid):
    """A baseline or replicate that is none, twins, and labels off the axes."""
    points = list(grid.points)
    with pytest.raises(UnknownNameError, match="baseline of the grid"):
        replace(grid, baseline="loss mse")
    with pytest.raises(UnknownNameError, match="replicate of the grid"):
        replace(grid, replicate="seed")
    with pytest.raises(UsageError, match="the name"):
        replace(grid, points=[*points, replace(points[0], labels=("mse", "2y"))])
    with pytest.raises(UsageError, match="the place 'mse, rolling'"):
        replace(grid, points=[*points, replace(points[0], name="other")])
    with pytest.raises(UsageError, match="one value of every axis"):
        replace(grid, points=[*points, failed_point("odd", ("mae", "2y"))])


BIG = {
    "model": ("xgboost", "lightgbm", "gru"),
    "loss": ("mse", "rank_ic"),
    "training": ("rolling", "2y"),
    "neutral": ("yes", "no"),
}
CASES = {
    "two": (({"loss": ("mse", "rank_ic")}, {}), {}, ["points", "factor", "windows"]),
    "one": (({"loss": ("mse",)}, {}), {}, ["points", "factor", "windows"]),
    "no axes": (({}, {}), {}, ["points", "factor", "windows"]),
    "24": (
        (BIG, {"rank_ic": -0.01}),
        {"failing": {("gru", "rank_ic", "2y", "no")}, "has_portfolios": True},
        ["effects", "points", "factor", "windows", "portfolios", "failures"],
    ),
    "line": (
        ({"steps": ("5", "10", "60"), "seed": ("1", "2")}, {}),
        {"replicate": "seed"},
        ["points", "replicates", "factor", "windows"],
    ),
    "seeds": (({"seed": ("1", "2")}, {}), {"replicate": "seed"}, ["points", "replicates", "factor", "windows"]),
    "no baseline": (
        ({"loss": ("mse", "rank_ic"), "training": ("2y", "3y")}, {}),
        {"failing": {("mse", "2y")}},
        ["effects", "points", "factor", "windows", "failures"],
    ),
    "nothing": (({"loss": ("mse", "rank_ic")}, {}), {"failing": {("mse",), ("rank_ic",)}}, ["points", "failures"]),
}


@pytest.mark.parametrize("case", CASES)
def test_pages_of_every_size_are_whole(case, tmp_path):
    """Page and numbers are written; sections as there is something to show; no NaN; charts the bundle can draw."""
    given, more, keys = CASES[case]
    report = make_grid(*given, **more)
    page = grid_page(report)
    assert [section.key for section in page.sections] == keys
    figures = [figure_data(block.figure) for s in page.sections for block in s.blocks if hasattr(block, "figure")]
    for figure in figures:
        json.dumps(figure, allow_nan=False)
        assert figure["data"]
        assert {trace["type"] for trace in figure["data"]} <= {"scatter", "heatmap"}
    write_grid_page(report, tmp_path / "report.html")
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert len(numbers["points"]) == len(report.points)
    html = (tmp_path / "report.html").read_text()
    assert all(point.name in html for point in report.points)
    assert not re.search(r">(nan|None|inf)<", html)


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_chinese_but_for_names(case):
    """Headings, leads, captions, columns, hints and notes all have Chinese, whatever the grid."""
    given, more, _ = CASES[case]
    page = grid_page(make_grid(*given, **more))
    figures = [figure_data(block.figure) for s in page.sections for block in s.blocks if hasattr(block, "figure")]
    known = catalogue("zh").of(texts_of(render(page), figures))
    wanted = {page.verdict, *page.findings} | {item.label for item in page.figures}
    for section in page.sections:
        wanted |= {section.title, section.lead}
        for block in section.blocks:
            wanted |= {getattr(block, "caption", ""), getattr(block, "note", ""), getattr(block, "title", "")}
            wanted |= {*getattr(block, "meanings", ()), *getattr(block, "titles", ()), getattr(block, "text", "")}
    names = {"", "RankIC", "ICIR", "Newey-West"}
    lacking = sorted(text for text in wanted - names if text not in known and re.search("[a-z]{3}", text))
    assert not lacking


def test_numbers_hold_labels_by_axis(grid):
    """Points and comparisons tell their place under `labels`; everything is plain."""
    numbers = grid_metrics(grid)
    assert numbers["points"][1]["labels"] == {"loss": "mse", "training": "2y"}
    assert numbers["comparisons"][0]["labels"] == {"loss": "mse", "training": "2y"}
    assert numbers["effects"][0]["axis"] == "loss"
    assert set(numbers["factor"]) == {"1", "4"}
    json.dumps(numbers, allow_nan=False)


def test_names_lead_to_the_points_own_reports(grid):
    """A finished point links to its folder, quoted; a failed one does not; markup in a name stays text."""
    html = render(grid_page(grid))
    assert 'href="points/loss_mse%2C_training_2y/report.html"' in html
    assert "rank_ic%2C_training_1y" not in html
    rng = np.random.default_rng(0)
    odd = make_point("<b>bold</b>", ("x",), rng.normal(size=WEEKS))
    html = render(grid_page(GridReport("t", "", {"a": ("x",)}, odd.name, [odd])))
    assert "<b>bold" not in html


def test_forests_show_means_intervals_and_what_is_clear(grid):
    """Dots at the means with their intervals, the baseline a diamond; clear differences are filled and coloured."""
    figure = figure_data(rank_ic_forest(grid, grid.table()))
    assert [trace["name"] for trace in figure["data"]] == ["loss mse", "loss rank_ic"]
    first = figure["data"][0]
    assert first["marker"]["symbol"] == ["diamond", "circle", "circle"]
    row = grid.table().row(0, named=True)
    assert first["x"][0] == pytest.approx(row["rank_ic"], rel=1e-4)
    assert first["error_x"]["array"][0] == pytest.approx(row["high"] - row["rank_ic"], rel=1e-3)
    shown = {note["text"]: note["y"] for note in figure["layout"]["annotations"]}
    assert shown == {name: 4 - k for k, name in enumerate(y for trace in figure["data"] for y in trace["y"])}
    tests = grid.comparisons()
    dots = figure_data(difference_forest(tests, tests["point"].to_list(), "x"))["data"][0]
    known = tests.filter(pl.col("difference").is_not_null())
    assert [symbol == "circle" for symbol in dots["marker"]["symbol"]] == (known["p_holm"] < 0.05).to_list()
    low, high = figure_data(difference_forest(tests, tests["point"].to_list(), "x"))["layout"]["xaxis"]["range"]
    assert low < 0 < high


def test_maps_and_lines_show_the_choices():
    """Cells of the map are means by loss and training; a failed one is empty; a line runs in order of its numbers."""
    grid = make_grid(AXES, GAINS, failing={("rank_ic", "1y")})
    heat = figure_data(choice_heat(grid))["data"][0]
    assert (heat["y"], heat["x"]) == (["rank_ic", "mse"], ["rolling", "2y", "1y"])
    assert heat["z"][1][1] == pytest.approx(values(grid, "loss mse, training 2y").mean(), rel=1e-4)
    assert heat["z"][0][2] is None
    line = make_grid({"steps": ("20", "5", "10")}, {})
    trace = figure_data(choice_line(line))["data"][2]
    assert trace["x"] == [5.0, 10.0, 20.0]
    assert trace["y"][2] == pytest.approx(values(line, "steps 20").mean(), rel=1e-4)
    many = make_grid(BIG, {})
    rows = figure_data(window_heat(window_table(many)))["data"][0]
    assert len(rows["y"]) == 24
    assert rows["z"][-1][0] == pytest.approx(values(many, many.baseline)[:26].mean(), rel=1e-4)
