"""A register machine for features: runs a programme over the rows of one stock after another.

A programme is a table of instructions, so that a new expression is data and nothing is compiled for it. Registers are
float32 rows `[R]` of one stock, few enough to stay in the processor's cache; every instruction is a loop over them.

| column of an instruction | meaning |
|---|---|
| CODE | one of `CODES` |
| OUT | register written (slot of the bank, of `store`) |
| A, B, C | registers read (slot of the bank, of `load`) |
| ARGUMENT | rows of a shift; place in `half_lives`, of operators on windows |
| FIRST, STOP | rows of `requests` and `parameters`, of operators on windows |

Operators on windows of the same series (and half-life) are one instruction; `alphaloom.kernels.series_work` describes
their requests and parameters.
"""

import numpy as np

from alphaloom.kernels import cells
from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.series_direct import direct
from alphaloom.kernels.series_extremes import extremes
from alphaloom.kernels.series_moments import moments
from alphaloom.kernels.series_pairs import pairs
from alphaloom.kernels.series_ranks import ranks
from alphaloom.kernels.series_work import Work
from alphaloom.kernels.streams import LINE, NONE, finish, stream
from alphaloom.typing import Doubles, Floats, Ints

CODE, OUT, A, B, C, ARGUMENT, FIRST, STOP = range(8)
COLUMNS = 8
(
    LOAD, STORE, COPY, ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, NEGATIVE, LESS, LESS_EQUAL, EQUAL, NOT_EQUAL, BOTH,
    EITHER, NO, WHERE, MIN, MAX, ABS, SIGN, LOG, EXP, SQRT, SIGN_POWER, SIGMOID, TANH, CLIP, IS_MISSING, COALESCE,
    DELAY, DELTA, RETURNS, MOMENTS, PAIRS, EXTREMES, RANKS, DIRECT,
) = range(38)  # fmt: skip
CODES = {
    "load": LOAD, "store": STORE, "copy": COPY, "add": ADD, "subtract": SUBTRACT, "multiply": MULTIPLY,
    "divide": DIVIDE, "power": POWER, "negative": NEGATIVE, "less": LESS, "less_equal": LESS_EQUAL, "equal": EQUAL,
    "not_equal": NOT_EQUAL, "both": BOTH, "either": EITHER, "no": NO, "where": WHERE, "min": MIN, "max": MAX,
    "abs": ABS, "sign": SIGN, "log": LOG, "exp": EXP, "sqrt": SQRT, "sign_power": SIGN_POWER, "sigmoid": SIGMOID,
    "tanh": TANH, "clip": CLIP, "is_missing": IS_MISSING, "coalesce": COALESCE, "delay": DELAY, "delta": DELTA,
    "returns": RETURNS, "moments": MOMENTS, "pairs": PAIRS, "extremes": EXTREMES, "ranks": RANKS, "direct": DIRECT,
}  # fmt: skip
"""Codes by name; `greater` is `less` with its operands exchanged."""


@compiled
def _cells(code: int, x: Floats, y: Floats, z: Floats, rows: int, out: Floats) -> None:
    if code == COPY:
        cells.copy(x, out)
    elif code == ADD:
        cells.add(x, y, out)
    elif code == SUBTRACT:
        cells.subtract(x, y, out)
    elif code == MULTIPLY:
        cells.multiply(x, y, out)
    elif code == DIVIDE:
        cells.divide(x, y, out)
    elif code == POWER:
        cells.power(x, y, out)
    elif code == NEGATIVE:
        cells.negative(x, out)
    elif code == LESS:
        cells.less(x, y, out)
    elif code == LESS_EQUAL:
        cells.less_equal(x, y, out)
    elif code == EQUAL:
        cells.equal(x, y, out)
    elif code == NOT_EQUAL:
        cells.not_equal(x, y, out)
    elif code == BOTH:
        cells.both(x, y, out)
    elif code == EITHER:
        cells.either(x, y, out)
    elif code == NO:
        cells.no(x, out)
    elif code == WHERE:
        cells.where(x, y, z, out)
    elif code == MIN:
        cells.smaller(x, y, out)
    elif code == MAX:
        cells.larger(x, y, out)
    elif code == ABS:
        cells.absolute(x, out)
    elif code == SIGN:
        cells.sign(x, out)
    elif code == LOG:
        cells.log(x, out)
    elif code == EXP:
        cells.exp(x, out)
    elif code == SQRT:
        cells.sqrt(x, out)
    elif code == SIGN_POWER:
        cells.sign_power(x, y, out)
    elif code == SIGMOID:
        cells.sigmoid(x, out)
    elif code == TANH:
        cells.tanh(x, out)
    elif code == CLIP:
        cells.clip(x, y, z, out)
    elif code == IS_MISSING:
        cells.is_missing(x, out)
    elif code == COALESCE:
        cells.coalesce(x, y, out)
    elif code == DELAY:
        cells.shift(x, rows, out)
    elif code == DELTA:
        cells.change(x, rows, out)
    elif code == RETURNS:
        cells.growth(x, rows, out)


@compiled
def run(
    instructions: Ints,
    half_lives: Doubles,
    requests: Ints,
    parameters: Doubles,
    bank: Floats,
    spans: Ints,
    regs: Floats,
    work: Work,
    back: int,
    skipped: int,
    n_outputs: int,
    out: Floats,
) -> None:
    """Run a programme over every stock of a block; write its outputs to `out [T, N, F]`, infinite ones as NaN.

    `bank [S, B, R]` holds the block's series, `spans [3, B]` the column, first row and last row + 1 of each stock on
    the panel, whose row `skipped` is row 0 of `out`. A span longer than a register of `regs [M, C]` is run in pieces
    that begin `back` rows early, C > back: values there read no further back, so that every cut gives the same bits.
    """
    ends, waiting = np.full(out.shape[0], NONE, np.int64), np.empty((out.shape[0], LINE), np.float32)
    for b in range(spans.shape[1]):
        length = spans[2, b] - spans[1, b]
        first = 0
        while first < length:
            begin = max(0, first - back)
            end = min(length, begin + regs.shape[1])
            n = end - begin
            for i in range(instructions.shape[0]):
                code = instructions[i, CODE]
                x, y, rows = instructions[i, A], instructions[i, B], instructions[i, ARGUMENT]
                these = requests[instructions[i, FIRST] : instructions[i, STOP]]
                theirs = parameters[instructions[i, FIRST] : instructions[i, STOP]]
                if code == LOAD:
                    cells.copy(bank[x, b, begin:end], regs[instructions[i, OUT], :n])
                elif code == STORE:
                    cells.copy(regs[x, first - begin : n], bank[instructions[i, OUT], b, first:end])
                elif code == MOMENTS:
                    moments(regs, n, x, half_lives[rows], these, theirs, work)
                elif code == PAIRS:
                    pairs(regs, n, x, y, half_lives[rows], these, theirs, work)
                elif code == EXTREMES:
                    extremes(regs, n, x, these, theirs, work)
                elif code == RANKS:
                    ranks(regs, n, x, these, work)
                elif code == DIRECT:
                    direct(regs, n, x, these)
                else:
                    z, to = regs[instructions[i, C], :n], regs[instructions[i, OUT], :n]
                    _cells(code, regs[x, :n], regs[y, :n], z, rows, to)
            wanted = max(first, skipped - spans[1, b])
            if n_outputs > 0 and wanted < end:
                row = spans[1, b] + wanted - skipped
                stream(regs, n_outputs, wanted - begin, end - wanted, row, spans[0, b], out, ends, waiting)
            first = end
    finish(out, ends, waiting)


@compiled
def spread(values: Floats, spans: Ints, plane: Floats) -> None:
    """Write the spans `[3, B]`, rows of `values [B, R]`, to their places on `plane [T, N]`: the reverse of `gather`."""
    for b in range(spans.shape[1]):
        for t in range(spans[2, b] - spans[1, b]):
            plane[spans[1, b] + t, spans[0, b]] = values[b, t]
