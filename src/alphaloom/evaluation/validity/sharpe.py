"""How sure is a Sharpe ratio, given its returns' shape, its length of record and the trials it was chosen from?

All ratios are per period, mean over standard deviation (divisor n - 1), never annualised: the formulas mix them with
the number of periods.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from alphaloom.errors import DataError, UsageError
from alphaloom.evaluation.validity.trials import Trials
from alphaloom.typing import Array, Doubles


@dataclass(frozen=True)
class DeflatedSharpe:
    """The Sharpe ratio of the best of several trials, judged against what the best of as many lucky ones would have.

    Attributes:
        best: column of the chosen trial.
        trials, effective: how many were made, and how many independent ones they are worth.
        periods: length of record of the chosen one.
        sharpe: its ratio per period.
        expected, expected_effective: ratio to expect of the best of `trials` and of `effective` without skill.
        probabilistic: probability that the true ratio is above 0 had there been one trial.
        deflated, deflated_effective: probability that it is above `expected` and above `expected_effective`.
        record, record_effective: periods needed for those to reach 0.95; infinite when the ratio is not above them.
    """

    best: int
    trials: int
    effective: float
    periods: int
    sharpe: float
    expected: float
    expected_effective: float
    probabilistic: float
    deflated: float
    deflated_effective: float
    record: float
    record_effective: float


def sharpe_ratio(returns: Array) -> float:
    """Return mean / standard deviation (n - 1) per period, NaN left out; NaN without variation or two values."""
    x = _present(returns)
    if x.size < 2 or np.ptp(x) == 0.0:
        return float("nan")
    return float(x.mean() / x.std(ddof=1))


def probabilistic_sharpe(returns: Array, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio per period exceeds `benchmark`.

    `Phi((SR - SR*) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2))`, g3 the skew and g4 the raw kurtosis (divisor
    n). NaN for fewer than three values or no variation.

    Source: Bailey and Lopez de Prado (2012), equation 8.
    """
    x = _present(returns)
    sr = sharpe_ratio(x)
    if x.size < 3 or np.isnan(sr):
        return float("nan")
    return float(special.ndtr((sr - benchmark) * np.sqrt((x.size - 1) / _spread(x, sr))))


def minimum_track_record(returns: Array, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Return how many periods like these `probabilistic_sharpe` needs to reach `confidence`; infinite if it never does.

    `1 + (1 - g3 SR + (g4 - 1) / 4 SR^2) (z / (SR - SR*))^2`.

    Source: Bailey and Lopez de Prado (2012), equation 11.

    Raises:
        UsageError: `confidence` outside 0.5 .. 1.
    """
    if not 0.5 < confidence < 1.0:
        raise UsageError(f"confidence must lie between 0.5 and 1; got {confidence}.")
    x = _present(returns)
    sr = sharpe_ratio(x)
    if x.size < 3 or np.isnan(sr):
        return float("nan")
    if sr <= benchmark:
        return float("inf")
    return float(1.0 + _spread(x, sr) * (special.ndtri(confidence) / (sr - benchmark)) ** 2)


def expected_best(trials: float, spread: float) -> float:
    """Return the Sharpe ratio to expect of the best of so many independent trials without skill.

    `spread [(1 - c) z(1 - 1/K) + c z(1 - 1/(K e))]`, c = 0.5772 (Euler's constant), z the normal quantile, `spread` the
    standard deviation of the trials' ratios; 0 for a single trial.

    Source: Bailey and Lopez de Prado (2014), equation 1, with a mean of 0.

    Raises:
        UsageError: fewer than one trial or a negative spread.
    """
    if not trials >= 1.0 or not spread >= 0.0:
        raise UsageError(f"There must be one trial or more and a spread of 0 or more; got {trials} and {spread}.")
    if trials == 1.0:
        return 0.0
    c = float(np.euler_gamma)
    return float(
        spread * ((1.0 - c) * special.ndtri(1.0 - 1.0 / trials) + c * special.ndtri(1.0 - 1.0 / (trials * np.e)))
    )


def minimum_backtest_length(trials: float, sharpe: float) -> float:
    """Return the periods below which the best of so many trials without skill is expected to show this ratio.

    `(expected_best(K, 1) / SR)^2`, SR per period.

    Source: Bailey, Borwein, Lopez de Prado and Zhu (2014), theorem 1.

    Raises:
        UsageError: `sharpe` is not positive.
    """
    if not sharpe > 0.0:
        raise UsageError(f"The Sharpe ratio to be reached must be positive; got {sharpe}.")
    return (expected_best(trials, 1.0) / sharpe) ** 2


def effective_trials(trials: Trials) -> float:
    """Return how many independent trials the columns are worth: `r + (1 - r) K`, r their mean correlation.

    Negative mean correlation counts as none, and so does that of a trial that does not vary; 1 for a single column.

    Source: Bailey and Lopez de Prado (2014), appendix 3.
    """
    K = trials.count
    if K == 1:
        return 1.0
    centred = trials.returns - trials.returns.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    unit = np.divide(centred, size, out=np.zeros_like(centred), where=np.ptp(trials.returns, axis=0) > 0)
    # The sum of all correlations is that of the squares of the sum over trials.
    total = float((unit.sum(axis=1) ** 2).sum() - (unit**2).sum())
    mean = total / (K * (K - 1))
    r = min(max(mean, 0.0), 1.0)
    return r + (1.0 - r) * K


def deflated_sharpe(trials: Trials, chosen: int | None = None) -> DeflatedSharpe:
    """Return the Sharpe ratio of one trial, the best when `chosen` is None, deflated by the number made.

    Source: Bailey and Lopez de Prado (2014), equation 2: `probabilistic_sharpe` above `expected_best`.

    Raises:
        UsageError: `chosen` is no column.
        DataError: no trial has a Sharpe ratio.
    """
    ratios = np.array([sharpe_ratio(trials.returns[:, k]) for k in range(trials.count)])
    if np.isnan(ratios).all():
        raise DataError(f"None of the {trials.count} trials varies, so that none has a Sharpe ratio.")
    best = int(np.nanargmax(ratios)) if chosen is None else chosen
    if not 0 <= best < trials.count:
        raise UsageError(f"The chosen trial must be a column from 0 to {trials.count - 1}; got {best}.")
    x, effective = trials.returns[:, best], effective_trials(trials)
    known = ratios[~np.isnan(ratios)]
    spread = float(known.std(ddof=1)) if known.size > 1 else 0.0
    expected, expected_effective = expected_best(trials.count, spread), expected_best(effective, spread)
    return DeflatedSharpe(
        best=best,
        trials=trials.count,
        effective=effective,
        periods=trials.periods,
        sharpe=float(ratios[best]),
        expected=expected,
        expected_effective=expected_effective,
        probabilistic=probabilistic_sharpe(x),
        deflated=probabilistic_sharpe(x, expected),
        deflated_effective=probabilistic_sharpe(x, expected_effective),
        record=minimum_track_record(x, expected),
        record_effective=minimum_track_record(x, expected_effective),
    )


def _spread(x: Doubles, sr: float) -> float:
    """Return the variance of the Sharpe ratio's estimate, times T - 1; at least 1 - g3^2 / (g4 - 1), so positive."""
    e = x - x.mean()
    second = float((e @ e) / x.size)
    g3, g4 = float((e**3).mean()) / second**1.5, float((e**4).mean()) / second**2
    return float(1.0 - g3 * sr + (g4 - 1.0) / 4.0 * sr * sr)


def _present(returns: Array) -> Doubles:
    x = np.asarray(returns, dtype=np.float64)
    if x.ndim != 1:
        raise UsageError(f"Returns of one strategy must have one axis; got shape {x.shape}.")
    return x[~np.isnan(x)]
