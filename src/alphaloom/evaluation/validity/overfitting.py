"""Probability of backtest overfitting: how often is what was best in one half of the record poor in the other?"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from alphaloom.errors import UsageError
from alphaloom.evaluation.validity.trials import Trials
from alphaloom.typing import Array, Doubles, Ints

FEW_TRIALS = 10
"""Below so many trials a rank out of sample is too coarse for a probability."""


@dataclass(frozen=True, eq=False)
class Overfitting:
    """What choosing the best in one half of the record is worth in the other half, over all C halvings.

    Attributes:
        probability: share of halvings in which the trial chosen in sample ranks below the median out of sample (a rank
            at the median counts half).
        logits: `[C]` of its relative rank w out of sample, `log(w / (1 - w))`; above 0 is better than the median.
        chosen: `[C]` columns chosen in sample.
        in_sample, out_of_sample: `[C]` Sharpe ratios per period of the chosen one.
        loss: share of halvings in which its mean out of sample is negative.
        slope: of `out_of_sample` on `in_sample`; negative when the better in sample do worse.
        is_coarse: fewer than ten trials, so that ranks say little.
    """

    probability: float
    logits: Doubles
    chosen: Ints
    in_sample: Doubles
    out_of_sample: Doubles
    loss: float
    slope: float
    is_coarse: bool


def backtest_overfitting(trials: Trials, *, blocks: int = 16, gap: int = 0) -> Overfitting:
    """Return the probability of backtest overfitting by combinatorially symmetric cross-validation.

    The dates are cut into `blocks` runs of equal length (the oldest dates that are left over drop out). For each choice
    of half of the runs, the trial with the best Sharpe ratio in them is ranked among all by its ratio in the others,
    `w = r / (K + 1)`, ties averaged.

    Args:
        trials: at least two; returns, not prices.
        blocks: even number of runs; C = binomial(blocks, blocks / 2).
        gap: rows left out at both ends of each run, for returns that overlap.

    Source: Bailey, Borwein, Lopez de Prado and Zhu (2017), section 3.
    Differs: a rank at the median counts half; ratios come from sums over runs.

    Raises:
        UsageError: fewer than two trials, an odd number of blocks, or runs of under two rows.
    """
    T, K = trials.returns.shape
    length = T // blocks if blocks > 0 else 0
    if K < 2:
        raise UsageError("Overfitting is a matter of choosing: at least two trials are needed.")
    if blocks < 2 or blocks % 2 or blocks > 24:
        raise UsageError(f"blocks must be even, from 2 to 24; got {blocks}.")
    if gap < 0 or length - 2 * gap < 2:
        raise UsageError(f"{T} dates in {blocks} runs with {gap} rows left out at each end leave under two rows a run.")
    runs = trials.returns[T - blocks * length :].reshape(blocks, length, K)[:, gap : length - gap]
    # Sums about each trial's mean over all dates: ratios of halves then lose no digits.
    centre = trials.returns.mean(axis=0)
    sums, squares = (runs - centre).sum(axis=1), ((runs - centre) ** 2).sum(axis=1)
    n = runs.shape[1] * blocks // 2
    halves = list(combinations(range(blocks), blocks // 2))
    inside = np.zeros((len(halves), blocks), dtype=np.bool_)
    np.put_along_axis(inside, np.array(halves), True, axis=1)
    first = _ratios(inside.astype(np.float64), sums, squares, centre, n)
    second = _ratios((~inside).astype(np.float64), sums, squares, centre, n)
    chosen = np.argmax(first, axis=1)
    rows = np.arange(len(halves))
    got = second[rows, chosen]
    rank = (second < got[:, None]).sum(axis=1) + ((second == got[:, None]).sum(axis=1) + 1.0) / 2.0
    logits = np.log(rank / (K + 1.0 - rank))
    in_sample = first[rows, chosen]
    centred = in_sample - in_sample.mean()
    power = float(centred @ centred)
    return Overfitting(
        probability=float((logits < 0).mean() + 0.5 * (logits == 0).mean()),
        logits=logits,
        chosen=chosen.astype(np.int64),
        in_sample=in_sample,
        out_of_sample=got,
        loss=float((got < 0).mean()),
        slope=float(centred @ (got - got.mean()) / power) if power > 0 else float("nan"),
        is_coarse=K < FEW_TRIALS,
    )


def _ratios(member: Doubles, sums: Array, squares: Array, centre: Array, n: int) -> Doubles:
    """Return Sharpe ratios `[C, K]` of the runs marked in `member [C, S]`; 0 where a trial does not vary."""
    total = member @ sums
    spread = np.sqrt(np.maximum(member @ squares - total**2 / n, 0.0) / (n - 1))
    return np.divide(total / n + centre, spread, out=np.zeros_like(total), where=spread > 0)
