"""The first line of a report: is there skill, and how sure can one be?"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from alphaloom.evaluation.inference import MeanTest, mean_test
from alphaloom.evaluation.signal import SignalReport
from alphaloom.report.content import count, number, percent, probability

STRONG_P = 0.0027
"""p that a new signal should pass: that of |t| = 3 in a large sample (Harvey, Liu and Zhu 2016)."""
WEAK_P = 0.05

RULES = (
    f"Evidence for skill: the interval of mean RankIC lies above zero, p of the Newey-West t is at most {STRONG_P:g} "
    f"(|t| of 3 in a large sample) and p of the non-overlapping t at most {WEAK_P:g}. Weak evidence: the mean is above "
    f"zero, and so is its interval or p of the Newey-West t is at most {WEAK_P:g}. Wrong sign: the interval lies below "
    f"zero and p of the Newey-West t is at most {WEAK_P:g}. Otherwise none. All p are two-sided, by Student's t."
)

LEAKED = ("leaked", "Leaked: fitted on later dates than it is judged on")
"""Grade and words where the split trains on the future."""


@dataclass(frozen=True)
class Verdict:
    """`grade` (`strong`, `weak`, `none`, `wrong`, `leaked`), its name in plain words, and the numbers behind it."""

    grade: str
    words: str
    findings: tuple[str, ...]


def grade_of(test: MeanTest) -> tuple[str, str]:
    """Return the grade of a mean RankIC and its plain words, by `RULES`."""
    p, p_apart = test.p_newey_west, test.p_non_overlapping
    above, below = test.low > 0, test.high < 0
    if above and p <= STRONG_P and p_apart <= WEAK_P:
        return "strong", "Evidence for skill"
    if above or (test.mean > 0 and p <= WEAK_P):
        return "weak", "Weak evidence for skill"
    if below and p <= WEAK_P:
        return "wrong", "The scores point the wrong way"
    return "none", "No evidence of skill"


def signal_sentence(signal: SignalReport) -> str:
    """Return RankIC with error, interval, both t values and the sample, in one sentence."""
    item = signal.headline
    test = item.rank_ic
    n4 = number(4)
    span = "trading day" if item.days == 1 else "trading days"
    return (
        f"RankIC {n4(test.mean)} ± {n4(test.se)} ({_level(test)}: {n4(test.low)} to {n4(test.high)}), "
        f"Newey-West t {number(1)(test.t_newey_west)} (p {probability(test.p_newey_west)}), "
        f"non-overlapping t {number(1)(test.t_non_overlapping)} (p {probability(test.p_non_overlapping)}) over "
        f"{count(test.n)} dates, {signal.dates[0]} to {signal.dates[-1]}, returns over {item.days:g} {span}."
    )


def spread_sentence(signal: SignalReport) -> str:
    """Return the quantile spread before and after costs, a year, with the interval of the latter."""
    item = signal.headline
    gross, net, year = item.spread, item.spread_net, item.periods_per_year
    p1 = percent(1)
    return (
        f"Top less bottom of {signal.settings.quantiles} quantiles: {p1(gross.mean * year)} a year before costs, "
        f"{p1(net.mean * year)} after {signal.settings.cost_bps:g} bps per value traded ({_level(net)}: "
        f"{p1(net.low * year)} to {p1(net.high * year)}), Newey-West t {number(1)(net.t_newey_west)}."
    )


def excess_test(nav: pl.DataFrame, *, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> MeanTest:
    """Return the test of a portfolio's mean daily excess return; the first row, the base, does not count."""
    values = nav["excess_ret"].slice(1).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return mean_test(values, level=level, resamples=resamples, seed=seed)


def portfolio_sentence(name: str, nav: pl.DataFrame, annual_days: float) -> str:
    """Return a portfolio's arithmetic annual excess return and information ratio with their intervals."""
    test = excess_test(nav)
    p1, n2 = percent(1), number(2)
    if test.n < 3 or np.isnan(test.ir):
        return f"Portfolio {name}: no benchmark to compare with, or too few days."
    root = float(np.sqrt(annual_days))
    return (
        f"Portfolio {name}: {p1(test.mean * annual_days)} a year over its benchmark after all costs ({_level(test)}: "
        f"{p1(test.low * annual_days)} to {p1(test.high * annual_days)}; mean of daily differences x {annual_days:g}), "
        f"information ratio {n2(test.ir * root)} ({n2(test.ir_low * root)} to {n2(test.ir_high * root)}), "
        f"Newey-West t {number(1)(test.t_newey_west)} over {count(test.n)} days."
    )


def signal_verdict(signal: SignalReport, *, trials: int = 1, trains_on_future: bool = False) -> Verdict:
    """Return the verdict on one signal; `trials` models were compared to arrive at it.

    With `trains_on_future` there is no verdict on skill: the scores could not have been had at the time.
    """
    grade, words = LEAKED if trains_on_future else grade_of(signal.headline.rank_ic)
    findings = [signal_sentence(signal), spread_sentence(signal)]
    if trains_on_future:
        findings = [f"Leaked: {finding}" for finding in findings]
        findings.append(
            "The split fits models on dates after those they are judged on. The numbers may choose between models; "
            "they say nothing of what would have been earned."
        )
    if trials > 1:
        findings.append(
            f"{trials} signals were compared; t values and intervals are not corrected for having chosen among them."
        )
    return Verdict(grade, words, tuple(findings))


def _level(test: MeanTest) -> str:
    return f"{100 * test.level:g} %"
