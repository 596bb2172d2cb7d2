"""Ranges, their points, and the spaces that come with the program."""

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaloom.errors import SettingError, UnknownNameError
from alphaloom.models.base import models
from alphaloom.recipe import Recipe
from alphaloom.training.tuning.settings import Tuning
from alphaloom.training.tuning.space import Range, preset, presets, setting, with_settings


def test_points_are_even_in_the_range_s_own_measure():
    """Linear, by ratio, whole numbers each once, and the values of a list."""
    assert Range(low=0, high=1).points(5) == [0, 0.25, 0.5, 0.75, 1]
    assert np.allclose(Range(low=1e-3, high=1e-1, log=True).points(3), [1e-3, 1e-2, 1e-1])
    assert Range(low=1, high=6, integer=True).points(10) == [1, 2, 3, 4, 5, 6]
    assert Range(low=0.1, high=0.3, step=0.05).points(10) == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3])
    assert Range(values=(32, 64, 96)).points(10) == [32, 64, 96]
    assert Range(values=tuple(range(100))).points(3) == [0, 50, 99]


ranges = st.one_of(
    st.tuples(st.floats(-100, 100), st.floats(0.1, 100)).map(lambda v: Range(low=v[0], high=v[0] + v[1])),
    st.tuples(st.floats(1e-6, 1), st.floats(1.1, 1e4)).map(lambda v: Range(low=v[0], high=v[0] * v[1], log=True)),
    st.tuples(st.integers(1, 50), st.integers(1, 500), st.booleans()).map(
        lambda v: Range(low=v[0], high=v[0] + v[1], integer=True, log=v[2])
    ),
    st.tuples(st.integers(0, 9), st.integers(1, 9)).map(lambda v: Range(low=v[0], high=v[0] + v[1], step=0.5)),
    st.lists(st.integers(0, 99), min_size=1, max_size=9, unique=True).map(lambda v: Range(values=tuple(sorted(v)))),
)


@given(ranges, st.integers(2, 12), st.floats(-1e4, 1e4))
def test_points_and_nearest_values_lie_in_what_optuna_is_given(span, count, value):
    """No proposal of ours is outside the range."""
    distribution = span.distribution()
    for point in [*span.points(count), span.nearest(value)]:
        assert distribution._contains(distribution.to_internal_repr(point))


@given(ranges, st.integers(2, 12), st.data())
def test_a_part_of_a_range_is_a_range(span, count, data):
    """Its points lie between its ends."""
    points = span.points(count)
    a, b = sorted(data.draw(st.tuples(st.integers(0, len(points) - 1), st.integers(0, len(points) - 1))))
    part = span.between(points[a], points[b])
    assert points[a] <= min(part.points(5)) + 1e-9
    assert max(part.points(5)) <= points[b] + 1e-9


@pytest.mark.parametrize(
    ("given_", "match"),
    [
        ({"low": 2, "high": 1}, "below high"),
        ({"low": 1}, "low and high"),
        ({"low": 0, "high": 1, "log": True}, "above 0"),
        ({"low": 0.5, "high": 2, "integer": True}, "whole"),
        ({"values": []}, "at least one"),
        ({"values": [1], "low": 0}, "neither ends"),
    ],
)
def test_wrong_ranges_are_refused(given_, match):
    """The message says what is allowed."""
    with pytest.raises(SettingError, match=match):
        Range.parse(given_)


@pytest.mark.parametrize("name", presets())
def test_presets_hold_settings_that_the_models_take(name):
    """Both ends of every range, for every kind of model in it."""
    for kind, space in preset(name).items():
        Tuning(preset=name).check({kind: models.parse(kind)})
        assert len(space) >= 4


def test_table_1_and_table_8():
    """The ranges are those of the seed's tables."""
    spaces = preset("semiannual")
    assert (spaces["lightgbm"]["min_data_in_leaf"].low, spaces["lightgbm"]["min_data_in_leaf"].high) == (2, 512)
    assert spaces["xgboost"]["max_depth"].points(10) == [1, 2, 3, 4, 5, 6]
    assert spaces["gru"]["optimisation.rows_per_step"].values == (256, 512, 1024, 2048, 4096, 8192, 16384)
    assert spaces["rnn"]["dropout"].points(10) == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3])
    with pytest.raises(UnknownNameError, match="semiannual"):
        preset("semianual")


def test_settings_by_path():
    """Nested settings are read and replaced; others stay."""
    model = models.parse({"name": "gru", "hidden": 8})
    other = with_settings(model, {"optimisation.lr": 0.02, "hidden": 16})
    assert (setting(other, "optimisation.lr"), setting(other, "hidden")) == (0.02, 16)
    assert setting(other, "dropout") == setting(model, "dropout")
    with pytest.raises(SettingError, match="no setting 'optimisation.rate'"):
        setting(model, "optimisation.rate")
    with pytest.raises(SettingError, match="name one of them"):
        setting(model, "optimisation")


BASE = {"name": "x", "features": ["alpha158"], "label": "forward_return", "models": ["ridge"]}


@pytest.mark.parametrize(
    ("tuning", "match"),
    [
        ({"spaces": {"gru": {"hidden": [8]}}}, "does not fit"),
        ({"spaces": {"ridge": {"penalti": [1, 2]}}}, "no setting 'penalti'"),
        ({"spaces": {"ridge": {"penalty": [-1.0, 2.0]}}}, "penalty"),
        ({"preset": "semianual"}, "no preset"),
        ({}, "no search space for any of ridge"),
    ],
)
def test_wrong_searches_are_refused_with_the_recipe(tuning, match):
    """Before any work."""
    with pytest.raises(SettingError, match=match):
        Recipe.parse(BASE | {"tuning": tuning})


def test_a_split_that_fits_on_later_dates_takes_no_search():
    """Folds go by earlier dates."""
    tuning = {"spaces": {"ridge": {"penalty": [1.0, 2.0]}}}
    with pytest.raises(SettingError, match="calendar"):
        Recipe.parse(BASE | {"tuning": tuning, "windows": "purged_kfold"})
    assert isinstance(Range(values=("a",)).distribution(), optuna.distributions.CategoricalDistribution)
