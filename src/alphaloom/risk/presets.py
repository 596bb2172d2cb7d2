"""Published settings by name; `presets.yaml` holds them and says where each comes from."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from alphaloom.errors import unknown_name

PARTS = ("covariance", "specific")


@cache
def _presets() -> dict[str, dict[str, Any]]:
    text = (files("alphaloom.risk") / "presets.yaml").read_text(encoding="utf-8")
    read: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return read


def preset_names() -> list[str]:
    """Return the names of all presets."""
    return list(_presets())


def preset(name: str) -> dict[str, dict[str, Any]]:
    """Return a preset's settings of `covariance` and `specific`.

    Raises:
        UnknownNameError: there is no such preset.
    """
    known = _presets()
    if name not in known:
        raise unknown_name("preset", name, known)
    return {part: dict(known[name][part]) for part in PARTS}


def preset_source(name: str) -> str:
    """Return where a preset's figures come from."""
    return " ".join(str(_presets()[name]["source"]).split())
