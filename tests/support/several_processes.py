"""Fits that several processes do together: torchrun starts this file as `several_processes.py FOLDER CASE ...`."""

import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from learnable import planted

from alphaloom.errors import PeerError
from alphaloom.models.base import Batch, FitContext, Network, Shape, models
from alphaloom.models.gru import GRU, GRUScore
from alphaloom.models.master import MASTER
from alphaloom.training.loop import train_network
from alphaloom.training.network import FittedNetwork
from alphaloom.training.parallel import joined
from alphaloom.training.samples import Samples

CONTEXT = FitContext(seed=7, threads=1, features=("a", "b", "c", "d"))


def torchrun(*words: object) -> list[str]:
    """Return the command line that starts two processes of a script or `-m module` on this machine."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [*start, "--local-addr", "127.0.0.1", *map(str, words)]


def environment() -> dict[str, str]:
    """Return the environment for it: these modules can be imported, and nothing leaves the loopback interface."""
    own = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    return os.environ | own


class Doubled(torch.nn.Module):
    """A module that computes in float64."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner.double()

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores in float64."""
        return self.inner(x.double(), mask)


class DoubleGRU(GRU):
    """GRU in float64."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return the module."""
        return Doubled(GRUScore(shape, self))


class DoubleMASTER(MASTER):
    """MASTER in float64."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return the module."""
        return Doubled(super().build(shape))


class Failing(GRU):
    """A network that does something in the third step of the second process."""

    deed: ClassVar[str] = ""

    def objective(self, module: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the objective, or fail."""
        score, loss = super().objective(module, batch)
        if module.training:
            module.count = getattr(module, "count", 0) + 1
            if joined().rank == 1 and module.count == 3:
                if self.deed == "exit":
                    os._exit(3)
                if self.deed == "raise":
                    raise MemoryError("no room for the scores")
                loss = loss * torch.nan
        return score, loss


class Remembering(GRU):
    """A network that keeps a sum over its batches in a buffer."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return the module."""
        module = super().build(shape)
        module.register_buffer("seen", torch.zeros(()))
        return module

    def forecast(self, module: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Return the scores."""
        module.seen += batch.x.sum()
        return super().forecast(module, batch)


class Choosy(GRU):
    """A network that learns its scale on batches of some sizes alone."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return the module."""
        module = super().build(shape)
        module.scale = torch.nn.Parameter(torch.ones(()))
        return module

    def forecast(self, module: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Return the scores."""
        score = super().forecast(module, batch)
        return score * module.scale if len(batch.days) == 1 else score


def market(further: bool = False):
    """Return 23 training days, validation and test of a small market; without a second label on one day, or none."""
    made = planted(D=39, N=40, F=4, seed=1)
    if not further:
        return made
    other = made.train.label.copy()
    other[made.train.rows[3]] = np.nan
    parts = (Samples(s.block, s.label, s.member, s.rows, further=(other,)) for s in (made.train, made.valid, made.test))
    return type(made)(*parts, made.truth)


def network(cls: type[Network] = GRU, **settings: Any) -> Network:
    """Return a small network without dropout; settings of the optimisation are told by their names."""
    form = {"d_model": 8, "attention_dropout": 0} if issubclass(cls, MASTER) else {"hidden": 8}
    own = {name: settings.pop(name) for name in ("loss", "dropout") if name in settings}
    steps = {"lr": 5e-3, "epochs": 4, "patience": 4, **settings}
    cls.name = cls.__name__.lower()  # a registered model has one
    return cls.parse({"steps": 3, "dropout": 0, **form, **own, "optimisation": steps}, cls.name)


def fit(model: Network, samples: Any = None, **options: Any) -> FittedNetwork:
    """Return the fitted network."""
    samples = samples or market()
    return train_network(model, samples.train, samples.valid, context=CONTEXT, **options)


def fail_on(deed: str) -> FittedNetwork:
    """Fit a network that does this in the second process."""
    Failing.deed = deed
    return fit(network(Failing, days_per_step=4))


def interrupted(folder: Path) -> FittedNetwork:
    """Fit two epochs, stop with an error of the first process, and fit again with the checkpoint."""

    def stop(record: dict[str, Any]) -> None:
        if record["epoch"] == 2:
            raise OSError("disk full")

    model, file = network(days_per_step=4, dropout=0.3), folder / "work" / "checkpoint.pt"
    mine = file if joined().is_first else None
    with pytest.raises((OSError, PeerError), match="disk full"):
        fit(model, checkpoint=mine, progress=stop)
    return fit(model, checkpoint=mine)


def other_data() -> FittedNetwork:
    """Fit on other labels in the second process."""
    made = planted(D=39, N=40, F=4, seed=joined().rank)
    return fit(network(), made)


CASES = {
    "days": lambda folder: fit(network(days_per_step=4)),
    "days_double": lambda folder: fit(network(DoubleGRU, days_per_step=4)),
    "idle": lambda folder: fit(network(DoubleGRU, days_per_step=11, loss="ic", clip="norm", clip_value=0.05)),
    "one_day": lambda folder: fit(network(DoubleGRU, epochs=2)),
    "rows": lambda folder: fit(network(rows_per_step=100)),
    "rows_double": lambda folder: fit(network(DoubleGRU, rows_per_step=101, order="stock", select_on="loss")),
    "master": lambda folder: fit(network(MASTER, days_per_step=3)),
    "master_double": lambda folder: fit(network(DoubleMASTER, days_per_step=3)),
    "without_validation": lambda folder: train_network(
        network(days_per_step=4), market().train, market().valid.subset(np.arange(0)), context=CONTEXT
    ),
    "auto": lambda folder: fit(network(days_per_step=4, precision="auto")),
    "dropout": lambda folder: fit(network(days_per_step=4, dropout=0.3)),
    "interrupted": interrupted,
    "pooled": lambda folder: fit(network(days_per_step=4, loss={"name": "ic", "pooled": True})),
    "batch_norm": lambda folder: fit(models.parse({"name": "mlp"})),
    "further": lambda folder: fit(network(days_per_step=4), market(further=True)),
    "diverge": lambda folder: fail_on("diverge"),
    "raise": lambda folder: fail_on("raise"),
    "exit": lambda folder: fail_on("exit"),
    "buffers": lambda folder: fit(network(Remembering, days_per_step=4)),
    "choosy": lambda folder: fit(network(Choosy, days_per_step=3)),
    "other_data": lambda folder: other_data(),
}


def main(folder: Path, cases: list[str]) -> None:
    """Do the cases one after the other and keep what each process got."""
    torch.set_num_threads(1)
    rank = joined().rank
    for case in cases:
        mine = folder / case
        mine.mkdir(exist_ok=True)
        try:
            fitted = CASES[case](mine)
        except Exception as error:  # noqa: BLE001 - what it was is what the tests look at
            out = {"error": type(error).__name__, "message": str(error), "notes": getattr(error, "__notes__", [])}
        else:
            out = {"history": fitted.history, "best_epoch": fitted.best_epoch}
            np.savez(mine / f"{rank}.npz", **{k: v.numpy() for k, v in fitted.module.state_dict().items()})
        (mine / f"{rank}.json").write_text(json.dumps(out))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
