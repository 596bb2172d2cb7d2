"""Which features MASTER's gate scales up, and when."""

from typing import ClassVar

import numpy as np
import polars as pl
import torch

from alphaloom.interpretation.base import Frames, Method, Subject, Tell, by_size, date_column, methods
from alphaloom.interpretation.days import fitted_networks, network_batches
from alphaloom.models.master import MASTERScore
from alphaloom.training.fit import Fitted
from alphaloom.training.network import FittedNetwork, torch_settings


@methods.register("gate")
class Gate(Method):
    """Weights by which MASTER's market gate scales the features on each test date; their mean is 1.

    For the model master with `gate: market`. A feature whose weight moves is one that the model trusts in some states
    of the market and not in others.
    """

    is_cheap: ClassVar[bool] = True
    tables: ClassVar[tuple[str, ...]] = ("gate",)

    def lacking(self, fitted: Fitted) -> str:
        """Return why there is no gate, or an empty string."""
        body = fitted.body
        if isinstance(body, FittedNetwork) and isinstance(body.module, MASTERScore) and body.module.gate is not None:
            return ""
        return "it has no market gate (master with gate: market)"

    def explain(self, subject: Subject, tell: Tell) -> dict[str, pl.DataFrame]:
        """Return the weight of every stock feature on each test date."""
        networks = fitted_networks(subject)
        modules = [net.module for net in networks if isinstance(net.module, MASTERScore)]
        names = subject.features[: modules[0].n_features]
        dates, rows = [], []
        with torch_settings(subject.threads), torch.inference_mode():
            for batch in network_batches(subject):
                tell(int(batch.days[0]), subject.dates.size)
                dates.append(subject.dates[batch.days[0]])
                market = batch.x[0, 0, -1]
                rows.append(np.mean([gate_weights(m, market).double().cpu().numpy() for m in modules], axis=0))
        frame = pl.DataFrame(
            {
                "date": date_column(dates, len(names)),
                "feature": pl.Series(list(names) * len(dates), dtype=pl.String),
                "weight": np.array(rows, dtype=np.float64).ravel(),
            }
        )
        return {"gate": frame}

    def summary(self, frames: Frames) -> pl.DataFrame:
        """Return the mean weight of every feature and how it moves over the test dates, the most moving first."""
        frame = (
            frames["gate"]
            .group_by("model", "feature", maintain_order=True)
            .agg(
                pl.col("weight").mean(),
                pl.col("weight").std().alias("between_dates"),
                pl.col("weight").min().alias("lowest"),
                pl.col("weight").max().alias("highest"),
                pl.len().alias("days"),
            )
        )
        return by_size(frame, "between_dates")


def gate_weights(module: MASTERScore, row: torch.Tensor) -> torch.Tensor:
    """Return the weights `[n_features]` for one stock's last step `[F]`, the market's state in its last columns."""
    assert module.gate is not None
    market = row[module.n_features :]
    return module.n_features * torch.softmax(module.gate(market) / module.beta, dim=-1)
