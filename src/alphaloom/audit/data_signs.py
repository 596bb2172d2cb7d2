"""Signs in a store's tables that they know the future, which no cut of the store can show."""

import datetime as dt

import polars as pl

from alphaloom.audit.report import AuditReport, Check, Problem
from alphaloom.data.store import Store

KIND = "data"
REPORTED_EARLY = 0.001
"""Share of announcements on or before the end of their period from which they are no slips."""
SHORTEST_LAG = 15
"""Median days from the end of a period to its announcement below which the days are hardly those of announcements."""
REBASED = 0.95
"""Share of stocks whose adjustment factor ends at 1, having been another, from which it was rebased."""
SNAPSHOT_DAYS = 400
"""An index with one list of members in more days than this, or an industry scheme without a change, is a snapshot."""
SURVIVAL_YEARS = 2.0
"""Years without a delisting from which a market of hundreds of stocks is one of survivors."""
MANY_STOCKS = 200


def audit_data(store: Store) -> AuditReport:
    """Return what the tables tell: announcements before their period's end, rebased factors, snapshots, survivors.

    An announcement that cannot have been one, and factors rebased by the last day, are leaks; snapshots and missing
    delistings are warnings, since nobody can tell what they hide.
    """
    tables = set(store.tables())
    looks = (
        ("announcements", {"fundamentals"}, _announcements),
        ("adjustment factors", {"bars"}, _factors),
        ("index members", {"index_weights", "bars"}, _members),
        ("industries", {"industry", "bars"}, _industries),
        ("delistings", {"bars"}, _survivors),
    )
    checks, problems = [], []
    for name, needed, look in looks:
        lacking = needed - tables
        found = [] if lacking else look(store)
        skipped = f"the store has no {', '.join(sorted(lacking))}" if lacking else ""
        checks.append(Check(KIND, name, 1, 0, 0, skipped))
        problems += [Problem(KIND, name, words, is_leak) for words, is_leak in found]
    return AuditReport(tuple(checks), (), tuple(problems))


Found = list[tuple[str, bool]]


def _announcements(store: Store) -> Found:
    lag = (pl.col("announce_date") - pl.col("period_end")).dt.total_days()
    facts = store.scan("fundamentals").select(
        (lag <= 0).mean().alias("early"), lag.median().alias("median"), pl.len().alias("rows")
    )
    early, median, rows = facts.collect().row(0)
    if not rows:
        return []
    if early > REPORTED_EARLY:
        first = store.scan("fundamentals").filter(lag <= 0).first().collect().row(0, named=True)
        item, symbol, end, day = (first[key] for key in ("item", "symbol", "period_end", "announce_date"))
        words = (
            f"{early:.1%} of {rows:,} figures are announced on or before the end of their period, first {item} of "
            f"{symbol} for {end}, announced {day}: figures restated, or dated by their period, are known too early. "
            "Give the days on which they were published."
        )
        return [(words, True)]
    if median < SHORTEST_LAG:
        words = f"the median figure is announced {median:.0f} days after its period: are these days of publication?"
        return [(words, False)]
    return []


def _factors(store: Store) -> Found:
    if "adj_factor" not in store.columns("bars"):
        return []
    by = (
        store.scan("bars")
        .group_by("symbol")
        .agg(pl.col("adj_factor").last().alias("last"), pl.col("adj_factor").n_unique().alias("values"))
        .filter(pl.col("values") > 1)
        .select(((pl.col("last") - 1).abs() < 1e-6).mean().alias("share"), pl.len().alias("stocks"))
    )
    share, stocks = by.collect().row(0)
    if stocks and share >= REBASED:
        words = (
            f"the factors of {share:.0%} of the {stocks:,} stocks with dividends or splits end at exactly 1: prices "
            "were rebased by the last day's factor, so that each later dividend changes all earlier ones. Give "
            "backward-cumulative factors."
        )
        return [(words, True)]
    return []


def _members(store: Store) -> Found:
    first, last = _span(store)
    lists = store.scan("index_weights").group_by("index").agg(pl.col("date").n_unique().alias("lists")).sort("index")
    out: Found = []
    for index, count in lists.collect().iter_rows():
        if count == 1 and (last - first).days > SNAPSHOT_DAYS:
            words = (
                f"{index} has one list of members for {first} to {last}: a universe of today's members is one of those "
                "that did well enough to be in it. Give the lists of each date."
            )
            out.append((words, True))
    return out


def _industries(store: Store) -> Found:
    first, last = _span(store)
    changes = store.scan("industry").group_by("symbol").agg(pl.len().alias("rows")).select(pl.col("rows").max())
    if (changes.collect().item() or 0) == 1 and (last - first).days > SNAPSHOT_DAYS:
        return [(f"no stock changes its industry from {first} to {last}: the codes are a snapshot of one day.", False)]
    return []


def _survivors(store: Store) -> Found:
    first, last = _span(store)
    ends = store.scan("bars").group_by("symbol").agg(pl.col("date").max().alias("end")).collect()
    years = (last - first).days / 365.25
    gone = ends.filter(pl.col("end") < last - pl.duration(days=31)).height
    rate = gone / max(1, ends.height) / max(years, 1e-9)
    if ends.height >= MANY_STOCKS and years >= SURVIVAL_YEARS and rate < 0.001:
        words = (
            f"{gone} of {ends.height:,} stocks leave the market in {years:.1f} years: those that were delisted are "
            "absent, which flatters the level of returns, and whatever favours stocks near failure."
        )
        return [(words, False)]
    return []


def _span(store: Store) -> tuple[dt.date, dt.date]:
    first, last = store.scan("bars").select(pl.col("date").min(), pl.col("date").max().alias("last")).collect().row(0)
    return first, last
