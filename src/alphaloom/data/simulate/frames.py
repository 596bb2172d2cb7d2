"""Tables of the store made from the simulated market's arrays."""

import numpy as np
import polars as pl

from alphaloom.data.simulate.block import Block
from alphaloom.data.simulate.engine import Engine
from alphaloom.data.simulate.factors import REGIMES, STYLES
from alphaloom.data.simulate.population import BOARDS, Population, date_or_none
from alphaloom.typing import Array, Dates, Symbols

_EXCHANGES = {"SH": "SSE", "SZ": "SZSE"}


def bars_frame(block: Block, symbols: Symbols) -> pl.DataFrame:
    """Return the `bars` rows of a year: every listed stock on every trading day, sorted by date and symbol."""
    rows, columns = np.nonzero(block.listed)
    values = {name: pl.Series(array[rows, columns], nan_to_null=True) for name, array in block.bars.items()}
    flags = {"is_st": block.is_st[rows, columns], "is_suspended": block.is_suspended[rows, columns]}
    return pl.DataFrame({**_keys(block.dates[rows], columns, symbols), **values, **flags})


def alpha_frame(block: Block, symbols: Symbols) -> pl.DataFrame:
    """Return date, symbol and the expected returns known at that day's close (`Block.expected`).

    Of the components only the next day's part is kept; five days' follow from it as `alpha_5` does from `alpha`.
    """
    rows, columns = np.nonzero(block.listed)
    values = {
        name: array[rows, columns]
        for name, array in block.expected.items()
        if name == "alpha_5" or not name.endswith("_5")
    }
    return pl.DataFrame({**_keys(block.dates[rows], columns, symbols), **values})


def exposures_frame(block: Block, people: Population) -> pl.DataFrame:
    """Return date, symbol, industry, ten styles and the specific volatility, known at that day's close."""
    rows, columns = np.nonzero(block.listed)
    names = pl.Series(list(people.industry_names))
    styles = {name: block.exposures[rows, columns, k] for k, name in enumerate(STYLES)}
    return pl.DataFrame(
        {
            **_keys(block.dates[rows], columns, people.symbols),
            "industry": names[block.industry[rows, columns].astype(np.int64)],
            **styles,
            "specific_vol": block.specific_vol[rows, columns],
        }
    )


def factor_frame(blocks_dates: Dates, factors: Array, regimes: Array, names: tuple[str, ...]) -> pl.DataFrame:
    """Return date, regime and one column a factor: the returns drawn for that day."""
    returns = {name: factors[:, k] for k, name in enumerate(names)}
    return pl.DataFrame({"date": blocks_dates, "regime": pl.Series(list(REGIMES))[regimes.astype(np.int64)], **returns})


def listing_frame(engine: Engine) -> pl.DataFrame:
    """Return the `listing` table; `delist_date` is null for what is still listed at the end."""
    people = engine.people
    return pl.DataFrame(
        {
            "symbol": people.symbols.tolist(),
            "name": people.names.tolist(),
            "exchange": [_EXCHANGES[code] for code in people.exchanges],
            "board": [BOARDS[code] for code in people.boards],
            "list_date": [date_or_none(day) for day in people.list_dates],
            "delist_date": pl.Series([date_or_none(day) for day in engine.delist_dates], dtype=pl.Date),
        }
    )


def industry_frame(people: Population) -> pl.DataFrame:
    """Return the `industry` table: the first classification from the list date, then the change if there is one."""
    names = np.array(people.industry_names)
    first = pl.DataFrame(
        {
            "symbol": people.symbols.tolist(),
            "from_date": people.list_dates,
            "industry": names[people.industry].tolist(),
        }
    )
    changed = ~np.isnat(people.change_dates)
    later = pl.DataFrame(
        {
            "symbol": people.symbols[changed].tolist(),
            "from_date": people.change_dates[changed],
            "industry": names[people.industry_after[changed]].tolist(),
        },
        schema=first.schema,
    )
    return pl.concat([first, later]).sort("symbol", "from_date")


def _keys(dates: Dates, columns: Array, symbols: Symbols) -> dict[str, pl.Series]:
    return {"date": pl.Series(dates.astype("datetime64[D]")), "symbol": pl.Series(symbols.tolist())[columns]}
