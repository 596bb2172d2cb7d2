"""How often the shown tests reject when there is no skill: IC tests, deflated Sharpe, overfitting, superiority.

Scores are slow (autoregressive) and returns overlap; strategies are random, some of them alike.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.signal import lfilter

from alphaloom.evaluation.inference import mean_test
from alphaloom.evaluation.validity.intervals import paired_difference, ratio
from alphaloom.evaluation.validity.overfitting import backtest_overfitting
from alphaloom.evaluation.validity.sharpe import deflated_sharpe
from alphaloom.evaluation.validity.superiority import superiority
from alphaloom.evaluation.validity.trials import Trials
from alphaloom.report.verdict import grade_of
from benchmarks.record import save

NAMES = 60
LEVEL = 0.05


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=1000, help="of each test of an IC")
    parser.add_argument("--searches", type=int, default=200, help="searches among 100 random strategies")
    args = parser.parse_args(arguments)
    rows = list(ic_rows(args.repeats))
    shown = ("newey_west", "non_overlapping", "bootstrap")
    facts: dict[str, Any] = {
        "largest_shown": max(row[test] for row in rows for test in shown),
        "searches": {f"correlation {c:g}": search(args.searches, c) for c in (0.0, 0.5)},
    }
    error = 100 * np.sqrt(LEVEL * (1 - LEVEL) / args.repeats)
    notes = [
        (
            f"Share of {args.repeats:,} repeats, in %, in which a test at {LEVEL:.0%} finds a mean IC that is not "
            f"there; standard error {error:.1f} points. {NAMES} stocks, Student t(5) returns, AR(1) scores."
        ),
        "weak: a verdict of weak evidence or better; strong: of evidence.",
        f"Largest share of the three shown tests: {facts['largest_shown']:.1f} %.",
    ]
    for name, found in facts["searches"].items():
        notes += [
            (
                f"Best of 100 random strategies, {name}, {args.searches} repeats: deflated Sharpe below 0.95 in "
                f"{found['deflated']:.1f} %; with the effective number of trials, {found['effective']:.0f}, in "
                f"{found['deflated_effective']:.1f} %; not deflated, in {found['probabilistic']:.1f} %."
            ),
            (
                f"The same: mean PBO {found['pbo']:.3f}; superiority test rejects in {found['superiority']:.1f} %, the "
                f"paired difference of two strategies in {found['paired']:.1f} %."
            ),
        ]
    save("null_study", "Tests of skill when there is none: rejections in %", rows, facts, notes)
    return 0


def ic_rows(repeats: int) -> Iterator[dict[str, Any]]:
    """Yield rejections by persistence of the scores, dates and horizon."""
    for persistence in (0.98, 1.0):
        for dates in (80, 250, 750):
            for horizon in (1, 5, 10):
                yield ic_row(np.random.default_rng([horizon, dates]), repeats, dates, horizon, persistence)


def ic_row(
    rng: np.random.Generator, repeats: int, dates: int, horizon: int, persistence: float, *, resamples: int = 300
) -> dict[str, Any]:
    """Return in how many % of the repeats each test rejects."""
    count = dict.fromkeys(("naive", "newey_west", "non_overlapping", "bootstrap", "weak", "strong"), 0)
    for k in range(repeats):
        test = mean_test(slow_ic(rng, dates, horizon, persistence), steps=horizon, resamples=resamples, seed=k)
        grade, _ = grade_of(test)
        count["naive"] += test.p_naive < LEVEL
        count["newey_west"] += test.p_newey_west < LEVEL
        count["non_overlapping"] += test.p_non_overlapping < LEVEL
        count["bootstrap"] += test.low > 0 or test.high < 0
        count["weak"] += grade in {"weak", "strong"}
        count["strong"] += grade == "strong"
    shares = {name: 100.0 * value / repeats for name, value in count.items()}
    return {"persistence": persistence, "dates": str(dates), "horizon": str(horizon), **shares}


def slow_ic(rng: np.random.Generator, dates: int, horizon: int, persistence: float) -> np.ndarray:
    """Return the IC `[dates]` of AR(1) scores (drawn once when `persistence` is 1) with sums of the next returns."""
    returns = np.cumsum(rng.standard_t(5, size=(dates + horizon, NAMES)), axis=0)
    forward = returns[horizon:] - returns[:-horizon]
    shock = rng.normal(size=(dates, NAMES)) * np.sqrt(1 - persistence**2)
    shock[0] = rng.normal(size=NAMES)
    score = lfilter([1.0], [1.0, -persistence], shock, axis=0)
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (score, forward))
    return (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))


def search(repeats: int, correlation: float, *, dates: int = 1000, strategies: int = 100) -> dict[str, float]:
    """Return what is said of the best of random strategies: shares in %, means of PBO and of the effective number."""
    count = dict.fromkeys(("probabilistic", "deflated", "deflated_effective", "superiority", "paired"), 0)
    pbo, effective = [], []
    for k in range(repeats):
        rng = np.random.default_rng(1000 * k + int(100 * correlation))
        own, common = rng.standard_t(5, size=(dates, strategies)), rng.standard_t(5, size=(dates, 1))
        returns = 0.005 * (np.sqrt(1 - correlation) * own + np.sqrt(correlation) * common)
        trials = Trials(returns, tuple(f"s{n}" for n in range(strategies)))
        best = deflated_sharpe(trials)
        count["probabilistic"] += best.probabilistic < 0.95
        count["deflated"] += best.deflated < 0.95
        count["deflated_effective"] += best.deflated_effective < 0.95
        count["superiority"] += superiority(trials, resamples=200, seed=k).p_value < LEVEL
        count["paired"] += paired_difference(returns[:, 0], returns[:, 1], ratio, resamples=300, seed=k).p_value < LEVEL
        pbo.append(backtest_overfitting(trials, blocks=10).probability)
        effective.append(best.effective)
    shares = {name: 100.0 * value / repeats for name, value in count.items()}
    return {**shares, "pbo": float(np.mean(pbo)), "effective": float(np.mean(effective))}
