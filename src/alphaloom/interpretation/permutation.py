"""How much RankIC is lost when a feature is dealt out anew among the stocks of the day."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from alphaloom.errors import UsageError
from alphaloom.evaluation.inference import newey_west_error
from alphaloom.feature_study.groups import correlated_groups
from alphaloom.interpretation.base import Frames, Method, Subject, Tell, by_size, date_column, methods
from alphaloom.interpretation.days import Day, model_days
from alphaloom.kernels.cross_rank import rank_ic_block
from alphaloom.training.fit import Fitted
from alphaloom.training.network import torch_settings
from alphaloom.typing import Array, Doubles, Floats, Ints


@methods.register("permutation")
class Permutation(Method):
    """Drop in daily RankIC when a feature is permuted across the stocks of each test day.

    A sequence model gets the whole window of the feature from the other stock. Groups of correlated features are
    permuted together as well: of two substitutes each alone seems worthless, for the other one is still there. A
    feature that is the same for all stocks of a day (the market's state) cannot be permuted among them: that day tells
    nothing of it.

    The label is read for RankIC alone. One permutation a day and repeat serves all features, drawn from the seed and
    the date: the drop of one feature does not depend on which others or which days are looked at.

    Source: Breiman (2001), section 10, and Fisher, Rudin and Dominici (2019), here within the days of a test span.
    """

    reads_labels: ClassVar[bool] = True
    tables: ClassVar[tuple[str, ...]] = ("permutation", "permutation_groups")
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    """Permutations of each day; their mean is the day's drop."""
    days: Annotated[int, Field(ge=1)] | None = 60
    """Most test dates of a window, evenly spaced; null takes all of them."""
    stocks: Annotated[int, Field(ge=10)] | None = 500
    """Most stocks of a day, drawn at random; null takes all of them, as networks that mix stocks always do."""
    correlated: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Mean |rank correlation| from which features are permuted as a group."""
    min_names: Annotated[int, Field(ge=3)] = 10
    """Fewest stocks with score and label for which a day counts."""

    def lacking(self, fitted: Fitted) -> str:
        """Return an empty string: it explains every model."""
        return ""

    def explain(self, subject: Subject, tell: Tell) -> dict[str, pl.DataFrame]:
        """Return the drop of every feature and group on each test day, and the groups' members.

        Raises:
            UsageError: the subject has no labels.
        """
        if subject.label is None:
            raise UsageError("Permutation importance is a drop in RankIC and needs the labels of the test dates.")
        names = subject.features
        subject = subject.thinned(self.days)
        groups = correlated_groups(names, subject.correlation, np.zeros(len(names)), self.correlated)
        place = {name: k for k, name in enumerate(names)}
        changes = [np.array([k]) for k in range(len(names))]
        changes += [np.array([place[name] for name in group.features]) for group in groups]
        dates, base, drops = [], [], []
        with torch_settings(subject.threads):
            for day in model_days(subject, self.stocks):
                tell(day.position, subject.dates.size)
                dates.append(subject.dates[day.position])
                whole, lost = self._day(day, subject, changes)
                base.append(whole)
                drops.append(lost)
        titles = [*names, *(f"group {group.number}" for group in groups)]
        C, D = len(changes), len(dates)
        daily = pl.DataFrame(
            {
                "date": date_column(dates, C),
                "feature": pl.Series(titles * D, dtype=pl.String),
                "is_group": pl.Series([k >= len(names) for k in range(C)] * D, dtype=pl.Boolean),
                "rank_ic": np.repeat(np.array(base, dtype=np.float64), C),
                "drop": np.array(drops, dtype=np.float64).reshape(-1),
                "overlap": np.full(C * D, subject.overlap),
            }
        ).with_columns(pl.col("rank_ic", "drop").fill_nan(None))
        members = [(f"group {group.number}", name) for group in groups for name in group.features]
        schema = {"group": pl.String, "feature": pl.String}
        return {"permutation": daily, "permutation_groups": pl.DataFrame(members, schema=schema, orient="row")}

    def _day(self, day: Day, subject: Subject, changes: Sequence[Ints]) -> tuple[float, Doubles]:
        """Return the day's RankIC, and the drop of each change `[C]`; NaN where there is none."""
        assert subject.label is not None
        lost = np.full(len(changes), np.nan)
        label = subject.label[day.position, day.stocks]
        whole = self._rank_ics(day.scores()[None], label)[0]
        if np.isnan(whole):
            return whole, lost
        varies = day.varies()
        able = [k for k, columns in enumerate(changes) if varies[columns].any()]
        number = int(subject.dates[day.position].astype(np.int64))
        found = [
            self._rank_ics(day.permuted([changes[k] for k in able], order), label)
            for order in self._orders(subject.seed, number, day.stocks.size)
        ]
        # A permuted score without any variation orders nothing: its RankIC is none.
        lost[able] = whole - np.nan_to_num(np.array(found)).mean(axis=0)
        return whole, lost

    def _orders(self, seed: int, day: int, n: int) -> list[Ints]:
        return [np.random.default_rng((seed, day, k)).permutation(n) for k in range(self.repeats)]

    def _rank_ics(self, scores: Doubles, label: Floats) -> Doubles:
        """Return the RankIC of each row of scores `[C, n]`; NaN with too few names."""
        block = np.ascontiguousarray(scores.T[None], dtype=np.float32)
        values, pairs = rank_ic_block(block, label[None])
        return np.where(pairs[0] >= self.min_names, values[0], np.nan)

    def summary(self, frames: Frames) -> pl.DataFrame:
        """Return the mean drop of every feature and group with its Newey-West error over days, the largest first.

        A group goes by its member with the largest drop. `share` is the drop over the model's RankIC, where that is
        more than two errors above zero. Errors are missing where there are too few days for one (`mean_and_error`).
        """
        members = {
            key: part["feature"].unique(maintain_order=True).to_list()
            for key, part in frames["permutation_groups"].partition_by("model", "group", as_dict=True).items()
        }
        rows: list[dict[str, Any]] = []
        daily = frames["permutation"].drop_nulls("rank_ic").sort("date", maintain_order=True)
        for (model, feature), part in daily.partition_by("model", "feature", as_dict=True, maintain_order=True).items():
            drop = part["drop"].drop_nulls().to_numpy()
            overlap = int(part["overlap"].to_numpy().max())
            mean, error = mean_and_error(drop, overlap)
            whole, doubt = mean_and_error(part.drop_nulls("drop")["rank_ic"].to_numpy(), overlap)
            rows.append(
                {
                    "model": model,
                    "feature": feature,
                    "drop": mean,
                    "se": error,
                    "t": mean / error if error else float("nan"),
                    "share": mean / whole if whole > 2 * doubt else float("nan"),
                    "days": drop.size,
                    "is_group": part["is_group"][0],
                    "members": members.get((model, feature), ""),
                }
            )
        drops = {(row["model"], row["feature"]): row["drop"] for row in rows}
        for row in rows:
            if row["is_group"]:
                row["feature"] = _title(row["model"], row["members"], drops)
                row["members"] = ", ".join(row["members"])
        frame = pl.DataFrame(rows, schema=SUMMARY).with_columns(pl.col("drop", "se", "t", "share").fill_nan(None))
        return by_size(frame, "drop")


LEAST_DAYS = 8
"""Days for each lag of an error: with them a true zero is two errors away in 11 to 13 % of samples, with 5 in 17 %."""


def _title(model: str, members: Sequence[str], drops: Mapping[tuple[str, str], float]) -> str:
    """Return a group's name in a summary: the member with the largest drop of its own, and how many more."""
    leader = max(members, key=lambda name: np.nan_to_num(drops.get((model, name), np.nan), nan=-np.inf))
    return f"{leader} and {len(members) - 1} more"


SUMMARY = {
    "model": pl.String,
    "feature": pl.String,
    "drop": pl.Float64,
    "se": pl.Float64,
    "t": pl.Float64,
    "share": pl.Float64,
    "days": pl.Int64,
    "is_group": pl.Boolean,
    "members": pl.String,
}


def mean_and_error(daily: Array, overlap: int) -> tuple[float, float]:
    """Return the mean of a daily series and its Newey-West error with 2 x `overlap` lags.

    The error is NaN for fewer than `LEAST_DAYS` days a lag: it would be far too small. Of a series without variation it
    is 0.
    """
    if not daily.size:
        return float("nan"), float("nan")
    lags = 2 * overlap
    if daily.size < LEAST_DAYS * lags:
        return float(daily.mean()), float("nan")
    return float(daily.mean()), newey_west_error(daily, lags)
