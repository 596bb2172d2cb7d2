"""The section Layers, and what a report shows of the groups elsewhere."""

from dataclasses import replace

import polars as pl
import pytest
from studies import make_portfolio, make_study

from alphaloom.backtest.layers import LayeredTest
from alphaloom.backtest.measures import metrics_of
from alphaloom.evaluation.inference import mean_test
from alphaloom.portfolio.base import constructions
from alphaloom.portfolio.quantile import layer_sets
from alphaloom.report.content import Chart, Table, Text, percent
from alphaloom.report.page import render
from alphaloom.report.sections_layers import layer_blocks, layers_section
from alphaloom.report.write import study_metrics, study_page

NAMES = tuple(f"quantile-{k}-of-5" for k in range(1, 6))


@pytest.fixture(scope="module")
def groups():
    """Five groups with less drift each."""
    return {name: make_portfolio(k, drift=0.0006 - 0.0003 * k) for k, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def study(groups):
    """A study with one portfolio beside the five groups."""
    return make_study(portfolios={"optimise": make_portfolio(9), **groups}, decisions={}, layers=[NAMES])


def test_the_groups_of_a_recipe_are_found():
    """All groups of one number and weighting make a test; a missing group makes none."""
    portfolios = {f"p{g}": constructions.parse({"name": "quantile", "groups": 3, "group": g}) for g in (2, 1, 3)}
    portfolios["top"] = constructions.parse({"name": "quantile", "groups": 5})
    portfolios["k"] = constructions.parse("topk")
    assert layer_sets(portfolios) == [("p1", "p2", "p3")]
    del portfolios["p2"]
    assert layer_sets(portfolios) == []
    one = {"q": constructions.parse({"name": "quantile", "groups": 1})}
    assert layer_sets(one) == []


def test_equal_and_capitalisation_weights_are_tests_of_their_own():
    """Groups of both weightings are not mixed."""
    portfolios = {
        f"{weight}{g}": constructions.parse({"name": "quantile", "groups": 2, "group": g, "weight": weight})
        for g in (1, 2)
        for weight in ("equal", "cap")
    }
    assert layer_sets(portfolios) == [("equal1", "equal2"), ("cap1", "cap2")]
    assert [item.label for item in portfolios.values()][1] == "quantile-1-of-2-cap"


def test_the_section_tells_means_with_their_uncertainty(groups):
    """Each row of the tests is the mean test of that daily series; groups stand best first."""
    section = layers_section(groups, [NAMES], 243)
    tables = {block.caption: block for block in section.blocks if isinstance(block, Table)}
    test = LayeredTest(groups)
    found = mean_test(test.returns[:, 0] - test.benchmark)
    row = tables["Best group and spread"].rows[0]
    low, high = (percent(1)(243 * bound) for bound in (found.low, found.high))
    assert list(row)[:3] == ["best group over the benchmark", percent(1)(243 * found.mean), f"{low} to {high}"]
    assert [row[0] for row in tables["By group"].rows] == ["1 (best)", "2", "3", "4", "5 (worst)"]
    assert len(tables["Excess by year"].rows) == test.yearly().height
    assert sum(isinstance(block, Chart) for block in section.blocks) == 4
    assert any(isinstance(block, Text) and "rank correlation" in block.text for block in section.blocks)


def test_without_benchmark_and_universe_the_rest_is_shown(groups):
    """Columns, tests and charts that need them are left out."""
    bare = {name: make_bare(result) for name, result in groups.items()}
    blocks = layer_blocks(LayeredTest(bare), 243)
    charts = [block.title for block in blocks if isinstance(block, Chart)]
    assert charts == ["Best less worst group", "Return by year and group"]
    tables = {block.caption: block for block in blocks if isinstance(block, Table)}
    assert "Excess" not in tables["By group"].titles
    assert next(row[0] for row in tables["Best group and spread"].rows) == "best less worst, before costs"


def make_bare(result):
    """The same replay without a benchmark and a universe."""
    none = pl.lit(None, dtype=pl.Float64)
    nav = result.nav.with_columns(benchmark_ret=none, excess_ret=none, universe_ret=none)
    return replace(result, nav=nav, metrics=metrics_of(nav, 243))


def test_other_sections_show_the_best_group_alone(study):
    """Elsewhere one portfolio of a layered test stands for all; the metrics hold every one."""
    page = study_page(study)
    keys = [section.key for section in page.sections]
    assert keys.index("portfolio") < keys.index("layers") < keys.index("orders")
    portfolio = next(section for section in page.sections if section.key == "portfolio")
    captions = [block.caption for block in portfolio.blocks if isinstance(block, Table)]
    assert "By year: quantile-1-of-5" in captions
    assert "By year: quantile-2-of-5" not in captions
    assert sum(line.startswith("Portfolio ") for line in page.findings) == 2
    numbers = study_metrics(study)
    assert set(numbers["portfolios"]) == {"optimise", *NAMES}
    assert numbers["layers"][0]["groups"] == list(NAMES)
    assert len(numbers["layers"][0]["tests"]) == 4


def test_the_page_is_written(study):
    """The section stands in the page's HTML."""
    html = render(study_page(study))
    assert 'id="layers"' in html
    assert "5 (worst)" in html
