"""Measures of a fit on its validation days, which early stopping follows. Higher is better for all of them."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import numpy as np

from alphaloom.losses.base import RETURN
from alphaloom.typing import Bools, Doubles, Floats, Ints

MIN_MEMBERS = 10
"""Days with fewer labelled stocks give no RankIC, and no other measure of a ranking."""
TOP_SHARE = 0.1
"""`sharpe` holds this share of a day's stocks, rounded up."""
CAPITAL = 150e6
"""`liquidity_return` invests this much money each day (seed 002)."""
HELD = 50
"""`liquidity_return` buys the stocks of this many highest scores."""
PARTICIPATION = 0.1
"""`liquidity_return` buys at most this share of a stock's traded value of the day."""
DEVIATION_FLOOR = 1e-6
"""Smallest standard deviation that a mean is divided by."""

SelectOn = Literal["rank_ic", "loss", "icir", "sharpe", "liquidity_return"]
"""What early stopping and the best weights follow on the validation days:

- `rank_ic`: mean of the daily RankIC.
- `loss`: the training loss (trees: that of their objective), downwards.
- `icir`: mean over standard deviation (N - 1) of the daily RankIC.
- `sharpe`: mean over standard deviation (N - 1) of the top group's daily return: the equal-weighted raw return of the
  tenth of stocks with the highest scores, before costs, not annualised.
- `liquidity_return`: mean daily return on 150 million spread over the 50 highest scores in proportion to their traded
  value, at most a tenth of it; what cannot be placed earns nothing."""


def selection_extras(select_on: SelectOn) -> tuple[str, ...]:
    """Return what a measure reads per stock beside score and label: panel fields, and the raw return."""
    return {"sharpe": (RETURN,), "liquidity_return": (RETURN, "amount")}.get(select_on, ())


class DailyRankIC:
    """Mean over days of the Spearman correlation of scores with one fixed label, ties averaged.

    Days with fewer than `MIN_MEMBERS` rows do not count; on a day on which all scores or all labels are equal the
    correlation is taken as 0. The label's ranks are computed once, so each call sorts the scores alone.
    """

    def __init__(self, label: Floats, offsets: Ints) -> None:
        sizes = np.diff(offsets)
        self._day = np.repeat(np.arange(sizes.size), sizes)
        self.counts: Bools = sizes >= MIN_MEMBERS
        """Which days count `[D]`."""
        self._sizes = np.maximum(sizes, 1)
        self._label = self._centred_ranks(np.asarray(label, dtype=np.float64))
        self._label_norm = self._day_sum(self._label**2)

    @property
    def days(self) -> int:
        """Number of days that count."""
        return int(self.counts.sum())

    def daily(self, score: Floats | Doubles) -> Doubles:
        """Return the RankIC of each day `[D]`, NaN on days that do not count."""
        ranks = self._centred_ranks(np.asarray(score, dtype=np.float64))
        norm = np.sqrt(self._day_sum(ranks**2) * self._label_norm)
        with np.errstate(divide="ignore", invalid="ignore"):
            daily = np.where(norm > 0, self._day_sum(ranks * self._label) / norm, 0.0)
        return np.where(self.counts, daily, np.nan)

    def __call__(self, score: Floats | Doubles) -> float:
        """Return the mean over the days that count, NaN when there is none."""
        return float(self.daily(score)[self.counts].mean()) if self.days else float("nan")

    def _day_sum(self, values: Doubles) -> Doubles:
        return np.asarray(np.bincount(self._day, values, self._sizes.size), dtype=np.float64)

    def _centred_ranks(self, values: Doubles) -> Doubles:
        order = np.lexsort((values, self._day))
        day, value = self._day[order], values[order]
        fresh = np.ones(order.size, dtype=np.bool_)
        fresh[1:] = (day[1:] != day[:-1]) | (value[1:] != value[:-1])
        group = np.cumsum(fresh) - 1
        place = np.arange(order.size, dtype=np.float64)
        ranks = np.empty(order.size)
        ranks[order] = (np.bincount(group, weights=place) / np.maximum(np.bincount(group), 1))[group]
        return np.asarray(ranks - (self._day_sum(ranks) / self._sizes)[self._day], dtype=np.float64)


class Watch:
    """The validation measures of one fit: the rows stay, the scores change.

    Days with fewer than `MIN_MEMBERS` labelled stocks do not count, but for the loss.
    """

    def __init__(self, select_on: SelectOn, label: Floats, offsets: Ints, extras: Mapping[str, Floats]) -> None:
        """Keep the labelled rows of the validation days, date-major.

        Args:
            select_on: the measure that `value` returns.
            label: labels `[n]`.
            offsets: where each day starts `[D + 1]`.
            extras: what the measure reads beside them `[n]`; NaN counts as 0.
        """
        self.select_on = select_on
        self._rank_ic = DailyRankIC(label, offsets)
        self._parts = [slice(a, b) for a, b in pairwise(offsets) if b - a >= MIN_MEMBERS]
        self._extras = {
            name: np.nan_to_num(np.asarray(extras[name], dtype=np.float64)) for name in selection_extras(select_on)
        }

    @property
    def is_possible(self) -> bool:
        """Whether the validation days give the measure: one day that counts, or two where a deviation is needed."""
        needed = {"loss": 0, "icir": 2, "sharpe": 2}.get(self.select_on, 1)
        return self._rank_ic.days >= needed

    def record(self, score: Floats | Doubles, loss: float) -> dict[str, float | None]:
        """Return `valid_loss`, `valid_rank_ic` (None without a day that counts) and, if another, the measure itself."""
        found: dict[str, float | None] = {
            "valid_loss": loss,
            "valid_rank_ic": self._rank_ic(score) if self._rank_ic.days else None,
        }
        if f"valid_{self.select_on}" not in found:
            found[f"valid_{self.select_on}"] = self._measure(score) if self.is_possible else None
        return found

    def value(self, record: Mapping[str, float | None]) -> float:
        """Return from a record what early stopping follows; a loss with its sign turned."""
        value = record[f"valid_{self.select_on}"]
        assert value is not None
        return -value if self.select_on == "loss" else value

    def _measure(self, score: Floats | Doubles) -> float:
        if self.select_on == "icir":
            daily = self._rank_ic.daily(score)
            return _ratio(daily[self._rank_ic.counts])
        score = np.asarray(score, dtype=np.float64)
        if self.select_on == "sharpe":
            return _ratio(np.array([self._top_return(score[part], part) for part in self._parts]))
        return float(np.mean([self._filled_return(score[part], part) for part in self._parts]))

    def _top_return(self, score: Doubles, part: slice) -> float:
        size = int(np.ceil(TOP_SHARE * score.size))
        return float(highest(score, size) @ self._extras[RETURN][part]) / size

    def _filled_return(self, score: Doubles, part: slice) -> float:
        traded = highest(score, min(HELD, score.size)) * self._extras["amount"][part]
        bought = traded * min(PARTICIPATION, CAPITAL / max(traded.sum(), 1.0))
        return float(bought @ self._extras[RETURN][part]) / CAPITAL


def highest(score: Doubles, count: int) -> Doubles:
    """Return 1 for the `count` highest scores, 0 for the others; those tied at the edge share what is left.

    >>> highest(np.array([3.0, 1.0, 2.0, 1.0]), 3).tolist()
    [1.0, 0.5, 1.0, 0.5]
    """
    edge = np.partition(score, score.size - count)[score.size - count]
    above, tied = score > edge, score == edge
    share = (count - above.sum()) / tied.sum()
    return np.asarray(above + share * tied, dtype=np.float64)


def _ratio(daily: Doubles) -> float:
    return float(daily.mean() / max(daily.std(ddof=1), DEVIATION_FLOOR))
