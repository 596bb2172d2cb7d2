"""The search for settings on a study's page: numbers agree with naive ones, charts show what was tried."""

import json

import numpy as np
import polars as pl
import pytest
from searches import FOLDS, OWN, make_searches
from studies import make_study

from alphaloom.report import figures_tuning
from alphaloom.report.page import figure_data, render
from alphaloom.report.sections_tuning import bought, tuning_section
from alphaloom.report.theme import is_spaced_by_ratios
from alphaloom.report.tuning import gains, scan_frame, search_frame, search_numbers, settings_of
from alphaloom.report.write import study_metrics, study_page

STARTS = ("2019-01-01", "2019-07-01", "2020-01-01")


@pytest.fixture(scope="module", params=["rank_ic", "mse"])
def records(request):
    """Three windows of one model."""
    return make_searches("lightgbm", STARTS, objective=request.param, seed=4)


def scored(record):
    """Return the values `[complete candidates, folds]`, the recipe's own first, greater is better."""
    sign = 1 if record["objective"] == "rank_ic" else -1
    return sign * np.array([item["values"] for item in record["candidates"] if item["state"] == "complete"])


def test_numbers_of_a_search_agree_with_naive_ones(records):
    """Best, own and their difference fold by fold, with errors; counts; only settings that are searched."""
    for record in records:
        found = search_numbers(record)
        values = np.array(record["best"]["values"])
        own = np.array(record["candidates"][0]["values"])
        assert found["mean"] == pytest.approx(sum(values) / FOLDS)
        assert found["own"] == pytest.approx(own.mean())
        assert found["difference"] == pytest.approx(sum(values - own) / FOLDS)
        spread = np.sqrt(sum((values - own - found["difference"]) ** 2) / (FOLDS - 1) / FOLDS)
        assert found["difference_se"] == pytest.approx(spread)
        assert found["complete"] + found["pruned"] == len(record["candidates"])
        assert found["pruned"] == 2
        assert found["failed"] == 1
        assert set(found["settings"]) == {"learning_rate", "max_depth", "booster"}
        json.dumps(found, allow_nan=False)


def test_the_gain_on_left_out_folds_is_that_of_choosing_without_them(records):
    """For each fold the best of the others is taken; a search of noise gains in cross-validation, not left out."""
    record = records[0]
    sign = 1 if record["objective"] == "rank_ic" else -1
    values = scored(record)
    by_hand = []
    for k in range(FOLDS):
        others = [j for j in range(FOLDS) if j != k]
        best = max(range(len(values)), key=lambda c: values[c, others].mean())
        by_hand.append(sign * (values[best, k] - values[0, k]))
    assert search_numbers(record)["left_out"] == pytest.approx(np.mean(by_hand))
    rng = np.random.default_rng(0)
    noise = []
    for _ in range(200):
        tried = [record["candidates"][0] | {"values": rng.normal(size=FOLDS).tolist()} for _ in range(20)]
        tried = [
            item | {"mean": np.mean(item["values"]), "origin": "search" if k else "recipe"}
            for k, item in enumerate(tried)
        ]
        best = max(tried, key=lambda item: sign * item["mean"])
        noise.append(search_numbers(record | {"candidates": tried, "best": best}))
    assert sign * np.mean([item["difference"] for item in noise]) > 0.5
    assert abs(np.mean([item["left_out"] for item in noise])) < 0.1


def test_what_the_search_bought_is_said_with_its_error(records):
    """Means over windows, the error of one window, and that the best was chosen on it."""
    numbers = [search_numbers(record) for record in records]
    found = gains(numbers)
    assert found["difference"][0] == pytest.approx(np.mean([item["difference"] for item in numbers]))
    assert found["left_out"][1] == pytest.approx(np.mean([item["left_out_se"] for item in numbers]))
    words = bought("lightgbm", records)
    digits = 4 if records[0]["objective"] == "rank_ic" else 5
    assert f"{found['difference'][0]:.{digits}f}".replace("-", "−") in words
    assert "flattered" in words
    assert ("less is better" in words) == (records[0]["objective"] == "mse")


def test_a_recipe_that_could_not_be_fitted_is_nothing_to_compare_with(records):
    """No difference is made up; the page says so and charts still draw."""
    record = records[0] | {"candidates": records[0]["candidates"][1:]}
    found = search_numbers(record)
    assert (found["own"], found["difference"], found["left_out"]) == (None, None, None)
    assert "could not be fitted" in bought("m", [record])
    html = render(study_page(make_study(tuned=[record])))
    assert "could not be fitted" in html


def test_windows_are_joined_with_the_fits_that_followed(records):
    """In- and out-of-sample figures are the means over repeats of the model's own windows."""
    rows = [
        {
            "window": start[:7],
            "model": model,
            "in_sample_rank_ic": 0.1 + 0.01 * k + 0.02 * repeat,
            "out_of_sample_rank_ic": 0.05 * (model == "lightgbm"),
            "in_sample_mse": 0.9,
            "out_of_sample_mse": None,
        }
        for k, start in enumerate(STARTS)
        for repeat in (0, 1)
        for model in ("lightgbm", "gru")
    ]
    frame = search_frame(records, pl.DataFrame(rows))
    assert frame["window"].to_list() == [start[:7] for start in STARTS]
    assert frame["in_sample_rank_ic"].to_list() == pytest.approx([0.11, 0.12, 0.13])
    assert frame["difference_rank_ic"].to_list() == pytest.approx([-0.06, -0.07, -0.08])
    assert frame["out_of_sample_mse"].to_list() == [None] * 3
    best = [record["best"]["settings"]["max_depth"] for record in records]
    assert frame["setting max_depth"].to_list() == [str(value) for value in best]
    assert search_frame(records, pl.DataFrame()).height == 3


def test_the_scan_table_tells_what_was_kept_and_what_was_left(records):
    """One row a setting and round; `hidden` makes no difference and is left at the recipe's value."""
    frame = scan_frame(records[0])
    assert frame.filter(pl.col("round") == 1)["setting"].to_list() == [
        "learning_rate",
        "max_depth",
        "booster",
        "hidden",
    ]
    hidden = frame.row(by_predicate=pl.col("setting") == "hidden", named=True)
    assert (hidden["kept"], hidden["own"]) == (None, "64")
    assert "hidden" not in settings_of(records)
    rate = frame.row(by_predicate=(pl.col("setting") == "learning_rate") & (pl.col("round") == 1), named=True)
    assert (rate["low"], rate["high"]) == ("0.001", "0.1")
    means = [point["mean"] for point in records[0]["scan"][0]["points"]]
    best = max(means) if records[0]["objective"] == "rank_ic" else min(means)
    assert rate["best_mean"] == best


def test_the_scan_chart_has_both_rounds_the_kept_range_and_the_recipe(records):
    """Lines are means over folds; the shade lies where later windows search; the diamond at the recipe's value."""
    record = records[0]
    figure = figure_data(figures_tuning.scan_lines(record, "learning_rate"))
    lines = {trace["name"]: trace for trace in figure["data"] if trace.get("name")}
    assert set(lines) == {"round 1", "round 2", "the recipe's own"}
    points = record["scan"][0]["points"]
    assert lines["round 1"]["x"] == [point["value"] for point in points]
    assert lines["round 1"]["y"] == pytest.approx([np.mean(point["values"]) for point in points], rel=1e-4)
    assert lines["the recipe's own"]["x"] == [OWN["learning_rate"]]
    assert figure["layout"]["xaxis"]["type"] == "log"
    (shade,) = figure["layout"]["shapes"]
    kept = record["space"]["learning_rate"]
    assert (shade["x0"], shade["x1"]) == (kept["low"], kept["high"])
    other = figure_data(figures_tuning.scan_lines(record, "booster"))
    assert other["layout"]["xaxis"]["type"] == "category"
    assert not figure_data(figures_tuning.scan_lines(record, "hidden"))["layout"].get("shapes")


def test_the_band_leaves_out_what_all_values_share():
    """Fold effects do not widen it; noise of known size comes out at its own standard error."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, (5, 4000))
    error = figures_tuning.paired_error(noise + 100 * rng.normal(size=4000))
    assert error == pytest.approx(np.full(5, 1 / np.sqrt(4000)), rel=0.05)
    assert np.isnan(figures_tuning.paired_error(noise[:1])).all()


@pytest.mark.parametrize(
    ("values", "is_log"),
    [
        ([0.001, 0.01, 0.1], True),
        ([0.0001, 0.001, 0.005, 0.01, 0.03, 0.05], True),
        ([256, 512, 1024, 2048, 4096], True),
        ([32, 64, 96, 128, 160, 192, 224, 256, 288, 320], False),
        ([0.01, 0.208, 0.406, 0.604, 0.802, 1.0], False),
        ([0.0, 1.0, 10.0], False),
        ([1, 2, 3], False),
    ],
)
def test_which_values_lie_on_a_log_axis(values, is_log):
    """Learning rates and doublings; not even steps, a short ratio, or zero."""
    assert is_spaced_by_ratios(values) is is_log


def test_candidates_are_compared_over_the_folds_they_have(records):
    """One given up is compared with the recipe on its own folds; the line is the best of the complete ones."""
    record = records[0]
    sign = 1 if record["objective"] == "rank_ic" else -1
    own = record["candidates"][0]["values"]
    found = figures_tuning.candidate_gains(record)
    for gain, item in zip(found, record["candidates"], strict=True):
        folds = len(item["values"])
        assert gain == pytest.approx(sign * (np.mean(item["values"]) - np.mean(own[:folds])))
    assert found[0] == 0.0
    figure = figure_data(figures_tuning.search_lines(records))
    line = next(trace for trace in figure["data"] if trace["mode"] == "lines")
    complete = np.array([item["state"] == "complete" for item in record["candidates"]])
    assert line["y"][-1] == pytest.approx(found[complete].max(), rel=1e-4)
    assert np.all(np.diff(line["y"]) >= 0)
    assert sum(len(trace["x"]) for trace in figure["data"] if trace.get("name") == "given up") == 6


@pytest.mark.parametrize(
    ("span", "value", "place"),
    [
        ({"low": 0.001, "high": 0.1, "log": True}, 0.01, 0.5),
        ({"low": 2, "high": 4}, 3.5, 0.75),
        ({"low": 2, "high": 4}, 9, 1.0),
        ({"low": 0.001, "high": 0.1, "log": True}, -1.0, 0.0),
        ({"values": ["a", "b", "c"]}, "c", 1.0),
        ({"values": ["a"]}, "a", 0.5),
        ({"values": ["a", "b"]}, "z", None),
    ],
)
def test_where_a_value_lies_in_its_range(span, value, place):
    """In the range's own measure, at the nearer end when outside, nowhere when a list lacks it."""
    found = figures_tuning.place_in(span, value)
    assert np.isnan(found) if place is None else found == pytest.approx(place)


def test_one_window_and_nothing_to_search(records):
    """A single window has no map of choices; a scan that leaves all settings has no chart of candidates."""
    alone = tuning_section(records[:1], pl.DataFrame())
    titles = [getattr(block, "title", "") for block in alone.blocks]
    assert any(title.startswith("Candidates") for title in titles)
    assert not any(title.startswith("Settings chosen") for title in titles)
    own = records[0]["candidates"][0]
    still = records[0] | {"space": {}, "candidates": [own], "best": own, "failed": []}
    section = tuning_section([still], pl.DataFrame())
    assert "no setting made a difference" in section.blocks[0].text
    assert not any(getattr(block, "title", "").startswith("Candidates") for block in section.blocks)


def test_numbers_are_in_the_metrics_and_on_the_page(records):
    """`metrics.json` holds one entry a window and model; the page its best settings."""
    study = make_study(tuned=[*records, *make_searches("gru", STARTS[:1])])
    found = study_metrics(study)["tuning"]
    assert [(item["window"], item["model"]) for item in found] == [
        ("2019-01", "lightgbm"), ("2019-07", "lightgbm"), ("2020-01", "lightgbm"), ("2019-01", "gru"),
    ]  # fmt: skip
    assert "candidates" not in found[0]
    html = render(study_page(study))
    for text in ("Settings and results: lightgbm", "Scan of learning_rate: gru", "the loss is not finite"):
        assert text in html
    assert study_metrics(make_study())["tuning"] == []
    assert "Settings and results" not in render(study_page(make_study()))
