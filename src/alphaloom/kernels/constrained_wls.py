"""Compiled cross-sectional regressions: country, groups under a zero-sum constraint, and styles; a date at a time.

Symbols, of one date: n stocks, w their weights; columns country (1), G groups (dummies), Q styles x; c the groups'
shares of capitalisation. One group's coefficient is written by the constraint, f_d = -sum_j (c_j / c_d) f_j; R is the
map from the p = 1 + (G - 1) + Q free coefficients to all. A is the normal matrix of all columns, M = R' A R.
"""

import numpy as np
from numba import njit

from alphaloom.typing import Array, Bools, Doubles, Ints

SINGULAR = 1e-9
"""A column whose part that the earlier ones do not explain is below this share of it is left out."""
MAD = 0.6744897501960817
"""Median of the absolute value of a standard normal."""
STEPS, CLOSE = 50, 1e-10
"""Most reweightings of the robust regression, and the change of coefficients, in units of the largest, that ends it."""


@njit(cache=True, error_model="numpy", nogil=True)
def _normal(
    y: Array, X: Array, slot: Ints, w: Doubles, rows: Ints, columns: int, slots: int
) -> tuple[Doubles, Doubles]:
    """Return A and the products with y, `[1 + slots + Q, ...]`, over the stocks `rows`."""
    Q = X.shape[1]
    A = np.zeros((columns, columns))
    b = np.zeros(columns)
    first = 1 + slots
    for i in rows:
        v = w[i]
        wy = v * y[i]
        A[0, 0] += v
        b[0] += wy
        g = 0
        if slots > 0:
            g = 1 + slot[i]
            A[0, g] += v
            A[g, g] += v
            b[g] += wy
        for q in range(Q):
            wx = v * X[i, q]
            A[0, first + q] += wx
            b[first + q] += wx * y[i]
            if g > 0:
                A[g, first + q] += wx
            for r in range(q + 1):
                A[first + r, first + q] += wx * X[i, r]
    for a in range(columns):
        for c in range(a):
            A[a, c] = A[c, a]
    return A, b


@njit(cache=True, error_model="numpy", nogil=True)
def _inverse(M: Doubles) -> tuple[Doubles, Bools]:
    """Return the inverse of M over the columns that the earlier ones do not determine, zeros elsewhere; and which."""
    p = M.shape[0]
    L = np.zeros((p, p))
    kept = np.zeros(p, np.bool_)
    for j in range(p):
        pivot = M[j, j]
        for k in range(j):
            pivot -= L[j, k] * L[j, k]
        if M[j, j] <= 0.0 or pivot <= SINGULAR * M[j, j]:
            continue
        kept[j] = True
        root = np.sqrt(pivot)
        L[j, j] = root
        for i in range(j + 1, p):
            total = M[i, j]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            L[i, j] = total / root
    for j in range(p):
        if not kept[j]:
            for k in range(p):
                L[j, k] = 0.0
                L[k, j] = 0.0
    # Columns of the inverse of L, then L^-T L^-1.
    N = np.zeros((p, p))
    for j in range(p):
        if not kept[j]:
            continue
        N[j, j] = 1.0 / L[j, j]
        for i in range(j + 1, p):
            if kept[i]:
                total = 0.0
                for k in range(j, i):
                    total -= L[i, k] * N[k, j]
                N[i, j] = total / L[i, i]
    out = np.zeros((p, p))
    for a in range(p):
        for c in range(a + 1):
            total = 0.0
            for k in range(a, p):
                total += N[k, a] * N[k, c]
            out[a, c] = total
            out[c, a] = total
    return out, kept


@njit(cache=True, error_model="numpy", nogil=True)
def _map(slots: int, columns: int, ratio: Doubles, drop: int) -> Doubles:
    """Return R `[columns, p]`; without groups the identity."""
    if slots == 0:
        return np.eye(columns)
    R = np.zeros((columns, columns - 1))
    k = 0
    for a in range(columns):
        if a == 1 + drop:
            continue
        R[a, k] = 1.0
        if 1 <= a <= slots:
            R[1 + drop, k] = -ratio[a - 1]
        k += 1
    return R


@njit(cache=True, error_model="numpy", nogil=True)
def _fitted(X: Array, slot: Ints, f: Doubles, slots: int, i: int) -> float:
    total = float(f[0])
    if slots > 0:
        total += f[1 + slot[i]]
    for q in range(X.shape[1]):
        total += X[i, q] * f[1 + slots + q]
    return float(total)


@njit(cache=True, error_model="numpy", nogil=True)
def _noise(
    y: Array, X: Array, slot: Ints, w: Doubles, rows: Ints, f: Doubles, G: Doubles, slots: int, members: int
) -> Doubles:
    """Return the covariance of the coefficients `[columns, columns]` when variances differ: HC2, G = R M^-1 R'.

    A stock's squared residual over 1 - h, h its leverage, stands for its variance.
    """
    Q = X.shape[1]
    columns = G.shape[0]
    first = 1 + slots
    scores = np.zeros((members, 2 + Q))
    place = np.zeros((members, 2 + Q), np.int64)
    for k in range(members):
        i = rows[k]
        g = 1 + slot[i] if slots > 0 else 0
        place[k, 0] = 0
        place[k, 1] = g
        scores[k, 0] = 1.0
        scores[k, 1] = 1.0 if slots > 0 else 0.0
        for q in range(Q):
            place[k, 2 + q] = first + q
            scores[k, 2 + q] = X[i, q]
        leverage = 0.0
        for a in range(2 + Q):
            part = 0.0
            for c in range(2 + Q):
                part += G[place[k, a], place[k, c]] * scores[k, c]
            leverage += scores[k, a] * part
        e = y[i] - _fitted(X, slot, f, slots, i)
        spread = e * w[i] / np.sqrt(max(1.0 - w[i] * leverage, SINGULAR))
        for a in range(2 + Q):
            scores[k, a] *= spread
    S = np.zeros((columns, columns))
    for k in range(members):
        for a in range(2 + Q):
            for c in range(2 + Q):
                S[place[k, a], place[k, c]] += scores[k, a] * scores[k, c]
    return G @ S @ G


@njit(cache=True, error_model="numpy", nogil=True)
def regress(
    y: Array,
    X: Array,
    group: Array,
    weight: Array,
    cap: Array,
    groups: int,
    least: int,
    huber: float,
    returns: Doubles,
    errors: Doubles,
    residual: Array,
    inflation: Doubles,
    fit: Doubles,
    members: Ints,
    noise: Doubles,
) -> None:
    """Regress each row of y on country, groups and styles, with cap-weighted groups summing to zero.

    Args:
        y: `[T, N]`, NaN unknown.
        X: styles `[T, N, Q]`, NaN unknown.
        group: code `[T, N]`, -1 unknown; ignored when `groups` is 0.
        weight: `[T, N]`, above 0 for the stocks that the regression is made of.
        cap: `[T, N]`, weights of the constraint, 0 for stocks that do not count in it.
        groups: number of groups, 0 for none.
        least: groups with fewer such stocks share one coefficient on that row.
        huber: bound of the robust regression in deviations, 0 for none.
        returns: `[T, 1 + groups + Q]`, coefficients; NaN where not determined.
        errors: `[T, 1 + groups + Q]`, their standard errors (HC2: variances may differ); NaN likewise.
        residual: `[T, N]`, of every stock whose values are all known, in the regression or not.
        inflation: `[T, Q]`, variance inflation of the styles.
        fit: `[T, 2]`, stocks in the regression and R2 about zero.
        members: `[T, groups]`, stocks of each group in the regression.
        noise: `[T, 1 + groups + Q, 1 + groups + Q]`, covariance of the coefficients' errors, 0 where not determined;
            or empty, if it is not wanted.
    """
    T, N = y.shape
    Q = X.shape[2]
    for t in range(T):
        known = np.zeros(N, np.bool_)
        inside = 0
        for i in range(N):
            ok = np.isfinite(y[t, i]) and (groups == 0 or group[t, i] >= 0)
            for q in range(Q):
                ok = ok and np.isfinite(X[t, i, q])
            known[i] = ok
            inside += ok and weight[t, i] > 0.0
        rows = np.flatnonzero(known & (weight[t] > 0.0))
        count = np.zeros(groups, np.int64)
        if groups > 0:
            for j in rows:
                count[group[t, j]] += 1
        members[t] = count
        fit[t, 0] = inside
        # Slots: groups with enough stocks, then one for the thin ones together.
        place = np.full(groups, -1, np.int64)
        slots = 0
        for g in range(groups):
            if count[g] >= max(least, 1):
                place[g] = slots
                slots += 1
        thin = 0
        for g in range(groups):
            if place[g] < 0:
                thin += count[g]
                place[g] = slots
        if thin > 0:
            slots += 1
        slot = np.zeros(N, np.int64)
        share = np.zeros(max(slots, 1))
        if groups > 0:
            for i in range(N):
                if known[i]:
                    slot[i] = place[group[t, i]]
                    if slot[i] >= slots:
                        known[i] = False  # a group without any stock in the regression
            for i in range(N):
                if cap[t, i] > 0.0 and group[t, i] >= 0 and place[group[t, i]] < slots:
                    share[place[group[t, i]]] += cap[t, i]
        columns = 1 + slots + Q
        if inside <= columns:
            continue
        drop = int(np.argmax(share)) if slots > 0 else 0
        ratio = share[:slots] / share[drop] if slots > 0 else share[:0]
        R = _map(slots, columns, ratio, drop)
        w = np.zeros(N)
        for j in rows:
            w[j] = weight[t, j]
        A, b = _normal(y[t], X[t], slot, w, rows, columns, slots)
        inverse, kept = _inverse(R.T @ A @ R)
        f = R @ (inverse @ (R.T @ b))
        if huber > 0.0:
            scaled = np.empty(inside)
            for _ in range(STEPS):
                for k in range(inside):
                    i = int(rows[k])
                    scaled[k] = abs(y[t, i] - _fitted(X[t], slot, f, slots, i)) * np.sqrt(weight[t, i])
                bound = huber * np.median(scaled) / MAD
                for k in range(inside):
                    i = int(rows[k])
                    w[i] = weight[t, i] * (1.0 if scaled[k] <= bound else bound / scaled[k])
                A, b = _normal(y[t], X[t], slot, w, rows, columns, slots)
                inverse, kept = _inverse(R.T @ A @ R)
                again = R @ (inverse @ (R.T @ b))
                change = np.max(np.abs(again - f)) / max(np.max(np.abs(again)), 1e-300)
                f = again
                if change < CLOSE:
                    break
        left = 0.0
        total = 0.0
        for j in rows:
            e = y[t, j] - _fitted(X[t], slot, f, slots, int(j))
            left += w[j] * e * e
            total += w[j] * y[t, j] * y[t, j]
        for i in range(N):
            if known[i]:
                residual[t, i] = y[t, i] - _fitted(X[t], slot, f, slots, i)
        fit[t, 1] = 1.0 - left / total if total > 0.0 else np.nan
        spread = R @ inverse @ R.T
        error = _noise(y[t], X[t], slot, w, rows, f, spread, slots, inside)
        given = np.ones(columns, np.bool_)
        k = 0
        for a in range(columns):
            if slots > 0 and a == 1 + drop:
                continue
            given[a] = kept[k]
            k += 1
        K = 1 + groups + Q
        column = np.full(K, -1, np.int64)
        column[0] = 0
        for g in range(groups):
            if place[g] < slots and given[1 + place[g]]:
                column[1 + g] = 1 + place[g]
        for q in range(Q):
            at = 1 + slots + q
            if given[at]:
                column[1 + groups + q] = at
                inflation[t, q] = spread[at, at] * (A[at, at] - A[0, at] ** 2 / A[0, 0])
        for k in range(K):
            if column[k] >= 0:
                returns[t, k] = f[column[k]]
                errors[t, k] = np.sqrt(error[column[k], column[k]])
        if noise.size > 0:
            for k in range(K):
                for m in range(K):
                    if column[k] >= 0 and column[m] >= 0:
                        noise[t, k, m] = error[column[k], column[m]]
