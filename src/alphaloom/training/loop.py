"""The one training loop: every network is trained, validated, stopped and resumed here."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from alphaloom.errors import DataError, RunError, SettingError
from alphaloom.losses.validation import MIN_MEMBERS, Watch, selection_extras
from alphaloom.models.base import FitContext, Network, Record, Shape
from alphaloom.training.adamw import AdamW
from alphaloom.training.batches import RowBatches, Share
from alphaloom.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from alphaloom.training.divided import GradientSum, checksum, refuse_batch_norm, refuse_undivided, refuse_unlike
from alphaloom.training.network import (
    FittedNetwork,
    best_device,
    copied_state,
    day_batches,
    torch_settings,
    training_batches,
)
from alphaloom.training.parallel import Peers, joined
from alphaloom.training.precision import LossScale, Precision, faster_precision, half_precision
from alphaloom.training.samples import Samples
from alphaloom.training.schedule import learning_rate
from alphaloom.training.soundness import Checks
from alphaloom.typing import Floats, Ints

LOOK_EVERY = 64
"""Steps on a GPU after which the loop looks whether all is finite."""
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
    deterministic on one device with one number of threads (on a GPU but for the gradient of attention), and one resumed
    from its checkpoint ends with the same numbers as one never interrupted. Without validation days all epochs are run
    and the last weights kept.

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
        SettingError: the network, this machine, or several processes cannot do what its settings ask.
        PeerError: another process failed.
    """
    peers, device = joined(), best_device()
    with torch_settings(context.threads, fork=True, device=device):
        return _Training(model, train, valid, context, device, peers).run(checkpoint, progress)


class _Training:
    """State of one fit."""

    def __init__(
        self,
        model: Network,
        train: Samples,
        valid: Samples,
        context: FitContext,
        device: torch.device,
        peers: Peers,
    ) -> None:
        self.model, self.context, self.device, self.peers = model, context, device, peers
        self.settings = model.optimisation
        if train.further and not model.several_outputs:
            raise SettingError(
                f"further_labels: {len(train.further)} labels are to be learned beside the first, but "
                f"{type(model).name} predicts one alone. Leave further_labels out, or take another network."
            )
        self.train = training_batches(model, train, device, context.seed)
        if self.train.size < (model.loss.min_members if model.optimisation.rows_per_step else 1):
            raise DataError(
                f"No training day has {model.loss.min_members} labelled stocks with features and a full window, which "
                f"the loss {type(model.loss).name} needs: lengthen the window or widen the universe."
            )
        self.valid = (
            day_batches(model, valid, device, min_labels=1, extras=model.loss.extras) if valid.rows.size else None
        )
        self.watch = self._watch() if self.valid is not None else None
        self.key = _key(model, context, train, valid)
        refuse_undivided(peers, model, self.train)
        remedy = "Give all of them the same recipe and store."
        refuse_unlike(peers, "data or settings", lambda: self.key, remedy)

    def run(self, checkpoint: Path | None, progress: OnEpoch | None) -> FittedNetwork:
        state = self.peers.told(lambda: self._begun(checkpoint))
        self._build(state)
        while not self._finished(state):
            record, value = self._epoch(len(state.history) + 1)
            state.history.append(record)
            if value > state.best_value:
                state.best_value, state.best_epoch, state.best_weights = (
                    value,
                    record["epoch"],
                    copied_state(self.module),
                )
            with self.peers.agree():
                if self.peers.is_first:
                    self._keep(state, checkpoint, progress)
        self.module.load_state_dict(state.best_weights)
        return FittedNetwork(
            self.model, self.module.eval(), self.shape, state.best_epoch, state.history, self.context.threads
        )

    def _begun(self, checkpoint: Path | None) -> Progress:
        """Return where training begins: where the checkpoint left it, or before the first step."""
        device = self.device if self.peers.size == 1 else torch.device("cpu")
        found = load_checkpoint(checkpoint, self.key, device) if checkpoint else None
        return found or Progress({}, {}, {}, settled=self._settled())

    def _keep(self, state: Progress, checkpoint: Path | None, progress: OnEpoch | None) -> None:
        if checkpoint:
            state.weights, state.optimiser = copied_state(self.module), self.optimiser.state()
            state.scale = self.scale.state()
            save_checkpoint(checkpoint, self.key, state)
        if progress:
            progress(state.history[-1])

    def _build(self, state: Progress) -> None:
        """Make module, optimiser and precision, as they were if the state has seen an epoch."""
        self.shape = Shape(self.context.features, 1 + len(self.train.samples.further), state.settled)
        torch.manual_seed(_derived(self.context.seed, 0))
        self.module = self.model.build(self.shape).to(self.device)
        refuse_batch_norm(self.peers, self.module)
        # A compiled module shares its weights with the plain one, which is what is stored.
        self.runs = cast("torch.nn.Module", torch.compile(self.module)) if self.settings.compiled else self.module
        self.optimiser = AdamW(self.module, self.settings.weight_decay, decoupled=self.settings.optimiser == "adamw")
        self.gradients = GradientSum(self.peers, self.optimiser.weights)
        if state.weights:
            self.module.load_state_dict(state.weights)
            self.optimiser.restore(state.optimiser)
        elif self.peers.size > 1:
            self.module.load_state_dict(self.peers.told(lambda: copied_state(self.module)))
        state.precision = state.precision or self.peers.told(self._chosen_precision)
        if state.precision == "float16" and self.device.type == "cpu":
            raise SettingError("optimisation.precision: float16 needs a GPU; on a CPU take bfloat16, auto or float32.")
        self.precision: Precision = state.precision  # type: ignore[assignment]
        self.scale = LossScale(self.precision)
        if state.weights:
            self.scale.restore(state.scale)

    def _settled(self) -> dict[str, Any]:
        """Return what the network fixes from rows of the training days before the first step."""
        count = self.model.settle_rows
        if not count:
            return {}
        drawn = next(RowBatches(self.train.samples, count, seed=_derived(self.context.seed, 0)).epoch())
        return self.model.settle(drawn.x[0, :, 0].numpy(), self.context.features)

    def _chosen_precision(self) -> Precision:
        if self.settings.precision != "auto":
            return self.settings.precision
        batch = next(self.train.epoch(1))
        weights = copied_state(self.module)

        def step(precision: Precision) -> None:
            with half_precision(precision, self.device):
                _, loss = self.model.objective(self.runs, batch)
            torch.autograd.backward(loss)
            self.optimiser.clear()

        self.module.train()
        chosen, self.timed = faster_precision(step, self.device)
        self.module.load_state_dict(weights)  # batch normalisation counts every batch it sees
        return chosen

    def _finished(self, state: Progress) -> bool:
        epochs = len(state.history)
        return epochs >= self.settings.epochs or epochs - state.best_epoch >= self.settings.patience

    def _epoch(self, epoch: int) -> tuple[Record, float]:
        """Return the record of one epoch and the value that early stopping follows (higher is better)."""
        started = time.perf_counter()
        torch.manual_seed(_derived(self.context.seed, epoch, self.peers.rank))
        lr = learning_rate(self.settings, epoch)
        record: Record = {
            "epoch": epoch,
            "train_loss": self._learn(epoch, lr),
            "valid_loss": None,
            "valid_rank_ic": None,
        }
        self._compare_weights(epoch)
        value = float(epoch)  # without validation the last epoch is the best
        if self.watch is not None:
            record |= self._validate(epoch, self.watch)
            value = self.watch.value(record)
        if self.settings.precision != "float32":
            record["precision"] = self.precision
        return record | {"lr": lr, "seconds": round(time.perf_counter() - started, 3)}, value

    def _learn(self, epoch: int, lr: float) -> float:
        """Return the mean training loss over the epoch's days (or rows), having taken one step a batch."""
        self.module.train()
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        checks = Checks(1 if self.device.type == "cpu" else LOOK_EVERY)
        rank, size, least = self.peers.rank, self.peers.size, self.model.loss.min_members
        for share in self.train.shares(epoch, rank, size, least=least):
            self.optimiser.clear()
            loss, sound = self.gradients.step(share, self._backward)
            gradients = self.optimiser.gradients()
            if self.scale.unscale(gradients) or not sound.all():  # float16 gradients alone may overflow: a step less
                checks.add(share.days, sound, gradients)
                self._refuse(epoch, checks.wrong())
                self._clip()
                self.optimiser.step(lr)
            total += loss * share.size
        self._refuse(epoch, checks.wrong(now=True))
        return float(self.peers.sum(total)) / self.train.size

    def _backward(self, share: Share) -> tuple[torch.Tensor, torch.Tensor]:
        """Set the gradients of one share; return its loss, and whether its scores and its loss are finite `[2]`."""
        batch = share.batch()
        with half_precision(self.precision, self.device):
            score, loss = self.model.objective(self.runs, batch)
        factor = self.scale.value * share.part
        torch.autograd.backward(loss if factor == 1 else loss * factor)
        sound = torch.isfinite(score.detach()) | ~batch.score_mask
        return loss.detach(), torch.stack([sound.all(), torch.isfinite(loss.detach())])

    def _compare_weights(self, epoch: int) -> None:
        """Refuse to go on when the processes' weights have come apart."""
        if self.peers.size > 1:
            remedy = "Does the network keep state of its own in buffers, or are the machines of different kinds?"
            refuse_unlike(self.peers, f"weights after epoch {epoch}", self._checksum, remedy)

    def _checksum(self) -> str:
        self.gradients.own_failure()
        return checksum(self.module)

    def _clip(self) -> None:
        if self.settings.clip == "value":
            torch.nn.utils.clip_grad_value_(self.module.parameters(), self.settings.clip_value)
        elif self.settings.clip == "norm":
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.clip_value)

    def _validate(self, epoch: int, watch: Watch) -> Record:
        """Return the validation measures; the loss is the mean over the days that have enough labels for it."""
        parts = self.peers.gather(self._validation_days)
        return self.peers.told(lambda: self._measured(epoch, watch, parts))

    def _validation_days(self) -> list[tuple[Floats, float | None]]:
        """Return of this process's validation days the scores of labelled stocks and the loss, None with too few."""
        assert self.valid is not None
        found: list[tuple[Floats, float | None]] = []
        self.module.eval()
        for k, share in enumerate(self.valid.shares()):
            if k % self.peers.size == self.peers.rank:
                batch = share.batch()
                with torch.inference_mode():
                    score, loss = self.model.objective(self.module, batch)
                counts = int(batch.label_mask.sum()) >= self.model.loss.min_members
                found.append((score[batch.label_mask].cpu().numpy(), float(loss) if counts else None))
        return found

    def _measured(self, epoch: int, watch: Watch, parts: list[list[tuple[Floats, float | None]]]) -> Record:
        days = [parts[k % len(parts)][k // len(parts)] for k in range(sum(map(len, parts)))]
        flat = np.concatenate([scores for scores, _ in days])
        losses = [loss for _, loss in days if loss is not None]
        if not (np.isfinite(flat).all() and np.isfinite(losses).all()):
            raise self._diverged(epoch, "validation", "the scores")
        return watch.record(flat, float(np.mean(losses)))

    def _refuse(self, epoch: int, wrong: tuple[Ints, str] | None) -> None:
        """Stop at a step that spoilt the weights, or in which a process failed."""
        if wrong is not None:
            self.gradients.raise_failure()
            days, tensor = wrong
            raise self._diverged(epoch, self.train.samples.day(self.train.samples.rows[days]), tensor)

    def _diverged(self, epoch: int, where: str, tensor: str) -> RunError:
        return RunError(
            f"Training {type(self.model).name} diverged in epoch {epoch} on {where}: {tensor} is no longer finite. "
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


def _derived(seed: int, epoch: int, rank: int = 0) -> int:
    """Return a seed of its own for the initial weights (epoch 0) and for each epoch, another one on other processes."""
    return int(np.random.SeedSequence([seed, epoch, *([rank] if rank else [])]).generate_state(1)[0])


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
        labels = [array[samples.rows] for array in (samples.label, *samples.further)]
        for array in (samples.rows, samples.member[samples.rows], *labels, *extras):
            digest.update(np.ascontiguousarray(array).tobytes())
    for row in train.rows[[0, -1]] if train.rows.size else ():
        digest.update(train.block[row].tobytes())
    return digest.hexdigest()
