"""Recipes that arrive over HTTP: read with more care than a file of one's own."""

import yaml

from alphaloom.data.market_rules import market_names
from alphaloom.errors import SettingError, UsageError
from alphaloom.recipe import Recipe, parse_recipe, shipped_recipes
from alphaloom.spec import Component, Spec

DEEPEST = 30
"""Nested lists and mappings that a text may hold."""
RUNS_CODE = {"written": "imports a Python function"}
"""Components that the web page refuses, and why."""


def resolve_recipe(source: str | None, shipped: str | None, scale: str | None, overrides: list[str]) -> Recipe:
    """Return the recipe of a YAML text or of a shipped one's name, with scale and overrides.

    Raises:
        UsageError: neither or both are given, or no shipped recipe has that name.
        SettingError: what `read_recipe` refuses; YAML with anchors or very deep; and what only a file of one's own may
            hold: a function of one's own, or a market's file by its path.
    """
    if (source is None) == (shipped is None):
        raise UsageError("Give either the name of a shipped recipe or a YAML text.")
    for text in overrides:
        _check_yaml(text.partition("=")[2], f"override {text[:40]!r}")
    if shipped is not None:
        known = shipped_recipes()
        if shipped not in known:
            raise UsageError(f"There is no shipped recipe {shipped!r}. There are: {', '.join(sorted(known))}.")
        source, where = known[shipped].read_text(encoding="utf-8"), shipped
    else:
        assert source is not None
        where = "recipe"
        _check_yaml(source, where)
    try:
        recipe = parse_recipe(source, where, scale=scale or None, overrides=overrides)
    except (ValueError, OverflowError, RecursionError) as error:  # numbers of thousands of digits and the like
        raise SettingError(f"{where} cannot be read: {' '.join(str(error).split())[:200]}") from None
    _check_contents(recipe)
    return recipe


def _check_yaml(source: str, where: str) -> None:
    """Refuse anchors, which can stand for more than memory holds, and depths that no recipe needs."""
    depth = 0
    try:
        for event in yaml.parse(source, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise SettingError(f"{where}: anchors (&name, *name) are not taken here; write the settings out.")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEEPEST:
                raise SettingError(f"{where} is nested more than {DEEPEST} deep.")
    except yaml.YAMLError as error:
        raise SettingError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from None


def _check_contents(recipe: Recipe) -> None:
    if recipe.backtest.market not in market_names():
        raise SettingError(
            f"recipe.backtest.market: {recipe.backtest.market!r} is none of {', '.join(market_names())}; a market of "
            "your own is a file, which only `alphaloom run` reads."
        )
    for component in _components(recipe):
        if component.name in RUNS_CODE:
            reason = RUNS_CODE[component.name]
            raise SettingError(f"The component {component.name!r} {reason}: only `alphaloom run` takes it.")


def _components(value: object) -> list[Component]:
    """Return every component in a record, at any depth."""
    if isinstance(value, Spec):
        own = [value] if isinstance(value, Component) else []
        return own + [item for name in type(value).model_fields for item in _components(getattr(value, name))]
    if isinstance(value, tuple | list):
        return [found for item in value for found in _components(item)]
    if isinstance(value, dict):
        return [found for item in value.values() for found in _components(item)]
    return []
