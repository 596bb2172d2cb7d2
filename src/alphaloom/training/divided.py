"""One network's training steps divided among processes: the sum of their gradients, and what cannot be divided."""

import hashlib
from collections.abc import Callable, Mapping

import torch

from alphaloom.errors import RunError, SettingError
from alphaloom.models.base import Network
from alphaloom.training.batches import Batches, RowBatches, Share
from alphaloom.training.parallel import Peers

Backward = Callable[[Share], tuple[torch.Tensor, torch.Tensor]]
"""Sets the gradients of a share of a batch; returns its loss and whether scores and loss are finite `[2]`."""


class GradientSum:
    """Adds up the gradients of one network's weights over processes.

    Each process sets those of its own share of a batch, weighted by the share's part of the batch; the sum is the
    gradient of the whole batch's mean, the same bits on every process. One without a share adds zeros.
    """

    def __init__(self, peers: Peers, weights: Mapping[str, torch.Tensor]) -> None:
        self._peers, self._weights = peers, weights
        self._used: tuple[str, ...] | None = None
        self._failure: Exception | None = None

    def step(self, share: Share, backward: Backward) -> tuple[torch.Tensor, torch.Tensor]:
        """Set the whole batch's gradients; return this share's loss, and whether all scores and losses are finite.

        An error of this process's own makes the scores count as not finite, here and in all later steps: whoever looks
        calls `raise_failure`.
        """
        if self._peers.size == 1:
            return backward(share)
        device = next(iter(self._weights.values())).device
        loss, sound = torch.zeros((), device=device), torch.ones(2, dtype=torch.bool, device=device)
        names: tuple[str, ...] | None = None
        if share.size and self._failure is None:
            try:
                loss, sound = backward(share)
                names = tuple(name for name, weight in self._weights.items() if weight.grad is not None)
            except Exception as problem:  # noqa: BLE001 - whatever it is, the others must hear of it
                self._failure = problem
        names = self._checked(names)
        if self._failure is not None:
            sound = torch.zeros_like(sound)
        return loss, self._sum(names is not None, sound)

    def raise_failure(self) -> None:
        """Raise on all processes the error that one of them had in a step, if there was any."""
        with self._peers.agree():
            self.own_failure()

    def own_failure(self) -> None:
        """Raise the error that this process had in a step, if there was any."""
        if self._failure is not None:
            raise self._failure

    def _checked(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return the names if they are those of the first step, when all processes agree on the weights in use."""
        if self._used is None:
            found = [used for used in self._peers.gather(lambda: names) if used is not None]
            self._used = found[0] if found else tuple(self._weights)
        if names is not None and names != self._used:
            odd = sorted(set(names) ^ set(self._used))
            self._failure = RunError(
                f"The network learns {', '.join(odd)} on some training days but not on others, which several processes "
                "cannot do together: start a single one."
            )
            return None
        return names

    def _sum(self, has_share: bool, sound: torch.Tensor) -> torch.Tensor:
        weights = [self._weights[name] for name in self._used or ()]
        own = [w.grad if has_share and w.grad is not None else torch.zeros_like(w) for w in weights]
        wrong = (~sound).to(own[0].dtype if own else torch.float32)
        flat = self._peers.sum(torch.cat([*(gradient.reshape(-1) for gradient in own), wrong]))
        *sums, wrong = torch.split(flat, [*(weight.numel() for weight in weights), 2])
        for weight in self._weights.values():
            weight.grad = None
        for weight, gradient in zip(weights, sums, strict=True):
            weight.grad = gradient.view_as(weight).to(weight.dtype)
        return wrong.eq(0)


def refuse_undivided(peers: Peers, model: Network, batches: Batches) -> None:
    """Refuse settings under which a batch's loss is no weighted mean of its parts' losses.

    Raises:
        SettingError: `pooled`, or further labels that are not known wherever the first is.
    """
    if peers.size == 1:
        return
    if model.loss.pooled:
        raise SettingError(
            f"loss.pooled: {model.loss.name} takes all stocks of a batch for those of one day, so that {peers.size} "
            "processes cannot compute parts of it. Leave `pooled` out, or start a single process."
        )
    if not batches.further_are_whole(model.loss.min_members):
        where = "row" if isinstance(batches, RowBatches) else f"day by {model.loss.min_members} stocks"
        raise SettingError(
            f"further_labels: {peers.size} processes weigh their parts of a batch by the first label, so every further "
            f"label must be known on every training {where}, and one is not. Leave it out, or start a single process."
        )


def refuse_batch_norm(peers: Peers, module: torch.nn.Module) -> None:
    """Refuse layers whose result for one stock depends on the others of its batch.

    Raises:
        SettingError: the module normalises over the batch.
    """
    names = [name for name, part in module.named_modules() if _is_over_batch(part)]
    if peers.size > 1 and names:
        raise SettingError(
            f"The model normalises over the batch ({', '.join(names)}): each of {peers.size} processes would see the "
            "moments of its own part. Take a model without batch normalisation, or start a single process."
        )


def _is_over_batch(part: torch.nn.Module) -> bool:
    """Return whether a module takes moments over its batch: torch's own kinds, and those that say so."""
    return isinstance(part, torch.nn.modules.batchnorm._BatchNorm) or getattr(part, "is_over_batch", False)


def refuse_unlike(peers: Peers, what: str, digest: Callable[[], str], remedy: str) -> None:
    """Refuse to go on when a digest differs between processes.

    Raises:
        RunError: it does; the message says of what it is, and the remedy.
    """
    found = peers.gather(digest)
    if len(set(found)) > 1:
        raise RunError(f"The {peers.size} processes hold different {what} (digests {', '.join(found)}). {remedy}")


def checksum(module: torch.nn.Module) -> str:
    """Return a digest of the bits of all weights and buffers."""
    digest = hashlib.blake2b(digest_size=8)
    for tensor in module.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
