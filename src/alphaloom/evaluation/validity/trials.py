"""The returns of all trials made, on common dates: what every correction for searching starts from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from alphaloom.errors import DataError, UsageError
from alphaloom.typing import Doubles


@dataclass(frozen=True, eq=False)
class Trials:
    """Returns `[T, K]` of K trials on the same T dates, fractions per period, none missing; one name a column.

    Every trial made belongs here, also those given up early: corrections for searching count them. Knowable once the
    last date's returns are.
    """

    returns: Doubles
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.returns.ndim != 2 or self.returns.shape[1] != len(self.names) or not self.names:
            raise UsageError(
                f"Trials need returns [T, K] and a name for each column; got {self.returns.shape} and "
                f"{len(self.names)} names."
            )
        if self.returns.shape[0] < 3:
            raise DataError(f"Trials need three common dates or more; got {self.returns.shape[0]}.")
        if len(set(self.names)) < len(self.names):
            raise UsageError(f"Names of trials must differ; got {', '.join(self.names)}.")
        wrong = np.argwhere(~np.isfinite(self.returns))
        if wrong.size:
            t, k = wrong[0]
            raise DataError(
                f"{len(wrong)} returns are missing or infinite; first of trial {self.names[k]!r} at row {t}. Compare "
                "trials on the dates they have in common, or `Trials.of` frames, which does so."
            )

    @classmethod
    def of(cls, frames: Mapping[str, pl.DataFrame], column: str = "excess_ret") -> Self:
        """Return the trials of frames with `date` and `column`, on the dates on which all of them have a value.

        Raises:
            DataError: a date is repeated, or fewer than three are common.
            UsageError: no frame, or one without the column.
        """
        if not frames:
            raise UsageError("There are no trials to compare.")
        joined: pl.DataFrame | None = None
        for name, frame in frames.items():
            if not {"date", column} <= set(frame.columns):
                raise UsageError(f"Trial {name!r} needs columns date and {column}; it has {', '.join(frame.columns)}.")
            part = frame.select("date", pl.col(column).cast(pl.Float64).fill_nan(None).alias(name)).drop_nulls()
            if part["date"].is_duplicated().any():
                again = part.filter(part["date"].is_duplicated())["date"][0]
                raise DataError(f"Trial {name!r} has the date {again} more than once.")
            joined = part if joined is None else joined.join(part, on="date", how="inner")
        assert joined is not None
        table = joined.sort("date").drop("date")
        return cls(table.to_numpy().astype(np.float64), tuple(frames))

    @property
    def periods(self) -> int:
        """Return T."""
        return int(self.returns.shape[0])

    @property
    def count(self) -> int:
        """Return K."""
        return len(self.names)
