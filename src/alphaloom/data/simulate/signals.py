"""What published bars say at a close, by the formula of each planted alpha."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from alphaloom.typing import Array, Bools, Doubles, Ints

HISTORY = 21
"""Rows that a signal looks back on, the present one included."""
_DELAY = 7
"""Lag of the newest bar in the sequential signal: beyond the days over which a signal pays, so that today's bar is in
no signal of the next five days."""
_FILTER = np.concatenate([np.zeros(_DELAY), [1.0, 1.0, -1.0, -1.0, 0.5, 0.5, -0.5, -0.5]])
_FLOW_DECAY = 0.8
_FLOW_DAYS = 6
_OPERATOR_DAYS = 10


@dataclass(frozen=True)
class Observed:
    """One close as the published bars show it, `[N]`; prices and volume adjusted.

    `ready` marks stocks that trade today, listed 30 days or more, without a suspension in the last 21 rows: their
    signals are computed from complete windows, those of the others are 0.
    """

    open: Doubles
    high: Doubles
    low: Doubles
    close: Doubles
    volume: Doubles
    returns: Doubles
    industry: Ints
    ready: Bools


class History:
    """The last closes, newest first."""

    def __init__(self) -> None:
        self.close: deque[Doubles] = deque(maxlen=HISTORY)
        self.volume: deque[Doubles] = deque(maxlen=HISTORY)
        self.body: deque[Doubles] = deque(maxlen=len(_FILTER))
        self.flow: deque[Doubles] = deque(maxlen=_DELAY + _FLOW_DAYS)
        self.excess: deque[Doubles] = deque(maxlen=2)
        self.upper: deque[Doubles] = deque(maxlen=_OPERATOR_DAYS)

    def add(self, seen: Observed) -> None:
        """Take in one more close."""
        traded = seen.volume > 0
        body = np.where(traded, (seen.close - seen.open) / seen.open, 0.0)
        change = np.zeros_like(body)
        if self.volume:
            both = traded & (self.volume[0] > 0)
            change[both] = np.log(seen.volume[both] / self.volume[0][both])
        flow = z_score(body, seen.ready) * np.clip(change, -2.0, 2.0)
        excess = np.where(traded, seen.returns - (seen.returns[traded].mean() if traded.any() else 0.0), 0.0)
        self.close.appendleft(seen.close)
        self.volume.appendleft(seen.volume)
        self.body.appendleft(body)
        self.flow.appendleft(flow)
        self.excess.appendleft(excess)
        self.upper.appendleft((seen.high - seen.close) / seen.close)

    @property
    def full(self) -> bool:
        """Whether every signal's window is complete."""
        return len(self.close) == HISTORY


def z_score(x: Doubles, ready: Bools) -> Doubles:
    """Return cross-sectional z-scores over ready stocks, clipped at 3, rescaled to deviation 1; 0 for the others."""
    out = np.zeros_like(x)
    values = x[ready]
    for _ in range(2):
        spread = values.std() if values.size > 2 else 0.0
        if spread <= 1e-12:
            return out
        values = np.clip((values - values.mean()) / spread, -3.0, 3.0)
    out[ready] = values
    return out


def centred_rank(x: Doubles, ready: Bools) -> Doubles:
    """Return ranks over ready stocks spread evenly over (-1, 1); 0 for the others."""
    out = np.zeros_like(x)
    n = int(ready.sum())
    if n:
        order = np.empty(n)
        order[np.argsort(x[ready], kind="stable")] = np.arange(n)
        out[ready] = 2 * (order + 0.5) / n - 1
    return out


def linear(history: History, seen: Observed) -> Doubles:
    """Return 0.6 z(ROC5) + 0.5 z(VMA5) - 0.5 z(KLEN) in Alpha158's names: reversal, falling volume, narrow range.

    ROC5 = close 5 days ago / close; VMA5 = 5-day mean volume / volume; KLEN = (high - low) / open.
    """
    ready = seen.ready
    five = np.mean([history.volume[k] for k in range(5)], axis=0)
    volume = np.where(ready, seen.volume, 1.0)
    return (
        0.6 * z_score(history.close[5] / seen.close, ready)
        + 0.5 * z_score(five / volume, ready)
        - 0.5 * z_score((seen.high - seen.low) / seen.open, ready)
    )


def nonlinear(history: History, seen: Observed) -> Doubles:
    """Return minus the product of the centred ranks of the 10-day return and of today's volume over its 20-day mean.

    Moves in quiet trade go on, moves in heavy trade turn back. Either quantity alone tells nothing.
    """
    twenty = np.mean([history.volume[k] for k in range(20)], axis=0)
    moved = centred_rank(seen.close / history.close[10], seen.ready)
    crowded = centred_rank(seen.volume / np.maximum(twenty, 1e-12), seen.ready)
    return -moved * crowded


def sequential(history: History, seen: Observed) -> Doubles:
    """Return a signal in the order of the last fifteen days, in which the last seven, today's bar among them, are not.

    0.8 z(body lagged 7, 8 up, 9, 10 down, 11 to 14 the same at half weight) + 0.6 z(volume flow), where body is
    (close - open) / open, and flow sums z(body) * log(volume / previous volume) over lags 7 to 12, fading by 0.8 a day.
    The body filter adds up to zero over any window that starts today and ends after 10 or 14 days. The
    signals of the next days are fixed already: a model that reads them exceeds the RankIC of `alpha_5`, which counts
    signals up to today.
    """
    pattern = np.tensordot(_FILTER, np.stack(list(history.body)), axes=1)
    fade = _FLOW_DECAY ** np.arange(1, _FLOW_DAYS + 1)
    flow = np.tensordot(fade, np.stack(list(history.flow)[_DELAY:]), axes=1)
    return 0.8 * z_score(pattern, seen.ready) + 0.6 * z_score(flow, seen.ready)


def operators(history: History, seen: Observed) -> Doubles:
    """Return -0.8 z(corr of close and the eighth root of volume) - 0.6 z(sd of (high - close) / close), over 10 days.

    Two features of AlphaNet on raw bars (seed 004, Table 3-3): `corr_close_volume_sqrt_10`, `std_div_high_close_10`.
    """
    spread = np.stack(list(history.upper)).std(axis=0, ddof=1)
    return -0.8 * z_score(_agreement(history), seen.ready) - 0.6 * z_score(spread, seen.ready)


def _agreement(history: History) -> Doubles:
    """Return the correlation of close and the eighth root of volume over 10 days `[N]`; 0 without spread."""
    close = np.stack([history.close[k] for k in range(_OPERATOR_DAYS)])
    root = np.stack([history.volume[k] for k in range(_OPERATOR_DAYS)]) ** 0.125
    close, root = close - close.mean(axis=0), root - root.mean(axis=0)
    size = np.sqrt((close**2).sum(axis=0) * (root**2).sum(axis=0))
    correlation: Doubles = np.divide((close * root).sum(axis=0), size, out=np.zeros_like(size), where=size > 0)
    return correlation


def skewed(history: History, seen: Observed) -> Doubles:
    """Return max(0, -z(drift)) * (0.5 + liquidity) - 1.2 max(0, z(agreement)): one feature tells winners, one losers.

    drift = close / close 5 days ago - 1 over the sum of the five absolute daily returns; agreement = 10-day
    correlation of close and the eighth root of volume; liquidity = rank of the 20-day mean traded value, from 0 to 1.
    Neither feature grows with a stock's volatility. The losers lose more than the winners gain: what fits all stocks
    alike leans to agreement, what cares for winners, or for liquid winners, to drift.
    """
    value = np.mean([history.close[k] * history.volume[k] for k in range(20)], axis=0)
    liquid = 0.5 + 0.5 * centred_rank(value, seen.ready)
    path = sum(np.abs(history.close[k] / history.close[k + 1] - 1) for k in range(5))
    drift = (history.close[0] / history.close[5] - 1) / np.maximum(path, 1e-12)
    gain = np.maximum(0.0, -z_score(drift, seen.ready)) * (0.5 + liquid)
    loss = np.maximum(0.0, z_score(_agreement(history), seen.ready))
    return gain - 1.2 * loss


def leaders(history: History, seen: Observed) -> Doubles:
    """Return what the three most traded stocks of the stock's industry did today, and half of what they did yesterday.

    Traded value is that of 20 days; what they did is their mean return in excess of the market's mean. Who they are
    and what they did follow from bars and industries, of other stocks than the one that it pays.

    Source: the effect is that of Chordia & Swaminathan (2000), Trading Volume and Cross-Autocorrelations.
    """
    value = np.mean([history.close[k] * history.volume[k] for k in range(20)], axis=0)
    recent: Doubles = history.excess[0] + 0.5 * history.excess[1]
    out = np.zeros(value.size)
    for code in np.unique(seen.industry[seen.ready]):
        members = np.flatnonzero(seen.ready & (seen.industry == code))
        first = members[np.argsort(-value[members], kind="stable")[:3]]
        out[members] = recent[first].mean()
    return out


def cross(history: History, seen: Observed, peers: Array, leaders: Doubles) -> Doubles:
    """Return 0.8 z(hidden peers' excess return) + 0.6 z(industry leaders' excess return), of today and yesterday.

    Args:
        history: past closes.
        seen: today's close.
        peers: `[N, 4]` each stock's hidden leaders.
        leaders: `[N]` weight of each stock among its industry's leaders: three largest at the start of the year.
    """
    recent = history.excess[0] + 0.5 * history.excess[1]
    count = int(seen.industry.max()) + 1
    total = np.bincount(seen.industry, weights=leaders, minlength=count)
    lead = np.bincount(seen.industry, weights=leaders * recent, minlength=count) / np.maximum(total, 1e-12)
    return 0.8 * z_score(recent[peers].mean(axis=1), seen.ready) + 0.6 * z_score(lead[seen.industry], seen.ready)


def industry_leaders(cap: Doubles, industry: Ints, listed: Bools, size: int = 3) -> Doubles:
    """Return weight 1 `[N]` for the three largest listed stocks of each industry, else 0."""
    weight = np.zeros(cap.size)
    for code in np.unique(industry[listed]):
        members = np.flatnonzero(listed & (industry == code))
        weight[members[np.argsort(-cap[members], kind="stable")[:size]]] = 1.0
    return weight
