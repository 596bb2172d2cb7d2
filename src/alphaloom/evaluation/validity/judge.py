"""All corrections for searching at once: what remains of the best of the trials made."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from alphaloom.errors import unknown_name
from alphaloom.evaluation.validity.intervals import (
    Interval,
    Statistic,
    bootstrap_interval,
    deepest_drawdown,
    mean,
    ratio,
)
from alphaloom.evaluation.validity.overfitting import Overfitting, backtest_overfitting
from alphaloom.evaluation.validity.sharpe import DeflatedSharpe, deflated_sharpe
from alphaloom.evaluation.validity.superiority import Superiority, superiority
from alphaloom.evaluation.validity.trials import Trials

RUN = 8
"""Dates that a run must hold at least, without those left out at its ends, for the probability of overfitting."""


@dataclass(frozen=True, eq=False)
class Validity:
    """What remains of the chosen trial.

    Attributes:
        chosen: its name.
        names: of all trials.
        sharpe: its Sharpe ratio after luck and search.
        mean, ratio, drawdown: its mean, its Sharpe ratio a period and its deepest drawdown, with intervals that know
            nothing of the search.
        overfitting: None with a single trial or with too few dates for eight runs of eight.
        superiority: None when some trial never differs from its benchmark.
    """

    chosen: str
    names: tuple[str, ...]
    sharpe: DeflatedSharpe
    mean: Interval
    ratio: Interval
    drawdown: Interval
    overfitting: Overfitting | None
    superiority: Superiority | None

    def metrics(self) -> dict[str, Any]:
        """Return the numbers as plain data; NaN stays NaN."""
        pbo, best = self.overfitting, self.superiority
        return {
            "chosen": self.chosen,
            "trials": len(self.names),
            "sharpe": asdict(self.sharpe),
            "mean": asdict(self.mean),
            "ratio": asdict(self.ratio),
            "drawdown": asdict(self.drawdown),
            "overfitting": pbo
            and {
                "probability": pbo.probability,
                "loss": pbo.loss,
                "slope": pbo.slope,
                "halvings": int(pbo.logits.size),
                "is_coarse": pbo.is_coarse,
            },
            "superiority": best and asdict(best),
        }


def judge_trials(
    trials: Trials,
    chosen: str | None = None,
    *,
    steps: int = 1,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Validity:
    """Return what remains of one trial, the one with the best Sharpe ratio when `chosen` is None.

    Args:
        trials: every trial made, their returns less those of the benchmark.
        chosen: name of the trial that was taken.
        steps: how many neighbouring returns share data; 1 for the daily returns of a backtest.
        level: coverage of the intervals; superiority is tested at 1 - `level`.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        UnknownNameError: no such trial.
        DataError: no trial varies.
    """
    if chosen is not None and chosen not in trials.names:
        raise unknown_name("trial", chosen, trials.names)
    sharpe = deflated_sharpe(trials, None if chosen is None else trials.names.index(chosen))
    x = trials.returns[:, sharpe.best]
    gap = steps - 1
    blocks = next((n for n in (16, 12, 8) if trials.periods // n >= RUN + 2 * gap), 0)
    differ = bool((np.ptp(trials.returns, axis=0) > 0).all())

    def interval(statistic: Statistic) -> Interval:
        return bootstrap_interval(x, statistic, steps=steps, level=level, resamples=resamples, seed=seed)

    return Validity(
        chosen=trials.names[sharpe.best],
        names=trials.names,
        sharpe=sharpe,
        mean=interval(mean),
        ratio=interval(ratio),
        drawdown=interval(deepest_drawdown),
        overfitting=backtest_overfitting(trials, blocks=blocks, gap=gap) if trials.count > 1 and blocks else None,
        superiority=superiority(trials, steps=steps, level=1.0 - level, resamples=resamples, seed=seed)
        if differ
        else None,
    )
