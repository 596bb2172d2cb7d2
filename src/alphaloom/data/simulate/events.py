"""What happens to single stocks: listings, risk warnings, delistings, suspensions, dividends and splits."""

from dataclasses import dataclass

import numpy as np

from alphaloom.data.simulate.fundamentals import BOOK, EARNINGS, Companies
from alphaloom.data.simulate.limits import round_half_up
from alphaloom.data.simulate.population import Population
from alphaloom.data.simulate.settings import SimulatedMarket
from alphaloom.data.simulate.state import NEVER, State
from alphaloom.typing import Bools, Dates, Doubles, Ints

DECLINE_DAYS, DECLINE = 60, 0.006
"""Length of the decline before a delisting and expected loss a day, where moves are carried."""
LISTING_PRICE_TO_BOOK = 2.5
UNLOCK_DAY = 730
"""Trading day since listing on which the locked shares of a listing may trade."""
_SHORT_RATE, _LONG_RATE = 0.0008, 0.00012
_ST_FACTOR = 3.0
_PAR_DAYS = 20
_FEWEST_REVIEWED = 10
_SPLITS = np.array([0.2, 0.3, 0.5, 1.0])


@dataclass
class ExPlan:
    """Days of the ex-rights plan of one year: `ex_at [N]` day index, or NEVER; `split [N]` new shares for each old."""

    ex_at: Ints
    split: Doubles


def list_new(state: State, people: Population, companies: Companies, day: np.datetime64, run: Doubles) -> Bools:
    """List the stocks whose day has come and return them; `run [N]` is the return still owed to a new listing."""
    new: Bools = people.list_dates == day
    if new.any():
        state.listed |= new
        state.listed_day[new] = 0
        state.total_shares[new] = np.floor((LISTING_PRICE_TO_BOOK * companies.book / people.price)[new])
        state.pending[new] = run[new]
    return new


def remove_delisted(state: State, t: int) -> Bools:
    """Take the stocks off whose delisting day is `t`, and return them."""
    gone = state.listed & (state.delist_at <= t)
    state.listed &= ~gone
    state.is_st &= ~gone
    return gone


def weakest_first(state: State, companies: Companies, who: Bools) -> Ints:
    """Return the positions of some stocks, weakest first by announced profitability and past return together."""
    chosen = np.flatnonzero(who)
    profit = companies.known[EARNINGS] / np.maximum(companies.known[BOOK], 1.0)
    strength = _ranks(profit[chosen]) + _ranks(state.momentum[chosen])
    order: Ints = chosen[np.argsort(strength, kind="stable")]
    return order


def review_warnings(
    state: State, companies: Companies, settings: SimulatedMarket, t: int, rng: np.random.Generator
) -> None:
    """Set risk warnings by the past year and decide delistings: 40 to 110 trading days ahead.

    The weakest of those warned a year before are delisted. The others stay warned while they are among the weakest
    tenth (or the set share, if larger), and the weakest of the rest join them up to the share. All looks back only.
    """
    order = weakest_first(state, companies, state.listed & (state.listed_day >= 120) & (state.delist_at == NEVER))
    n = order.size
    if n < _FEWEST_REVIEWED:
        return
    count = max(1, round(settings.delist_rate * n)) if settings.delist_rate > 0 else 0
    doomed = order[state.is_st[order] & (state.st_reviews[order] >= 1)][:count]
    notice = np.maximum(rng.integers(40, 111, size=doomed.size), state.suspended_left[doomed] + 10)
    state.delist_at[doomed] = t + notice

    weak = np.zeros_like(state.is_st)
    weak[order[: max(1, round(max(0.1, settings.st_share) * n))]] = True
    state.is_st &= weak | (state.delist_at < NEVER)
    free = order[~state.is_st[order]]
    room = max(0, round(settings.st_share * n) - int((state.is_st & (state.delist_at == NEVER)).sum()))
    state.is_st[free[:room]] = True
    state.st_reviews = np.where(state.is_st, state.st_reviews + 1, 0)


def watch_par_value(state: State, trades: Bools, t: int) -> None:
    """Delist, 15 days ahead, what closed below 1.00 on twenty trading days in a row."""
    below = state.close < 1.0
    state.low_price_days = np.where(trades, np.where(below, state.low_price_days + 1, 0), state.low_price_days)
    due = state.listed & (state.low_price_days >= _PAR_DAYS) & (state.delist_at == NEVER)
    state.delist_at[due] = t + 15


def suspend(state: State, settings: SimulatedMarket, t: int, draws: Doubles) -> tuple[Bools, Bools]:
    """Return who trades today and who trades again after a suspension.

    Args:
        state: changed in place.
        settings: rates.
        t: index of the day.
        draws: `[3, N]` uniform.
    """
    away = state.suspended_left > 0
    state.suspended_left = np.maximum(state.suspended_left - 1, 0)
    stopped = state.suspended_left > 0
    resumed = state.listed & away & ~stopped
    rate = settings.suspensions * np.where(state.is_st, _ST_FACTOR, 1.0)
    may = state.listed & ~stopped & ~resumed & (state.listed_day > 10)
    long = may & (draws[0] < _LONG_RATE * rate)
    short = may & ~long & (draws[1] < _SHORT_RATE * rate)
    length = np.where(long, 20 + np.floor(101 * draws[2]), 1 + np.floor(8 * draws[2])).astype(np.int64)
    length = np.minimum(length, state.delist_at - t - 1)  # the last day of a listing is a trading day
    starts = (long | short) & (length > 0)
    state.suspended_left[starts] = length[starts]  # days away, today among them
    stopped |= starts
    state.suspended_days = np.where(stopped, state.suspended_days + 1, state.suspended_days)
    state.since_suspension = np.where(stopped, 0, state.since_suspension + 1)
    return state.listed & ~stopped, resumed


def plan_ex_days(days: Dates, first: int, stop: int, N: int, rng: np.random.Generator) -> ExPlan:
    """Return the ex-rights plan for the days `first` to `stop - 1`, one calendar year.

    Two stocks in three go ex, on a trading day in June or July.
    """
    months = days[first:stop].astype("datetime64[M]").astype(np.int64) % 12 + 1
    season = first + np.flatnonzero((months == 6) | (months == 7))
    pays, splits = rng.random(N) < 0.65, rng.random(N) < 0.12
    pick, size = rng.random(N), rng.random(N)
    ex_at = np.full(N, NEVER)
    if season.size:
        ex_at[pays] = season[np.floor(pick * season.size).astype(np.int64)][pays]
    return ExPlan(ex_at, np.where(splits, _SPLITS[np.floor(size * _SPLITS.size).astype(np.int64)], 0.0))


def go_ex(state: State, companies: Companies, plan: ExPlan, trades: Bools, t: int) -> Doubles:
    """Return the day's reference prices; what goes ex changes its shares and factor.

    Reference = (previous close - cash per share) / (1 + new shares per share), on the grid, as an exchange sets it.
    A third of the announced profit is paid, at most 6 % of the price; splits are for prices above 10. A stock that is
    suspended on its day goes ex on its next trading day.
    """
    reference = state.close.copy()
    due = trades & (plan.ex_at <= t) & (state.listed_day > 1)
    if not due.any():
        return reference
    plan.ex_at[due] = NEVER
    share_profit = np.maximum(companies.known[EARNINGS], 0.0) / state.total_shares
    cash = np.floor(np.minimum(share_profit / 3, 0.06 * state.close) * 100) / 100
    split = np.where(state.close > 10.0, plan.split, 0.0)
    ex_price = np.maximum(round_half_up((state.close - cash) / (1 + split)), 0.01)
    reference[due] = ex_price[due]
    state.adj_factor[due] *= (state.close / ex_price)[due]
    state.total_shares[due] = np.floor((state.total_shares * (1 + split))[due])
    return reference


def _ranks(x: Doubles) -> Doubles:
    ranks = np.empty(x.size)
    ranks[np.argsort(x, kind="stable")] = np.arange(x.size) / x.size
    return ranks
