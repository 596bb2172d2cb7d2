"""How often the same data were tried: what a deflated Sharpe ratio has to know."""

from dataclasses import dataclass
from pathlib import Path

from alphaloom.run_store.index import RunStore
from alphaloom.run_store.row import RunRow
from alphaloom.run_store.select import Selection


@dataclass(frozen=True)
class Trial:
    """A finished run and where its daily series lie."""

    row: RunRow
    ic: Path | None
    """`ic.parquet`: `date, signal, horizon, ic, rank_ic, n`; None for a run made before that file was."""
    navs: tuple[Path, ...]
    """`nav-PORTFOLIO.parquet` of each portfolio: `date, nav, ret, benchmark_ret, excess_ret, ...`."""


def trials_of(root: Path, data_hash: str, universe_hash: str | None = None) -> list[Trial]:
    """Return the finished runs of a store on the same data, and with `universe_hash` on the same universe and dates.

    A run with the same recipe and data as another counts once: it gives the same numbers. Unfinished runs have shown
    nobody a result and do not count.

    Raises:
        UsageError: the folder does not exist.
    """
    filters = ["status=done", f"data_hash={data_hash}"]
    if universe_hash is not None:
        filters.append(f"universe_hash={universe_hash}")
    first: dict[str | None, RunRow] = {}
    for row in RunStore(root).rows(Selection(filters=filters, sort="started")):
        first.setdefault(row.recipe_hash, row)
    return [_trial(row) for row in first.values()]


def _trial(row: RunRow) -> Trial:
    folder = Path(row.run)
    ic = folder / "ic.parquet"
    return Trial(row, ic if ic.is_file() else None, tuple(sorted(folder.glob("nav-*.parquet"))))
