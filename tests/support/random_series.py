"""Series without skill: autoregressive values, and ICs of slow scores with overlapping returns."""

import numpy as np
from scipy.signal import lfilter


def autoregressive(phi: float, n: int, seed: int) -> np.ndarray:
    """Return n values of an AR(1) process."""
    noise = np.random.default_rng(seed).normal(size=n + 200)
    return lfilter([1.0], [1.0, -phi], noise)[200:]


def overlapping_ic(
    rng: np.random.Generator, dates: int, horizon: int, *, persistence: float, names: int = 60
) -> np.ndarray:
    """Return the IC `[dates]` of random AR(1) scores with sums of the next `horizon` returns, Student t(5) each."""
    returns = np.cumsum(rng.standard_t(5, size=(dates + horizon, names)), axis=0)
    forward = returns[horizon:] - returns[:-horizon]
    shock = rng.normal(size=(dates, names)) * np.sqrt(1 - persistence**2)
    shock[0] = rng.normal(size=names)
    score = lfilter([1.0], [1.0, -persistence], shock, axis=0)
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (score, forward))
    return (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
