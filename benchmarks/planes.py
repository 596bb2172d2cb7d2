"""Cross-sectional operators of the factor language on planes, against pandas groupby by date."""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from alphaloom.kernels.cross_plane import plane
from benchmarks.alpha158 import cpu
from benchmarks.record import save


def residual(frame: pd.DataFrame) -> np.ndarray:
    """Return the residual of one date's values on industry dummies and size."""
    design = np.column_stack([pd.get_dummies(frame["group"], dtype=float), frame["size"]])
    return frame["x"] - design @ np.linalg.lstsq(design, frame["x"], rcond=None)[0]


def bounded(x: pd.Series) -> pd.Series:
    """Return one date's values bounded by median -+ 5 MAD."""
    centre = x.median()
    reach = 5 * (x - centre).abs().median()
    return x.clip(centre - reach, centre + reach)


PEERS: dict[str, Callable[[pd.DataFrame], object]] = {
    "cs_rank": lambda frame: frame.groupby("date")["x"].rank(pct=True),
    "cs_rank by": lambda frame: frame.groupby(["date", "group"])["x"].rank(pct=True),
    "cs_zscore": lambda frame: (
        (frame["x"] - frame.groupby("date")["x"].transform("mean")) / frame.groupby("date")["x"].transform("std")
    ),
    "cs_demean by": lambda frame: frame["x"] - frame.groupby(["date", "group"])["x"].transform("mean"),
    "cs_median by": lambda frame: frame.groupby(["date", "group"])["x"].transform("median"),
    "cs_winsorise": lambda frame: frame.groupby("date")["x"].transform(bounded),
    "cs_neutralise by": lambda frame: frame.groupby("date")[["x", "group", "size"]].apply(residual),
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--groups", type=int, default=31)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(arguments)
    T, N = args.dates, args.stocks
    rng = np.random.default_rng(0)
    x, size = (rng.normal(size=(T, N)).astype(np.float32) for _ in range(2))
    codes = rng.integers(0, args.groups, (T, N)).astype(np.int32)
    universe, out = np.ones((T, N), bool), np.empty((T, N), np.float32)
    frame = pd.DataFrame(
        {"date": np.repeat(np.arange(T), N), "group": codes.ravel(), "x": x.ravel(), "size": size.ravel()}
    )
    rows = []
    for label, peer in PEERS.items():
        operator, _, by = label.partition(" ")
        groups = {"codes": codes, "n_groups": args.groups} if by else {}
        on = {"regressors": [size]} if operator == "cs_neutralise" else {}

        own = partial(plane, operator, x, universe, out, settings={"k": 5.0}, **groups, **on)
        own()
        ours, theirs = [], []
        for _ in range(args.repeats):
            ours.append(cpu(own) / T * 1e6)
            theirs.append(cpu(partial(peer, frame)) / T * 1e6)
        mine, other = statistics.median(ours), statistics.median(theirs)
        rows.append({"operator": label, "us a date": mine, "pandas, us a date": other, "times slower": other / mine})
    notes = [
        f"{N:,} stocks x {T} dates, one plane, one core; medians of {args.repeats} runs in turn.",
        f"by: {args.groups} groups; cs_neutralise: their dummies and one regressor.",
    ]
    save("planes", "Cross-sectional operators: CPU time of one core", rows, {"stocks": N, "dates": T}, notes)
    return 0
