"""A folder of US Parquet files: daily bars and static facts."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from alphaloom.data.parquet_files import read_parquet
from alphaloom.data.sources.base import Facts, Source, sources


@sources.register("us_panel")
class UsPanel(Source):
    """Reads `us_daily.parquet` and `us_static.parquet`.

    Prices come adjusted for most splits and not for dividends, without a factor: `adj_factor` is 1 throughout, which
    the store records. There is no traded value, so no VWAP.
    """

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether the folder holds `us_daily.parquet` and no A-share bars."""
        return path.is_dir() and (path / "us_daily.parquet").is_file() and not (path / "ashare_daily.parquet").exists()

    def facts(self, path: Path) -> Facts:
        """Return the market and the caveats."""
        return Facts(
            market="us",
            notes=(
                "prices came adjusted for most splits, not for dividends, without a factor: adj_factor is 1 throughout",
                "industry is a snapshot, not point in time: in force from the first date",
            ),
        )

    def read(self, path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield bars, then listing and industry."""
        daily = read_parquet(path / "us_daily.parquet").drop("industry", strict=False)
        daily = daily.with_columns(pl.lit(1.0, dtype=pl.Float32).alias("adj_factor"))
        yield "bars", daily
        if (path / "us_static.parquet").is_file():
            static = read_parquet(path / "us_static.parquet")
            yield "listing", static.select("symbol", "exchange", pl.lit("main").alias("board"))
            first = pl.lit(daily["date"].min()).cast(pl.Date).alias("from_date")
            yield "industry", static.select("symbol", first, "industry")
