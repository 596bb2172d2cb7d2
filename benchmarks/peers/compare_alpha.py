"""Every column of Alpha158 and Alpha360 against qlib itself, on an awkward simulated panel or on real bars.

    python -m benchmarks.peers.compare_alpha [--stocks 60] [--days 420] [--seed 7] [--bars FILE] [--freeze FILE.npz]

Both programs read the same float32 values. A column agrees where both have no value or
|ours - qlib's| <= 1e-6 + 1e-5 |qlib's| (2e-4 for CORR, CORD and WVMA, whose inputs qlib rounds to float32 on the way).
A VSTD or WVMA cell outside that is explained when the definition, evaluated on the rows of its window alone in float64,
gives our value: qlib's running sums then carry a residue of larger values that have left the window. Exit code 1 when
anything is unexplained. `--freeze` stores the inputs and some of qlib's values for tests that run without qlib.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alphaloom.features.alpha158 import Alpha158
from alphaloom.features.alpha360 import Alpha360
from alphaloom.features.base import FeatureFamily
from benchmarks.peers.awkward import as_panel, awkward_bars, names, weekdays
from benchmarks.peers.long_bars import long_bars
from benchmarks.peers.qlib_peer import run_handler, to_block, write_folder

WIDE_GATE = ("CORR", "CORD", "WVMA")
RUNNING = ("VSTD", "WVMA")
FROZEN_STOCKS = (0, 3, 4, 5, 6, 8, 10, 11, 13, 14, 15, 19, 20, 21, 24, 25)


@dataclass
class Column:
    """How one column compares."""

    name: str
    cells: int
    same: float
    worst: float
    missing: int
    outside: int
    explained: int

    @property
    def unexplained(self) -> int:
        """Cells that differ without a reason."""
        return self.missing + self.outside - self.explained


def stem(name: str) -> str:
    """Return the name without its window."""
    return name.rstrip("0123456789")


def compare(family: FeatureFamily, ours: np.ndarray, theirs: np.ndarray, bars: dict[str, np.ndarray]) -> list[Column]:
    """Return the comparison of blocks `[T, N, F]`, column by column."""
    rows = []
    for j, name in enumerate(family.columns()):
        a, b = ours[:, :, j].astype(float), theirs[:, :, j].astype(float)
        missing = np.isnan(a) != np.isnan(b)
        both = ~np.isnan(a) & ~np.isnan(b)
        error = np.abs(a - b)
        gate = 2e-4 if stem(name) in WIDE_GATE else 1e-6 + 1e-5 * np.abs(b)
        outside = both & ~(error <= gate)
        explained = 0
        if stem(name) in RUNNING:
            explained = sum(is_residue(bars, name, t, n, a[t, n]) for t, n in np.argwhere(outside))
        same = np.mean((a == b)[both]) if both.any() else np.nan
        worst = error[both & ~outside].max() if (both & ~outside).any() else np.nan
        rows.append(Column(name, int(both.sum()), same, worst, int(missing.sum()), int(outside.sum()), explained))
    return rows


def is_residue(bars: dict[str, np.ndarray], name: str, t: int, n: int, ours: float) -> bool:
    """Return whether VSTD or WVMA, evaluated on the rows of one window alone, is our value."""
    d = int(name[4:])
    first = max(0, t - d + 1)
    close, volume = bars["close"][:, n], bars["volume"][first : t + 1, n]
    if stem(name) == "VSTD":
        values = volume.astype(float)
        scale = float(volume[-1] + np.float32(1e-12))
    else:
        before = np.concatenate([[np.float32(np.nan)], close[:-1]])[first : t + 1]
        values = (np.abs(close[first : t + 1] / before - np.float32(1)) * volume).astype(float)
        scale = values[np.isfinite(values)].mean() + 1e-12
    exact = values[np.isfinite(values)].std(ddof=1) / scale
    return bool(abs(exact - ours) <= 1e-6 + 1e-5 * abs(exact))


def print_table(family: FeatureFamily, rows: list[Column], *, every: bool) -> None:
    print(f"\n{family.name}: {len(rows)} columns, {sum(row.cells for row in rows):,} values")
    heads = ("values", "same bits", "worst in gate", "NaN differs", "outside", "explained")
    print(f"{'column':10s}" + "".join(f"{head:>15s}" for head in heads))
    for row in rows:
        if every or row.missing or row.outside:
            print(
                f"{row.name:10s}{row.cells:15,d}{row.same:15.2%}{row.worst:15.2e}"
                f"{row.missing:15,d}{row.outside:15,d}{row.explained:15,d}"
            )
    total = sum(row.cells for row in rows)
    print(
        f"{'all':10s}{total:15,d}{sum(row.same * row.cells for row in rows if row.cells) / total:15.2%}"
        f"{max(row.worst for row in rows):15.2e}{sum(row.missing for row in rows):15,d}"
        f"{sum(row.outside for row in rows):15,d}{sum(row.explained for row in rows):15,d}"
    )


def freeze(path: Path, bars: dict, listed: np.ndarray, blocks: dict[str, np.ndarray]) -> None:
    """Store the bars of some stocks and qlib's values on some of their rows."""
    stocks = np.array([n for n in FROZEN_STOCKS if n < listed.shape[1]])
    rng = np.random.default_rng(0)
    held = {f"bar_{name}": array[:, stocks] for name, array in bars.items()}
    held["listed"] = listed[:, stocks]
    for name, (share, block) in {"alpha158": (60, blocks["alpha158"]), "alpha360": (12, blocks["alpha360"])}.items():
        t, n = [], []
        for k, stock in enumerate(stocks):
            rows = np.flatnonzero(listed[:, stock])
            gaps = np.isnan(bars["close"][rows, stock])
            edge = np.flatnonzero(np.diff(gaps, prepend=False))
            chosen = np.unique(np.r_[0:5, edge[:8], np.minimum(edge[:8] + 3, rows.size - 1)])
            chosen = chosen[chosen < rows.size][:share]
            rest = np.setdiff1d(np.arange(rows.size), chosen)
            more = rng.choice(rest, min(rest.size, max(0, share - chosen.size)), replace=False)
            picked = rows[np.sort(np.concatenate([chosen, more]))]
            t.append(picked)
            n.append(np.full(picked.size, k))
        t, n = np.concatenate(t), np.concatenate(n)
        held[f"{name}_t"], held[f"{name}_n"] = t.astype(np.int16), n.astype(np.int8)
        held[f"{name}_values"] = block[t, stocks[n]]
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part.npz")
    np.savez_compressed(aside, **held)
    aside.rename(path)
    print(f"\nfroze {path} ({path.stat().st_size / 1e6:.2f} MB)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=60)
    parser.add_argument("--days", type=int, default=420)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--bars", type=Path, help="a long Parquet file of real bars instead of simulated ones")
    parser.add_argument("--freeze", type=Path)
    parser.add_argument("--all", action="store_true", help="print every column of Alpha360 too")
    args = parser.parse_args()
    if args.bars:
        dates, symbols, bars, listed = long_bars(args.bars, args.days, args.stocks, args.seed)
    else:
        bars, listed = awkward_bars(args.days, args.stocks, args.seed)
        dates, symbols = weekdays(args.days), names(args.stocks)
    panel = as_panel(dates, symbols, bars, listed)
    blocks, wrong = {}, 0
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / "qlib"
        write_folder(folder, dates, symbols, bars, listed)
        for family in (Alpha158(), Alpha360()):
            frame, info = run_handler(folder, family.name)
            published = [name for name in frame.columns if name not in {"date", "symbol"}]
            if published != family.columns():
                print(f"{family.name}: names or their order differ from qlib's")
                wrong += 1
            blocks[family.name] = to_block(frame, dates, symbols, family.columns())
            rows = compare(family, family.compute(panel), blocks[family.name], bars)
            print_table(family, rows, every=args.all or family.name == "alpha158")
            wrong += sum(row.unexplained for row in rows)
    versions = ", ".join(f"{name} {version}" for name, version in info["versions"].items())
    print(f"\n{symbols.size} stocks x {dates.size} days, seed {args.seed}; {versions}; unexplained: {wrong}")
    if args.freeze:
        freeze(args.freeze, bars, listed, blocks)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
