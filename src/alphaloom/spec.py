"""Spec: a frozen, validated record of settings. Every component and the recipe itself is one."""

import copy
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from alphaloom.errors import SettingError, did_you_mean


def _day_text(value: Any) -> Any:
    return value.isoformat()[:10] if isinstance(value, dt.date) else value


DayText = Annotated[str, BeforeValidator(_day_text)]
"""A day as ISO text. YAML reads an unquoted 2019-01-01 as a date; it is taken as the text it was."""


class Spec(BaseModel):
    """Immutable settings: unknown keys are refused with the nearest allowed one.

    `Spec(...)` and `Spec.parse(...)` raise; `parse` turns pydantic's report into a `SettingError` in plain words.
    `dump` gives plain data that `parse` reads back to an equal record, and `fingerprint` its hash.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    allowed = ", ".join(cls.model_fields) or "none"
                    raise PydanticCustomError(
                        "unknown_setting",
                        "unknown setting {key}.{hint} Allowed: {allowed}",
                        {
                            "key": repr(key),
                            "hint": did_you_mean(str(key), cls.model_fields),
                            "allowed": allowed,
                        },
                    )
        return data

    @classmethod
    def parse(cls, data: Any, where: str = "") -> Self:
        """Return the record described by plain data.

        Raises:
            SettingError: one line for each wrong setting: where it stands, what is allowed, what was given.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise SettingError(explain(error, where or cls.__name__)) from None

    def dump(self) -> dict[str, Any]:
        """Return plain data (JSON and YAML types) from which `parse` makes an equal record."""
        return self.model_dump(mode="json")

    def fingerprint(self) -> str:
        """Return 16 hex digits that are equal exactly when all settings are equal."""
        return fingerprint(self.dump())


class Component(Spec):
    """A Spec that a registry knows by name: a model, loss, feature family, label, transform, rule or source."""

    name: ClassVar[str] = ""

    def describe(self) -> dict[str, Any]:
        """Return the name and all settings as plain data, the form used in recipes."""
        return {"name": type(self).name, **self.dump()}


def fingerprint(data: Any) -> str:
    """Return 16 hex digits of the BLAKE2 hash of plain data, whatever the order of its keys."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def explain(error: ValidationError, where: str) -> str:
    """Return pydantic's error list as text, a mistake after another, each from a line of its own."""
    return "\n".join(mistakes(error, where))


def mistakes(error: ValidationError, where: str) -> list[str]:
    """Return pydantic's error list as a text a mistake: `recipe.models.0.gru.hidden: ... (given: ...)`.

    A text has one line, but for a mistake in an expression, which is shown under the expression.
    """
    items = error.errors(include_url=False)
    lines = []
    for item in items:
        size = len(item["loc"])
        if item["type"] == "too_short" and any(len(x["loc"]) > size and x["loc"][:size] == item["loc"] for x in items):
            continue  # pydantic counts no item that is wrong itself
        place = ".".join([where, *(str(part) for part in item["loc"])])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] in {"unknown_setting", "unknown_component", "value_error"}:
            lines.append(f"{place}: {message}")
        else:
            given = repr(item["input"])
            lines.append(f"{place}: {message} (given: {given if len(given) < 80 else given[:77] + '...'})")
    return lines


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names made distinct: a second `gru` becomes `gru-2`.

    >>> distinct(["gru", "ridge", "gru"])
    ['gru', 'ridge', 'gru-2']
    """
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return out


def with_value(data: Mapping[str, Any], path: str, value: Any, *, where: str) -> dict[str, Any]:
    """Return a copy of `data` with the value at a path `a.b`; a number steps into a list, a component's name opens.

    Raises:
        SettingError: an empty path, or one that steps into a value that has no parts; the message begins with `where`.
    """
    keys = path.split(".")
    if not all(keys):
        raise SettingError(f"{where}: write it as setting.part=value, for example models.0.epochs=5.")
    out: Any = copy.deepcopy(dict(data))
    place = out
    for depth, key in enumerate(keys):
        final = depth == len(keys) - 1
        if isinstance(place, list):
            if not key.isdigit() or int(key) >= len(place):
                raise SettingError(f"{where}: {'.'.join(keys[:depth])} has entries 0 to {len(place) - 1}.")
            if isinstance(place[int(key)], str) and not final:
                place[int(key)] = {"name": place[int(key)]}
            index: Any = int(key)
        elif isinstance(place, dict):
            if isinstance(place.get(key), str) and not final:
                place[key] = {"name": place[key]}
            if not final:
                place.setdefault(key, {})
            index = key
        else:
            raise SettingError(f"{where}: {'.'.join(keys[:depth])} is {place!r}, which has no parts.")
        if final:
            place[index] = value
        else:
            place = place[index]
    return dict(out)
