"""The dual simplex method against scipy's HiGHS."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from alphaloom.kernels.dual_simplex import NO_SOLUTION, SOLVED, UNFINISHED, dual_simplex


def random_programme(seed):
    """Return A, cost, bounds of columns and of rows; ties, fixed columns, equalities and one-sided rows occur."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 15)), int(rng.integers(1, 60))
    whole = rng.random() < 0.4
    A = rng.integers(-2, 3, (m, n)).astype(float) if whole else rng.normal(size=(m, n))
    cost = rng.integers(-2, 3, n).astype(float) if rng.random() < 0.5 else rng.normal(size=n)
    low = np.where(rng.random(n) < 0.8, 0.0, -rng.random(n))
    high = low + (rng.integers(0, 3, n) if rng.random() < 0.5 else np.where(rng.random(n) < 0.1, 0.0, rng.random(n)))
    middle = A @ (low + (high - low) * rng.random(n)) + (2.0 * rng.normal(size=m) if rng.random() < 0.2 else 0.0)
    kind = rng.integers(0, 4, m)
    row_low = np.where(kind == 0, -np.inf, middle - np.where(kind == 3, 0.0, 0.5 * rng.random(m)))
    row_high = np.where(kind == 1, np.inf, np.where(kind == 3, row_low, middle + 0.5 * rng.random(m)))
    return A, cost, (low, high), (row_low, row_high)


def by_scipy(A, cost, columns, rows):
    """The same programme by scipy."""
    below, above = np.isfinite(rows[1]), np.isfinite(rows[0])
    return linprog(
        cost,
        np.vstack([A[below], -A[above]]),
        np.concatenate([rows[1][below], -rows[0][above]]),
        bounds=np.column_stack(columns),
        method="highs",
    )


def solve(A, cost, columns, rows, basis=None):
    """Status, columns' values, rows' multipliers and the last basis."""
    m, n = A.shape
    basis = np.arange(m) if basis is None else basis.copy()
    x, y = np.empty(m + n), np.empty(m)
    low, high = np.concatenate([rows[0], columns[0]]), np.concatenate([rows[1], columns[1]])
    return dual_simplex(A, cost, low, high, basis, x, y), x[m:], y, basis


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9))
def test_equals_highs(seed):
    """The optimum is that of HiGHS, within all bounds, and the multipliers bound it from below; where HiGHS finds no
    solution there is none.
    """
    A, cost, columns, rows = random_programme(seed)
    reference = by_scipy(A, cost, columns, rows)
    status, x, y, _ = solve(A, cost, columns, rows)
    if reference.status == 2:
        assert status == NO_SOLUTION
        return
    assert status == SOLVED
    assert cost @ x == pytest.approx(reference.fun, abs=1e-8)
    sums = A @ x
    off = [columns[0] - x, x - columns[1], rows[0] - sums, sums - rows[1]]
    assert max(part.max() for part in off) < 1e-9
    reduced = cost - y @ A
    used = np.abs(y) > 1e-10
    bound = y[used] @ np.where(y > 0, rows[0], rows[1])[used]
    bound += np.where(reduced > 0, reduced * columns[0], reduced * columns[1]).sum()
    assert bound == pytest.approx(cost @ x, abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_any_basis_is_a_start(seed, other):
    """From random variables as a basis, dependent and illegal ones included, the optimum is the same."""
    A, cost, columns, rows = random_programme(seed)
    m, n = A.shape
    basis = np.random.default_rng(other).choice(m + n, m, replace=False)
    first, x, *_ = solve(A, cost, columns, rows)
    second, x2, *_ = solve(A, cost, columns, rows, basis)
    assert second == first
    if first == SOLVED:
        assert cost @ x2 == pytest.approx(cost @ x, abs=1e-8)


def test_columns_are_added_to_a_solved_programme():
    """Solving for some columns and going on from that basis with all of them gives the optimum of all."""
    A, cost, columns, rows = random_programme(7)
    n = cost.size
    some = n // 2
    rows = (np.minimum(rows[0], -5.0), np.maximum(rows[1], 5.0))
    part = tuple(bound[:some] for bound in columns)
    status, _, _, basis = solve(np.ascontiguousarray(A[:, :some]), cost[:some], part, rows)
    assert status == SOLVED
    status, x, *_ = solve(A, cost, columns, rows, basis)
    assert status == SOLVED
    assert cost @ x == pytest.approx(by_scipy(A, cost, columns, rows).fun, abs=1e-8)


def test_a_column_without_end_is_refused():
    """A column whose cost asks for a bound that is infinite is no legal start."""
    A, cost = np.ones((1, 1)), np.array([-1.0])
    status, *_ = solve(A, cost, (np.zeros(1), np.full(1, np.inf)), (np.zeros(1), np.ones(1)))
    assert status == UNFINISHED


def test_moves_that_just_suffice_are_a_solution():
    """Where every column must go to its end for a row to hold, rounding does not make it a programme without one."""
    A, high = np.ones((1, 3)), np.array([0.1, 0.2, 0.3])
    total = np.array([0.6])  # 0.1 + 0.2 + 0.3 is larger by a rounding
    for row in (total, np.nextafter(total, 1.0), total + 5e-11):
        status, x, *_ = solve(A, np.array([1.0, -1.0, 2.0]), (np.zeros(3), high), (row, row))
        assert status == SOLVED
        np.testing.assert_allclose(x, high, atol=1e-10)
