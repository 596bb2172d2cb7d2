"""Calendar features against Python's own dates, and seasonal returns against their definition."""

import datetime as dt

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import DataError
from alphaloom.features.base import features
from alphaloom.features.compute import compute_features
from alphaloom.panel import Panel


@pytest.fixture(scope="module")
def market():
    """Two years of weekdays."""
    return random_panel(520, 6, seed=1)


@pytest.fixture(scope="module")
def made(market):
    """The default features."""
    return compute_features([features.parse("calendar")], market)


def daily(made, market, name):
    """The feature by date, from a stock that is listed throughout."""
    listed = (market["is_listed"] == 1).all(axis=0)
    return made[name][:, np.flatnonzero(listed)[0]]


def test_days_of_the_week_month_and_year(market, made):
    """Weekday, month, and calendar days to the ends of month, quarter and year."""
    for t, day in enumerate(market.dates.tolist()):
        assert daily(made, market, "weekday")[t] == day.weekday()
        angle = 2 * np.pi * (day.month - 1) / 12
        assert daily(made, market, "month_sin")[t] == pytest.approx(np.sin(angle), abs=1e-6)
        assert daily(made, market, "month_cos")[t] == pytest.approx(np.cos(angle), abs=1e-6)
        quarter_end = next(
            dt.date(day.year + (m == 12), m % 12 + 1, 1) - dt.timedelta(1) for m in (3, 6, 9, 12) if m >= day.month
        )
        month_end = dt.date(day.year + (day.month == 12), day.month % 12 + 1, 1) - dt.timedelta(1)
        assert daily(made, market, "days_to_month_end")[t] == (month_end - day).days
        assert daily(made, market, "days_to_quarter_end")[t] == (quarter_end - day).days
        assert daily(made, market, "days_to_year_end")[t] == (dt.date(day.year, 12, 31) - day).days


def test_trading_days_of_the_month_are_counted_from_its_first(market, made):
    """1 on a month's first row; missing in the first month, whose beginning the panel may not hold."""
    count, month = 0, None
    for t, day in enumerate(market.dates.tolist()):
        count = 1 if (day.year, day.month) != month else count + 1
        month = (day.year, day.month)
        got = daily(made, market, "trading_day_of_month")[t]
        assert np.isnan(got) if month == (2020, 1) else got == count


def test_days_since_the_last_trading_day(market):
    """1 from day to day, 3 over a weekend, more over a holiday, missing on the first row."""
    panel = Panel(
        np.array(["2020-01-22", "2020-01-23", "2020-02-03", "2020-02-04"], "datetime64[D]"),
        market.symbols,
        market.universe[:4],
        {name: market[name][:4] for name in ("is_listed", "adj_close")},
    )
    got = features.parse("calendar").compute(panel)[:, 1, 7]
    assert np.isnan(got[0])
    assert got[1:].tolist() == [1, 11, 1]


def test_chinese_holidays_and_report_deadlines(market, made):
    """Days to the next Spring Festival, May 1, October 1 and deadline, and the months of reports."""
    festivals = [dt.date(2019, 2, 5), dt.date(2020, 1, 25), dt.date(2021, 2, 12), dt.date(2022, 2, 1)]
    for t, day in enumerate(market.dates.tolist()):
        ahead = min(d for d in festivals if d >= day)
        back = max(d for d in festivals if d <= day)
        assert daily(made, market, "days_to_spring_festival")[t] == (ahead - day).days
        assert daily(made, market, "days_since_spring_festival")[t] == (day - back).days
        years = (day.year, day.year + 1)
        for name, days in (
            ("days_to_labour_day", [(5, 1)]),
            ("days_to_national_day", [(10, 1)]),
            ("days_to_report_deadline", [(4, 30), (8, 31), (10, 31)]),
        ):
            following = min(d for year in years for m, n in days if (d := dt.date(year, m, n)) >= day)
            assert daily(made, market, name)[t] == (following - day).days
        assert daily(made, market, "is_report_season")[t] == (day.month in {4, 7, 8, 10})


def test_seasonal_returns_followed_this_day_in_past_years(market):
    """The return over the 21 rows after the same row a year ago, from last known prices."""
    family = features.parse({"name": "calendar", "years": 2, "market": "other"})
    made = compute_features([family], market)
    assert family.columns()[-2:] == ["season_1y", "season_2y"]
    close = market["adj_close"].astype(float)
    last = close.copy()
    for t in range(1, close.shape[0]):
        for n in range(close.shape[1]):
            if np.isnan(last[t, n]):
                last[t, n] = last[t - 1, n]
    for name, back in (("season_1y", 243), ("season_2y", 486)):
        for t in (510, 519):
            for n in (1, 2):
                expected = last[t - back + 21, n] / last[t - back, n] - 1
                assert made[name][t, n] == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_same_for_every_stock_and_missing_before_listing(market, made):
    """The day's features do not depend on the stock; a stock that is not listed has none."""
    listed = market["is_listed"] == 1
    for name in made.names[:14]:
        assert np.isnan(made[name][~listed]).all()
        for t in (30, 519):
            assert np.unique(made[name][t, listed[t]]).size == 1


def test_dates_beyond_the_table_of_festivals_are_refused():
    """The message names the date and the way out, which works."""
    panel = random_panel(30, 3)
    late = Panel(panel.dates + 5840, panel.symbols, panel.universe, dict(panel.fields))
    with pytest.raises(DataError, match="covers 1990-01-27 to 2035-02-08.*market: other"):
        features.parse({"name": "calendar", "years": 0}).compute(late)
    assert np.isfinite(features.parse({"name": "calendar", "years": 0, "market": "other"}).compute(late)[-1]).all()


def test_no_dates_give_no_rows(market):
    """A panel without dates has the columns and no rows."""
    for family in ("calendar", {"name": "calendar", "years": 0}, {"name": "calendar", "market": "other"}):
        calendar = features.parse(family)
        assert calendar.compute(market.rows(0, 0)).shape == (0, market.shape[1], len(calendar.columns()))
