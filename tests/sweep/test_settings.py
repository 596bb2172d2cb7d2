"""What a sweep varies, and what it refuses."""

import pytest

from alphaloom.errors import SettingError
from alphaloom.sweep.settings import SweepSettings, label_of, points_of

GRID = {"portfolio.style_limit": [0.1, 1.0], "portfolio.num_stock": [10, 20, 30]}


def test_points_are_every_combination_the_first_axis_slowest():
    """Each point has the settings of its place; those beside the grid come last and have no place."""
    beside = {"plain": {"portfolio": {"name": "topk", "k": 5}}, "dear": {"backtest.slippage_bps": 20}}
    points = points_of(SweepSettings.parse({"axes": GRID, "beside": beside}))
    assert [p.labels for p in points] == [
        ("0.1", "10"), ("0.1", "20"), ("0.1", "30"), ("1.0", "10"), ("1.0", "20"), ("1.0", "30"), None, None,
    ]  # fmt: skip
    assert [(p.construction.style_limit, p.construction.num_stock) for p in points[:6]] == [
        (0.1, 10), (0.1, 20), (0.1, 30), (1.0, 10), (1.0, 20), (1.0, 30),
    ]  # fmt: skip
    assert points[0].name == "style_limit 0.1, num_stock 10"
    assert points[0].folder == "style_limit_0.1,_num_stock_10"
    assert (points[6].construction.name, points[6].construction.k) == ("topk", 5)
    assert points[7].backtest.slippage_bps == 20
    assert points[7].construction == points_of(SweepSettings.parse({"beside": {"base": {}}}))[0].construction


def test_decisions_are_shared_where_the_replay_alone_differs():
    """A cost leaves the decisions as they are; capital, which decisions may read, does not."""
    axes = {"backtest.slippage_bps": [0, 10], "backtest.capital": [1e8, 2e8]}
    keys = [p.decisions_key for p in points_of(SweepSettings.parse({"axes": axes}))]
    assert keys[0] == keys[2] != keys[1] == keys[3]


def test_an_axis_may_replace_a_whole_component():
    """Labels then tell its name and settings."""
    axes = {"portfolio": [{"name": "topk", "k": 3}, {"name": "quantile", "groups": 5}]}
    points = points_of(SweepSettings.parse({"axes": axes}))
    assert [p.name for p in points] == ["portfolio topk k=3", "portfolio quantile groups=5"]
    assert [type(p.construction).name for p in points] == ["topk", "quantile"]


def test_labels_are_short():
    """Money is written in millions, null as none."""
    assert [label_of(v) for v in (1e8, 10_000_000_000, 1.5e6)] == ["100 m", "10,000 m", "1.5 m"]
    assert [label_of(v) for v in (0.25, None, 300, "vwap")] == ["0.25", "none", "300", "vwap"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "nothing varies"),
        ({"axes": {"portfolio.num_stock": []}}, "'portfolio.num_stock' has no value"),
        ({"axes": {"risk.styles": [[]]}}, "'risk.styles' cannot vary"),
        ({"beside": {"x": {"universe": []}}}, "'universe' cannot vary"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(data, words):
    """With the axis and what would be allowed."""
    with pytest.raises(SettingError, match=words):
        SweepSettings.parse(data)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"portfolio.num_stok": [1]}, "num_stock"),
        ({"portfolio.num_stock": [0]}, "num_stock 0: portfolio"),
        ({"portfolio.num_stock.deep": [0]}, "has no parts"),
        ({"portfolio.num_stock": [10, 10]}, "two points named 'num_stock_10'"),
    ],
)
def test_a_point_that_its_portfolio_does_not_take_is_refused(axes, words):
    """Before any work, with the point's name."""
    with pytest.raises(SettingError, match=words):
        points_of(SweepSettings.parse({"axes": axes}))
