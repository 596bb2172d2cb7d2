"""What is asked for by name: the families, those that a store can make, and their panel."""

from collections.abc import Sequence

import numpy as np
import yaml

from alphaloom.data.fields import check_fields
from alphaloom.data.load import load_calendar, load_panel
from alphaloom.data.store import Store
from alphaloom.errors import MissingFieldError, SettingError
from alphaloom.features.base import FeatureFamily, features
from alphaloom.features.compute import required_fields
from alphaloom.panel import Panel

ALL = "all"


def parse_families(text: str) -> list[FeatureFamily]:
    """Return the families that a text names: `alpha158`, `alpha158,alpha360`, `all`, or YAML with settings.

    >>> [family.name for family in parse_families("alpha158, {name: expressions, define: {gap: open / close}}")]
    ['alpha158', 'expressions']

    Raises:
        SettingError: an unknown family or setting, or a text that cannot be read.
    """
    if text.strip() == ALL:
        return [features.parse(name) for name in features.names()]
    try:
        asked = yaml.safe_load(text if text.lstrip().startswith(("[", "- ")) else f"[{text}]")
    except yaml.YAMLError as error:
        raise SettingError(
            f"{text!r} names no feature families ({' '.join(str(error).split())}). Write alpha158, or "
            "'alpha158,alpha360', or '{name: expressions, define: {gap: open / close}}'."
        ) from None
    if not asked:
        raise SettingError("No feature family is named; name at least one, for example alpha158.")
    return [features.parse(item) for item in asked]


def split_available(families: Sequence[FeatureFamily], store: Store) -> tuple[list[FeatureFamily], dict[str, str]]:
    """Return the families that a store can make, and for each of the others, by name, why it cannot."""
    days = load_calendar(store).size
    able, skipped = [], {}
    for family in families:
        try:
            check_fields(store, family.required)
        except MissingFieldError as error:
            skipped[family.name] = str(error)
            continue
        if family.lookback >= days:
            skipped[family.name] = f"It looks back {family.lookback} rows; the store has {days} days."
        else:
            able.append(family)
    return able, skipped


def load_market(families: Sequence[FeatureFamily], store: Store) -> Panel:
    """Return the whole panel that the families read; its universe is the listed stock-days.

    Raises:
        MissingFieldError: the store lacks a field; the message says which family needs it.
    """
    needed = {name: f"feature family {family.name}" for family in families[::-1] for name in family.required}
    panel = load_panel(store, dict.fromkeys([*required_fields(families), "is_listed"]), needed_by=needed)
    return panel.with_universe(np.asarray(panel["is_listed"] == 1))
