"""Executing a plan: planes of cross-sectional nodes, and passes over the listed spans of all stocks in blocks."""

from collections.abc import Sequence

import numpy as np

from alphaloom.kernels import machine
from alphaloom.kernels.cross_plane import plane
from alphaloom.kernels.rolling_spans import blank_unlisted, contiguous, gather, in_blocks, listed_spans
from alphaloom.kernels.series_quantiles import LANES, quantiles
from alphaloom.kernels.series_work import composition, make_work
from alphaloom.language.nodes import FIELD, Node
from alphaloom.language.steps import Step
from alphaloom.panel import Panel
from alphaloom.typing import Array, Bools, Floats, Ints

DATES = 64
"""Dates of a plane that are worked on at a time."""
CACHE = 1024 * 1024
"""Bytes of registers that a stock's rows are cut to fit into; each piece computes its look-back again."""


def execute(
    steps: Sequence[Step], panel: Panel, back: int | None, skipped: int, threads: int | None, out: Floats
) -> None:
    """Write the outputs `out [T - skipped, N, F]` of all steps on a panel that has their fields alone.

    `back` is the plan's look-back, None where it reads ahead; the first `skipped` rows are read and not written. NaN
    where a stock is not listed and where a value is infinite.
    """
    fields = {name: contiguous(panel[name]) for name in panel.names}
    members = panel.universe & (fields["is_listed"] > 0)
    spans = np.stack(listed_spans(fields["is_listed"]))
    blank_unlisted(fields["is_listed"][skipped:] > 0, out)
    planes: dict[Node, Floats] = {}
    codes: dict[str, tuple[Array, int]] = {}
    for step in steps:
        for node in [*step.stage.loaded, *(child for made in step.stage.planes for child in made.inputs)]:
            if node.operator == FIELD:
                planes[node] = fields[node.name]
        for node in step.stage.planes:
            planes[node] = _cross(node, planes, members, codes, threads)
        for node in step.stage.stored:
            planes[node] = np.full(panel.shape, np.nan, dtype=np.float32)
        _pass(step, planes, spans, back, skipped, out, threads)
        for node in step.released:
            del planes[node]


def _cross(
    node: Node, planes: dict[Node, Floats], members: Bools, codes: dict[str, tuple[Array, int]], threads: int | None
) -> Floats:
    """Return a cross-sectional node `[T, N]`, dates in blocks over threads."""
    x = planes[node.operands[0]]
    out = np.empty_like(x)
    group, n_groups = (None, 0) if node.group is None else _codes(node.group, planes, codes)
    weight = None if node.weight is None else planes[node.weight]
    regressors = [planes[item] for item in node.regressors]
    settings = {name: value for name, value in node.settings if isinstance(value, float)}

    def work(a: int, b: int) -> None:
        plane(
            node.operator,
            x[a:b],
            members[a:b],
            out[a:b],
            codes=None if group is None else group[a:b],
            n_groups=n_groups,
            weight=None if weight is None else weight[a:b],
            regressors=[item[a:b] for item in regressors],
            settings=settings,
        )

    in_blocks(work, x.shape[0], DATES, threads)
    return out


def _codes(group: Node, planes: dict[Node, Floats], codes: dict[str, tuple[Array, int]]) -> tuple[Array, int]:
    """Return the codes int32 `[T, N]` of a group field, -1 where it is missing, and their number."""
    if group.name not in codes:
        values = np.nan_to_num(planes[group], nan=-1.0).astype(np.int32)
        codes[group.name] = values, int(values.max(initial=-1)) + 1
    return codes[group.name]


def _pass(
    step: Step,
    planes: dict[Node, Floats],
    spans: Ints,
    back: int | None,
    skipped: int,
    out: Floats,
    threads: int | None,
) -> None:
    """Run one stage over all spans `[3, S]`, a block of stocks at a time: gather, quantiles, programme, store."""
    program = step.program
    steps = composition(program.requests[:, 1])
    loads = [(step.slots[node], planes[node]) for node in step.stage.loaded]
    stores = [(step.slots[node], planes[node]) for node in step.stage.stored]
    piece = None if back is None else max(CACHE // (4 * max(program.n_registers, 1)), 4 * back, 64)

    def work(a: int, b: int) -> None:
        block = np.ascontiguousarray(spans[:, a:b])
        lengths = block[2] - block[1]
        R = int(lengths.max())
        bank = np.empty((len(step.slots), b - a, R), dtype=np.float32)
        for slot, field in loads:
            gather(field, block[0], block[1], block[2], bank[slot])
        for source, targets, requests, parameters in step.quantiles:
            quantiles(bank[source], lengths, requests, parameters, bank[targets])
        C = R if piece is None else min(R, piece)
        regs = np.empty((program.n_registers, C), dtype=np.float32)
        for register, value in program.constants:
            regs[register] = value
        machine.run(
            program.instructions, program.half_lives, program.requests, program.parameters, bank, block, regs,
            make_work(steps, C), back or 0, skipped, program.n_outputs, out,
        )  # fmt: skip
        for slot, field in stores:
            machine.spread(bank[slot], block, field)

    in_blocks(work, spans.shape[1], LANES, threads)
