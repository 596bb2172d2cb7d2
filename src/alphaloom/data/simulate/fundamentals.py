"""Quarterly figures of the simulated companies, and when each becomes known."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from alphaloom.typing import Bools, Dates, Doubles, Ints, Symbols

ITEMS: tuple[str, ...] = ("book", "earnings_ttm", "sales_ttm", "cash_flow_ttm", "total_assets", "debt")
"""Reported figures, in currency: shareholders' equity, trailing twelve months' net profit, sales and operating cash
flow, total assets, interest-bearing debt."""
BOOK, EARNINGS, SALES, CASH_FLOW, ASSETS, DEBT = range(len(ITEMS))
WARM_UP_QUARTERS = 10
_HISTORY = 7  # a report is announced at most two quarters late, and its growth looks back four more
_PROSPECTUS = 5
_LAG_DAYS = {3: (20, 30), 6: (35, 62), 9: (20, 31), 12: (45, 110)}


@dataclass
class Report:
    """One quarter's figures of all companies: `values [6, N]`, announced on `announced [N]`."""

    period_end: np.datetime64
    announced: Dates
    values: Doubles
    published: Bools


@dataclass
class Companies:
    """Latent state of the companies and what they have announced.

    Book grows by retained profit, sales grow at a rate that reverts to 8 % a year, margins revert to the company's
    own level. Growth and margins answer to the specific return of the *past* quarter, so prices lead reports and no
    report leads prices.
    """

    rng: np.random.Generator
    book: Doubles
    sales: Doubles
    growth: Doubles
    margin: Doubles
    usual_margin: Doubles
    usual_turnover: Doubles
    gearing: Doubles
    usual_gearing: Doubles
    pending: list[Report] = field(default_factory=list)
    recent: list[Report] = field(default_factory=list)
    known: Doubles = field(default_factory=lambda: np.empty(0))
    year_ago: Doubles = field(default_factory=lambda: np.empty(0))

    @classmethod
    def found(cls, cap: Doubles, rng: np.random.Generator) -> "Companies":
        """Return companies whose book value fits these capitalisations `[N]`."""
        N = cap.size
        book = cap / np.exp(rng.normal(np.log(2.5), 0.5, N))
        usual_gearing = np.clip(rng.normal(0.45, 0.18, N), 0.08, 0.85)
        assets = book / (1 - usual_gearing)
        turnover = np.exp(rng.normal(np.log(0.6), 0.4, N))
        margin = np.clip(rng.normal(0.08, 0.06, N), -0.10, 0.25) * book / (assets * turnover)
        growth = 0.08 + 0.10 * rng.standard_normal(N)
        companies = cls(
            rng, book, assets * turnover, growth, margin, margin.copy(), turnover, usual_gearing.copy(), usual_gearing
        )
        companies.known = np.zeros((len(ITEMS), N))
        companies.year_ago = np.zeros((len(ITEMS), N))
        return companies

    def close_quarter(self, period_end: np.datetime64, past_return: Doubles) -> Report:
        """Return the report of the quarter that has ended, and queue it for announcement.

        Args:
            period_end: last day of the quarter.
            past_return: `[N]` specific log return over that quarter.
        """
        draw = self.rng.standard_normal((5, self.book.size))
        moved = np.clip(past_return, -0.5, 0.5)
        self.growth += 0.12 * (0.08 - self.growth) + 0.03 * draw[0] + 0.05 * moved
        self.sales *= np.exp(self.growth / 4 + 0.01 * draw[1])
        self.margin += 0.15 * (self.usual_margin - self.margin) + 0.008 * draw[2] + 0.02 * moved
        earnings = self.margin * self.sales
        retained = 0.65 * np.clip(earnings / self.book, -0.5, 0.5) / 4
        self.book *= np.exp(np.clip(retained, -0.12, 0.12) + 0.10 * np.maximum(moved, 0.0))
        self.gearing = np.clip(self.gearing + 0.1 * (self.usual_gearing - self.gearing) + 0.015 * draw[3], 0.05, 0.9)
        assets = self.book / (1 - self.gearing)
        self.sales *= (assets * self.usual_turnover / self.sales) ** 0.05
        cash_flow = earnings + 0.03 * assets * (0.6 + 0.5 * draw[4])
        values = np.stack([self.book, earnings, self.sales, cash_flow, assets, 0.6 * self.gearing * assets])
        month = int(period_end.astype("datetime64[M]").astype(np.int64) % 12) + 1
        low, high = _LAG_DAYS[month]
        lag = self.rng.integers(low, high + 1, size=self.book.size)
        report = Report(period_end, period_end + lag, values, np.zeros(self.book.size, dtype=bool))
        self.pending.append(report)
        self.recent = [*self.recent[-(_HISTORY - 1) :], report]
        return report

    def announce(self, day: np.datetime64, listed: Bools) -> list[tuple[Report, Bools]]:
        """Make known what listed companies announced up to this day, and return it: each report and whose it is."""
        news = []
        for report in self.pending:
            due = listed & ~report.published & (report.announced <= day)
            if due.any():
                self.known[:, due] = report.values[:, due]
                base = self._year_before(report)
                self.year_ago[:, due] = base[:, due]
                report.published |= due
                news.append((report, due))
        self.pending = [report for report in self.pending if (report.announced > day).any()]
        return news

    def prospectus(self, who: Bools) -> list[Report]:
        """Return the five quarters that new companies disclose on their first day, oldest first; make them known."""
        disclosed = self.recent[-_PROSPECTUS:]
        self.known[:, who] = disclosed[-1].values[:, who]
        self.year_ago[:, who] = disclosed[0].values[:, who]
        for report in disclosed:
            report.published |= who
        return disclosed

    def _year_before(self, report: Report) -> Doubles:
        position = next(k for k, other in enumerate(self.recent) if other is report)
        return self.recent[max(0, position - 4)].values

    @property
    def sales_growth(self) -> Doubles:
        """Growth of announced sales over the figure a year before, a fraction `[N]`."""
        growth: Doubles = self.known[SALES] / np.maximum(self.year_ago[SALES], 1.0) - 1
        return growth

    @property
    def earnings_growth(self) -> Doubles:
        """Change of announced profit over a year, in units of last year's book value `[N]`."""
        growth: Doubles = (self.known[EARNINGS] - self.year_ago[EARNINGS]) / np.maximum(self.year_ago[BOOK], 1.0)
        return growth


def quarter_ends(first: np.datetime64, last: np.datetime64) -> Dates:
    """Return the last days of the quarters that end in `(first, last]`."""
    months = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 1)
    ends = (months + 1).astype("datetime64[D]") - 1
    quarterly = ends[(months.astype(np.int64) % 3) == 2]
    chosen: Dates = quarterly[(quarterly > first) & (quarterly <= last)]
    return chosen


class FundamentalRows:
    """Gathers announced figures for the `fundamentals` table."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._parts: list[tuple[Ints, np.datetime64, Dates, Doubles]] = []

    def add(self, report: Report, announced: Dates, who: Bools) -> None:
        """Take in the report of some companies, announced on `announced [N]`."""
        columns = np.flatnonzero(who)
        self._parts.append((columns, report.period_end, announced[columns], report.values[:, columns]))

    def frame(self) -> pl.DataFrame:
        """Return all rows, sorted by symbol, period, announcement and item."""
        count = len(ITEMS)
        columns = np.concatenate([part[0] for part in self._parts])
        periods = np.concatenate([np.full(part[0].size, part[1]) for part in self._parts])
        announced = np.concatenate([part[2] for part in self._parts])
        values = np.concatenate([part[3].T.ravel() for part in self._parts])
        return pl.DataFrame(
            {
                "symbol": pl.Series(self._symbols.tolist())[np.repeat(columns, count)],
                "period_end": np.repeat(periods.astype("datetime64[D]"), count),
                "announce_date": np.repeat(announced.astype("datetime64[D]"), count),
                "item": pl.Series(list(ITEMS))[np.tile(np.arange(count), columns.size)],
                "value": values,
            }
        ).sort("symbol", "period_end", "announce_date", "item")
