"""Any of the problems here by Clarabel, an interior-point method over cones: slower, and rarely at a loss.

The variance limit is a second-order cone, market impact a power cone for each stock; all the rest are lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import clarabel
import numpy as np
import scipy.sparse as sp

from alphaloom.portfolio.solve.certificate import certify, holds
from alphaloom.portfolio.solve.problem import INFEASIBLE, OPTIMAL, Prices, Problem, Slack, Solution
from alphaloom.portfolio.solve.restrict import none
from alphaloom.typing import Doubles, Ints

NAME = "clarabel"
TOLERANCE = 1e-11
IMPACT_CONE = 2.0 / 3.0
"""`h^(2/3) 1^(1/3) >= |t|` is `h >= |t|^(3/2)`."""


def solve_conic(p: Problem, _start: Prices | None = None) -> Solution:
    """Return the optimum, status `infeasible`, or the solver's own word; earlier prices are of no use to it."""
    built = _Built(p)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = TOLERANCE
    found = clarabel.DefaultSolver(*built.data(), settings).solve()
    word = str(found.status)
    if word in {"PrimalInfeasible", "AlmostPrimalInfeasible"}:
        return Solution(INFEASIBLE, p.current, none(p), NAME, p.size)
    if word not in {"Solved", "AlmostSolved", "InsufficientProgress"}:
        return Solution(word, p.current, none(p), NAME, p.size)
    x, z = np.asarray(found.x), np.asarray(found.z)
    steps = int(found.iterations)
    out = Solution(OPTIMAL, built.weights(x), built.prices(z), NAME, p.size, steps, built.slack_used(x))
    # Short of its own goal the solver may still have reached the certificate's, or have met an impossible problem.
    return out if word == "Solved" or holds(certify(p, out)) else replace(out, status=word)


@dataclass(eq=False)
class _Lines:
    """Lines of one cone: `b - A x` lies in it."""

    matrices: list[Any] = field(default_factory=list)
    sides: list[Doubles] = field(default_factory=list)
    count: int = 0

    def add(self, columns: int, parts: Sequence[tuple[int, Any]], side: Doubles) -> slice:
        """Add lines whose matrix has `parts` at the given first columns; return their place among the cone's lines."""
        made = sp.hstack([sp.csc_matrix((side.size, 0)), *_spread(parts, columns, side.size)], format="csc")
        self.matrices.append(made)
        self.sides.append(side)
        self.count += side.size
        return slice(self.count - side.size, self.count)


def _spread(parts: Sequence[tuple[int, Any]], columns: int, rows: int) -> list[Any]:
    """Return the parts side by side, zeros between them."""
    out, at = [], 0
    for first, matrix in sorted(parts, key=lambda part: part[0]):
        out += [sp.csc_matrix((rows, first - at)), matrix]
        at = first + matrix.shape[1]
    return [*out, sp.csc_matrix((rows, columns - at))]


class _Built:
    """A problem written in cones, and the way back."""

    def __init__(self, p: Problem) -> None:
        self.p = p
        n, risk = p.size, p.risk
        self.r = 0 if risk is None else risk.root.shape[1]
        self.costly: Ints = np.flatnonzero(p.impact > 0)
        self.splits_zero = p.has_zero_bends
        self.loose_rows = [(k, slack) for k, slack in enumerate(p.slack) if self._is_row_slack(slack)]
        self.beyond = p.beyond()
        widths = [n, n, n, 2 * n * self.splits_zero, self.r, self.costly.size]
        widths += [self._slack_count(slack) for _, slack in self.loose_rows] + [2 * n for _ in self.beyond]
        starts = np.cumsum([0, *widths]).tolist()
        self.columns = starts[-1]
        self.w, self.up, self.down, self.signed, self.loads, self.steep = starts[:6]
        self.slack_at = {slack.label: starts[6 + j] for j, (_, slack) in enumerate(self.loose_rows)}
        self.beyond_at = {
            slack.label: starts[6 + len(self.loose_rows) + j] for j, (slack, *_) in enumerate(self.beyond)
        }
        self.equal, self.less = _Lines(), _Lines()
        self.totals: dict[str, slice] = {}
        self._trades()
        self._rows()
        self._bends()
        self._boxes()
        self._totals()

    def _is_row_slack(self, slack: Slack) -> bool:
        return slack.label not in {box.label for box in self.p.boxes}

    def _slack_count(self, slack: Slack) -> int:
        rows = [len(b.names) * (1 if b.falls_only else 2) for b in self.p.rows.blocks if b.label == slack.label]
        return sum(rows) + sum(bend.label == slack.label for bend in self.p.bends)

    def _trades(self) -> None:
        """`w - up + down = w0`; with limits on long and short, `w - long + short = 0`; the loads on the factors."""
        p, n, eye = self.p, self.p.size, sp.eye(self.p.size, format="csc")
        self.equal.add(self.columns, [(self.w, eye), (self.up, -eye), (self.down, eye)], p.current)
        self.less.add(self.columns, [(self.up, -eye)], np.zeros(n))
        self.less.add(self.columns, [(self.down, -eye)], np.zeros(n))
        if self.splits_zero:
            both = sp.hstack([-eye, eye])
            self.equal.add(self.columns, [(self.w, eye), (self.signed, both)], np.zeros(n))
            self.less.add(self.columns, [(self.signed, -sp.eye(2 * n, format="csc"))], np.zeros(2 * n))
        if p.risk is not None:
            loads = sp.csc_matrix(p.risk.root.T @ p.risk.exposures)
            parts = [(self.w, -loads), (self.loads, sp.eye(self.r, format="csc"))]
            self.factor_lines = self.equal.add(self.columns, parts, -p.risk.offset)

    def _rows(self) -> None:
        """Each row between its bounds, its slack added."""
        p = self.p
        entries = np.zeros((p.size, p.rows.count))
        p.rows.fill(entries)
        fixed = p.rows.low == p.rows.high
        loose = {slack.label for _, slack in self.loose_rows}
        named = [label in loose for label, _ in p.rows.named]
        fixed &= ~np.asarray(named, dtype=np.bool_)
        self.fixed = np.flatnonzero(fixed)
        self.below = np.flatnonzero(~fixed & np.isfinite(p.rows.high))
        self.above = np.flatnonzero(~fixed & np.isfinite(p.rows.low))
        slack = self._row_slack()
        matrix = sp.csr_matrix(entries.T)
        self.fixed_lines = self.equal.add(self.columns, [(self.w, matrix[self.fixed])], p.rows.high[self.fixed])
        parts = [(self.w, matrix[self.below]), *((at, part[self.below]) for at, part in slack)]
        self.below_lines = self.less.add(self.columns, parts, p.rows.high[self.below])
        parts = [(self.w, -matrix[self.above]), *((at, -part[self.above]) for at, part in slack)]
        self.above_lines = self.less.add(self.columns, parts, -p.rows.low[self.above])

    def _row_slack(self) -> list[tuple[int, Any]]:
        """Return for each slack of rows the first column and the matrix `[R, columns]`."""
        out = []
        for _, slack in self.loose_rows:
            matrix = np.zeros((self.p.rows.count, self._slack_count(slack)))
            column = 0
            for block, span in zip(self.p.rows.blocks, self.p.rows.spans, strict=True):
                if block.label == slack.label:
                    for sign in (1.0,) if block.falls_only else (1.0, -1.0):
                        for row in range(span.start, span.stop):
                            matrix[row, column] = sign
                            column += 1
            if matrix.size:
                out.append((self.slack_at[slack.label], sp.csr_matrix(matrix)))
        return out

    def _bends(self) -> None:
        p, n = self.p, self.p.size
        first, sides = self.less.count, []
        one = np.ones((1, n))
        for bend in p.bends:
            if bend.at == "current":
                parts = [(self.up, sp.csc_matrix(bend.up * one)), (self.down, sp.csc_matrix(bend.down * one))]
            elif self.splits_zero:
                parts = [(self.signed, sp.csc_matrix(np.hstack([bend.up * one, bend.down * one])))]
            else:
                parts = [(self.w, sp.csc_matrix(bend.up * one))]
            if bend.label in self.slack_at:
                mine = [other for other in p.bends if other.label == bend.label].index(bend)
                count = sum(other.label == bend.label for other in p.bends)
                width = self._slack_count(next(slack for slack in p.slack if slack.label == bend.label))
                loose = np.zeros((1, width))
                loose[0, width - count + mine] = -1.0
                parts.append((self.slack_at[bend.label], sp.csc_matrix(loose)))
            sides.append(self.less.add(self.columns, parts, np.array([bend.most])))
        self.bend_lines = slice(first, self.less.count)

    def _boxes(self) -> None:
        p, n, eye = self.p, self.p.size, sp.eye(self.p.size, format="csc")
        tight = np.flatnonzero(p.low == p.high) if not self.beyond else np.zeros(0, dtype=np.int64)
        loose = np.setdiff1d(np.arange(n), tight)
        rows = sp.csr_matrix(eye)
        self.equal.add(self.columns, [(self.w, rows[tight])], p.low[tight])
        rises = [(at, sp.hstack([-eye, sp.csc_matrix((n, n))], format="csr")) for at in self.beyond_at.values()]
        falls = [(at, sp.hstack([sp.csc_matrix((n, n)), -eye], format="csr")) for at in self.beyond_at.values()]
        self.less.add(self.columns, [(self.w, rows[loose]), *((at, m[loose]) for at, m in rises)], p.high[loose])
        self.less.add(self.columns, [(self.w, -rows[loose]), *((at, m[loose]) for at, m in falls)], -p.low[loose])
        low, high = p.low, p.high
        for slack, wide_low, wide_high in self.beyond:
            wider = np.concatenate([wide_high - high, low - wide_low])
            both = sp.eye(2 * n, format="csc")
            self.less.add(self.columns, [(self.beyond_at[slack.label], both)], wider)
            self.less.add(self.columns, [(self.beyond_at[slack.label], -both)], np.zeros(2 * n))
            low, high = wide_low, wide_high

    def _totals(self) -> None:
        for slack in self.p.slack:
            boxed = slack.label in self.beyond_at
            at = self.beyond_at[slack.label] if boxed else self.slack_at[slack.label]
            count = 2 * self.p.size if boxed else self._slack_count(slack)
            if count and not boxed:
                self.less.add(self.columns, [(at, -sp.eye(count, format="csc"))], np.zeros(count))
            one = [(at, sp.csc_matrix(np.ones((1, count))))] if count else []
            self.totals[slack.label] = self.less.add(self.columns, one, np.array([slack.most]))

    def data(self) -> tuple[Any, Doubles, Any, Doubles, list[Any]]:
        """Return P, q, A, b and the cones as Clarabel takes them."""
        p, risk = self.p, self.p.risk
        square, q = np.zeros(self.columns), np.zeros(self.columns)
        n = p.size
        q[self.w : self.w + n] = -p.alpha
        q[self.up : self.up + n], q[self.down : self.down + n] = p.buying, p.selling
        q[self.steep : self.steep + self.costly.size] = p.impact[self.costly]
        if risk is not None:
            square[self.w : self.w + n] = 2.0 * risk.aversion * risk.specific
            square[self.loads : self.loads + self.r] = 2.0 * risk.aversion
            q[self.w : self.w + n] -= 2.0 * risk.aversion * risk.specific * risk.centre
        for slack in p.slack:
            boxed = slack.label in self.beyond_at
            at = self.beyond_at[slack.label] if boxed else self.slack_at[slack.label]
            q[at : at + (2 * n if boxed else self._slack_count(slack))] = slack.cost
        cones: list[Any] = [clarabel.ZeroConeT(self.equal.count), clarabel.NonnegativeConeT(self.less.count)]
        matrices, sides = [*self.equal.matrices, *self.less.matrices], [*self.equal.sides, *self.less.sides]
        if risk is not None and np.isfinite(risk.most):
            matrix, side = self._variance()
            matrices.append(matrix)
            sides.append(side)
            cones.append(clarabel.SecondOrderConeT(side.size))
        for j, i in enumerate(self.costly.tolist()):
            matrices.append(
                sp.csc_matrix(
                    ([-1.0, -1.0, -1.0], ([0, 2, 2], [self.steep + j, self.up + i, self.down + i])),
                    shape=(3, self.columns),
                )
            )
            sides.append(np.array([0.0, 1.0, 0.0]))
            cones.append(clarabel.PowerConeT(IMPACT_CONE))
        return sp.diags(square, format="csc"), q, sp.vstack(matrices, format="csc"), np.concatenate(sides), cones

    def _variance(self) -> tuple[Any, Doubles]:
        """`(limit, loads, sqrt(specific) (w - centre))` lies in the second-order cone."""
        risk, n = self.p.risk, self.p.size
        assert risk is not None
        root = np.sqrt(risk.specific)
        top = sp.csc_matrix((1, self.columns))
        loads = sp.hstack(_spread([(self.loads, -sp.eye(self.r, format="csc"))], self.columns, self.r))
        own = sp.hstack(_spread([(self.w, -sp.diags(root, format="csc"))], self.columns, n))
        side = np.concatenate([[np.sqrt(risk.most)], np.zeros(self.r), -root * risk.centre])
        return sp.vstack([top, loads, own], format="csc"), side

    def weights(self, x: Doubles) -> Doubles:
        """Return the weights of a solution, within their widest limits."""
        low, high = (self.p.low, self.p.high) if not self.beyond else self.beyond[-1][1:]
        return np.clip(x[self.w : self.w + self.p.size], low, high)

    def prices(self, z: Doubles) -> Prices:
        """Return the prices of the limits from the lines' duals."""
        p, less = self.p, z[self.equal.count :]
        rows = np.zeros(p.rows.count)
        rows[self.fixed] = z[self.fixed_lines]
        rows[self.below] += less[self.below_lines]
        rows[self.above] -= less[self.above_lines]
        factors, variance = np.zeros(self.r), 0.0
        if p.risk is not None:
            factors = -z[self.factor_lines]
            if np.isfinite(p.risk.most) and p.risk.most > 0:
                variance = float(less[self.less.count]) / (2.0 * np.sqrt(p.risk.most))
        slack = np.array([float(less[self.totals[item.label]][0]) for item in p.slack])
        return Prices(rows, less[self.bend_lines], factors, variance, slack)

    def slack_used(self, x: Doubles) -> dict[str, float]:
        """Return how much of each slack a solution used."""
        out = {slack.label: 0.0 for slack in self.p.slack}
        for _, slack in self.loose_rows:
            at = self.slack_at[slack.label]
            out[slack.label] = float(x[at : at + self._slack_count(slack)].sum())
        for slack, *_ in self.beyond:
            at = self.beyond_at[slack.label]
            out[slack.label] = float(x[at : at + 2 * self.p.size].sum())
        return out
