"""Fits that several processes do together: run by torchrun as `several_processes.py CASE FOLDER`, or imported."""

import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from learnable import planted

from alphaloom.models.base import FitContext, Network, Shape, models
from alphaloom.models.gru import GRU, GRUScore
from alphaloom.models.master import MASTER
from alphaloom.training.loop import train_network
from alphaloom.training.parallel import joined
from alphaloom.training.samples import Samples

CONTEXT = FitContext(seed=7, threads=1, features=("a", "b", "c", "d"))


def market():
    """Return a small market with a linear signal, 24 training days."""
    return planted(D=40, N=40, F=4, seed=1)


def optimisation(**settings):
    """Return settings of a short fit."""
    return {"lr": 5e-3, "epochs": 4, "patience": 4} | settings


def gru(loss="mse", name="gru", **settings):
    """Return a small GRU without dropout."""
    return models.parse(
        {
            "name": name,
            "hidden": 8,
            "steps": 3,
            "dropout": 0,
            "loss": loss,
            "optimisation": optimisation(**settings),
        }
    )


def master(**settings):
    """Return a small MASTER without dropout."""
    form = {"d_model": 8, "steps": 3, "dropout": 0, "attention_dropout": 0}
    return models.parse({"name": "master", **form, "optimisation": optimisation(**settings)})


class Doubled(torch.nn.Module):
    """A module that computes in float64."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner.double()

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores in float64."""
        return self.inner(x.double(), mask)


@models.register("double_gru")
class DoubleGRU(GRU):
    """GRU in float64."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return the module."""
        return Doubled(GRUScore(shape, self))


@models.register("double_master")
class DoubleMASTER(MASTER):
    """MASTER in float64."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return the module."""
        return Doubled(super().build(shape))


@models.register("failing")
class Failing(DoubleGRU):
    """A network that does as told in the third step of the second process."""

    deed: ClassVar[str] = ""

    def objective(self, module: torch.nn.Module, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the objective, or fail."""
        score, loss = super().objective(module, batch)
        if module.training:
            module.count = getattr(module, "count", 0) + 1
            if joined().rank == 1 and module.count == 3:
                if self.deed == "raise":
                    raise MemoryError("no room for the scores")
                if self.deed == "exit":
                    os._exit(3)
                loss = loss * torch.nan if self.deed == "diverge" else loss
        return score, loss


def fit(model, *, samples=None, **options):
    """Return the fitted network."""
    samples = samples or market()
    return train_network(model, samples.train, samples.valid, context=CONTEXT, **options)


CASES = {
    "days": lambda: fit(gru(days_per_step=5)),
    "one_day": lambda: fit(gru(epochs=2)),
}


def main(case, folder):
    """Run a case on every process and keep what came out of it."""
    torch.set_num_threads(1)
    peers = joined()
    out = {"rank": peers.rank, "size": peers.size}
    try:
        fitted = CASES[case]()
    except Exception as error:
        out |= {"error": type(error).__name__, "message": str(error), "notes": getattr(error, "__notes__", [])}
    else:
        out |= {"history": fitted.history, "best_epoch": fitted.best_epoch}
        np.savez(folder / f"{peers.rank}.npz", **{k: v.numpy() for k, v in fitted.module.state_dict().items()})
    (folder / f"{peers.rank}.json").write_text(json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
