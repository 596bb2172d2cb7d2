"""Writing a simulated market to a store, one year at a time."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from alphaloom.data.simulate.engine import Engine
from alphaloom.data.simulate.frames import bars_frame, industry_frame, listing_frame
from alphaloom.data.simulate.limits import MARKET
from alphaloom.data.simulate.settings import SimulatedMarket
from alphaloom.data.simulate.truth import FOLDER, TruthWriter
from alphaloom.data.store import Store
from alphaloom.errors import UsageError
from alphaloom.typing import PathLike

Progress = Callable[[int, int, str], None]
"""Called with years done, years in all, and what was just done."""


def simulate(settings: SimulatedMarket, store_path: PathLike, *, progress: Progress | None = None) -> Store:
    """Return a new store holding the simulated market, with the truth in its folder `truth/`.

    One calendar year is held in memory at a time, besides three prices and the expected returns of all days. The
    store is built aside and renamed, so an interrupted run leaves nothing at `store_path`.

    Args:
        settings: the market.
        store_path: folder to make; it must be absent or empty.
        progress: told of each year written.

    Raises:
        UsageError: the folder holds something already.
    """
    target = Path(store_path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not an empty folder; choose another place for the simulated market.")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        folder = aside / target.name
        _write(settings, folder, progress)
        if target.exists():
            target.rmdir()
        folder.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Store(target)


def _write(settings: SimulatedMarket, folder: Path, progress: Progress | None) -> None:
    engine = Engine(settings)
    years = np.unique(engine.days.astype("datetime64[Y]")).size
    store = Store.create(folder, market=MARKET)
    with TruthWriter(folder / FOLDER, engine) as truth, store.writing() as batch:

        def bars() -> Iterator[pl.DataFrame]:
            for done, block in enumerate(engine.years(), start=1):
                truth.add(block)
                yield bars_frame(block, engine.people.symbols)
                if progress is not None:
                    progress(done, years, f"year {block.dates[0].astype('datetime64[Y]')}")

        batch.write("bars", bars(), mode="replace")
        batch.write("listing", listing_frame(engine), mode="replace")
        batch.write("industry", industry_frame(engine.people), mode="replace")
        batch.write("index_weights", engine.indices.weights(), mode="replace")
        batch.write("index_bars", engine.indices.bars(), mode="replace")
        batch.write("fundamentals", engine.fundamentals.frame(), mode="replace")
        ceiling = truth.finish()
    store.annotate(source="simulated market", simulated=settings.dump(), ceiling=ceiling["close"])
