"""Groups of features that say much the same, by their mean cross-sectional rank correlation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alphaloom.typing import Array, Doubles


@dataclass(frozen=True)
class Group:
    """Features that belong together: `leader` has the largest |t| of RankIC, `mean` is their mean |correlation|."""

    number: int
    leader: str
    features: tuple[str, ...]
    mean: float


def correlated_groups(
    names: Sequence[str], correlation: Doubles, strength: Array, threshold: float = 0.8
) -> tuple[Group, ...]:
    """Return groups of two and more features, the largest first.

    Average-linkage clustering on 1 - |correlation|: two groups become one while the mean |correlation| between them is
    at least `threshold`. An undefined correlation counts as none.

    Args:
        names: of the F features.
        correlation: `[F, F]`.
        strength: `[F]`, larger is better; decides the leader. NaN is the least.
        threshold: between 0 and 1.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    F = len(names)
    if F < 2:
        return ()
    size = np.abs(np.nan_to_num(correlation, nan=0.0)).clip(0.0, 1.0)
    upper = np.triu_indices(F, 1)
    flat = fcluster(linkage(1.0 - size[upper], method="average"), t=1.0 - threshold + 1e-12, criterion="distance")
    found = [np.flatnonzero(flat == label) for label in np.unique(flat)]
    found = sorted((group for group in found if group.size > 1), key=lambda group: (-group.size, group[0]))
    best = np.nan_to_num(strength, nan=-1.0)
    groups = []
    for k, group in enumerate(found, start=1):
        inside = size[np.ix_(group, group)][np.triu_indices(group.size, 1)]
        members = tuple(names[int(j)] for j in group)
        groups.append(Group(k, members[int(np.argmax(best[group]))], members, float(inside.mean())))
    return tuple(groups)
