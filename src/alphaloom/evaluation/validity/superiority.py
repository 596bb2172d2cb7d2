"""Is the best of many strategies better than a benchmark, and which of them are, given that all were tried?"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from alphaloom.errors import UsageError
from alphaloom.evaluation.resampling import block_for
from alphaloom.evaluation.validity.trials import Trials
from alphaloom.typing import Doubles


@dataclass(frozen=True)
class Superiority:
    """Whether some trial gains over the benchmark.

    Attributes:
        p_value: of Hansen's test that none does (the consistent version).
        p_lower, p_upper: its lower and upper bounds; the upper one is White's Reality Check, studentised.
        superior: names of the trials that do, by Romano and Wolf's StepM at `level`.
        best: name of the trial with the highest studentised mean.
        level: of StepM: the chance of naming any trial that does not.
        block: mean block length of the bootstrap.
    """

    p_value: float
    p_lower: float
    p_upper: float
    superior: tuple[str, ...]
    best: str
    level: float
    block: float


def superiority(
    trials: Trials,
    *,
    steps: int = 1,
    level: float = 0.05,
    resamples: int = 1000,
    seed: int = 0,
) -> Superiority:
    """Return tests of whether the trials' returns over a benchmark have means above zero.

    Each column is divided by its standard error under the stationary bootstrap (Hansen 2005, equation 4) before
    `arch.bootstrap.SPA` sees it: that takes the maximum over plain means, so that a volatile trial would hide a
    steady one.

    Args:
        trials: returns less those of the benchmark. For a long-only book the benchmark is its index; zero is not one.
        steps: how many neighbouring returns share data.
        level: of StepM.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Source: Hansen (2005); Romano and Wolf (2005).

    Raises:
        UsageError: a trial does not vary.
    """
    gains = trials.returns
    still = np.flatnonzero(np.ptp(gains, axis=0) == 0.0)
    if still.size:
        raise UsageError(f"Trial {trials.names[still[0]]!r} never differs from its benchmark: leave it out.")
    block = block_for(gains, float(steps))
    scaled = gains / studentiser(gains, block)
    found: set[int] = set()
    first = None
    # Romano and Wolf's steps: those found are taken out, and what is left is tested again on the same resamples. arch's
    # own StepM fails when nothing is left.
    while len(found) < trials.count:
        left = np.array([k for k in range(trials.count) if k not in found])
        test = _spa(scaled[:, left], block, resamples, seed)
        first = first or test
        better = left[np.asarray(test.better_models(level), dtype=np.int64)]
        if not better.size:
            break
        found |= set(better.tolist())
    assert first is not None
    p = first.pvalues
    return Superiority(
        p_value=float(p["consistent"]),
        p_lower=float(p["lower"]),
        p_upper=float(p["upper"]),
        superior=tuple(name for k, name in enumerate(trials.names) if k in found),
        best=trials.names[int(np.argmax(scaled.mean(axis=0)))],
        level=level,
        block=block,
    )


def _spa(gains: Doubles, block: float, resamples: int, seed: int) -> Any:
    """Return arch's test of these columns, computed; arch counts losses: a gain is a loss below zero."""
    from arch.bootstrap import SPA

    nothing = np.zeros(gains.shape[0])
    test = SPA(nothing, -gains, block_size=max(1, round(block)), reps=resamples, studentize=False, seed=seed)
    test.compute()
    return test


def studentiser(gains: Doubles, block: float) -> Doubles:
    """Return `[K]` the standard deviation of sqrt(T) x mean of each column under the stationary bootstrap.

    `g0 + 2 sum_k w(k) g_k` with `w(k) = (1 - k/T)(1 - 1/block)^k + (k/T)(1 - 1/block)^(T - k)`.

    Source: Politis and Romano (1994), lemma 1.
    """
    T = gains.shape[0]
    e = gains - gains.mean(axis=0)
    keep = 1.0 - 1.0 / block
    k = np.arange(1, T)
    weight = (1.0 - k / T) * keep**k + (k / T) * keep ** (T - k)
    power = np.abs(np.fft.rfft(e, n=2 * T, axis=0)) ** 2
    covariance = np.fft.irfft(power, n=2 * T, axis=0)[:T] / T
    variance = covariance[0] + 2.0 * weight @ covariance[1:]
    deviation: Doubles = np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
    return deviation
