"""The stocks of the simulated market: symbols, boards, industries, listing days and lasting traits."""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from alphaloom.data.simulate.settings import SimulatedMarket
from alphaloom.typing import Array, Dates, Doubles, Ints, Symbols

INDUSTRY_NAMES: tuple[str, ...] = (
    "Banks",
    "Electronics",
    "Pharmaceuticals",
    "Machinery",
    "Chemicals",
    "FoodBeverage",
    "Computers",
    "ElectricalEquipment",
    "NonBankFinance",
    "Autos",
    "RealEstate",
    "Utilities",
    "Transportation",
    "NonferrousMetals",
    "Media",
    "Communications",
    "Construction",
    "HomeAppliances",
    "Mining",
    "Steel",
    "BuildingMaterials",
    "Defence",
    "LightManufacturing",
    "Textiles",
    "Agriculture",
    "Commerce",
    "Leisure",
    "Conglomerates",
)
BOARDS: tuple[str, ...] = ("main", "chinext", "star")
"""Board names by code."""
STAR_START = np.datetime64("2019-07-22")
PEERS = 4
"""Hidden leaders of each stock in the cross-stock alpha."""


@dataclass(frozen=True)
class Population:
    """What is fixed about each stock; arrays `[N]`, in the order of symbols."""

    symbols: Symbols
    names: Symbols
    exchanges: Symbols
    boards: Ints
    list_dates: Dates
    industry_names: tuple[str, ...]
    industry: Ints
    industry_after: Ints
    change_dates: Dates
    log_cap: Doubles
    price: Doubles
    float_fraction: Doubles
    beta: Doubles
    volatility: Doubles
    liquidity: Doubles
    peers: Array


def draw_population(settings: SimulatedMarket, days: Dates, rng: np.random.Generator) -> Population:
    """Return the stocks; those listed before the first day have earlier list dates, three to nine years back.

    `change_dates` is NaT for a stock that keeps its industry. `beta`, `volatility` and `liquidity` are the long-run
    levels around which the latent traits move; `peers [N, 4]` are the hidden leaders.
    """
    N = settings.stocks
    boards, exchanges = _draw_boards(settings, days, rng)
    list_dates = _draw_list_dates(settings, boards, days, rng)
    symbols, order = _number(boards, exchanges, list_dates)
    boards, exchanges, list_dates = boards[order], exchanges[order], list_dates[order]

    count = min(settings.industries, max(2, N // 6))
    names = INDUSTRY_NAMES[:count]
    share = 1 / np.sqrt(np.arange(count) + 2.0)
    extra = rng.choice(count, size=N, p=share / share.sum())
    base = np.arange(N) % count  # half the stocks are dealt evenly, so that no industry is empty
    industry = np.where(rng.random(N) < 0.5, base, extra)
    industry[rng.permutation(N)[:count]] = np.arange(count)
    changes = rng.random(N) < settings.industry_changes
    first = np.maximum(list_dates, days[0])
    offset = (rng.uniform(0.2, 0.9, N) * (days[-1] - first).astype(np.int64)).astype("timedelta64[D]")
    trading = days[np.searchsorted(days, np.minimum(first + offset, days[-1]))]
    change_dates = np.where(changes & (first + 40 < days[-1]), trading, np.datetime64("NaT"))
    shift = rng.integers(1, count, size=N)

    size = rng.standard_normal(N)
    size = size + 0.35 * np.maximum(size, 0) ** 2  # a few giants
    board_shift = np.array([0.0, -0.4, -0.2])[boards]
    log_cap = np.log(8e9) + 0.95 * size + board_shift
    price = np.clip(np.exp(rng.normal(np.log(15.0), 0.5, N)), 5.0, 120.0)
    old = list_dates < days[0]
    return Population(
        symbols=symbols,
        names=np.array([f"{names[k]} {n:04d}" for n, k in enumerate(industry)]),
        exchanges=exchanges,
        boards=boards,
        list_dates=list_dates,
        industry_names=names,
        industry=industry.astype(np.int64),
        industry_after=((industry + shift) % count).astype(np.int64),
        change_dates=change_dates.astype("datetime64[D]"),
        log_cap=log_cap,
        price=np.floor(price * 100 + 0.5) / 100,
        float_fraction=np.where(old, rng.uniform(0.5, 1.0, N), rng.uniform(0.2, 0.3, N)),
        beta=0.8 * rng.standard_normal(N),
        volatility=0.25 * rng.standard_normal(N) - 0.04 * size,
        liquidity=0.55 * rng.standard_normal(N) - 0.18 * size,
        peers=_draw_peers(log_cap, old, rng),
    )


def _draw_boards(settings: SimulatedMarket, days: Dates, rng: np.random.Generator) -> tuple[Ints, Symbols]:
    N = settings.stocks
    open_years = max(0.0, float((days[-1] - STAR_START).astype(np.int64) - 90) / 365.25)
    star_share = 0.14 * min(1.0, open_years / 5) if open_years > 0 else 0.0
    shares = np.array([0.72, 0.28, 0.0]) * (1 - star_share) + np.array([0.0, 0.0, star_share])
    counts = np.floor(shares * N + 0.5).astype(np.int64)
    if open_years > 0:
        counts[2] = max(1, counts[2])
    counts[0] = N - counts[1] - counts[2]
    boards = np.repeat(np.arange(3), counts)
    exchanges = np.where(boards == 1, "SZ", np.where(boards == 2, "SH", np.where(rng.random(N) < 0.53, "SH", "SZ")))
    return boards, exchanges


def _draw_list_dates(settings: SimulatedMarket, boards: Ints, days: Dates, rng: np.random.Generator) -> Dates:
    N = settings.stocks
    back = rng.uniform(1000, 365 * 9, N).astype("timedelta64[D]")
    dates = days[0].astype("datetime64[D]") - back
    star = boards == 2
    late = star.copy()
    wanted = round(settings.listings * N) - int(star.sum())
    others = np.flatnonzero(~star)
    late[rng.permutation(others)[: max(0, wanted)]] = True
    late_days = days[1:]
    last = max(1, late_days.size - 60)  # the last listings still have some history
    dates[late & ~star] = late_days[rng.integers(0, last, size=int((late & ~star).sum()))]
    after = np.searchsorted(days, max(STAR_START, days[1]))
    if star.any():
        pick = rng.integers(after, max(after + 1, days.size - 60), size=int(star.sum()))
        dates[star] = days[pick]
    result: Dates = dates.astype("datetime64[D]")
    return result


def _number(boards: Ints, exchanges: Symbols, list_dates: Dates) -> tuple[Symbols, Ints]:
    """Return symbols numbered by listing day within each series, and the order that sorts the stocks by symbol."""
    first = {("SH", 0): 600000, ("SZ", 0): 1, ("SZ", 1): 300001, ("SH", 2): 688001}
    symbols = np.empty(boards.size, dtype="<U8")
    for (exchange, board), number in first.items():
        members = np.flatnonzero((boards == board) & (exchanges == exchange))
        members = members[np.argsort(list_dates[members], kind="stable")]
        symbols[members] = [f"{exchange}{number + k:06d}" for k in range(members.size)]
    order = np.argsort(symbols)
    return symbols[order], order


def _draw_peers(log_cap: Doubles, old: Array, rng: np.random.Generator) -> Array:
    """Return four hidden leaders for each stock, among the larger half of those listed from the start."""
    pool = np.flatnonzero(old)
    pool = pool[log_cap[pool] >= np.median(log_cap[pool])]
    draws = np.argsort(rng.random((log_cap.size, pool.size)), axis=1)[:, : PEERS + 1]
    peers = pool[draws]
    own = peers == np.arange(log_cap.size)[:, None]
    # The spare fifth draw replaces a stock that drew itself.
    keep = np.argsort(own, axis=1, kind="stable")[:, :PEERS]
    chosen: Array = np.take_along_axis(peers, keep, axis=1)
    return chosen


def date_or_none(day: np.datetime64) -> dt.date | None:
    """Return a Python date, or None for NaT."""
    return None if np.isnat(day) else day.astype("datetime64[D]").item()
