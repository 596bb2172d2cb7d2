"""A trained network, and what training and scoring share: device, threads, batches, evaluation."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from alphaloom.errors import RunError
from alphaloom.models.base import Batch, Network, Record, Shape, models
from alphaloom.training.adamw import State
from alphaloom.training.batches import Batches, DayBatches, RowBatches
from alphaloom.training.samples import Samples
from alphaloom.typing import Doubles, Floats

WEIGHTS_FILE, NETWORK_FILE = "weights.safetensors", "network.json"
A = TypeVar("A", Floats, Doubles)


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A network with its best weights."""

    model: Network
    module: torch.nn.Module
    shape: Shape
    """Features, labels, and what was settled before training."""
    best_epoch: int
    """Epoch whose weights these are, from 1."""
    history: list[Record]
    """One record an epoch: `epoch`, `train_loss`, `valid_loss`, `valid_rank_ic`, `lr`, `seconds`."""
    threads: int | None = None
    """Threads for predictions on the CPU; None leaves torch as it is."""

    def predict(self, samples: Samples) -> Floats:
        """Return scores `[D, N]`, NaN where the model gives none: not a member, no feature, too short a history.

        Each day is a batch of its own, so the scores of a day do not depend on which other days are asked for.

        Raises:
            RunError: a score is not finite.
        """
        scores = np.full((samples.rows.size, samples.block.shape[1]), np.nan, dtype=np.float32)
        device = next(self.module.parameters()).device
        with torch_settings(self.threads):
            for batch, score in evaluate(self.model, self.module, day_batches(self.model, samples, device)):
                scores[batch.days[0], batch.stocks[0]] = finite(score[0].cpu().numpy(), samples.rows[batch.days[0]])
        return scores

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `network.json` into an existing folder."""
        save_file(copied_state(self.module), folder / WEIGHTS_FILE)
        facts = {"model": self.model.describe(), "shape": asdict(self.shape), "best_epoch": self.best_epoch}
        (folder / NETWORK_FILE).write_text(json.dumps({**facts, "history": self.history}, indent=1, allow_nan=False))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Return a saved network on the best device.

        With the same number of threads on the same kind of device its scores are equal bit for bit.
        """
        facts = json.loads((folder / NETWORK_FILE).read_text())
        model = models.parse(facts["model"], str(folder / NETWORK_FILE))
        assert isinstance(model, Network)
        shape = Shape(tuple(facts["shape"]["features"]), facts["shape"]["outputs"], facts["shape"]["settled"])
        module = model.build(shape)
        module.load_state_dict(load_file(folder / WEIGHTS_FILE))
        module = module.to(best_device()).eval()
        return cls(model, module, shape, facts["best_epoch"], facts["history"], threads)


def finite(scores: A, row: int) -> A:
    """Return one day's scores as they are.

    Raises:
        RunError: one of them is not finite; as NaN it would pass for a stock without a score.
    """
    if not np.isfinite(scores).all():
        wrong = int((~np.isfinite(scores)).sum())
        raise RunError(
            f"{wrong} of {scores.size} scores at panel row {row} are not finite: that date's inputs lie far outside "
            "the range of the training data. Clip the features with a transform."
        )
    return scores


def best_device() -> torch.device:
    """Return CUDA when a device is there, else the CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found if found is not None and found.type == "cuda" else torch.device("cpu")


def day_batches(
    model: Network,
    samples: Samples,
    device: torch.device,
    *,
    min_labels: int = 0,
    extras: Sequence[str] = (),
) -> DayBatches:
    """Return the days in order, one a batch, with windows as the model's settings ask for."""
    return DayBatches(
        samples,
        steps=model.steps,
        stride=model.stride,
        device=device,
        short_history=model.short_history,
        gaps=model.gaps,
        min_labels=min_labels,
        extras=extras,
    )


def training_batches(model: Network, samples: Samples, device: torch.device, seed: int) -> Batches:
    """Return the batches that the model's optimisation asks for: whole days, or rows of many days."""
    wanted = model.optimisation
    form: dict[str, Any] = {
        "steps": model.steps,
        "stride": model.stride,
        "seed": seed,
        "device": device,
        "short_history": model.short_history,
        "gaps": model.gaps,
        "extras": model.loss.extras,
    }
    if wanted.rows_per_step is not None:
        return RowBatches(samples, wanted.rows_per_step, order=wanted.order, **form)
    return DayBatches(
        samples,
        days_per_step=wanted.days_per_step,
        shuffle=wanted.order == "random",
        min_labels=model.loss.min_members,
        **form,
    )


def evaluate(model: Network, module: torch.nn.Module, batches: DayBatches) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Yield each batch in time order with its scores `[B, N']`, without gradients or dropout."""
    module.eval()
    for batch in batches.epoch():
        with torch.inference_mode():
            forecast = model.forecast(module, batch)
        yield batch, forecast if forecast.ndim == 2 else forecast[..., 0]


def copied_state(module: torch.nn.Module) -> State:
    """Return a copy of the weights, on the CPU."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.state_dict().items()}


@contextmanager
def torch_settings(threads: int | None, *, fork: bool = False, device: torch.device | None = None) -> Iterator[None]:
    """Set threads and deterministic kernels, keep the caller's random state, and put everything back.

    Numbers too small for a float's full precision count as 0 meanwhile: products with them are many times slower.
    """
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    devices = [torch.cuda.current_device()] if fork and device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices, enabled=fork):
        try:
            if threads is not None:
                torch.set_num_threads(threads)
            torch.set_flush_denormal(True)
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
            yield
        finally:
            torch.set_flush_denormal(False)
            torch.set_num_threads(before[0])
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[1:]
