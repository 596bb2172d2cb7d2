"""What a network's own weights say of its parts."""

from typing import Any, ClassVar, Protocol, runtime_checkable

import polars as pl

from alphaloom.interpretation.base import Frames, Method, Subject, Tell, methods
from alphaloom.interpretation.days import fitted_networks
from alphaloom.training.fit import Fitted
from alphaloom.training.network import FittedNetwork


@runtime_checkable
class KnowsItsParameters(Protocol):
    """A module that can say which of its parts matter."""

    def parameter_significance(self) -> list[dict[str, Any]]:
        """Return one record a part: plain numbers and words, the same keys in each."""


@methods.register("parameters")
class Parameters(Method):
    """Tables that a network makes of its own weights: what its module's `parameter_significance` returns, by fit."""

    is_cheap: ClassVar[bool] = True
    tables: ClassVar[tuple[str, ...]] = ("parameters",)

    def lacking(self, fitted: Fitted) -> str:
        """Return why there is no table, or an empty string."""
        body = fitted.body
        if isinstance(body, FittedNetwork) and isinstance(body.module, KnowsItsParameters):
            return ""
        return "its weights have no meaning of their own"

    def explain(self, subject: Subject, tell: Tell) -> dict[str, pl.DataFrame]:
        """Return the module's records, with `repeat` in front."""
        parts = []
        for k, net in enumerate(fitted_networks(subject)):
            assert isinstance(net.module, KnowsItsParameters)
            found = pl.DataFrame(net.module.parameter_significance(), infer_schema_length=None)
            parts.append(found.select(pl.lit(k, dtype=pl.Int64).alias("repeat"), pl.all()))
        return {"parameters": pl.concat(parts, how="diagonal_relaxed")}

    def summary(self, frames: Frames) -> pl.DataFrame:
        """Return the mean of every number over windows and repeats, by model and whatever else the records say."""
        tables = []
        for part in frames["parameters"].drop("window", "repeat").partition_by("model", maintain_order=True):
            own = part.select([name for name in part.columns if part[name].is_not_null().any()])
            numbers = [name for name, dtype in own.schema.items() if dtype.is_float()]
            words = [name for name in own.columns if name not in numbers]
            tables.append(own.group_by(words, maintain_order=True).agg(pl.col(numbers).mean()))
        return pl.concat(tables, how="diagonal_relaxed")
