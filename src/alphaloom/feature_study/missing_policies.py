"""Policies for missing values, as the components that a recipe names for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alphaloom.data.fields import check_fields
from alphaloom.data.store import Store
from alphaloom.errors import MissingFieldError
from alphaloom.features.base import FeatureFamily
from alphaloom.features.base import features as feature_registry
from alphaloom.labels.base import Label
from alphaloom.transforms.base import Transform
from alphaloom.transforms.base import transforms as transform_registry

LEAVE = "leave"


@dataclass(frozen=True)
class Policy:
    """One way of treating missing values: the family and the transforms that a recipe would name for it."""

    name: str
    meaning: str
    family: FeatureFamily
    transforms: tuple[Transform, ...] = ()

    def recipe(self) -> dict[str, Any]:
        """Return the parts of a recipe that ask for it, as plain data."""
        transforms = [transform.describe() for transform in self.transforms]
        return {"features": [self.family.describe()], "transforms": transforms}


def policies(family: FeatureFamily, *, limit: int = 20) -> list[Policy]:
    """Return the policies compared, the first one leaving values missing; `limit` rows are carried forward at most."""

    def fill(**settings: Any) -> Transform:
        return transform_registry.parse({"name": "fill", **settings})

    by_industry = transform_registry.parse({"name": "industry_fill", "fallback": "cross_section"})
    carried = feature_registry.parse({"name": "carried_forward", "of": family.describe(), "limit": limit})
    marked = feature_registry.parse({"name": "missing_indicators", "of": family.describe()})
    return [
        Policy(LEAVE, "values stay missing", family),
        Policy("zero", "0 in the feature's own units", family, (fill(by="constant"),)),
        Policy("mean", "mean of the day's stocks", family, (fill(by="mean"),)),
        Policy("median", "median of the day's stocks", family, (fill(by="median"),)),
        Policy("industry mean", "mean of the industry that day, else of all", family, (by_industry,)),
        Policy("carry forward", f"last known value of at most {limit} days before", carried),
        Policy("indicator", "median, and a column that says so", marked, (fill(by="median"),)),
    ]


def available(compared: Sequence[Policy], store: Store) -> tuple[list[Policy], dict[str, str]]:
    """Return the policies whose transforms' fields the store has, and for each of the others why it is left out."""
    able, left_out = [], {}
    for policy in compared:
        try:
            check_fields(store, [name for transform in policy.transforms for name in transform.required])
            able.append(policy)
        except MissingFieldError as error:
            left_out[policy.name] = str(error)
    return able, left_out


def required_fields(compared: Sequence[Policy], label: Label) -> list[str]:
    """Return the panel fields that the study reads."""
    read = [policy.family.required for policy in compared]
    read += [transform.required for policy in compared for transform in policy.transforms]
    return list(dict.fromkeys([*(name for fields in read for name in fields), *label.required, "is_listed"]))
