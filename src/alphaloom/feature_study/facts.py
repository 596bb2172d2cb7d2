"""Facts about a family and its features: settings, expressions, units, look-back, fields, meaning and source."""

import inspect
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alphaloom.data.fields import check_fields
from alphaloom.data.store import Store
from alphaloom.errors import MissingFieldError, UnknownNameError, unknown_name
from alphaloom.features.base import FeatureFamily
from alphaloom.features.written import ExpressionFamily
from alphaloom.language.nodes import FIELD, in_order


@dataclass(frozen=True)
class FeatureFacts:
    """What is known of one feature; `expression` and `unit` are empty where it is not written in the factor language.

    `meaning` and `source` come from the table `NAME.toml` beside a family's module, where there is one: by feature, or
    by group and feature, with the keys `meaning` (or `paper`, the formula as published) and `source`.
    """

    feature: str
    expression: str
    meaning: str
    source: str
    unit: str
    lookback: int
    inputs: tuple[str, ...]
    is_local: bool


def family_facts(family: FeatureFamily) -> dict[str, Any]:
    """Return name, description, settings, number of features, look-back, fields and kind of a family, as plain data."""
    values = family.dump()
    settings = [
        {
            "setting": key,
            "value": values[key],
            "default": field.get_default(call_default_factory=True),
            "meaning": field.description or "",
        }
        for key, field in type(family).model_fields.items()
    ]
    return {
        "family": family.name,
        "what": first_line(family),
        "description": inspect.cleandoc(type(family).__doc__ or ""),
        "features": len(family.columns()),
        "lookback": family.lookback,
        "inputs": list(family.required),
        "kind": "local" if family.is_local else "cross-sectional",
        "written": isinstance(family, ExpressionFamily),
        "settings": settings,
    }


def first_line(family: FeatureFamily) -> str:
    """Return the first sentence of a family's description."""
    text = " ".join(inspect.cleandoc(type(family).__doc__ or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".") + "." if text else ""


def feature_facts(family: FeatureFamily) -> list[FeatureFacts]:
    """Return the facts of every feature of a family, in order."""
    table = _table(type(family).__module__)
    if not isinstance(family, ExpressionFamily):
        return [
            FeatureFacts(name, "", *_words(table, name), "", family.lookback, family.required, family.is_local)
            for name in family.columns()
        ]
    texts, plan = family.expressions(), family.plan
    made = []
    for name, root in zip(plan.names, plan.roots, strict=True):
        inputs = tuple(sorted({node.name for node in in_order([root]) if node.operator == FIELD}))
        made.append(
            FeatureFacts(name, texts[name], *_words(table, name), str(root.unit), root.lookback, inputs, root.is_local)
        )
    return made


def one_feature(family: FeatureFamily, name: str) -> FeatureFacts:
    """Return the facts of one feature.

    Raises:
        UnknownNameError: the family has no such feature; the message names the nearest one.
    """
    facts = {item.feature: item for item in feature_facts(family)}
    if name not in facts:
        raise unknown_name("feature", name, facts, where=f"family {family.name}")
    return facts[name]


def fields_in(store: Store, fields: tuple[str, ...]) -> dict[str, str]:
    """Return for each field why the store cannot make it, or an empty text where it can."""
    found = {}
    for name in fields:
        try:
            check_fields(store, [name])
            found[name] = ""
        except (MissingFieldError, UnknownNameError) as error:
            found[name] = str(error)
    return found


@cache
def _table(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return the entries of the table beside a module by feature; empty where there is none."""
    file = getattr(sys.modules.get(module), "__file__", None)
    path = Path(file).with_suffix(".toml") if file else None
    if path is None or not path.is_file():
        return {}
    found: dict[str, Mapping[str, str]] = {}
    for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
        is_group = all(isinstance(value, dict) for value in entry.values())
        found |= entry if is_group else {name: entry}
    return found


def _words(table: Mapping[str, Mapping[str, str]], name: str) -> tuple[str, str]:
    """Return meaning and source of a feature."""
    entry = table.get(name, {})
    meaning = entry.get("meaning") or (f"published as {entry['paper']}" if "paper" in entry else "")
    return " ".join(meaning.split()), entry.get("source", "")
