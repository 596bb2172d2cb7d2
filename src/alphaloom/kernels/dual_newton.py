"""A semismooth Newton method on the prices of limits, compiled; see `alphaloom.portfolio.solve.newton`.

Prices `y [M]` come in the order rows, bends, factors; the first L of them, rows and bends, are those of limits. `H` is
minus the second derivative of the dual objective's smooth part `[M, M]`.
"""

from typing import NamedTuple

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.stock_response import Stocks, changes, respond
from alphaloom.typing import Bools, Doubles

LEAST_DAMPING, FIRST_DAMPING, MORE_DAMPING = 1e-12, 1e-6, 30.0
"""Shares of the largest curvature that are added: always, at the first failure, and times this at each further one."""
MOST_TRIES = 12
LENGTHS = (1.0, 0.4, 0.16, 0.064)
"""Parts of a step that are tried."""
GUESSES = 40
"""Corrections of which limits bind within one step."""
BEYOND = 1e-13
"""How far a sum is beyond its limit in the model before the guess is corrected."""


class Dual(NamedTuple):
    """The dual objective of a problem: limits on sums over the stocks, and quadratic costs of sums."""

    loads: Doubles
    """`[N, M]`: every stock's entries in the rows and its loads on the factors' roots; 0 for bends."""
    alpha: Doubles
    """`[N]`"""
    square: Doubles
    """`[N]`, the priced specific variance."""
    low: Doubles
    """`[L]`"""
    high: Doubles
    """`[L]`"""
    bends: Doubles
    """`[B, 3]`: whether the bend is at zero, its slopes up and down."""
    offset: Doubles
    """`[F]`, the centre's loads on the factors' roots."""
    aversion: float


@compiled
def maximise(
    dual: Dual, stocks: Stocks, y: Doubles, weights: Doubles, tolerance: float, most_steps: int
) -> tuple[bool, int]:
    """Move the lawful prices y to the optimum; return whether it is reached, and the number of steps.

    `weights [N]` are the stocks' best weights at the prices, on return. It is reached where no sum is further than
    `tolerance` from where its price says it is.
    """
    N, M = dual.loads.shape
    out, flags = np.empty((3, N)), np.empty((2, N), np.bool_)
    gradient, H, new, move = np.empty(M), np.empty((M, M)), np.empty(M), np.empty(M)
    value, damping = _at(dual, stocks, y, out, flags, gradient), LEAST_DAMPING
    done, steps = False, 0
    while steps <= most_steps:
        done = _residual(dual, y, gradient) < tolerance
        if done or steps == most_steps:
            break
        _curvature(dual, out, flags, H)
        diagonal = np.diag(H).copy()
        size = max(np.max(diagonal), 1e-12)
        found = False
        for _ in range(MOST_TRIES):
            for k in range(M):
                H[k, k] = diagonal[k] + damping * size
            if not _best_step(dual, y, gradient, H, move):  # too few stocks move for so little damping
                damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
                continue
            promise = np.dot(gradient - 0.5 * np.dot(H, move), move) - _kinks(dual, y + move) + _kinks(dual, y)
            start = gradient.copy()
            for length in LENGTHS:
                new[:] = y + length * move
                there = _at(dual, stocks, new, out, flags, gradient)
                found = there >= value + 1e-4 * length * promise - 1e-14 * max(1.0, abs(value))
                if found:
                    break
            if found:
                if length == LENGTHS[0]:
                    damping = max(0.1 * damping, LEAST_DAMPING)
                elif length == LENGTHS[-1]:
                    damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
                y[:], value = new, there
                break
            gradient[:] = start
            damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
        if not found:
            _at(dual, stocks, y, out, flags, gradient)
            break
        steps += 1
    weights[:] = out[0]
    return done, steps


@compiled
def _at(dual: Dual, stocks: Stocks, y: Doubles, out: Doubles, flags: Bools, gradient: Doubles) -> float:
    """Return the dual objective at prices y; write the stocks' response, and the gradient of its smooth part.

    The gradient is what the limits' sums are, and what the factors' loads lack.
    """
    L, B, M = dual.low.size, dual.bends.shape[0], y.size
    up, down, above, below = 0.0, 0.0, 0.0, 0.0
    for b in range(B):
        price = y[L - B + b]
        if dual.bends[b, 0] > 0.0:
            above += price * dual.bends[b, 1]
            below += price * dual.bends[b, 2]
        else:
            up += price * dual.bends[b, 1]
            down += price * dual.bends[b, 2]
    linear = np.dot(dual.loads, y) - dual.alpha
    respond(stocks, linear, dual.square, up, down, above, below, out, flags)
    value = float(np.sum(out[1])) - _kinks(dual, y)
    gradient[:] = np.dot(out[0], dual.loads)
    for b in range(B):
        start = np.zeros(linear.size) if dual.bends[b, 0] > 0.0 else stocks.current
        rise, fall = changes(out[0], start)
        gradient[L - B + b] = dual.bends[b, 1] * rise + dual.bends[b, 2] * fall
    for k in range(L, M):
        value -= y[k] * (y[k] / (4.0 * dual.aversion) + dual.offset[k - L])
        gradient[k] -= dual.offset[k - L] + y[k] / (2.0 * dual.aversion)
    return value


@compiled
def _kinks(dual: Dual, y: Doubles) -> float:
    """Return what the limits are worth at their prices: `high y` above zero, `low y` below."""
    total = 0.0
    for k in range(dual.low.size):
        if y[k] > 0.0:
            total += y[k] * dual.high[k]
        elif y[k] < 0.0:
            total += y[k] * dual.low[k]
    return total


@compiled
def _residual(dual: Dual, y: Doubles, gradient: Doubles) -> float:
    """Return the largest distance of a sum from where its price says it is."""
    worst = 0.0
    for k in range(y.size):
        off = gradient[k]
        if k < dual.low.size:
            least = dual.high[k] if y[k] > 0.0 else dual.low[k]
            most = dual.low[k] if y[k] < 0.0 else dual.high[k]
            off -= min(max(off, least), most)
        worst = max(worst, abs(off))
    return worst


@compiled
def _curvature(dual: Dual, out: Doubles, flags: Bools, H: Doubles) -> None:
    """Write H at a response of the stocks."""
    L, B, M = dual.low.size, dual.bends.shape[0], H.shape[0]
    moving = np.flatnonzero(flags[0])
    entries, scaled = np.empty((moving.size, M)), np.empty((moving.size, M))
    for row in range(moving.size):
        i = moving[row]
        entries[row] = dual.loads[i]
        for b in range(B):
            rises = out[0, i] > 0.0 if dual.bends[b, 0] > 0.0 else flags[1, i]
            entries[row, L - B + b] = dual.bends[b, 1] if rises else -dual.bends[b, 2]
        scaled[row] = entries[row] / out[2, i]
    H[:] = np.dot(entries.T, scaled)
    for k in range(L, M):
        H[k, k] += 0.5 / dual.aversion


@compiled
def _best_step(dual: Dual, y: Doubles, gradient: Doubles, H: Doubles, step: Doubles) -> bool:
    """Write the step that maximises the quadratic model around y, the kinks kept; return whether the model is concave.

    A limit is guessed to bind above, below or not; prices of the wrong sign and sums beyond their limits correct the
    guess, at first all at once, then the first alone, which ends (Murty's rule).
    """
    L, M = dual.low.size, y.size
    low, high = dual.low, dual.high
    state, better = np.zeros(L, np.int64), np.zeros(L, np.int64)
    for k in range(L):
        state[k] = _side(y[k], 0.0, 0.0)
        if y[k] == 0.0:
            state[k] = _side(gradient[k], low[k], high[k])
        if low[k] == high[k]:
            state[k] = 1
    for guess in range(GUESSES):
        for k in range(M):
            step[k] = -y[k] if k < L and state[k] == 0 else 0.0
        rest = gradient - np.dot(H, step)
        on = np.empty(M, np.int64)
        count = 0
        for k in range(M):
            if k >= L or state[k] != 0:
                on[count] = k
                count += 1
        system, answer = np.empty((count, count)), np.empty(count)
        for a in range(count):
            k = on[a]
            answer[a] = rest[k]
            if k < L:
                answer[a] -= high[k] if state[k] > 0 else low[k]
            for b in range(a, count):
                system[a, b] = H[k, on[b]]
        if not _solve(system, answer):
            return False
        for a in range(count):
            step[on[a]] = answer[a]
        ahead = gradient - np.dot(H, step)
        changed = 0
        for k in range(L):
            better[k] = state[k]
            if state[k] == 0:
                better[k] = _side(ahead[k], low[k] - BEYOND, high[k] + BEYOND)
            elif state[k] * (y[k] + step[k]) < 0.0 and low[k] < high[k]:
                better[k] = 0
            if better[k] != state[k]:
                changed += 1
                if guess <= GUESSES // 4 or changed == 1:
                    state[k] = better[k]
        if changed == 0:
            break
    for k in range(L):
        new = y[k] + step[k]
        if (new > 0.0 and np.isinf(high[k])) or (new < 0.0 and np.isinf(low[k])):
            step[k] = -y[k]
    return True


@compiled
def _side(value: float, low: float, high: float) -> int:
    """Return 1 for a value above a range, -1 for one below, 0 inside."""
    return 1 if value > high else -1 if value < low else 0


@compiled
def _solve(A: Doubles, b: Doubles) -> bool:
    """Solve a symmetric system in place, A given by its upper half; return whether it is positive definite."""
    n = b.size
    for k in range(n):
        pivot = A[k, k]
        if not pivot > 0.0:
            return False
        for i in range(k + 1, n):
            share = A[k, i] / pivot
            for j in range(i, n):
                A[i, j] -= share * A[k, j]
            b[i] -= share * b[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            b[k] -= A[k, j] * b[j]
        b[k] /= A[k, k]
    return True
