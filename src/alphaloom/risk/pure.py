"""Pure factor portfolios: the weights of stocks whose return is a factor's return."""

import numpy as np

from alphaloom.errors import DataError
from alphaloom.typing import Doubles, Ints


def pure_portfolios(styles: Doubles, industry: Ints, weights: Doubles, share: Doubles) -> Doubles:
    """Return the portfolios `[K, n]` of one day's least-squares regression on country, industries and styles.

    Portfolio k times the day's returns is the return of factor k. With c the industries' shares of capitalisation: a
    style's portfolio has exposure 1 to it and 0 to every other factor. That of the country has exposure 1 to it, c to
    the industries (it is the market in them) and 0 to styles. That of an industry holds 1 in it less c in all, so
    nothing in the country and in styles; since c times the industry returns is 0, it earns that industry's return.

    Args:
        styles: `[n, Q]`, finite.
        industry: codes `[n]`; each industry has a stock at least. Not read without industries.
        weights: regression weights `[n]`, above 0.
        share: shares of the P industries in capitalisation, which sum to 1; empty for a model without industries.

    Raises:
        DataError: an industry without stocks, or factors that the stocks cannot tell apart.
    """
    n = weights.size
    P = share.size
    dummies = np.zeros((n, P))
    if P:
        dummies[np.arange(n), industry] = 1.0
    X = np.column_stack([np.ones(n), dummies, styles])
    R = np.eye(X.shape[1])
    if P:
        empty = np.flatnonzero(~dummies.any(axis=0))
        if empty.size:
            raise DataError(f"Industry {empty[0]} has no stock: its pure portfolio does not exist.")
        drop = int(share.argmax())
        R[1 + drop, 1 : 1 + P] = -share / share[drop]
        R = np.delete(R, 1 + drop, axis=1)
    root = np.sqrt(weights)[:, None]
    q, r = np.linalg.qr((X @ R) * root)
    diagonal = np.abs(np.diag(r))
    if n < R.shape[1] or diagonal.min() <= 1e-10 * diagonal.max():
        raise DataError(
            f"{n} stocks cannot tell {R.shape[1]} factors apart: one of them is a combination of the others."
        )
    portfolios: Doubles = R @ np.linalg.solve(r, (q * root).T)
    return portfolios
