"""Nodes of an expression: immutable, compared by what they compute, so that equal subexpressions are one node."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from alphaloom.language.units import RATIO, Unit

FIELD = "field"
NUMBER = "constant"
Setting = tuple[str, float | str]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operation, field or constant; made by `alphaloom.language.build` alone, which fills in what is derived.

    `inputs` are the operands; behind them, of a cross-sectional operator, its group, its weight and its regressors, as
    many as the settings `by` (0 or 1), `weight` (0 or 1) and `on` (0 or more) say: see `operands`, `group`, `weight`
    and `regressors`. `window` is the number of rows of a time-series operator (the shift of `delay`, `delta` and
    `returns`, negative where it reads ahead), 0 elsewhere. `settings` are all remaining arguments of the operator,
    sorted by name, numbers as floats, defaults filled in; `by`, `weight` and `on` are there where the operator can
    take them.
    """

    operator: str
    inputs: tuple["Node", ...] = ()
    window: int = 0
    settings: tuple[Setting, ...] = ()
    name: str = ""
    """Panel field, of a `field`."""
    value: float = 0.0
    """Of a `constant`."""
    unit: Unit = RATIO
    lookback: int = 0
    """Rows before t that the value at t may read, in all."""
    lookahead: int = 0
    """Rows after t that the value at t may read, in all; 0 in every feature."""
    is_local: bool = True
    """Whether a stock's value depends on that stock alone."""
    _hash: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self._key()))

    def _key(self) -> tuple[object, ...]:
        return (self.operator, self.inputs, self.window, self.settings, self.name, self.value)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Node) and self._hash == other._hash and self._key() == other._key()

    def setting(self, name: str, default: float = 0.0) -> float:
        """Return a numeric setting, or the default where it was not given."""
        for key, value in self.settings:
            if key == name:
                return float(value)
        return default

    def choice(self, name: str) -> str:
        """Return a setting that is a word, such as `gap`."""
        return str(dict(self.settings)[name])

    @property
    def operands(self) -> tuple["Node", ...]:
        """The inputs without group, weight and regressors."""
        return self.inputs[: len(self.inputs) - self._count("by") - self._count("weight") - self._count("on")]

    @property
    def group(self) -> "Node | None":
        """The group to compare within."""
        return self.inputs[len(self.operands)] if self._count("by") else None

    @property
    def weight(self) -> "Node | None":
        """The weight of each stock."""
        return self.inputs[len(self.operands) + self._count("by")] if self._count("weight") else None

    @property
    def regressors(self) -> tuple["Node", ...]:
        """The regressors of `cs_neutralise`."""
        return self.inputs[len(self.inputs) - self._count("on") :]

    def _count(self, name: str) -> int:
        return int(self.setting(name))


def in_order(roots: Sequence[Node]) -> Iterator[Node]:
    """Yield every distinct node that the roots need, operands before what uses them."""
    seen: set[Node] = set()
    for root in roots:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in seen:
                continue
            if ready:
                seen.add(node)
                yield node
            else:
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(node.inputs) if child not in seen)
