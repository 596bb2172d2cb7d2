"""Registry: components of one kind, found by name. A new component is one new file in its folder.

The registry imports every module of its home package on first use, then every module of the packages that other
distributions announce under the entry-point group `alphaloom.plugins`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from alphaloom.errors import SettingError, did_you_mean, unknown_name
from alphaloom.spec import Component, explain, mistakes

C = TypeVar("C", bound=Component)
PLUGIN_GROUP = "alphaloom.plugins"

REGISTRIES: dict[str, "Registry[Any]"] = {}
"""Every registry by the kind it holds; the contract tests and `alphaloom list` walk over it."""


class Registry(Generic[C]):
    """Components of one kind by name.

    In a Spec, `Annotated[Model, models]` is a field that accepts a component, its name, or `{name: ..., setting: ...}`;
    it is written back in the last form.
    """

    def __init__(self, kind: str, base: type[C], package: str) -> None:
        self.kind = kind
        self.base = base
        self.package = package
        self._classes: dict[str, type[C]] = {}
        self._loaded = False
        self._describing = False
        REGISTRIES[kind] = self

    def register(self, name: str) -> Callable[[type[C]], type[C]]:
        """Return a class decorator that makes the class known as `name` (also the file's name, by custom)."""

        def add(cls: type[C]) -> type[C]:
            known = self._classes.get(name)
            if known is not None and known.__qualname__ != cls.__qualname__:
                raise SettingError(
                    f"Two {self.kind} components are named {name!r}: {known.__module__} and {cls.__module__}."
                )
            cls.name = name
            self._classes[name] = cls
            return cls

        return add

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        _import_modules(self.package)
        for plugin in entry_points(group=PLUGIN_GROUP):
            _import_modules(plugin.value)

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self._load()
        return sorted(self._classes)

    def __iter__(self) -> Iterator[type[C]]:
        return (self[name] for name in self.names())

    def __contains__(self, name: str) -> bool:
        self._load()
        return name in self._classes

    def __getitem__(self, name: str) -> type[C]:
        """Return the class known as `name`.

        Raises:
            UnknownNameError: no such component; the message lists them and the nearest one.
        """
        self._load()
        if name not in self._classes:
            raise unknown_name(self.kind, name, self._classes)
        return self._classes[name]

    def parse(self, data: Any, where: str = "") -> C:
        """Return the component described by its name, by `{name: ..., setting: ...}`, or the component itself.

        Raises:
            SettingError: unknown name or setting, or a value out of range.
        """
        try:
            return self._validate(data)
        except ValidationError as error:
            name = data.get("name", "") if isinstance(data, dict) else data
            raise SettingError(explain(error, where or f"{self.kind} {name}")) from None
        except PydanticCustomError as error:
            raise SettingError(f"{where or self.kind}: {error.message()}") from None

    def _class_and_settings(self, data: Any) -> tuple[type[C], dict[str, Any]]:
        if isinstance(data, str):
            data = {"name": data}
        if not isinstance(data, dict) or not isinstance(data.get("name"), str):
            raise PydanticCustomError(
                "unknown_component",
                "a {kind} is given by its name or as {form}; given: {data}",
                {"kind": self.kind, "form": "{name: ..., setting: ...}", "data": repr(data)[:80]},
            )
        self._load()
        name = data["name"]
        if name not in self._classes:
            raise PydanticCustomError(
                "unknown_component",
                "there is no {kind} named {name}.{hint} Available: {all}",
                {
                    "kind": self.kind,
                    "name": repr(name),
                    "hint": did_you_mean(name, self._classes),
                    "all": ", ".join(self.names()),
                },
            )
        return self._classes[name], {key: value for key, value in data.items() if key != "name"}

    def _validate(self, data: Any) -> C:
        if isinstance(data, self.base):
            return data
        cls, settings = self._class_and_settings(data)
        return cls.model_validate(settings)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(data: Any) -> C:
            try:
                return self._validate(data)
            except ValidationError as error:
                name = data.get("name", "") if isinstance(data, dict) else str(data)
                raise PydanticCustomError(
                    "unknown_component",
                    "{text}",
                    {"text": "; ".join(mistakes(error, name))},
                ) from None

        return core_schema.no_info_plain_validator_function(
            validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda item: item.describe()),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        choices: list[JsonSchemaValue] = [{"enum": self.names()}]
        if self._describing:  # a component of this kind inside another one: by its name alone, else there is no end
            return {"anyOf": [*choices, {"type": "object", "required": ["name"], "properties": {"name": choices[0]}}]}
        self._describing = True
        try:
            choices += self._schemas(handler)
        finally:
            self._describing = False
        return {"anyOf": choices}

    def _schemas(self, handler: GetJsonSchemaHandler) -> list[JsonSchemaValue]:
        schemas: list[JsonSchemaValue] = []
        for cls in self:
            inner = handler.resolve_ref_schema(handler(cls.__pydantic_core_schema__))
            schemas.append(
                {
                    "type": "object",
                    "title": cls.name,
                    "description": (cls.__doc__ or "").strip().split("\n")[0],
                    "properties": {"name": {"const": cls.name}, **inner.get("properties", {})},
                    "required": ["name", *inner.get("required", [])],
                    "additionalProperties": False,
                }
            )
        return schemas


def _import_modules(package: str) -> None:
    """Import a package and every module in it, one level deep; packages inside it import their own files."""
    home = importlib.import_module(package)
    for module in pkgutil.iter_modules(getattr(home, "__path__", [])):
        importlib.import_module(f"{package}.{module.name}")
