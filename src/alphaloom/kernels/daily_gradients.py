"""Gradients of losses of a day's cross-section by the scores, for trees: correlation, rank correlation, NDCG.

Each kernel takes rows of many days, date-major (`offsets [D + 1]`), writes gradient and Hessian `[n]` and returns the
loss: minus the mean over days, each day weighed by its rows. Days with fewer than `least` rows, or whose targets are
all equal, get zeros and count in no loss.

A correlation knows no scale: it judges the first tree as if it were fitted in full, so that every next tree departs
from it at right angles and shrinkage, the sum of many small steps towards the same label, is lost; its second
derivative is indefinite, and nothing at a constant score. Hence `softness`, in standard deviations of a day's label:
while the scores spread less, trees keep refining what they have; at 0 the loss is the bare correlation. And each day's
gradient is scaled until it is a residual and its Hessians average 1 over the rows, as with squared error on
standardised labels: a leaf is worth the weighted mean residual of its rows, and learning rate, penalties and smallest
leaf keep their meaning.
"""

from typing import Any

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Array, Doubles, Floats, Ints

_CONSTANT = 1e-24
"""Variance over mean square under which a day's scores are all the same."""
_LOWEST = -700.0
"""Exponents are cut off here: below it a double is 0."""


@compiled
def _moments(values: Doubles) -> Any:
    """Return mean and population variance; 0 when they differ by rounding alone."""
    mean, square = 0.0, 0.0
    for value in values:
        mean += value
    mean /= values.size
    for value in values:
        square += (value - mean) ** 2
    square /= values.size
    return mean, square if square > _CONSTANT * mean * mean else 0.0


@compiled
def _counts(target: Array, least: int) -> bool:
    """Return whether a day counts: enough rows, and targets that differ."""
    return target.size >= max(least, 2) and target.min() != target.max()


@compiled
def ic_gradient(
    score: Doubles, target: Doubles, offsets: Ints, least: int, softness: float, gradient: Floats, hessian: Floats
) -> float:
    """Minus the Pearson correlation of score and label.

    With z the labels of a day (mean 0, variance 1), u the centred scores, v their variance and c the softness, the
    gradient of `-sum z u / sqrt(v + c^2)` times that root is `-(z_i - b u_i)` with `b = mean(z u) / (v + c^2)`: minus
    what a ridge regression of z on the present scores leaves over. That is squared error's gradient, and its Hessian is
    1. At a constant score the gradient is minus z.

    Args:
        score: present scores `[n]`.
        target: labels, standardised on each day.
        offsets: where each day starts `[D + 1]`.
        least: fewest rows of a day.
        softness: c, at least 0.
        gradient: receives it `[n]`.
        hessian: receives it `[n]`.
    """
    total, rows = 0.0, 0
    for d in range(offsets.size - 1):
        a, b = offsets[d], offsets[d + 1]
        s, z, g, h = score[a:b], target[a:b], gradient[a:b], hessian[a:b]
        if not _counts(z, least):
            g[:], h[:] = 0.0, 0.0
            continue
        mean, variance = _moments(s)
        covariance = 0.0
        for i in range(s.size):
            covariance += (s[i] - mean) * z[i]
        covariance /= s.size
        slope = covariance / (variance + softness**2) if variance > 0 else 0.0
        for i in range(s.size):
            g[i] = slope * (s[i] - mean) - z[i]
            h[i] = 1.0
        total += covariance / np.sqrt(variance) * s.size if variance > 0 else 0.0
        rows += s.size
    return -total / max(rows, 1)


@compiled
def rank_ic_gradient(
    score: Doubles, target: Doubles, offsets: Ints, least: int, softness: float, gradient: Floats, hessian: Floats
) -> float:
    """Minus the correlation of the scores' ranks with the labels' ranks.

    The ranks of the scores are soft: `1/2 + sum over j of K((s_i - s_j) / c)`, j = i among them, with c the softness
    and K the distribution function of Laplace, `exp(x)/2` below 0 and `1 - exp(-x)/2` above. With z the labels' ranks
    (mean 0, variance 1), k the density of K and `d_i = sum_j k_ij`, the gradient of minus their covariance is in
    proportion to `-(d_i z_i - sum_j k_ij z_j)`: how far z lies above its mean nearby, times how many stocks are nearby
    to overtake. The Hessian is d over its mean. Sums over all pairs follow from one pass up and one down the sorted
    scores. At a constant score the gradient is minus z.

    Args: as for `ic_gradient`; `target` holds the labels' ranks, standardised on each day, and the softness is above 0.
    The loss returned is that of the true ranks, ties averaged.
    """
    total, rows = 0.0, 0
    for d in range(offsets.size - 1):
        a, b = offsets[d], offsets[d + 1]
        s, z, g, h = score[a:b], target[a:b], gradient[a:b], hessian[a:b]
        if not _counts(z, least):
            g[:], h[:] = 0.0, 0.0
            continue
        order = np.argsort(s)
        s, z = s[order], z[order]
        near = np.zeros(s.size)
        for k in range(1, s.size):
            near[k] = np.exp(max((s[k - 1] - s[k]) / softness, _LOWEST))
        density, local = _nearby(near, np.ones(s.size)), _nearby(near, z)
        level = density.mean()
        for k in range(s.size):
            g[order[k]] = (local[k] - density[k] * z[k]) / level
            h[order[k]] = density[k] / level
        total += _rank_correlation(s, z) * s.size
        rows += s.size
    return -total / max(rows, 1)


@compiled
def _nearby(near: Doubles, values: Doubles) -> Any:
    """Return the sum over j of `exp(-|x_i - x_j|) / 2` times `values_j`; `near` is that of neighbours in sorted x."""
    n = values.size
    out = np.empty(n)
    run = 0.0
    for k in range(n):
        run = run * near[k] + values[k]
        out[k] = 0.5 * run
    run = 0.0
    for k in range(n - 2, -1, -1):
        run = (run + values[k + 1]) * near[k + 1]
        out[k] += 0.5 * run
    return out


@compiled
def _rank_correlation(score: Doubles, target: Doubles) -> float:
    """Return the correlation of the ranks of sorted scores, ties averaged, with a target of mean 0 and variance 1."""
    n, start = score.size, 0
    covariance, square = 0.0, 0.0
    while start < n:
        stop, held = start, 0.0
        while stop < n and score[stop] == score[start]:
            held += target[stop]
            stop += 1
        rank = 0.5 * (start + stop - n)
        covariance += rank * held
        square += rank * rank * (stop - start)
        start = stop
    return covariance / np.sqrt(square * n) if square > 0 else 0.0


@compiled
def ndcg_gradient(
    score: Doubles,
    grade: Ints,
    offsets: Ints,
    least: int,
    truncation: int,
    gains: Doubles,
    gradient: Floats,
    hessian: Floats,
) -> float:
    """Minus the NDCG of a day's order, by LambdaRank.

    Two stocks of different grades, one of them among the `truncation` highest scores, pull apart by
    `|gain_i - gain_j| |1/log2(1 + p_i) - 1/log2(1 + p_j)| r` with p their places and
    `r = 1 / (1 + exp(s_high - s_low))` for the one of higher and of lower grade; the Hessian has r (1 - r) for r. Tied
    scores are in every order at once: discounts are means over all orders, so the order of the rows does not matter
    and a constant score gives each stock the pull of its gain beyond the mean.

    Source: Burges 2010 and LightGBM's lambdarank, which it equals up to each day's scale where no scores are tied.

    Args: as for `ic_gradient`; `grade` holds integers from 0, `gains` what each grade is worth, and `truncation` how
    many places count in NDCG.
    """
    total, rows, widest = 0.0, 0, 1
    for d in range(offsets.size - 1):
        widest = max(widest, offsets[d + 1] - offsets[d])
    discount = 1.0 / np.log2(np.arange(widest) + 2.0)
    summed = np.zeros(widest + 1)
    summed[1:] = np.cumsum(discount)
    for d in range(offsets.size - 1):
        a, b = offsets[d], offsets[d + 1]
        grades, g, h = grade[a:b], gradient[a:b], hessian[a:b]
        g[:], h[:] = 0.0, 0.0
        if not _counts(grades, least):
            continue
        total += _lambdas(score[a:b], grades, truncation, gains, summed, g, h) * (b - a)
        rows += b - a
    return -total / max(rows, 1)


@compiled
def _lambdas(
    score: Doubles, grade: Ints, truncation: int, gains: Doubles, summed: Doubles, g: Floats, h: Floats
) -> float:
    """Write one day's gradient and Hessian and return its NDCG.

    Rows of equal score and grade make a cell; cells of equal score, neighbours in `cells`, a block that shares places.
    """
    n, G = score.size, gains.size
    order = np.argsort(-score)
    cell_of, counts = np.empty(n, np.int64), np.zeros(n, np.int64)
    kinds, firsts, lasts = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    cells, found = 0, np.zeros(G, np.int64)
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and score[order[stop]] == score[order[start]]:
            stop += 1
        found[:] = -1
        for k in range(start, stop):
            i = order[k]
            if found[grade[i]] < 0:
                found[grade[i]] = cells
                kinds[cells], firsts[cells], lasts[cells] = grade[i], start, stop
                cells += 1
            cell_of[i] = found[grade[i]]
            counts[cell_of[i]] += 1
        start = stop
    level = np.empty(cells)  # exp(score), the highest at 1
    for k in range(n - 1, -1, -1):
        level[cell_of[order[k]]] = np.exp(max(score[order[k]] - score[order[0]], _LOWEST))
    mean = np.empty(cells)  # mean discount of the block's places
    for c in range(cells):
        mean[c] = (summed[lasts[c]] - summed[firsts[c]]) / (lasts[c] - firsts[c])
    pull, bend = np.zeros(cells), np.zeros(cells)
    gained = 0.0
    for c in range(cells):
        if firsts[c] >= truncation:
            break
        size, kept = lasts[c] - firsts[c], min(lasts[c], truncation)
        share = (kept - firsts[c]) / size
        within = (summed[kept] - summed[firsts[c]]) / size
        gained += counts[c] * gains[kinds[c]] * within
        tied = _tied_discount(firsts[c], lasts[c], kept, summed)
        for other in range(c + 1, cells):
            apart = gains[kinds[c]] - gains[kinds[other]]
            if apart == 0.0:
                continue
            moved = tied if firsts[other] == firsts[c] else within - share * mean[other]
            wrong = (level[other] if apart > 0 else level[c]) / (level[c] + level[other])
            force, stiff = apart * moved * wrong, abs(apart) * moved * wrong * (1.0 - wrong)
            pull[c] += force * counts[other]
            bend[c] += stiff * counts[other]
            pull[other] -= force * counts[c]
            bend[other] += stiff * counts[c]
    average = (bend * counts[:cells]).sum() / n
    for i in range(n):
        if average > 0:
            g[i], h[i] = -pull[cell_of[i]] / average, bend[cell_of[i]] / average
    return gained / _ideal(grade, truncation, gains, summed)


@compiled
def _tied_discount(first: int, last: int, kept: int, summed: Doubles) -> float:
    """Return the mean difference of discount of two places of a block, one of them kept, over all its pairs."""
    pairs, total = 0.5 * (last - first) * (last - first - 1), 0.0
    for p in range(first, kept):
        total += (summed[p + 1] - summed[p]) * (last - p - 1) - (summed[last] - summed[p + 1])
    return total / max(pairs, 1.0)


@compiled
def _ideal(grade: Ints, truncation: int, gains: Doubles, summed: Doubles) -> float:
    """Return the DCG of the best order."""
    counts = np.zeros(gains.size, np.int64)
    for value in grade:
        counts[value] += 1
    total, place = 0.0, 0
    for kind in range(gains.size - 1, -1, -1):
        kept = min(place + counts[kind], truncation)
        total += gains[kind] * (summed[kept] - summed[place]) if kept > place else 0.0
        place += counts[kind]
    return total
