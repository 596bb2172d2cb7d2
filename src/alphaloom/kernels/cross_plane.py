"""The cross-sectional operators of the factor language on planes `[T, N]`: one value a stock and date.

A statistic of a date is taken over the members of the universe that have a finite value; under groups it is taken in
each group, and a stock without a group gets no result. Every stock with a finite value gets a result, member or not; an
infinite value counts as missing. Sums run in float64, results are float32. A date is worked on alone: dates can be cut
into blocks over threads (the compiled parts hold no interpreter lock) and every cut gives the same bits.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from alphaloom.errors import UsageError, did_you_mean
from alphaloom.kernels import cross_plane_moments as moments
from alphaloom.kernels.cross_order import plain
from alphaloom.kernels.cross_plane_order import median_plane, rank_plane
from alphaloom.typing import Array, Bools, Floats

_MOMENTS = {
    "cs_demean": moments.DEMEAN,
    "cs_zscore": moments.ZSCORE,
    "cs_scale": moments.SCALE,
    "cs_mean": moments.MEAN,
    "cs_std": moments.STD,
    "cs_sum": moments.SUM,
}
OPERATORS = (*_MOMENTS, "cs_rank", "cs_bucket", "cs_median", "cs_winsorise", "cs_neutralise")
"""Operators that `plane` computes."""
_NO_CODES = plain(np.empty((0, 0), dtype=np.int32))
_NO_WEIGHT = plain(np.empty((0, 0), dtype=np.float32))


def plane(
    operator: str,
    x: Floats,
    universe: Bools,
    out: Floats,
    *,
    codes: Array | None = None,
    n_groups: int = 0,
    weight: Floats | None = None,
    regressors: Sequence[Floats] | None = None,
    settings: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Write one operator of `x [T, N]` to `out [T, N]` (float32, contiguous; may be `x` itself), on one thread.

    `codes [T, N]` are int32 groups from 0 to `n_groups` - 1, negative where unknown; None compares all members.
    `weight [T, N]` weighs the means of cs_mean and cs_demean; a member whose weight is not finite and above 0 does not
    enter them. `regressors`, planes `[T, N]`, are those of cs_neutralise. `settings`: `a` of cs_scale, `k` of
    cs_winsorise, `n` of cs_bucket.

    What the operators' definitions leave open:

    * cs_rank, cs_bucket: a stock outside the universe gets the place at which it would stand among the members. Bucket
      = floor((rank - 1/2) / number * n).
    * cs_mean, cs_median, cs_std, cs_sum: every stock (of the group) gets them, with a value or not; missing where no
      member (for cs_std: only one) has a value.
    * cs_zscore: over equal values 0 at their mean, missing elsewhere; missing with one member.
    * cs_scale: missing where all values are 0.
    * cs_winsorise: where the median absolute deviation is 0, values stay as they are.
    * cs_neutralise: fitted on the members that have a value, a group and all regressors (demeaned in the groups, then
      regressed; Frisch-Waugh-Lovell), taken off every stock that has them; an intercept without groups. A regressor
      that the groups and the earlier ones explain is left out.

    Raises:
        UsageError: there is no such operator, a setting of it is missing, or a code is not below `n_groups`.
    """
    if operator not in OPERATORS:
        raise UsageError(f"No cross-sectional operator {operator!r}.{did_you_mean(operator, OPERATORS)}")
    groups = _NO_CODES if codes is None else plain(codes)
    size = 0 if codes is None else max(n_groups, 1)
    if groups.size and groups.max() >= size:
        raise UsageError(f"{operator}: the largest group code is {groups.max()}; it must be below {n_groups} groups.")
    x, members = plain(x), plain(universe)
    if operator in _MOMENTS:
        a = _setting(operator, settings, "a") if operator == "cs_scale" else 1.0
        weights = _NO_WEIGHT if weight is None else plain(weight)
        moments.moments_plane(_MOMENTS[operator], x, members, groups, size, weights, a, out)
    elif operator in {"cs_rank", "cs_bucket"}:
        buckets = int(_setting(operator, settings, "n")) if operator == "cs_bucket" else 0
        rank_plane(x, members, groups, size, buckets, out)
    elif operator in {"cs_median", "cs_winsorise"}:
        k = _setting(operator, settings, "k") if operator == "cs_winsorise" else -1.0
        median_plane(x, members, groups, size, k, out)
    else:
        stack = np.empty((0, *x.shape), np.float32) if not regressors else np.stack(regressors)
        moments.neutralise_plane(x, members, groups, size, plain(stack), out)


def _setting(operator: str, settings: Mapping[str, float], name: str) -> float:
    if name not in settings:
        raise UsageError(f"{operator} needs the setting {name!r}; given {sorted(settings)}.")
    return float(settings[name])
