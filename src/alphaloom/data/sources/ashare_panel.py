"""A folder of A-share Parquet files: daily bars, valuation, static facts, indices and their members."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from alphaloom.data.parquet_files import read_parquet
from alphaloom.data.sources.base import Facts, Source, sources
from alphaloom.data.spells import lists_from_spells

VALUATION = ("pe_ttm", "ps_ttm", "pcf_ttm", "pb_mrq")
BOARDS = {"Main": "main", "ChiNext": "chinext", "STAR": "star", "BSE": "bse"}


@sources.register("ashare_panel")
class AsharePanel(Source):
    """Reads `ashare_daily.parquet` and, where present, the files that go with it.

    | file | becomes |
    |---|---|
    | ashare_daily | bars: unadjusted prices, volume, amount, turnover (percent to fraction), adj_factor |
    | ashare_valuation | bars: pe_ttm, ps_ttm, pcf_ttm, pb_mrq as further columns, is_st where it is given |
    | ashare_static | listing; industry (the CSRC code, one snapshot put in force from the list date) |
    | index_daily | index_bars |
    | index_members | index_weights: a full list of members at each change, weights unknown |
    | ashare_known_issues | recorded in the store; the rows stay as found |
    """

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether the folder holds `ashare_daily.parquet`."""
        return path.is_dir() and (path / "ashare_daily.parquet").is_file()

    def facts(self, path: Path) -> Facts:
        """Return the valuation columns, the caveats and the known issues."""
        notes = ["adj_factor is backward-cumulative; amount and turnover are missing for part of the rows"]
        notes.append(
            "survivorship: stocks delisted since are absent, so the level of returns, and excess over an index, are "
            "flattered; rankings and comparisons within one universe are safer to read"
        )
        if (path / "ashare_static.parquet").is_file():
            notes.append("industry is a snapshot, not point in time: each stock's present code from its list date on")
        if (path / "index_members.parquet").is_file():
            notes.append("index members are point in time; their weights are unknown")
        issues = path / "ashare_known_issues.csv"
        rows = pl.read_csv(issues).to_dicts() if issues.is_file() else []
        has_valuation = (path / "ashare_valuation.parquet").is_file()
        return Facts(
            market="china",
            extras={"bars": VALUATION} if has_valuation else {},
            notes=tuple(notes),
            known_issues=tuple(rows),
        )

    def read(self, path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield bars, then the other tables."""
        yield "bars", self._bars(path)
        if (path / "ashare_static.parquet").is_file():
            static = read_parquet(path / "ashare_static.parquet")
            yield "listing", self._listing(static)
            yield "industry", static.select("symbol", from_date="list_date", industry="csrc_code")
        if (path / "index_members.parquet").is_file():
            yield "index_weights", lists_from_spells(read_parquet(path / "index_members.parquet"))
        if (path / "index_daily.parquet").is_file():
            index_bars = read_parquet(path / "index_daily.parquet").rename({"symbol": "index"}).drop("name")
            yield "index_bars", index_bars

    def _bars(self, path: Path) -> pl.DataFrame:
        daily = read_parquet(path / "ashare_daily.parquet").drop("industry", strict=False)
        daily = daily.with_columns(pl.col("turnover") / 100)
        if (path / "ashare_valuation.parquet").is_file():
            valuation = read_parquet(path / "ashare_valuation.parquet")
            valuation = valuation.select("date", "symbol", *VALUATION, pl.col("is_st").cast(pl.Boolean))
            daily = daily.join(valuation, on=["date", "symbol"], how="left")
        return daily

    def _listing(self, static: pl.DataFrame) -> pl.DataFrame:
        return static.select(
            "symbol",
            "name",
            pl.col("symbol").str.slice(0, 2).alias("exchange"),
            pl.col("board").replace_strict(BOARDS).alias("board"),
            "list_date",
            pl.lit(None, dtype=pl.Date).alias("delist_date"),
        )
