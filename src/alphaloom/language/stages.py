"""Cutting expressions into stages: what can be computed stock by stock between two looks across the market.

Elementwise and time-series operators need one stock's rows at a time, cross-sectional ones all stocks of a date. A
stage is one pass over the listed spans of all stocks; before it, the cross-sectional nodes whose inputs are then known
are computed on planes `[T, N]`. Quantiles are found for several stocks side by side, at the head of a stage, so what
they read must be known before it as well. A node is **at rest** where it can be read without a stage of its own: a
field, a cross-sectional result, or what an earlier stage stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from alphaloom.kernels.series_work import CODES
from alphaloom.language.nodes import FIELD, NUMBER, Node, in_order
from alphaloom.language.operators import OPERATORS

QUANTILES = frozenset(CODES["quantiles"])
"""Time-series operators that are computed for several stocks side by side."""
SHIFTS = frozenset({"delay", "delta", "returns"})
"""Time-series operators that read one other row, not a window."""


@dataclass
class Stage:
    """One pass over all stocks, and the planes made before it."""

    planes: list[Node] = field(default_factory=list)
    """Cross-sectional nodes computed before it, in order."""
    loaded: dict[Node, None] = field(default_factory=dict)
    """Nodes at rest that it reads."""
    quantiles: list[Node] = field(default_factory=list)
    """Quantiles of loaded nodes, computed at its head."""
    computed: dict[Node, None] = field(default_factory=dict)
    """Nodes that it computes for each stock, operands before what uses them."""
    stored: dict[Node, None] = field(default_factory=dict)
    """Nodes made in it that a later stage, or the planes before one, read."""


def is_plane(node: Node) -> bool:
    """Whether the node lies on a plane `[T, N]` by itself: a field or a cross-sectional result."""
    return node.operator == FIELD or is_cross(node)


def is_cross(node: Node) -> bool:
    """Whether the node compares the stocks of a date."""
    return node.operator in OPERATORS and OPERATORS[node.operator].kind == "cross"


def is_series(node: Node) -> bool:
    """Whether the node reads several rows of a stock."""
    return node.operator in OPERATORS and OPERATORS[node.operator].kind == "series"


def is_windowed(node: Node) -> bool:
    """Whether the node reads a window of rows."""
    return is_series(node) and node.operator not in SHIFTS


def cut(roots: Sequence[Node]) -> list[Stage]:
    """Return the stages that compute the roots; the roots themselves are computed or loaded in the last one.

    A node that one stage computed and a later one needs is stored if it reads several rows; otherwise it is computed
    again from its operands, which costs less than a plane.
    """
    nodes = list(in_order(roots))
    level: dict[Node, int] = {}
    for node in nodes:
        level[node] = max((_known(node, child, level) for child in node.inputs), default=0)
    stages = [Stage() for _ in range(max(level[root] for root in roots) + 1)]
    cutter = _Cutter(stages, level)
    for p, stage in enumerate(stages):
        stage.planes = [node for node in nodes if is_cross(node) and level[node] == p]
        for node in nodes:
            if level[node] == p and node.operator in QUANTILES:
                cutter.visit(node, p)
            for child in node.inputs if is_cross(node) or node.operator in QUANTILES else ():
                if level[node] == p + 1 and not is_plane(child):
                    cutter.keep(child, p)
    for root in roots:
        cutter.visit(root, len(stages) - 1)
    return stages


def _known(node: Node, child: Node, level: dict[Node, int]) -> int:
    """Return the first stage in which, or before which, the node can read its input."""
    waits = (is_cross(node) or node.operator in QUANTILES) and not is_plane(child)
    return level[child] + waits


class _Cutter:
    """Places nodes into stages, in order of stages."""

    def __init__(self, stages: list[Stage], level: dict[Node, int]) -> None:
        self.stages = stages
        self.level = level
        self.placed: dict[Node, int] = {}

    def keep(self, node: Node, p: int) -> None:
        """Have the node stored by stage p or an earlier one."""
        self.visit(node, p)
        self.stages[self.placed.setdefault(node, p)].stored[node] = None

    def visit(self, node: Node, p: int) -> None:
        """Make the node known in stage p."""
        stage = self.stages[p]
        if node.operator == NUMBER or node in stage.loaded or node in stage.computed or node in stage.quantiles:
            return
        before = self.placed.get(node, p)
        if is_plane(node):
            stage.loaded[node] = None
        elif before < p and (is_series(node) or node in self.stages[before].stored):
            self.stages[before].stored[node] = None
            stage.loaded[node] = None
        elif node.operator in QUANTILES:
            self.visit(node.inputs[0], p)
            stage.quantiles.append(node)
            self.placed[node] = p
        else:
            for child in node.inputs:
                self.visit(child, p)
            stage.computed[node] = None
            self.placed.setdefault(node, p)
