"""Steps of a plan: each stage with its programme, ready to be executed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alphaloom.language.nodes import FIELD, Node
from alphaloom.language.program import Program, compile_stage, request_rows
from alphaloom.language.stages import Stage, cut
from alphaloom.typing import Doubles, Ints


@dataclass(frozen=True)
class Step:
    """One stage, with its programme and where its values lie in the bank of a block of stocks."""

    stage: Stage
    program: Program
    slots: dict[Node, int]
    quantiles: tuple[tuple[int, slice, Ints, Doubles], ...]
    """For each series of which quantiles are wanted: its slot, the slots of the results, requests and parameters."""
    released: tuple[Node, ...]
    """Planes that nothing reads after it."""


def steps_of(roots: Sequence[Node]) -> Iterator[Step]:
    """Yield the steps that compute the roots, in order."""
    stages = cut(roots)
    last_use: dict[Node, int] = {}
    for p, stage in enumerate(stages):
        for node in [*stage.loaded, *(child for plane in stage.planes for child in plane.inputs)]:
            last_use[node] = p
    for p, stage in enumerate(stages):
        outputs = roots if p == len(stages) - 1 else ()
        groups: dict[Node, list[Node]] = {}
        for node in stage.quantiles:
            groups.setdefault(node.inputs[0], []).append(node)
        together = [node for nodes in groups.values() for node in nodes]
        slots = {node: k for k, node in enumerate(dict.fromkeys([*stage.loaded, *together, *stage.stored]))}
        released = [node for node, last in last_use.items() if last == p and node.operator != FIELD]
        yield Step(
            stage, compile_stage(stage, slots, outputs), slots, tuple(_quantiles(groups, slots)), tuple(released)
        )


def _quantiles(groups: dict[Node, list[Node]], slots: dict[Node, int]) -> Iterator[tuple[int, slice, Ints, Doubles]]:
    for child, nodes in groups.items():
        requests, parameters = request_rows(nodes, range(len(nodes)))
        yield slots[child], slice(slots[nodes[0]], slots[nodes[0]] + len(nodes)), requests, parameters
