"""Trading days of the simulated market: weekdays without a set of holidays like China's."""

import datetime as dt
import math

import numpy as np

from alphaloom.typing import Dates

_LUNATION = 29.530588853
# A mean new moon, in days since 1970-01-01 of Beijing time; the calendar need only resemble the true one.
_NEW_MOON = 10962.5976 + 8 / 24


def spring_festival(year: int) -> dt.date:
    """Return the first day of the lunar year: the first mean new moon from 21 January on (true to about a day)."""
    earliest = (dt.date(year, 1, 21) - dt.date(1970, 1, 1)).days
    moons = math.ceil((earliest - _NEW_MOON) / _LUNATION)
    return dt.date(1970, 1, 1) + dt.timedelta(days=math.floor(_NEW_MOON + moons * _LUNATION))


def holidays(year: int) -> list[dt.date]:
    """Return the days of one year on which the market is closed, weekends apart."""
    festival = spring_festival(year)
    spans = [
        (dt.date(year, 1, 1), 1),
        (festival - dt.timedelta(days=1), 7),
        (dt.date(year, 4, 4), 2),
        (dt.date(year, 5, 1), 3),
        (festival + dt.timedelta(days=122), 1),  # dragon boat: fifth day of the fifth lunar month
        (festival + dt.timedelta(days=221), 1),  # mid-autumn: fifteenth day of the eighth
        (dt.date(year, 10, 1), 7),
    ]
    return [first + dt.timedelta(days=day) for first, length in spans for day in range(length)]


def trading_days(start: dt.date, end: dt.date) -> Dates:
    """Return the trading days from `start` to `end`, both included, as datetime64[D]."""
    closed = [day for year in range(start.year, end.year + 1) for day in holidays(year)]
    days = np.arange(np.datetime64(start, "D"), np.datetime64(end, "D") + 1)
    open_days: Dates = days[np.is_busday(days, holidays=np.array(closed, dtype="datetime64[D]"))]
    return open_days
