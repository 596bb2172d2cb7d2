"""From the nodes of a stage to a programme of the register machine."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from alphaloom.kernels import machine, series_work
from alphaloom.language.nodes import NUMBER, Node
from alphaloom.language.stages import SHIFTS, Stage, is_windowed
from alphaloom.typing import Doubles, Ints

EXCHANGED = {"greater": "less", "greater_equal": "less_equal"}
"""Comparisons that are another one with its operands exchanged."""
Group = tuple[str, tuple[Node, ...], float]
"""What operators on windows share to be one instruction: kernel, operands and half-life."""


@dataclass(frozen=True)
class Program:
    """What `alphaloom.kernels.machine.run` executes; its module describes the tables."""

    instructions: Ints
    half_lives: Doubles
    requests: Ints
    parameters: Doubles
    constants: tuple[tuple[int, float], ...]
    """Registers that hold a number in every row, and the numbers."""
    n_registers: int
    n_outputs: int
    """Registers 0 to `n_outputs` - 1 hold the outputs afterwards."""


def compile_stage(stage: Stage, slots: dict[Node, int], outputs: Sequence[Node]) -> Program:
    """Return the programme of a stage.

    Args:
        stage: what is loaded, computed and stored.
        slots: place in the bank of every node that is loaded, stored or a quantile of the stage.
        outputs: nodes whose values end in registers 0, 1, ...; empty but in the last stage.
    """
    writer = _Writer(stage, slots, outputs)
    for node in stage.computed:
        writer.emit(node)
    writer.write_outputs()
    return writer.program()


def request_rows(nodes: Iterable[Node], targets: Iterable[int]) -> tuple[Ints, Doubles]:
    """Return the tables of requests and parameters of operators on windows whose results go to the targets."""
    requests, parameters = [], []
    for node, target in zip(nodes, targets, strict=True):
        least = int(node.setting("min_periods"))
        code = series_work.CODES[series_work.KERNELS[node.operator]].index(node.operator)
        requests.append([code, node.window, least, target])
        parameters.append([_parameter(node)])
    return (
        np.array(requests, dtype=np.int64).reshape(-1, 4),
        np.array(parameters, dtype=np.float64).reshape(-1, 1),
    )


def _parameter(node: Node) -> float:
    names = dict(node.settings)
    if "gap" in names:
        return float(names["gap"] == "first")
    if node.operator == "ts_median":
        return 0.5
    return node.setting("q") if "q" in names else node.setting("min_std")


def _group_of(node: Node) -> Group:
    return series_work.KERNELS[node.operator], node.inputs, node.setting("half_life")


class _Writer:
    """Writes instructions in order and assigns registers; a register is free again after its last use."""

    def __init__(self, stage: Stage, slots: dict[Node, int], outputs: Sequence[Node]) -> None:
        self.stage, self.slots, self.outputs = stage, slots, outputs
        self.destined = {node: register for register, node in reversed(list(enumerate(outputs)))}
        self.members: dict[Group, list[Node]] = {}
        self.users: dict[Node, list[Node]] = {}
        self.left: dict[Node, int] = {node: 1 for node in stage.stored if node in stage.computed}
        """Instructions that will still read a node's register."""
        self._count_uses()
        numbers = [node for node in [*self.left, *outputs] if node.operator == NUMBER]
        self.constants = {node: len(outputs) + k for k, node in enumerate(dict.fromkeys(numbers))}
        self.at: dict[Node, int] = dict(self.constants)
        """Registers of the nodes that are known."""
        self.free: list[int] = []
        self.size = len(outputs) + len(self.constants)
        self.instructions: list[tuple[int, ...]] = []
        self.half_lives: list[float] = []
        self.windowed: list[Node] = []
        self.targets: list[int] = []

    def _count_uses(self) -> None:
        for node in self.stage.computed:
            if is_windowed(node):
                group = self.members.setdefault(_group_of(node), [])
                group.append(node)
                if len(group) > 1:
                    continue  # the group reads its operands once
            for child in node.inputs:
                self.left[child] = self.left.get(child, 0) + 1
                self.users.setdefault(child, []).append(node)

    def emit(self, node: Node) -> None:
        """Write what computes a node, unless it is known already."""
        if node in self.at:
            return
        made = self.members[_group_of(node)] if is_windowed(node) else [node]
        inputs = [self._register(child) for child in node.inputs]
        for item in made:
            self._assign(item)
        if is_windowed(node):
            self._write_group(made, inputs)
        else:
            self._write(node, inputs)
        for child in node.inputs:
            self._used(child)
        for item in made:
            if item in self.stage.stored:
                self._append("store", self.slots[item], [self.at[item]])
                self._used(item)
        if is_windowed(node):
            self._emit_ready(made)

    def _emit_ready(self, made: Sequence[Node]) -> None:
        """Write at once the elementwise nodes that a group's results complete: it frees their registers soon."""
        for item in made:
            for user in self.users.get(item, ()):
                ready = all(child in self.at or child in self.slots for child in user.inputs)
                if ready and user not in self.at and not is_windowed(user):
                    self.emit(user)
                    self._emit_ready([user])

    def _write(self, node: Node, inputs: list[int]) -> None:
        name = node.operator
        if name in EXCHANGED:
            name, inputs = EXCHANGED[name], inputs[::-1]
        elif name == "number":
            name = "copy"
        elif name == "power" and node.inputs[1].value == 2.0 and node.inputs[1].operator == NUMBER:
            name, inputs = "multiply", [inputs[0], inputs[0]]
        self._append(name, self.at[node], inputs, node.window if name in SHIFTS else 0)

    def _write_group(self, made: Sequence[Node], inputs: list[int]) -> None:
        kernel, _, half_life = _group_of(made[0])
        first = len(self.windowed)
        self.windowed += made
        self.targets += [self.at[item] for item in made]
        self._append(kernel, 0, inputs, len(self.half_lives), first, len(self.windowed))
        self.half_lives.append(half_life)

    def _append(self, name: str, out: int, inputs: Sequence[int], argument: int = 0, *span: int) -> None:
        a, b, c = (*inputs, 0, 0, 0)[:3]
        first, stop = span or (0, 0)
        self.instructions.append((machine.CODES[name], out, a, b, c, argument, first, stop))

    def _register(self, node: Node) -> int:
        """Return the register of an operand, loaded from the bank where it is not there yet."""
        if node not in self.at:
            self._assign(node)
            self._append("load", self.at[node], [self.slots[node]])
        return self.at[node]

    def _assign(self, node: Node) -> None:
        if node in self.destined:
            self.at[node] = self.destined[node]
        elif self.free:
            self.at[node] = heapq.heappop(self.free)
        else:
            self.at[node] = self.size
            self.size += 1

    def _used(self, node: Node) -> None:
        self.left[node] -= 1
        if self.left[node] == 0 and node not in self.destined and node not in self.constants:
            heapq.heappush(self.free, self.at[node])

    def write_outputs(self) -> None:
        """Fill the registers of outputs that are loaded, numbers or wanted twice."""
        for register, node in enumerate(self.outputs):
            source = self._register(node)
            if source != register:
                self._append("copy", register, [source])

    def program(self) -> Program:
        """Return the tables."""
        requests, parameters = request_rows(self.windowed, self.targets)
        return Program(
            instructions=np.array(self.instructions, dtype=np.int64).reshape(-1, machine.COLUMNS),
            half_lives=np.array(self.half_lives, dtype=np.float64),
            requests=requests,
            parameters=parameters,
            constants=tuple((register, node.value) for node, register in self.constants.items()),
            n_registers=self.size,
            n_outputs=len(self.outputs),
        )
