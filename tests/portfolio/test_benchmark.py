import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import DataError, MissingFieldError
from alphaloom.portfolio.benchmark import benchmark_weights, required_fields

INDEX = "SH000300"


@pytest.fixture
def market():
    """A market with half of the stocks in an index."""
    return random_panel(30, 20, seed=1)


def unknown(panel, rows):
    """The panel without index weights on some rows."""
    weight = panel[f"weight:{INDEX}"].copy()
    weight[rows] = np.nan
    return panel.with_fields({f"weight:{INDEX}": weight})


def test_published_weights_are_scaled_to_one(market):
    """Known weights keep their proportions and sum to exactly 1 over the members."""
    got = benchmark_weights(market, INDEX)
    raw = np.nan_to_num(market[f"weight:{INDEX}"].astype(float)) * (market[f"member:{INDEX}"] == 1)
    np.testing.assert_allclose(got.weights, raw / raw.sum(axis=1, keepdims=True), rtol=1e-12)
    assert set(got.record["method"]) == {"published"}


def test_unknown_weights_are_an_error_unless_a_stand_in_is_named(market):
    """Nothing stands in for unknown weights silently."""
    with pytest.raises(DataError, match="Set the stand-in for unknown benchmark weights"):
        benchmark_weights(unknown(market, [4]), INDEX)


def test_stand_ins(market):
    """Equal, float-cap and log-cap weights follow their definition, on the dates that need them only."""
    panel = unknown(market, [4])
    member = panel[f"member:{INDEX}"][4] == 1
    for how, cap in (("equal", np.ones(20)), ("float_cap", panel["float_cap"][4]), ("log_cap", panel["total_cap"][4])):
        got = benchmark_weights(panel, INDEX, unknown=how)
        expected = np.where(member, cap, 0.0)
        np.testing.assert_allclose(got.weights[4], expected / expected.sum(), rtol=1e-5)
        assert got.record["method"].to_list()[3:6] == ["published", how, "published"]


def test_member_without_capitalisation_gets_the_median(market):
    """The median stands in and is counted."""
    panel = unknown(market, [4])
    cap = panel["float_cap"].copy()
    members = np.flatnonzero(panel[f"member:{INDEX}"][4] == 1)
    cap[4, members[0]] = np.nan
    got = benchmark_weights(panel.with_fields({"float_cap": cap}), INDEX, unknown="float_cap")
    expected = cap[4, members].astype(float)
    expected[0] = np.median(expected[1:])
    np.testing.assert_allclose(got.weights[4, members], expected / expected.sum(), rtol=1e-6)
    assert got.record["filled"][4] == 1


def test_no_members_is_no_benchmark(market):
    """A date before the first list has weights of 0 and says so."""
    fields = {name: market[name].copy() for name in (f"member:{INDEX}", f"weight:{INDEX}")}
    for array in fields.values():
        array[:3] = np.nan
    got = benchmark_weights(market.with_fields(fields), INDEX)
    assert got.weights[:3].sum() == 0.0
    assert got.record["method"].to_list()[:4] == ["none"] * 3 + ["published"]


def test_required_fields_are_enough(market):
    """The listed fields carry each way; an unknown index is a missing field."""
    for how in ("refuse", "float_cap", "log_cap", "equal"):
        benchmark_weights(market.select(required_fields(INDEX, how)), INDEX, unknown=how)
    with pytest.raises(MissingFieldError, match="member:SH000905"):
        benchmark_weights(market, "SH000905")
