"""What the README shows works as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from panels import random_panel

from alphaloom.cli import call
from alphaloom.features.base import features
from alphaloom.features.compute import compute_features
from alphaloom.recipe import Recipe

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the README's first code block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def test_the_recipe_is_valid():
    """The recipe in the README parses, every component and setting known."""
    recipe = Recipe.parse(yaml.safe_load(block("yaml")))
    assert recipe.model_names() == ["lightgbm", "gru"]


def test_the_component_works():
    """The README's feature family registers and computes."""
    features.names()
    try:
        exec(block("python"), {"__name__": "readme_example"})
        panel = random_panel(20, 5)
        made = compute_features([features.parse("day_range")], panel)
        expected = (panel["adj_high"] - panel["adj_low"]) / panel["adj_close"]
        np.testing.assert_array_equal(made["RANGE"], expected)
    finally:
        features._classes.pop("day_range", None)


@pytest.mark.parametrize("line", sorted(set(re.findall(r"^alphaloom ([a-z]+(?: [a-z]+)?)", README, re.MULTILINE))))
def test_the_commands_exist(line, capsys):
    """Every command that the README calls answers --help."""
    words = line.split()
    words = words if words[0] in {"data", "features"} else words[:1]
    assert call([*words, "--help"]) == 0
    assert "Usage: alphaloom" in capsys.readouterr().out


def test_the_pages_exist():
    """Every file that the README links to is there."""
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target
