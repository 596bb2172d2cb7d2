"""Lineage of features: what each column reads, and a key that is equal exactly when it computes the same."""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from alphaloom.data.blocks import Source
from alphaloom.data.content_hash import UNIVERSE
from alphaloom.features.base import FeatureFamily
from alphaloom.language.nodes import Node, in_order
from alphaloom.spec import Component, fingerprint

WHOLE_PACKAGES = ("alphaloom.kernels", "alphaloom.language")
"""Packages any of whose files may change a feature's bits."""
_FOLLOWED = ("alphaloom.features", "alphaloom.transforms")
"""Imports of a family's file that are followed lie in these packages, or in the plug-in's own."""


@dataclass(frozen=True)
class Lineage:
    """What the columns of a family are made from.

    `keys [F]` name what a column computes (its expression or its family's code and settings, and the code beneath),
    `source [F]` which of `sources` it reads.
    """

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    source: tuple[int, ...]
    sources: tuple[Source, ...]


def lineage(family: FeatureFamily) -> Lineage:
    """Return the lineage of a family as a whole: every column depends on all its code, settings and fields."""
    columns = tuple(family.columns())
    inputs = set(family.required) | (set() if family.is_local else {UNIVERSE})
    source = Source(tuple(sorted(inputs)), family.lookback, family.is_local)
    code = fingerprint([family.describe(), code_of(family)])
    keys = tuple(fingerprint([code, name]) for name in columns)
    return Lineage(columns, keys, (0,) * len(columns), (source,))


def lineage_of_nodes(names: Sequence[str], nodes: Sequence[Node], listed: str = "is_listed") -> Lineage:
    """Return the lineage of expressions: every column depends on its own expression and fields alone."""
    code = _package_code(WHOLE_PACKAGES)
    sources: dict[Source, int] = {}
    place = []
    for node in nodes:
        fields = {item.name for item in in_order([node]) if item.operator == "field"} | {listed}
        fields |= set() if node.is_local else {UNIVERSE}
        source = Source(tuple(sorted(fields)), node.lookback, node.is_local)
        place.append(sources.setdefault(source, len(sources)))
    digests = _digests(nodes)
    keys = tuple(fingerprint([code, digests[node]]) for node in nodes)
    return Lineage(tuple(names), keys, tuple(place), tuple(sources))


def _digests(nodes: Sequence[Node]) -> dict[Node, str]:
    """Return 16 hex digits for every node: equal exactly for equal expressions, in every process."""
    digests: dict[Node, str] = {}
    for node in in_order(nodes):
        inputs = [digests[child] for child in node.inputs]
        digests[node] = fingerprint([node.operator, inputs, node.window, node.settings, node.name, repr(node.value)])
    return digests


def code_of(family: FeatureFamily) -> str:
    """Return 16 hex digits of the code behind a family: `code_modules`, all kernels, the language, the compiler."""
    files = [_file(name) for name in sorted(code_modules(family))]
    return fingerprint([_package_code(WHOLE_PACKAGES), *(_content(file) for file in files if file is not None)])


def code_modules(family: FeatureFamily) -> set[str]:
    """Return the modules of a family's classes and of the components in its settings, and what these import.

    Of this package, feature and transform modules are followed; of a plug-in, the modules of its own package.
    """
    modules: set[str] = set()
    for name in _modules(family):
        _follow(name, modules)
    return modules


def _modules(component: Component) -> set[str]:
    found = {cls.__module__ for cls in type(component).__mro__ if issubclass(cls, Component)}
    for value in vars(component).values():
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, Component):
                found |= _modules(item)
    return found


def _follow(name: str, seen: set[str]) -> None:
    file = _file(name)
    if name in seen or file is None:
        return
    seen.add(name)
    homes = _FOLLOWED if name.startswith("alphaloom.") else (name.partition(".")[0],)
    for imported in _imports(file):
        if any(imported == home or imported.startswith(f"{home}.") for home in homes):
            _follow(imported, seen)


@cache
def _imports(file: Path) -> tuple[str, ...]:
    """Return the modules that a file may import, by absolute name."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found += [node.module, *(f"{node.module}.{item.name}" for item in node.names)]
    return tuple(found)


def _file(module: str) -> Path | None:
    known = sys.modules.get(module)
    if known is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
        origin = None if spec is None else spec.origin
    else:
        origin = getattr(known, "__file__", None)
    return Path(origin) if origin and origin.endswith(".py") and Path(origin).is_file() else None


@cache
def _package_code(packages: tuple[str, ...]) -> str:
    contents = [version("numba"), version("numpy")]
    for package in packages:
        home = _file(package)
        files = [] if home is None else sorted(home.parent.glob("*.py"))
        contents += [f"{file.name}:{_content(file)}" for file in files]
    return fingerprint(contents)


def _content(file: Path) -> str:
    """Return the hash of a module's file, and of the table of the same name beside it."""
    digest = hashlib.blake2b(file.read_bytes(), digest_size=8)
    table = file.with_suffix(".toml")
    if table.is_file():
        digest.update(table.read_bytes())
    return digest.hexdigest()
