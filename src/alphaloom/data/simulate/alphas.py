"""Planted alphas: expected returns that follow from published bars, and nothing else in the market does."""

from collections import deque
from collections.abc import Callable

import numpy as np

from alphaloom.data.simulate.signals import (
    History,
    Observed,
    cross,
    leaders,
    linear,
    nonlinear,
    operators,
    sequential,
    skewed,
    z_score,
)
from alphaloom.typing import Array, Doubles

OF_BARS: dict[str, Callable[[History, Observed], Doubles]] = {
    "linear": linear,
    "nonlinear": nonlinear,
    "sequential": sequential,
    "operators": operators,
    "skewed": skewed,
    "leaders": leaders,
}
"""Signals that follow from bars and industries alone; `cross` has hidden peers as well."""

DECAY = np.array([0.30, 0.25, 0.20, 0.15, 0.10])
"""Share of a signal's effect that is earned 1, 2, ... 5 days after the close at which it is known."""
REMAINING = np.cumsum(DECAY[::-1])[::-1]
"""Share still to be earned at the close 0, 1, ... 4 days after the signal."""
EXCESS: dict[str, float] = {
    "linear": 1.42,
    "nonlinear": 1.75,
    "sequential": 1.33,
    "cross": 1.68,
    "operators": 2.17,
    "skewed": 1.94,
    "leaders": 1.62,
}
"""RankIC reached over the deviation aimed at, measured on simulated markets: above 1 because a signal resembles its
next days' values, and because ranks see through fat tails. The alpha is divided by it."""
_FEWEST = 10
_MEMORY_DAYS = 120


class PlantedAlpha:
    """Expected specific returns, updated at each close.

    At close t each component's signal s(t) is standardised over the ready stocks. Day t+h then earns
    `scale(t) * DECAY[h-1] * s(t)` for h = 1 to 5, a tenth of it before the open. `scale` makes the deviation of what
    is known of the next five days' return equal to a given strength, from a running mean of the signal's variance up
    to t. Several components share the strength equally, by variance.
    """

    def __init__(self, components: tuple[str, ...], peers: Array) -> None:
        self.components = components
        self.peers = peers
        self.history = History()
        self._impulses: deque[Doubles] = deque(maxlen=len(DECAY))  # each [C, N], unscaled
        self._scales: deque[Doubles] = deque(maxlen=len(DECAY))  # each [C]
        self._variance = np.zeros(len(components))
        self._joint = 0.0
        self._days = 0

    def update(self, seen: Observed, leaders: Doubles, strength: float) -> None:
        """Take in one more close; `strength` is the RankIC aimed at times the deviation of five days' returns."""
        if not self.components:
            return
        self.history.add(seen)
        C, N = len(self.components), seen.close.size
        signal = np.zeros((C, N))
        usable = self.history.full and int(seen.ready.sum()) >= _FEWEST
        if usable:
            for c, name in enumerate(self.components):
                signal[c] = z_score(self._signal(name, seen, leaders), seen.ready)
        self._impulses.appendleft(signal)
        if usable:
            known = sum(REMAINING[k] * past for k, past in enumerate(self._impulses))
            self._days += 1
            rate = max(1 / self._days, 1 / _MEMORY_DAYS)
            self._variance += rate * (np.var(known[:, seen.ready], axis=1) - self._variance)
            together = (known / np.sqrt(np.maximum(self._variance, 1e-12))[:, None]).sum(axis=0)
            self._joint += rate * (float(np.var(together[seen.ready])) - self._joint)
        if self._joint > 0:
            excess = np.array([EXCESS[name] for name in self.components])
            spread = np.sqrt(np.maximum(self._variance, 1e-12)) * np.sqrt(self._joint)
            self._scales.appendleft(strength / excess / spread)
        else:
            self._scales.appendleft(np.zeros(C))

    def _signal(self, name: str, seen: Observed, leaders: Doubles) -> Doubles:
        if name in OF_BARS:
            return OF_BARS[name](self.history, seen)
        return cross(self.history, seen, self.peers, leaders)

    def expected(self, shares: Doubles) -> Doubles:
        """Return `[C, N]`: past signals weighted by `shares` (`DECAY`: the next day; `REMAINING`: the next five)."""
        total = np.zeros((len(self.components), self.peers.shape[0]))
        for share, scale, impulse in zip(shares, self._scales, self._impulses, strict=False):
            total += share * scale[:, None] * impulse
        return total
