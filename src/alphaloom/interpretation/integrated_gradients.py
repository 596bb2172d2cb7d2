"""What each feature at each step adds to a network's scores: gradients summed on the way from the mean stock."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
import torch
from pydantic import Field

from alphaloom.errors import UsageError
from alphaloom.interpretation.base import Frames, Method, Subject, Tell, by_size, date_column, methods
from alphaloom.interpretation.days import COPY_BYTES, fitted_networks, forecast, network_batches, with_inputs
from alphaloom.models.base import Batch, Network
from alphaloom.training.fit import Fitted
from alphaloom.training.network import FittedNetwork, torch_settings
from alphaloom.typing import Doubles

Rule = Literal["gausslegendre", "riemann_middle", "riemann_trapezoid"]
BACKWARD = 4
"""How many times more memory the gradients take than the scores alone."""


@methods.register("integrated_gradients")
class IntegratedGradients(Method):
    """Integrated gradients of a network's scores by feature and step, from a baseline of zeros.

    After a cross-sectional standardisation zero is the mean stock of the day (and what a missing value becomes). With
    scores s and the day's fixed weights c = (s - mean) / std, the spread of the day's scores is
    `D = mean_i c_i (s_i(x) - s_i(0))`; what feature f at step l adds to it is its part in the integrals, and the parts
    sum to D. `share` is that part over D: signed, 1 in all. For a network without attention between stocks
    `mean_abs` is the mean over stocks of |what it adds to the stock's own score|. A network that mixes stocks is asked
    for D itself, because a stock's inputs there change the scores of others too, and has no `mean_abs`.

    Completeness is checked on every day: `residual` is the root mean square of (sum of the parts less the change in
    score), over the day's standard deviation of scores; raise `points` where it is not small.

    Source: Sundararajan, Taly and Yan (2017), computed by Captum. Needs the extra `explain`.
    """

    tables: ClassVar[tuple[str, ...]] = ("integrated_gradients", "integrated_gradients_days")
    points: Annotated[int, Field(ge=2, le=1000)] = 32
    """Points on the way from the baseline at which gradients are taken."""
    rule: Rule = "gausslegendre"
    """How they are weighted."""
    days: Annotated[int, Field(ge=1)] | None = 12
    """Most test dates of a window, evenly spaced; null takes all of them."""
    stocks: Annotated[int, Field(ge=2)] | None = 500
    """Most stocks of a day, drawn at random; null takes all of them, as networks that mix stocks always do."""

    def lacking(self, fitted: Fitted) -> str:
        """Return why there are no integrated gradients, or an empty string."""
        if not isinstance(fitted.body, FittedNetwork):
            return "it is no network"
        return "" if _library() is not None else "Captum is not installed: pip install 'alphaloom[explain]'"

    def explain(self, subject: Subject, tell: Tell) -> dict[str, pl.DataFrame]:
        """Return the mean over the days of each feature's part at each step, and each day's residual."""
        subject = subject.thinned(self.days)
        networks = fitted_networks(subject)
        dates, parts, facts = [], [], []
        with torch_settings(subject.threads), torch.backends.cudnn.flags(enabled=False):  # cuDNN's recurrent layers
            for batch in network_batches(subject, self.stocks):  # have gradients in training mode alone
                tell(int(batch.days[0]), subject.dates.size)
                found = [attribute(net.model, net.module, batch, self.points, self.rule) for net in networks]
                dates.append(subject.dates[batch.days[0]])
                parts.append([(item.share, item.mean_abs) for item in found])
                facts.append([(item.residual, item.spread) for item in found])
        model, features = networks[0].model, subject.features
        means = np.mean(np.array(parts, dtype=np.float64), axis=(0, 1)).reshape(2, -1)
        back = [int(step) for step in np.arange(model.steps)[::-1] * model.stride]
        frame = pl.DataFrame(
            {
                "rows_back": np.repeat(back, len(features)),
                "feature": pl.Series(list(features) * model.steps, dtype=pl.String),
                "share": means[0],
                "mean_abs": means[1],
                "days": np.full(means.shape[1], len(dates)),
            }
        ).with_columns(pl.col("mean_abs").fill_nan(None))
        residual, spread = np.array(facts, dtype=np.float64).reshape(-1, len(networks), 2).mean(axis=1).T
        days = pl.DataFrame({"date": date_column(dates, 1), "residual": residual, "spread": spread})
        return {"integrated_gradients": frame, "integrated_gradients_days": days}

    def summary(self, frames: Frames) -> pl.DataFrame:
        """Return each feature's part over all steps and windows, the largest size first, and the mean residual."""
        residual = frames["integrated_gradients_days"].group_by("model").agg(pl.col("residual").mean())
        steps = step_means(frames["integrated_gradients"])
        frame = (
            steps.group_by("model", "feature", maintain_order=True)
            .agg(
                pl.col("share").sum(),
                pl.col("share").abs().sum().alias("size"),
                pl.when(pl.col("mean_abs").is_not_null().all()).then(pl.col("mean_abs").sum()).alias("mean_abs"),
            )
            .join(residual, on="model", how="left", maintain_order="left")
        )
        return by_size(frame, "size")


def step_means(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the mean over windows of what each feature adds at each step, weighted by their days."""
    weight = pl.col("days") / pl.col("days").sum()
    unknown = pl.col("mean_abs").is_null().any()
    return frame.group_by("model", "feature", "rows_back", maintain_order=True).agg(
        (pl.col("share") * weight).sum(),
        pl.when(~unknown).then((pl.col("mean_abs") * weight).sum()),
    )


@dataclass(frozen=True, eq=False)
class Attribution:
    """Integrated gradients of one day: parts of the spread `[L, F]`, and how well they add up."""

    share: Doubles
    mean_abs: Doubles
    """`[L, F]`; NaN for a network that mixes stocks."""
    residual: float
    spread: float
    """Standard deviation of the day's scores."""
    values: Doubles
    """Integrated gradients `[n, L, F]`: of each stock's own score, or of D for a network that mixes stocks."""


def attribute(model: Network, module: torch.nn.Module, batch: Batch, points: int, rule: Rule) -> Attribution:
    """Return the integrated gradients of a batch of one day.

    Raises:
        UsageError: Captum is not installed.
    """
    library = _library()
    if library is None:
        raise UsageError("Integrated gradients need Captum, which is not installed: pip install 'alphaloom[explain]'.")
    score = _scores(model, module, batch, batch.x)
    change = score - _scores(model, module, batch, torch.zeros_like(batch.x))
    spread = float(score.std())
    weight = (score - score.mean()) / spread / score.size if spread > 0 else np.zeros(score.size)
    mixes = model.mixes_stocks
    target = torch.from_numpy(weight if mixes else np.ones(score.size)).to(batch.x)

    def total(x: torch.Tensor) -> torch.Tensor:
        return (forecast(model, module, with_inputs(batch, x)) * target).sum(dim=-1)

    values = _integrals(library, total, batch.x, points, rule)
    parts = values.sum(axis=0) if mixes else np.einsum("n,nlf->lf", weight, values)
    whole = float(weight @ change)
    missed = np.array([parts.sum() - whole]) if mixes else values.sum(axis=(1, 2)) - change
    error = float(np.sqrt(np.mean(np.square(missed))))
    return Attribution(
        share=parts / whole if whole else np.zeros_like(parts),
        mean_abs=np.full_like(parts, np.nan) if mixes else np.abs(values).mean(axis=0),
        residual=error / spread if spread > 0 else 0.0,
        spread=spread,
        values=values,
    )


def _integrals(
    library: Any, total: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, points: int, rule: Rule
) -> Doubles:
    """Return the integrated gradients `[n, L, F]` of `total` from zeros to `x [1, n, L, F]`."""
    inputs = x.detach().clone().requires_grad_()
    size = max(1, COPY_BYTES[x.device.type] // (BACKWARD * x.element_size() * x.numel()))
    found = library.IntegratedGradients(total).attribute(
        inputs, baselines=0.0, n_steps=points, method=rule, internal_batch_size=min(size, points)
    )
    return np.asarray(found.detach()[0].double().cpu().numpy())


def _scores(model: Network, module: torch.nn.Module, batch: Batch, x: torch.Tensor) -> Doubles:
    with torch.inference_mode():
        return np.asarray(forecast(model, module, with_inputs(batch, x))[0].double().cpu().numpy())


def _library() -> Any | None:
    try:
        import captum.attr
    except ModuleNotFoundError:
        return None
    return captum.attr
