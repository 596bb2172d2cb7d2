"""Small samples with a planted signal, for tests of models and training."""

from dataclasses import dataclass

import numpy as np

from alphaloom.losses.validation import DailyRankIC
from alphaloom.training.samples import Samples


@dataclass(frozen=True)
class Planted:
    """Samples split by time, the truth behind the labels `[T, N]`, and the RankIC that knowing it would earn."""

    train: Samples
    valid: Samples
    test: Samples
    truth: np.ndarray

    @property
    def ceiling(self) -> float:
        """Return the RankIC that the truth itself has on the test days."""
        return rank_ic(self.truth[self.test.rows], self.test)


def rank_ic(score: np.ndarray, samples: Samples) -> float:
    """Return the mean daily RankIC of scores `[D, N]` against the samples' labels."""
    label = samples.label[samples.rows]
    keep = ~np.isnan(score) & ~np.isnan(label)
    offsets = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    return DailyRankIC(label[keep], offsets)(score[keep])


def planted(
    kind: str = "linear",
    *,
    D: int = 60,
    N: int = 80,
    F: int = 6,
    history: int = 8,
    strength: float = 1.0,
    gaps: bool = True,
    seed: int = 0,
) -> Planted:
    """Return samples whose label holds a `linear` signal, a `sequential` one (the feature two rows ago), or `none`."""
    rng = np.random.default_rng(seed)
    T = D + history
    block = rng.standard_normal((T, N, F)).astype(np.float32)
    truth = block[..., 0] - 0.7 * block[..., 1] + 0.5 * block[..., 2]
    if kind == "sequential":
        truth = np.zeros((T, N), dtype=np.float32)
        truth[2:] = block[:-2, :, 0]
    if kind == "none":
        strength = 0.0
    noisy = strength * truth / truth.std() + rng.standard_normal((T, N))
    label = ((noisy - noisy.mean(axis=1, keepdims=True)) / noisy.std(axis=1, keepdims=True)).astype(np.float32)
    member = np.ones((T, N), dtype=np.bool_)
    if gaps:
        member = rng.random((T, N)) < 0.95
        label[rng.random((T, N)) < 0.03] = np.nan
        block[rng.random((T, N, F)) < 0.02] = np.nan
        block[: history + 5, 0] = np.nan  # listed late
    for array in (block, label, member):
        array.flags.writeable = False  # nothing may write to what it is given
    a, b = int(D * 0.6), int(D * 0.75)
    samples = Samples(block, label, member, np.arange(history, T))
    rows = samples.rows
    return Planted(samples.subset(rows[:a]), samples.subset(rows[a:b]), samples.subset(rows[b:]), truth)
