"""Specs and registries: settings are frozen, checked, spelt right; components are found by name."""

from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from alphaloom.errors import SettingError, UnknownNameError
from alphaloom.registry import REGISTRIES, Registry
from alphaloom.spec import Component, Spec, fingerprint


class Shape(Component):
    """A base of toy components."""

    corners: ClassVar[int] = 0


shapes: Registry[Shape] = Registry("shape", Shape, "alphaloom.kernels")
REGISTRIES.pop("shape")


@shapes.register("square")
class Square(Shape):
    """Four corners."""

    side: Annotated[float, Field(gt=0)] = 1.0
    """Length."""


class Drawing(Spec):
    """A spec that holds components."""

    main: Annotated[Shape, shapes]
    others: tuple[Annotated[Shape, shapes], ...] = ()


def test_components_are_given_by_name_or_settings():
    """A name, a mapping and an object make equal components; they are written back as mappings."""
    drawing = Drawing.parse({"main": "square", "others": [{"name": "square", "side": 2}, Square(side=3)]})
    assert drawing.main == Square()
    assert drawing.dump() == {
        "main": {"name": "square", "side": 1.0},
        "others": [{"name": "square", "side": 2.0}, {"name": "square", "side": 3.0}],
    }
    assert Drawing.parse(drawing.dump()) == drawing
    assert Drawing.parse(drawing.dump()).fingerprint() == drawing.fingerprint()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"main": "sqare"}, r"drawing.main: there is no shape named 'sqare'. Did you mean 'square'"),
        ({"main": {"name": "square", "sidee": 2}}, r"unknown setting 'sidee'. Did you mean 'side'"),
        ({"main": {"name": "square", "side": -1}}, r"greater than 0 \(given: -1\)"),
        ({"main": "square", "other": []}, r"unknown setting 'other'. Did you mean 'others'"),
        ({"main": 5}, r"a shape is given by its name or as \{name"),
        ({}, r"drawing.main: Field required"),
    ],
)
def test_mistakes_are_named_in_plain_words(data, message):
    """Every mistake says where it stands, what is allowed, and the nearest allowed name."""
    with pytest.raises(SettingError, match=message):
        Drawing.parse(data, where="drawing")


def test_specs_are_frozen():
    """Settings cannot be changed after they were checked."""
    with pytest.raises(ValueError, match="frozen"):
        Square().side = 2


def test_unknown_names_list_what_there_is():
    """A registry names its components when asked for an absent one."""
    with pytest.raises(UnknownNameError, match=r"no shape named 'circle'.*Available: square"):
        shapes["circle"]


def test_two_classes_cannot_share_a_name():
    """A second component of a known name is refused, naming both files."""
    with pytest.raises(SettingError, match="Two shape components are named 'square'"):

        @shapes.register("square")
        class Other(Shape):
            """Another one."""


def test_fingerprint_ignores_order_and_sees_values():
    """Equal settings in another order hash alike; another value does not."""
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_json_schema_offers_the_components():
    """Editors can complete a component's name and settings."""
    schema = Drawing.model_json_schema()
    choices = schema["properties"]["main"]["anyOf"]
    assert choices[0] == {"enum": ["square"]}
    assert "side" in choices[1]["properties"]
