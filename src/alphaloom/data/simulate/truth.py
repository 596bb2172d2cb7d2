"""The truth of a simulated market: files beside the store's tables, written with them and read by tests."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from alphaloom import __version__
from alphaloom.data.simulate.block import Block
from alphaloom.data.simulate.ceiling import CeilingTally
from alphaloom.data.simulate.engine import Engine
from alphaloom.data.simulate.factors import REGIMES
from alphaloom.data.simulate.frames import alpha_frame, exposures_frame, factor_frame
from alphaloom.data.simulate.settings import SimulatedMarket
from alphaloom.errors import MissingFieldError, UnsafeFileError
from alphaloom.typing import Doubles, Ints, PathLike

FOLDER = "truth"


@dataclass(frozen=True)
class Truth:
    """Reads what is true of a simulated market.

    - `alpha()`: date, symbol, `alpha` (expected specific return of the next day), `alpha_5` (what is known of the
      expected specific return of the next five days), `event` (return owed to blocked moves, new listings, suspensions
      and delistings, before limits), and each component's part of `alpha`. All known at that day's close.
    - `exposures()`: date, symbol, industry, ten styles, `specific_vol` (the next day's specific volatility). Known at
      that day's close; they multiply the factor returns of the *next* trading day.
    - `factor_returns()`: date, regime, country, industries, styles: returns of that day.
    - `covariance()`: names `[K]`, daily factor covariance `[S, K, K]` by regime, under the constraint that
      industry returns sum to zero at the first day's cap weights; regime names `[S]`.
    - `peers()`: symbol and its hidden leaders of the cross-stock alpha.
    - `meta`: settings, version, and `ceiling`: the RankIC of the true expected return (`CeilingTally.summary`).
    """

    folder: Path

    @classmethod
    def of(cls, store_path: PathLike) -> Self:
        """Return the truth beside a simulated store.

        Raises:
            MissingFieldError: the store is not a simulated market.
        """
        folder = Path(store_path) / FOLDER
        if not (folder / "meta.json").is_file():
            raise MissingFieldError(
                f"{store_path} has no {FOLDER}/meta.json: only a store made by `alphaloom data simulate` has a truth."
            )
        return cls(folder)

    @property
    def meta(self) -> dict[str, Any]:
        """Settings, version and ceilings."""
        file = self.folder / "meta.json"
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise UnsafeFileError(f"{file} is damaged: {error}. Simulate the market again.") from None
        return content

    @property
    def settings(self) -> SimulatedMarket:
        """The settings that made the market."""
        return SimulatedMarket.parse(self.meta["settings"], where="truth/meta.json")

    def ceiling(self, horizon: int = 5, price: str = "close") -> float | None:
        """Return the mean RankIC of the true expected return; None for a market without alpha."""
        value = self.meta["ceiling"][price][str(horizon)]["rank_ic"]
        return None if value is None else float(value)

    def alpha(self) -> pl.LazyFrame:
        """Return the expected returns."""
        return pl.scan_parquet(self.folder / "alpha.parquet")

    def exposures(self) -> pl.LazyFrame:
        """Return the exposures."""
        return pl.scan_parquet(self.folder / "exposures.parquet")

    def factor_returns(self) -> pl.DataFrame:
        """Return the factor returns."""
        return pl.read_parquet(self.folder / "factor_returns.parquet")

    def peers(self) -> pl.DataFrame:
        """Return the hidden leaders."""
        return pl.read_parquet(self.folder / "peers.parquet")

    def covariance(self) -> tuple[list[str], Doubles, list[str]]:
        """Return factor names, the covariance by regime and the regimes' names."""
        with np.load(self.folder / "covariance.npz", allow_pickle=False) as content:
            return content["names"].tolist(), content["covariance"], content["regimes"].tolist()


class TruthWriter:
    """Writes the truth year by year into a folder; `finish` adds what is known at the end."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._engine = engine
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._factors: list[Doubles] = []
        self._regimes: list[Ints] = []
        self._tally = CeilingTally()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()

    def add(self, block: Block) -> None:
        """Write one year."""
        self._append("alpha", alpha_frame(block, self._engine.people.symbols))
        self._append("exposures", exposures_frame(block, self._engine.people))
        self._factors.append(block.factors)
        self._regimes.append(block.regimes)
        self._tally.add(block)

    def _append(self, name: str, frame: pl.DataFrame) -> None:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if name not in self._writers:
            floats = [column for column, kind in frame.schema.items() if kind == pl.Float32]
            self._writers[name] = pq.ParquetWriter(
                self._folder / f"{name}.parquet",
                table.schema,
                compression="zstd",
                use_dictionary=[column for column in frame.columns if column not in floats],
                use_byte_stream_split=floats,  # random floats shrink by a fifth this way
            )
        self._writers[name].write_table(table)

    def finish(self) -> dict[str, Any]:
        """Write factor returns, covariance, peers and `meta.json`, and return the ceilings."""
        engine, people = self._engine, self._engine.people
        names = engine.model.names
        factor_frame(engine.days, np.concatenate(self._factors), np.concatenate(self._regimes), names).write_parquet(
            self._folder / "factor_returns.parquet"
        )
        np.savez(
            self._folder / "covariance.npz",
            names=np.array(names),
            covariance=engine.model.constrained(engine.industry_weights),
            regimes=np.array(REGIMES),
        )
        count = people.peers.shape[1]
        pl.DataFrame(
            {
                "symbol": np.repeat(people.symbols, count).tolist(),
                "peer": people.symbols[people.peers.ravel()].tolist(),
            }
        ).write_parquet(self._folder / "peers.parquet")
        ceiling = self._tally.summary()
        meta = {"settings": engine.settings.dump(), "version": __version__, "ceiling": ceiling}
        (self._folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
        return ceiling
