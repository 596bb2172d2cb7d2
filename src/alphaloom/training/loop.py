"""The one training loop: every network is trained, validated, stopped and resumed here."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alphaloom.errors import DataError, RunError
from alphaloom.losses.validation import MIN_MEMBERS, Watch, selection_extras
from alphaloom.models.base import Batch, FitContext, Network, Record, Shape
from alphaloom.training.adamw import AdamW
from alphaloom.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from alphaloom.training.network import (
    FittedNetwork,
    best_device,
    copied_state,
    day_batches,
    torch_settings,
)
from alphaloom.training.samples import Samples

OnEpoch = Callable[[Record], None]
"""Called with the record of each epoch when it has ended and its checkpoint is written."""


def train_network(
    model: Network,
    train: Samples,
    valid: Samples,
    *,
    context: FitContext,
    checkpoint: Path | None = None,
    progress: OnEpoch | None = None,
) -> FittedNetwork:
    """Return the network with the weights of its best epoch on the validation days.

    Each epoch sees every training day once, in an order and with dropout drawn from (seed, epoch) alone: a fit is
    deterministic on one device with one number of threads, and one resumed from its checkpoint ends with the same
    numbers as one never interrupted. Without validation days all epochs are run and the last weights kept.

    Args:
        model: settings: network, loss, optimisation.
        train: training days; needed for each: as many labelled stocks as the loss asks for.
        valid: days for early stopping; may be empty.
        context: seed, threads and feature names.
        checkpoint: file to resume from and to write after every epoch; it is left in place.
        progress: called after every epoch.

    Raises:
        DataError: no training day has enough labels, no validation day has what early stopping needs, a window is
            longer than the data, or a feature is infinite.
        RunError: a loss, score or gradient is not finite; or the checkpoint belongs to another fit.
    """
    device = best_device()
    with torch_settings(context.threads, fork=True, device=device):
        return _Training(model, train, valid, context, device).run(checkpoint, progress)


class _Training:
    """State of one fit."""

    def __init__(
        self, model: Network, train: Samples, valid: Samples, context: FitContext, device: torch.device
    ) -> None:
        self.model, self.context, self.device = model, context, device
        self.settings = model.optimisation
        self.train = day_batches(
            model,
            train,
            device,
            days=self.settings.days_per_step,
            seed=context.seed,
            shuffle=True,
            min_labels=model.loss.min_members,
            extras=model.loss.extras,
        )
        if not len(self.train):
            raise DataError(
                f"No training day has {model.loss.min_members} labelled stocks with features and a full window, which "
                f"the loss {type(model.loss).name} needs: lengthen the window or widen the universe."
            )
        self.valid = (
            day_batches(model, valid, device, min_labels=1, extras=model.loss.extras) if valid.rows.size else None
        )
        self.watch = self._watch() if self.valid is not None else None
        self.key = _key(model, context, train, valid)
        torch.manual_seed(_derived(context.seed, 0))
        self.shape = Shape(context.features, 1, self._settled())
        self.module = model.build(self.shape).to(device)
        self.optimiser = AdamW(self.module, self.settings.weight_decay)

    def _settled(self) -> dict[str, Any]:
        windows: list[Any] = []
        if self.model.settle_rows:
            windows = [batch.x[batch.score_mask].cpu().numpy() for batch in self.train.epoch()]
        empty = np.empty((0, self.model.steps, len(self.context.features)), dtype=np.float32)
        rows = np.concatenate([empty, *windows])
        chosen = np.random.default_rng(self.context.seed).permutation(len(rows))[: self.model.settle_rows]
        return self.model.settle(rows[np.sort(chosen)], self.context.features)

    def run(self, checkpoint: Path | None, progress: OnEpoch | None) -> FittedNetwork:
        found = load_checkpoint(checkpoint, self.key, self.device) if checkpoint else None
        if found:
            self.module.load_state_dict(found.weights)
            self.optimiser.restore(found.optimiser)
        state = found or Progress({}, {}, {})
        while not self._finished(state):
            record, value = self._epoch(len(state.history) + 1)
            state.history.append(record)
            if value > state.best_value:
                state.best_value, state.best_epoch, state.best_weights = (
                    value,
                    record["epoch"],
                    copied_state(self.module),
                )
            if checkpoint:
                state.weights, state.optimiser = copied_state(self.module), self.optimiser.state()
                save_checkpoint(checkpoint, self.key, state)
            if progress:
                progress(record)
        self.module.load_state_dict(state.best_weights)
        return FittedNetwork(
            self.model, self.module.eval(), self.shape, state.best_epoch, state.history, self.context.threads
        )

    def _finished(self, state: Progress) -> bool:
        epochs = len(state.history)
        return epochs >= self.settings.epochs or epochs - state.best_epoch >= self.settings.patience

    def _epoch(self, epoch: int) -> tuple[Record, float]:
        """Return the record of one epoch and the value that early stopping follows (higher is better)."""
        started = time.perf_counter()
        torch.manual_seed(_derived(self.context.seed, epoch))
        lr = self._lr(epoch)
        record: Record = {
            "epoch": epoch,
            "train_loss": self._learn(epoch, lr),
            "valid_loss": None,
            "valid_rank_ic": None,
        }
        value = float(epoch)  # without validation the last epoch is the best
        if self.watch is not None:
            record |= self._validate(epoch, self.watch)
            value = self.watch.value(record)
        return record | {"lr": lr, "seconds": round(time.perf_counter() - started, 3)}, value

    def _learn(self, epoch: int, lr: float) -> float:
        """Return the mean training loss over the epoch's days, having taken one step a batch."""
        self.module.train()
        total = 0.0
        for batch in self.train.epoch(epoch):
            self.optimiser.clear()
            score, loss = self.model.objective(self.module, batch)
            torch.autograd.backward(loss)
            self._check(epoch, batch, score, loss)
            torch.nn.utils.clip_grad_value_(self.module.parameters(), self.settings.clip_value)
            self.optimiser.step(lr)
            total += float(loss.detach()) * batch.days.size
        return total / self.train.days.size

    def _validate(self, epoch: int, watch: Watch) -> Record:
        """Return the validation measures; the loss is the mean over the days that have enough labels for it."""
        assert self.valid is not None
        losses, scores = [], []
        self.module.eval()
        for batch in self.valid.epoch():
            with torch.inference_mode():
                score, loss = self.model.objective(self.module, batch)
            if int(batch.label_mask.sum()) >= self.model.loss.min_members:
                losses.append(float(loss))
            scores.append(score[batch.label_mask].cpu().numpy())
        flat = np.concatenate(scores)
        if not (np.isfinite(flat).all() and np.isfinite(losses).all()):
            raise self._diverged(epoch, "validation", "the scores")
        return watch.record(flat, float(np.mean(losses)))

    def _check(self, epoch: int, batch: Batch, score: torch.Tensor, loss: torch.Tensor) -> None:
        """Refuse a step that would spoil the weights; one look at the device decides."""
        gradients = self.optimiser.gradients()
        norms = torch.stack(torch._foreach_norm(list(gradients.values())))
        if bool(torch.isfinite(loss.detach() + norms.sum())):
            return
        rows = self.train.samples.rows[batch.days]
        where = f"panel row {', '.join(str(row) for row in rows)}"
        if not torch.isfinite(score[batch.score_mask]).all():
            raise self._diverged(epoch, where, "the scores")
        if not torch.isfinite(loss):
            raise self._diverged(epoch, where, "the loss")
        wrong = next((name for name, norm in zip(gradients, norms, strict=True) if not norm.isfinite()), "all weights")
        raise self._diverged(epoch, where, f"the gradient of {wrong}")

    def _diverged(self, epoch: int, where: str, tensor: str) -> RunError:
        return RunError(
            f"Training {type(self.model).name} diverged in epoch {epoch} at {where}: {tensor} is no longer finite. "
            f"Lower optimisation.lr ({self.settings.lr:g}) or optimisation.clip_value ({self.settings.clip_value:g}), "
            "and check the features' range."
        )

    def _watch(self) -> Watch:
        """Return the validation measures, on the labels in the order in which `_validate` meets them.

        Raises:
            DataError: the validation days cannot give the measure that early stopping follows.
        """
        assert self.valid is not None
        samples, days, select_on = self.valid.samples, self.valid.days, self.settings.select_on
        labelled, rows = self.valid.labelled[days], self.valid.samples.rows[days]
        offsets = np.concatenate([[0], np.cumsum(labelled.sum(axis=1))])
        extras = {name: samples.extra(name)[rows][labelled] for name in selection_extras(select_on)}
        watch = Watch(select_on, samples.label[rows][labelled], offsets, extras)
        need = self.model.loss.min_members
        if select_on != "loss":
            need = max(need, MIN_MEMBERS)
        if not days.size or labelled.sum(axis=1).max() < need or not watch.is_possible:
            raise DataError(
                f"No validation day has {need} labelled stocks with features and a full window, which early stopping "
                f"on {select_on} needs (icir and sharpe need two such days): lengthen the validation window or widen "
                "the universe."
            )
        return watch

    def _lr(self, epoch: int) -> float:
        if self.settings.schedule == "constant":
            return self.settings.lr
        return self.settings.lr * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / self.settings.epochs))


def _derived(seed: int, epoch: int) -> int:
    """Return a seed of its own for the initial weights (epoch 0) and for each epoch."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _key(model: Network, context: FitContext, train: Samples, valid: Samples) -> str:
    """Return a digest of what a fit depends on.

    Settings, seed, feature names, sample dates, members, labels, extras, and the features of the first and last
    training day.
    """
    digest = hashlib.blake2b(digest_size=16)
    facts = [model.describe(), context.seed, list(context.features), list(train.block.shape[1:])]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for samples in (train, valid):
        extras = [samples.extra(name)[samples.rows] for name in model.extras]
        for array in (samples.rows, samples.member[samples.rows], samples.label[samples.rows], *extras):
            digest.update(np.ascontiguousarray(array).tobytes())
    for row in train.rows[[0, -1]] if train.rows.size else ():
        digest.update(train.block[row].tobytes())
    return digest.hexdigest()
