"""Recipes from the web: checked as strictly as any, and kept from code and files of the server."""

import pytest

from alphaloom.errors import SettingError, UsageError
from alphaloom.recipe import read_recipe
from alphaloom.web.recipes import resolve_recipe


def test_a_recipe_is_that_of_the_command(recipe_text, tmp_path):
    """Text, scale and overrides give the recipe that `alphaloom run` would."""
    file = tmp_path / "tiny.yaml"
    file.write_text(recipe_text)
    overrides = ["models.0.penalty=3", "seed=5"]
    assert resolve_recipe(recipe_text, None, None, overrides) == read_recipe(file, overrides=overrides)
    assert resolve_recipe(None, "quickstart", "small", []) == read_recipe("quickstart", scale="small")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None, None, []), "either"),
        (("name: x", "demo", None, []), "either"),
        ((None, "../demo", None, []), "no shipped recipe"),
        ((None, "demo", "tiny", []), "scale"),
        ((None, "demo", None, ["seed"]), "setting.part=value"),
        ((None, "demo", None, ["sead=1"]), "Did you mean 'seed'"),
        (("a: [", None, None, []), "not valid YAML"),
        (("- a", None, None, []), "must hold settings"),
        (("a: \x00", None, None, []), "not valid YAML"),
        (("!!python/object/apply:os.system ['true']", None, None, []), "YAML"),
        (("a: &x [1]\nb: *x", None, None, []), "anchors"),
        (("a: " + "[" * 40 + "]" * 40, None, None, []), "nested"),
        ((None, "demo", None, ["seed=&a [*a]"]), "anchors"),
        ((None, "demo", None, ["seed=" + "9" * 5000]), "."),
    ],
)
def test_wrong_recipes_are_refused_in_words(arguments, message):
    """Every mistake is a SettingError or UsageError with a sentence."""
    with pytest.raises(UsageError, match=message):
        resolve_recipe(*arguments)


def test_a_recipe_from_the_web_neither_imports_code_nor_reads_files(recipe_text):
    """A function of one's own and a market's file are for the command alone."""
    with pytest.raises(SettingError, match="only `alphaloom run` reads"):
        resolve_recipe(recipe_text, None, None, ["backtest.market=/etc/passwd.yaml"])
    own = "portfolios=[{name: optimise, constraints: [{name: written, function: 'os:system'}]}]"
    with pytest.raises(SettingError, match="imports a Python function"):
        resolve_recipe(recipe_text, None, None, [own])
