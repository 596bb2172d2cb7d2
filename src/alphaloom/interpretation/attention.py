"""What each step of the window counts for in a network that attends to steps."""

from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import polars as pl
import torch

from alphaloom.interpretation.base import Frames, Method, Subject, Tell, date_column, methods
from alphaloom.interpretation.days import fitted_networks, network_batches
from alphaloom.training.fit import Fitted
from alphaloom.training.network import FittedNetwork, torch_settings


@runtime_checkable
class WeighsSteps(Protocol):
    """A module that weighs the steps of each window."""

    def step_weights(self, x: torch.Tensor, mask: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weights `[B, N, L]`; they sum to 1 over the steps."""


@methods.register("attention")
class Attention(Method):
    """Weights of the steps on the test dates: mean, spread between stocks, and the middle four fifths of the stocks.

    For networks whose module has a method `step_weights`. A weight of 1 / L at every step is no preference at all; the
    weights tell where the network looks, not what it makes of what it sees.
    """

    is_cheap: ClassVar[bool] = True
    tables: ClassVar[tuple[str, ...]] = ("attention",)

    def lacking(self, fitted: Fitted) -> str:
        """Return why there are no weights, or an empty string."""
        body = fitted.body
        if isinstance(body, FittedNetwork) and isinstance(body.module, WeighsSteps):
            return ""
        return "it has no attention over steps"

    def explain(self, subject: Subject, tell: Tell) -> dict[str, pl.DataFrame]:
        """Return the weights of every step on each test date, over the stocks."""
        networks = fitted_networks(subject)
        model, dates, rows = networks[0].model, [], []
        with torch_settings(subject.threads), torch.inference_mode():
            for batch in network_batches(subject):
                tell(int(batch.days[0]), subject.dates.size)
                found = []
                for net in networks:
                    assert isinstance(net.module, WeighsSteps)
                    masks = (batch.score_mask,) if batch.step_mask is None else (batch.score_mask, batch.step_mask)
                    found.append(net.module.step_weights(batch.x, *masks)[0].double().cpu().numpy())
                weights = np.mean(found, axis=0)
                low, high = np.quantile(weights, [0.1, 0.9], axis=0)
                dates.append(subject.dates[batch.days[0]])
                rows.append([weights.mean(axis=0), weights.std(axis=0), low, high])
        L = model.steps
        values = np.array(rows, dtype=np.float64).reshape(-1, 4, L).transpose(1, 0, 2).reshape(4, -1)
        back = [int(step) for step in np.arange(L)[::-1] * model.stride]
        columns = dict(zip(("weight", "between_stocks", "low", "high"), values, strict=True))
        return {"attention": pl.DataFrame({"date": date_column(dates, L), "rows_back": back * len(dates), **columns})}

    def summary(self, frames: Frames) -> pl.DataFrame:
        """Return the mean weight of every step, oldest first, its spread between stocks and between dates."""
        return (
            frames["attention"]
            .group_by("model", "rows_back", maintain_order=True)
            .agg(
                pl.col("weight").mean(),
                pl.col("between_stocks").mean(),
                pl.col("weight").std().alias("between_dates"),
                pl.col("low").mean(),
                pl.col("high").mean(),
                pl.len().alias("days"),
            )
        )
