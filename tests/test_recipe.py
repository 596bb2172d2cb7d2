"""Recipes: YAML in, overrides, scales, and mistakes named before any work."""

import json

import pytest
import yaml

from alphaloom.errors import AlphaloomError, SettingError, UsageError
from alphaloom.recipe import Recipe, find_recipe, overlay, override, read_recipe, shipped_recipes

SHORT = """
name: short
features: [alpha158]
label: {name: forward_return, horizon: 5}
models: [ridge, {name: gru, steps: 5}]
scales:
  small: {windows: {train_months: 6}, models: [ridge]}
"""


@pytest.fixture
def short(tmp_path):
    """Return a small recipe file."""
    file = tmp_path / "short.yaml"
    file.write_text(SHORT)
    return file


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
@pytest.mark.parametrize("scale", [None, "small"])
def test_shipped_recipes_parse_and_round_trip(name, scale):
    """Every shipped recipe is valid at every scale, and its resolved YAML reads back to the same recipe."""
    recipe = read_recipe(name, scale=scale)
    again = Recipe.parse(yaml.safe_load(recipe.to_yaml()))
    assert again == recipe
    assert again.fingerprint() == recipe.fingerprint()


def test_scales_and_overrides(short):
    """A scale is laid over the file, overrides over both; numbers step into lists, names open up to settings."""
    assert read_recipe(short).windows.train_months == 24
    small = read_recipe(short, scale="small", overrides=["models.0.penalty=2", "seed=5"])
    assert small.windows.train_months == 6
    assert [model.dump() for model in small.models] == [{"penalty": 2.0, "demean": True}]
    assert small.seed == 5
    assert small.fingerprint() != read_recipe(short, scale="small").fingerprint()


def test_model_names_are_distinct(short):
    """Two models of one kind get two names."""
    recipe = read_recipe(short, overrides=["models=[gru, ridge, {name: gru, steps: 3}]"])
    assert recipe.model_names() == ["gru", "ridge", "gru-2"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("modles=[ridge]", r"recipe: unknown setting 'modles'. Did you mean 'models'"),
        ("models=[rigde]", r"recipe.models.0: there is no model named 'rigde'. Did you mean 'ridge'"),
        ("models.1.stepps=3", r"recipe.models.1: gru: unknown setting 'stepps'. Did you mean 'steps'"),
        (
            "windows.train_months=0",
            r"recipe.windows: calendar.train_months: Input should be greater than or equal to 1",
        ),
        ("models=[]", r"recipe.models: Tuple should have at least 1 item"),
        (
            "label_transforms=[robust_zscore]",
            "'robust_zscore' is fitted on a window; labels take transforms of one date",
        ),
        ("portfolios=[linear_programme]", "risk.styles is empty, but a portfolio limits style exposures"),
        ("models.7.steps=1", "models has entries 0 to 1"),
        ("seed.x=1", "seed is 777, which has no parts"),
        ("seed", "write it as setting.part=value"),
        ("seed=[", "is not a YAML value"),
    ],
)
def test_mistakes_are_named(short, setting, message):
    """A misspelt or impossible setting is an error that says where, what and what was meant."""
    short.write_text(SHORT + "seed: 777\n")
    with pytest.raises(SettingError, match=message):
        read_recipe(short, overrides=[setting])


def test_unknown_scale_file_and_yaml(short, tmp_path):
    """An unknown scale or recipe lists what there is; broken YAML is said to be so."""
    with pytest.raises(AlphaloomError, match="no scale named 'tiny'.*Available: full, small"):
        read_recipe(short, scale="tiny")
    with pytest.raises(UsageError, match="no shipped recipe of that name. Did you mean 'demo'"):
        find_recipe("demmo")
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    with pytest.raises(SettingError, match="bad.yaml is not valid YAML"):
        read_recipe(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(SettingError, match="must hold settings"):
        read_recipe(tmp_path / "list.yaml")


def test_overlay_and_override_leave_their_input():
    """Laying settings over others changes neither."""
    data = {"a": {"b": 1, "c": [1, 2]}}
    assert overlay(data, {"a": {"b": 2}}) == {"a": {"b": 2, "c": [1, 2]}}
    assert override(data, "a.c.1=5") == {"a": {"b": 1, "c": [1, 5]}}
    assert data == {"a": {"b": 1, "c": [1, 2]}}


def test_json_schema_covers_the_components():
    """The schema for editors is valid JSON and names models and their settings."""
    text = json.dumps(Recipe.model_json_schema())
    for word in ("lightgbm", "num_leaves", "alpha158", "linear_programme", "train_months"):
        assert word in text


def test_days_need_no_quotes(short):
    """A day that YAML reads as a date is the same setting as its text."""
    plain = read_recipe(short, overrides=["data.start=2019-01-01", "windows.first_test=2020-01-01"])
    quoted = read_recipe(short, overrides=["data.start='2019-01-01'", "windows.first_test='2020-01-01'"])
    assert plain == quoted
    assert plain.data.start == "2019-01-01"


@pytest.mark.parametrize(
    "features", [["{}"], ["alpha158", "{}"], [{"name": "sampled", "of": "{}"}]], ids=["alone", "second", "nested"]
)
def test_a_mistake_in_an_expression_is_pointed_at(features):
    """The message shows the expression and carets under the mistake, and no mistake that only follows from it."""
    wrong = {"name": "expressions", "define": {"A": "close / opn"}}
    filled = [wrong if item == "{}" else {**item, "of": wrong} if isinstance(item, dict) else item for item in features]
    data = {"name": "x", "features": filled, "label": "forward_return", "models": ["ridge"]}
    with pytest.raises(SettingError) as caught:
        Recipe.parse(data, "recipe")
    lines = str(caught.value).split("\n")
    assert lines[0].startswith(f"recipe.features.{len(features) - 1}: ")
    assert lines[0].endswith("expressions: feature 'A':")
    assert lines[1:3] == ["close / opn", "        ^^^"]
    assert lines[3:] == ["there is no field or operator 'opn'. Did you mean 'open'?"]


def test_a_list_without_items_is_refused():
    """No features at all is a mistake of its own."""
    with pytest.raises(SettingError, match=r"recipe\.features: .*at least 1 item"):
        Recipe.parse({"name": "x", "features": [], "label": "forward_return", "models": ["ridge"]}, "recipe")
