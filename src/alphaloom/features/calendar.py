"""Calendar features: a day's place in the week, month and year, near holidays and reports; seasonal returns."""

from functools import cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.features.base import FeatureFamily, features
from alphaloom.language.plan import Plan
from alphaloom.panel import Panel
from alphaloom.typing import Array, Dates, Floats

LONGEST_MONTH = 23
"""Most trading days of a month."""
MONTH = 21
YEAR = 243
"""Trading days of a month and of a year, for the seasonal returns."""
_FESTIVALS = (
    "01-27", "02-15", "02-04", "01-23", "02-10", "01-31", "02-19", "02-07", "01-28", "02-16", "02-05", "01-24",
    "02-12", "02-01", "01-22", "02-09", "01-29", "02-18", "02-07", "01-26", "02-14", "02-03", "01-23", "02-10",
    "01-31", "02-19", "02-08", "01-28", "02-16", "02-05", "01-25", "02-12", "02-01", "01-22", "02-10", "01-29",
    "02-17", "02-06", "01-26", "02-13", "02-03", "01-23", "02-11", "01-31", "02-19", "02-08",
)  # fmt: skip
SPRING_FESTIVALS = np.array([f"{1990 + k}-{day}" for k, day in enumerate(_FESTIVALS)], dtype="datetime64[D]")
"""New year's day of the Chinese calendar from 1990 on; it is fixed long before."""
DEADLINES = ((4, 30), (8, 31), (10, 31))
"""Last days for annual and first-quarter, half-year, and third-quarter reports in China."""
REPORT_MONTHS = (4, 7, 8, 10)
"""Months in which most of them are announced."""
COLUMNS = (
    "weekday", "month_sin", "month_cos", "trading_day_of_month", "days_to_month_end", "days_to_quarter_end",
    "days_to_year_end", "days_since_trade",
)  # fmt: skip
CHINA_COLUMNS = (
    "days_to_spring_festival", "days_since_spring_festival", "days_to_labour_day", "days_to_national_day",
    "days_to_report_deadline", "is_report_season",
)  # fmt: skip


@features.register("calendar")
class Calendar(FeatureFamily):
    """Where the day stands in the calendar, the same for every stock, and each stock's returns of the same season.

    * `weekday`: 0 Monday to 4 Friday. `month_sin`, `month_cos`: the month on a circle.
    * `trading_day_of_month`: 1 on the first trading day; missing where the panel begins inside the month.
    * `days_to_month_end`, `_quarter_end`, `_year_end`: calendar days, 0 on the last.
    * `days_since_trade`: calendar days since the market's last trading day: 1 from day to day, more after a holiday.
    * China: calendar days to the next and since the last Spring Festival, to May 1 and October 1, to the next deadline
      of statutory reports (April 30, August 31, October 31); 1 in the months in which most of them are announced
      (April, July, August, October).
    * `season_1y`, ...: the stock's return over the 21 rows that followed this day a year (243 rows) ago, two, ...:
      the return of the coming month in past years.

    All are known at the row's close: the dates of holidays and deadlines are fixed years before, and no later row is
    read. The next day of trading is not used, as which days the exchange closes is decreed late in the year before.
    NaN where a stock is not listed.

    Source: Heston & Sadka (2008) for the seasonal returns.
    """

    market: Literal["china", "other"] = "china"
    """`china` adds festivals and report deadlines, for dates from 1990 to 2034."""
    years: Annotated[int, Field(ge=0, le=10)] = 1
    """How many past years of seasonal returns, one feature each; each needs a further 243 rows before."""

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that it reads."""
        return _seasonal(self.years).inputs if self.years else ("is_listed",)

    @property
    def lookback(self) -> int:
        """The longest month, and the years of seasonal returns."""
        return max(LONGEST_MONTH, _seasonal(self.years).lookback if self.years else 0)

    def columns(self) -> list[str]:
        """Return weekday, ..., then those of China, then season_1y, ..."""
        china = CHINA_COLUMNS if self.market == "china" else ()
        return [*COLUMNS, *china, *(f"season_{k}y" for k in range(1, self.years + 1))]

    def compute(self, panel: Panel) -> Floats:
        """Return the features `[T, N, F]`.

        Raises:
            DataError: with `market` china, a date that the table of festivals does not cover.
        """
        series = _day(panel.dates)
        if self.market == "china":
            series += _china(panel.dates)
        out = np.empty((*panel.shape, len(self.columns())), dtype=np.float32)
        out[:, :, : len(series)] = np.stack(series, axis=1).astype(np.float32)[:, None, :]
        out[panel["is_listed"] != 1] = np.nan
        if self.years:
            out[:, :, len(series) :] = _seasonal(self.years).compute(panel)
        return out


@cache
def _seasonal(years: int) -> Plan:
    past = f"returns(ts_last(close, {MONTH}), {MONTH})"
    return Plan.of({f"season_{k}y": f"delay({past}, {k * YEAR - MONTH})" for k in range(1, years + 1)})


def _day(dates: Dates) -> list[Array]:
    """Return the series of `COLUMNS`, each `[T]`."""
    month = dates.astype("datetime64[M]")
    number = month.astype(int) % 12
    angle = 2 * np.pi * number / 12
    after = np.diff(dates.astype(int), prepend=np.nan)
    quarter = month + (2 - number % 3)
    year = month + (11 - number)
    return [
        (dates.astype(int) + 3) % 7,  # day 0 is a Thursday
        np.sin(angle),
        np.cos(angle),
        _day_of_month(month),
        *(_days((end + 1).astype("datetime64[D]"), dates) - 1 for end in (month, quarter, year)),
        after,
    ]


def _day_of_month(month: Array) -> Array:
    """Return how many rows of its month there are up to each row `[T]`; NaN in the month of the first row."""
    first = np.searchsorted(month, month, side="left")
    return np.where(first > 0, np.arange(month.size) - first + 1.0, np.nan)


def _china(dates: Dates) -> list[Array]:
    """Return the series of `CHINA_COLUMNS`, each `[T]`."""
    last = SPRING_FESTIVALS[-1]
    outside = (dates < SPRING_FESTIVALS[0]) | (dates >= last)
    if outside.any():
        raise DataError(
            f"The table of Spring Festivals covers {SPRING_FESTIVALS[0]} to {last}; the panel has the date "
            f"{dates[outside][0]}. Set market: other to leave the Chinese festivals out."
        )
    place = np.searchsorted(SPRING_FESTIVALS, dates, side="left")
    before = SPRING_FESTIVALS[np.searchsorted(SPRING_FESTIVALS, dates, side="right") - 1]
    return [
        _days(SPRING_FESTIVALS[place], dates),
        _days(dates, before),
        _days_to(dates, ((5, 1),)),
        _days_to(dates, ((10, 1),)),
        _days_to(dates, DEADLINES),
        np.isin(dates.astype("datetime64[M]").astype(int) % 12 + 1, REPORT_MONTHS),
    ]


def _days_to(dates: Dates, days: tuple[tuple[int, int], ...]) -> Array:
    """Return calendar days to the next of some days of the year, 0 on the day `[T]`."""
    years = np.arange(SPRING_FESTIVALS[0].astype("datetime64[Y]"), SPRING_FESTIVALS[-1].astype("datetime64[Y]") + 1)
    ahead = np.sort(np.concatenate([_of_year(years, month, day) for month, day in days]))
    return _days(ahead[np.searchsorted(ahead, dates, side="left")], dates)


def _of_year(years: Array, month: int, day: int) -> Dates:
    return (years.astype("datetime64[M]") + (month - 1)).astype("datetime64[D]") + (day - 1)


def _days(later: Dates, earlier: Dates) -> Array:
    return (later - earlier).astype(int)
