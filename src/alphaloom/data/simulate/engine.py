"""The day loop: from the state at one close to the bars, the truth and the state at the next."""

from collections.abc import Iterator

import numpy as np

from alphaloom.data.market_rules import MarketRules
from alphaloom.data.simulate import events
from alphaloom.data.simulate.alphas import DECAY, REMAINING, PlantedAlpha
from alphaloom.data.simulate.block import Block
from alphaloom.data.simulate.calendar import trading_days
from alphaloom.data.simulate.descriptors import Past
from alphaloom.data.simulate.factors import (
    SPECIFIC_SCALE,
    STYLES,
    build_factor_model,
    regime_path,
)
from alphaloom.data.simulate.fundamentals import (
    WARM_UP_QUARTERS,
    Companies,
    FundamentalRows,
    Report,
    quarter_ends,
)
from alphaloom.data.simulate.indices import IndexBook, point_moves, reconstitution_days
from alphaloom.data.simulate.intraday import Bar
from alphaloom.data.simulate.limits import MARKET, LimitTable, limit_prices
from alphaloom.data.simulate.population import BOARDS, draw_population
from alphaloom.data.simulate.settings import SimulatedMarket
from alphaloom.data.simulate.signals import Observed, industry_leaders
from alphaloom.data.simulate.state import State
from alphaloom.data.simulate.streams import stream
from alphaloom.data.simulate.styles import StyleInputs, cap_weights_by_industry, exposures
from alphaloom.data.simulate.trading import Forces, blocked, next_noise, trade, turnover
from alphaloom.typing import Bools, Doubles

_REGIME_TURNOVER = np.array([0.30, 0.0, -0.15])
_READY_LISTED, _READY_TRADED = 30, 21


class Engine:
    """A market under simulation; `years` yields it one calendar year at a time, in order."""

    def __init__(self, settings: SimulatedMarket) -> None:
        seed = settings.seed
        self.settings = settings
        self.days = trading_days(settings.start, settings.end)
        self.people = draw_population(settings, self.days, stream(seed, "population"))
        self.model = build_factor_model(self.people.industry_names, settings.premia, stream(seed, "covariance"))
        self.regimes = regime_path(stream(seed, "regimes"), self.days.size)
        self.limits = LimitTable(MarketRules.load(MARKET), BOARDS)
        listed = self.people.list_dates < self.days[0]
        self.state = State.begin(self.people, listed, stream(seed, "state"))
        self.companies = Companies.found(self.state.cap, stream(seed, "companies"))
        self.fundamentals = FundamentalRows(self.people.symbols)
        self.indices = IndexBook(self.people.symbols, settings.stocks)
        self.planted = PlantedAlpha(settings.components, self.people.peers)
        self.delist_dates = np.full(settings.stocks, np.datetime64("NaT"), dtype="datetime64[D]")
        self._months = self.days.astype("datetime64[M]")
        self._reconstitute = reconstitution_days(self.days)
        self._run = np.exp(stream(seed, "listing").normal(np.log(0.5), 0.5, settings.stocks)) * settings.carries
        self._free_float = stream(seed, "free float").uniform(0.45, 0.95, settings.stocks)
        self._past: Past | None = None
        if settings.exposures == "observed":
            self._past = Past.begin(self.people, listed, settings.specific_vol, stream(seed, "past"))
        self._warm_up()
        self._look()
        self._expected = np.zeros(settings.stocks)
        self.industry_weights = cap_weights_by_industry(
            self.state.cap[listed], self.state.industry[listed], self.model.industries
        )
        warned = events.weakest_first(self.state, self.companies, listed)[: round(settings.st_share * listed.sum())]
        self.state.is_st[warned] = True
        self.state.st_reviews[warned] = 1

    @property
    def expected_names(self) -> tuple[str, ...]:
        """Columns of the truth about expected returns."""
        names = self.settings.components
        return ("alpha", "alpha_5", "event", *names, *(f"{name}_5" for name in names))

    def years(self) -> Iterator[Block]:
        """Yield the blocks of the calendar years, the first and the last possibly in part."""
        N = self.settings.stocks
        calendar_years = self.days.astype("datetime64[Y]")
        for k, year in enumerate(np.unique(calendar_years)):
            first = int(np.searchsorted(calendar_years, year))
            stop = int(np.searchsorted(calendar_years, year, side="right"))
            rng = stream(self.settings.seed, "year", k)
            night, day = self.model.draw(stream(self.settings.seed, "factors", k), self.regimes[first:stop])
            plan_rng = stream(self.settings.seed, "dividends", k)
            self._plan = events.plan_ex_days(self.days, first, stop, N, plan_rng)
            self._leaders = industry_leaders(self.state.cap, self.state.industry, self.state.listed)
            block = Block.empty(self.days[first:stop], N, len(self.model.names), self.expected_names, len(STYLES))
            for t in range(first, stop):
                self._day(t, t - first, block, (night[t - first], day[t - first]), rng)
            yield block

    def _warm_up(self) -> None:
        """Run the companies up to the first day, so that a year of reports is known when trading begins."""
        first = self.days[0]
        back = quarter_ends(first - np.timedelta64(95 * (WARM_UP_QUARTERS + 2), "D"), first - 1)[-WARM_UP_QUARTERS:]
        still = np.zeros(self.settings.stocks)
        for period_end in back:
            self.companies.close_quarter(period_end, still)
            day = period_end + np.timedelta64(91, "D")
            self._publish(self.companies.announce(min(day, first - 1), self.state.listed))
        self._next_quarters = list(quarter_ends(first - 1, self.days[-1]))

    def _publish(self, news: list[tuple[Report, Bools]]) -> None:
        for report, who in news:
            self.fundamentals.add(report, report.announced, who)

    def _day(self, t: int, row: int, block: Block, factors: tuple[Doubles, Doubles], rng: np.random.Generator) -> None:
        state, day = self.state, self.days[t]
        cap_before, float_before, known_before = state.cap, state.close * state.float_shares, state.listed.copy()
        self._start_of_day(t, day, float_before, known_before)
        trades, resumed = events.suspend(state, self.settings, t, rng.random((3, self.settings.stocks)))
        reference = events.go_ex(state, self.companies, self._plan, trades, t)
        state.listed_day += state.listed
        rise, fall = self.limits.fractions(day, self.people.boards, state.is_st, state.listed_day)
        limits = limit_prices(reference, rise, fall)

        night, today = self._constrain(factors, cap_before, known_before)
        forces = self._forces(t, self._common(night), self._common(today), resumed)
        bar, raw = trade(reference, forces, limits, rng)
        returns = np.where(trades, bar.close / reference - 1, 0.0)
        common = forces.night + forces.day
        owed = np.where(trades, blocked(raw, returns, reference, limits), state.pending + common)
        state.pending = np.where(state.listed & self.settings.carries, owed, 0.0)
        volume = self._volume(t, bar, returns, limits, rng) * trades

        state.absorb(returns, np.where(trades, returns - common, 0.0), self._usual_volatility(t), trades)
        state.close = np.where(trades, bar.close, state.close)
        state.suspended_days[trades] = 0
        state.drift_traits(self.people, rng)
        held = np.where(known_before & state.listed, float_before, 0.0)
        moves = point_moves(bar, reference, trades)
        self.indices.step(day, held, moves, volume, volume * np.where(trades, bar.vwap, 0.0))
        events.watch_par_value(state, trades, t)
        changes = self.people.change_dates == day
        state.industry[changes] = self.people.industry_after[changes]
        self._reports(day)
        if self._past is not None:
            self._past.add(returns, volume / state.float_shares, trades, known_before, cap_before)
        self._look()
        self._plant(t, bar, returns, volume, trades)
        self._record(block, row, t, bar, volume, trades, limits)
        block.factors[row] = night + today

    def _forces(self, t: int, night: Doubles, day: Doubles, resumed: Bools) -> Forces:
        state = self.state
        sd = state.volatility(self.settings.specific_vol, SPECIFIC_SCALE[self.regimes[t]])
        missed = np.where(resumed, state.suspended_days, 0.0)
        alpha = self._expected + self._decline(t)
        return Forces(night, day, alpha, state.pending, sd, state.listed_day == 1, missed)

    def _decline(self, t: int) -> Doubles:
        """Return the expected return `[N]` on day `t` of what is about to be delisted."""
        near = self.state.listed & (self.state.delist_at - t <= events.DECLINE_DAYS)
        decline: Doubles = np.where(near & self.settings.carries, -events.DECLINE, 0.0)
        return decline

    def _constrain(self, factors: tuple[Doubles, Doubles], cap: Doubles, listed: Bools) -> tuple[Doubles, Doubles]:
        """Return the factor returns less the cap-weighted mean of the industries', which would be country return."""
        n = self.model.industries
        weights = cap_weights_by_industry(cap[listed], self.state.industry[listed], n)
        result = []
        for drawn in factors:
            f = drawn.copy()
            f[1 : 1 + n] -= weights @ f[1 : 1 + n]
            result.append(f)
        return result[0], result[1]

    def _common(self, f: Doubles) -> Doubles:
        """Return the factor part of returns `[N]`, by the exposures at the previous close."""
        n = self.model.industries
        common: Doubles = f[0] + f[1 : 1 + n][self.state.industry] + self._exposures @ f[1 + n :]
        return common

    def _usual_volatility(self, t: int) -> Doubles:
        trait = self.state.traits["volatility"]
        usual: Doubles = self.settings.specific_vol * SPECIFIC_SCALE[self.regimes[t]] * np.exp(trait)
        return usual

    def _volume(
        self, t: int, bar: Bar, returns: Doubles, limits: tuple[Doubles, Doubles], rng: np.random.Generator
    ) -> Doubles:
        """Return shares traded `[N]`, in hundreds."""
        state = self.state
        state.turnover_noise = next_noise(state.turnover_noise, rng)
        locked = (bar.high == bar.low) & ((bar.close >= limits[1]) | (bar.close <= limits[0]))
        moved = np.abs(returns) / (1.3 * self._usual_volatility(t))
        mood = float(_REGIME_TURNOVER[self.regimes[t]])
        share = turnover(state.traits["liquidity"], mood, moved, state.turnover_noise, locked, state.listed_day)
        hundreds: Doubles = np.maximum(np.floor(share * state.float_shares / 100), 1)
        return 100 * hundreds

    def _reports(self, day: np.datetime64) -> None:
        while self._next_quarters and self._next_quarters[0] < day:
            self.companies.close_quarter(self._next_quarters.pop(0), self.state.quarter_return)
            self.state.quarter_return[:] = 0.0
        self._publish(self.companies.announce(day, self.state.listed))

    def _look(self) -> None:
        """Set the style exposures `[N, 10]` at this close; 0 for stocks not listed."""
        on = self.state.listed
        self._exposures = np.zeros((on.size, len(STYLES)))
        inputs = StyleInputs.of(self.state, self.companies)
        if self._past is None:
            self._exposures[on] = exposures(inputs)
        else:
            self._exposures[on] = exposures(inputs, clips=1)
            for name, values in self._past.styles(on, self.state.cap).items():
                self._exposures[on, STYLES.index(name)] = values

    def _plant(self, t: int, bar: Bar, returns: Doubles, volume: Doubles, trades: Bools) -> None:
        """Update the planted alpha from today's bars, adjusted as the store's readers will adjust them."""
        state, factor = self.state, self.state.adj_factor
        ready = trades & (state.listed_day >= _READY_LISTED) & (state.since_suspension >= _READY_TRADED)
        seen = Observed(
            open=bar.open * factor,
            high=bar.high * factor,
            low=bar.low * factor,
            close=state.close * factor,
            volume=volume / factor,
            returns=returns,
            industry=state.industry,
            ready=ready,
        )
        sd = state.volatility(self.settings.specific_vol, SPECIFIC_SCALE[self.regimes[t]])
        common = self.model.cross_sectional_variance(int(self.regimes[t]))
        five_days = np.sqrt(len(DECAY) * ((sd[state.listed] ** 2).mean() + common))
        self.planted.update(seen, self._leaders, self.settings.alpha_ic * float(five_days))
        self._parts = self.planted.expected(DECAY)
        self._expected = self._parts.sum(axis=0)

    def _record(
        self,
        block: Block,
        row: int,
        t: int,
        bar: Bar,
        volume: Doubles,
        trades: Bools,
        limits: tuple[Doubles, Doubles],
    ) -> None:
        """Write one day into the block; a suspended stock shows its last close and no trade."""
        state, on = self.state, self.state.listed
        low, high = limits
        bars = {
            "open": np.where(trades, bar.open, state.close),
            "high": np.where(trades, bar.high, state.close),
            "low": np.where(trades, bar.low, state.close),
            "close": state.close,
            "vwap": np.where(trades, bar.vwap, np.nan),
            "limit_up": np.where(np.isinf(high), np.nan, high),
            "limit_down": np.where(np.isinf(high), np.nan, low),
            "volume": volume,
            "amount": volume * np.where(trades, bar.vwap, 0.0),
            "adj_factor": state.adj_factor,
            "turnover": volume / state.float_shares,
            "free_turnover": volume / (state.float_shares * self._free_float),
            "float_shares": state.float_shares,
            "total_shares": state.total_shares,
        }
        five = self.planted.expected(REMAINING)
        decline = self._decline(t + 1)
        expected = {
            "alpha": self._expected,
            "alpha_5": five.sum(axis=0),
            "event": state.pending + decline,
            **dict(zip(self.settings.components, self._parts, strict=True)),
            **{f"{name}_5": part for name, part in zip(self.settings.components, five, strict=True)},
        }
        block.record(row, on, bars, expected)
        block.is_st[row] = state.is_st
        block.is_suspended[row] = on & ~trades
        block.exposures[row, on] = self._exposures[on]
        block.industry[row, on] = state.industry[on]
        regime = int(self.regimes[t])
        block.regimes[row] = regime
        sd = state.volatility(self.settings.specific_vol, SPECIFIC_SCALE[regime])
        block.specific_vol[row, on] = sd[on]

    def _start_of_day(self, t: int, day: np.datetime64, float_cap: Doubles, known: Bools) -> None:
        """Delist, list, reclassify, review warnings and publish index members, from what was known the day before."""
        state, people = self.state, self.people
        gone = events.remove_delisted(state, t)
        self.delist_dates[gone] = day
        new = events.list_new(state, people, self.companies, day, self._run)
        if new.any():
            announced = np.full(self.settings.stocks, day)
            for report in self.companies.prospectus(new):
                self.fundamentals.add(report, announced, new)
        unlocks = state.listed & (state.listed_day == events.UNLOCK_DAY) & (people.list_dates >= self.days[0])
        state.float_fraction[unlocks] = 0.75
        first_of_month = t == 0 or self._months[t] != self._months[t - 1]
        if first_of_month and self._months[t].astype(np.int64) % 12 == 4:
            events.review_warnings(state, self.companies, self.settings, t, stream(self.settings.seed, "warnings", t))
        present = known & state.listed
        if t == 0 or self._reconstitute[t]:
            eligible = present & ~state.is_st & (state.listed_day >= 60) & (state.delist_at > t + 120)
            self.indices.reconstitute(float_cap, eligible)
        if t == 0 or first_of_month or self._reconstitute[t]:
            self.indices.publish(day, float_cap, present)
