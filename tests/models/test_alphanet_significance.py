"""The significance of a fitted AlphaNet's parameters against sums over them, and its groups."""

import numpy as np
import polars as pl
import pytest
from alphanet_by_hand import column_names, random_module
from numpy.testing import assert_allclose

from alphaloom.models.alphanet_parts import Column, significance_by

NAMES = column_names(10, 5)


def columns_over(window):
    """Return the names of the columns over a window."""
    return [name for name in NAMES if (c := Column.parse(name)) is not None and c.window == window]


def mean_absolute(module, norm, weights, k):
    """Return the mean absolute product of column k's gamma and its parameters, one parameter at a time."""
    gamma = module.get_parameter(f"{norm}.weight")[k].item()
    values = [abs(gamma * row[k].item()) for name in weights for row in module.get_parameter(name)]
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("name", "settings", "layers"),
    [
        ("alphanet_v2", {}, {10: ("scale.norm", ["recurrent.weight_ih_l0"])}),
        (
            "alphanet_v3",
            {},
            {
                10: ("long.scale.norm", ["long.recurrent.weight_ih_l0"]),
                5: ("short.scale.norm", ["short.recurrent.weight_ih_l0"]),
            },
        ),
        (
            "alphanet_v4",
            {"windows": (5, 10), "spearman": "none"},
            {
                10: ("main.norm", ["recurrent.weight_ih_l0", "recurrent.weight_ih_l0_reverse"]),
                5: ("branches.0.scale.norm", ["branches.0.inward.weight"]),
            },
        ),
    ],
)
def test_significance_is_the_mean_absolute_parameter(name, settings, layers):
    """Each column has the mean of |gamma W| over the first parameters behind it; share is within its window."""
    _, module = random_module(name, NAMES, **settings)
    table = module.column_significance()
    assert table["significance"].is_sorted(descending=True)
    found = {row["feature"]: row for row in table.iter_rows(named=True)}
    assert set(found) == {column for window in layers for column in columns_over(window)}
    for window, (norm, weights) in layers.items():
        expected = [mean_absolute(module, norm, weights, k) for k in range(len(columns_over(window)))]
        for column, value in zip(columns_over(window), expected, strict=True):
            assert_allclose(found[column]["significance"], value, rtol=1e-12)
            assert_allclose(found[column]["share"], value / sum(expected), rtol=1e-12)
            assert found[column]["window"] == window
    assert found["corr_close_volume_10"]["inputs"] == ["close", "volume"]
    assert found["std_close_10"]["operator"] == "std"


def test_every_piece_of_v1_counts():
    """In V1 a column enters by each step and each pool: the mean is over all of them."""
    settings, module = random_module("alphanet_v1", NAMES)
    found = {row["feature"]: row["significance"] for row in module.column_significance().iter_rows(named=True)}
    K, hidden = len(columns_over(10)), module.hidden.weight.detach().numpy()
    for k, column in enumerate(columns_over(10)):
        values = [abs(hidden[j, piece * K + k]) for j in range(settings.hidden) for piece in range(3 + 3)]
        assert_allclose(found[column], np.mean(values) * abs(module.scale.norm.weight[k].item()), rtol=1e-12)


def test_groups_average_their_columns():
    """Operators, windows and inputs get the mean of their columns, a column of two inputs counting for both."""
    _, module = random_module("alphanet_v3", NAMES)
    table = module.column_significance()
    for key in ("operator", "window", "inputs"):
        grouped = significance_by(table, key)
        assert grouped["significance"].is_sorted(descending=True)
        assert_allclose(grouped["share"].sum(), 1.0)
        for row in grouped.iter_rows(named=True):
            of = pl.col("inputs").list.contains(row[key]) if key == "inputs" else pl.col(key) == row[key]
            group = table.filter(of)["significance"]
            assert row["columns"] == len(group)
            assert_allclose(row["significance"], np.mean(group.to_numpy()), rtol=1e-12)


def test_records_name_what_they_are_of():
    """The module's own records, which the report shows: operators, windows and inputs, each with its share."""
    _, module = random_module("alphanet_v3", NAMES)
    records = module.parameter_significance()
    for key in ("operator", "window", "inputs"):
        grouped = significance_by(module.column_significance(), key)
        mine = [record for record in records if record["of"] == key]
        assert [record["name"] for record in mine] == [str(name) for name in grouped[key]]
        assert_allclose([record["share"] for record in mine], grouped["share"])
