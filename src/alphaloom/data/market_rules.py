"""MarketRules: the dated rules of one market. A new market is one new YAML file beside `markets/china.yaml`."""

import datetime as dt
import re
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Self, TypeVar

import numpy as np
import yaml
from pydantic import Field

from alphaloom.errors import DataError, SettingError, UnknownNameError, unknown_name
from alphaloom.panel import as_date
from alphaloom.spec import Spec
from alphaloom.typing import Array, Bools, Dates, Doubles, Floats, PathLike, Symbols

Fraction = Annotated[float, Field(ge=0, lt=1)]
TICK_SLACK = 1e-6
"""Ticks added before rounding half up, so that 10.005 held as 10.00499999 in binary still rounds up."""


class Dated(Spec):
    """A rule and the first day on which it holds."""

    since: dt.date
    note: str = ""


class Limit(Dated):
    """Largest daily move of a board, as fractions of the reference price."""

    normal: Fraction
    st: Fraction
    """For stocks under risk warning."""


class UnlimitedDays(Dated):
    """Number of trading days from listing on without a limit."""

    days: Annotated[int, Field(ge=0)]


class Duty(Dated):
    """Tax on the traded value of each side."""

    buy: Fraction
    sell: Fraction


class Fee(Dated):
    """Fee on the traded value of both sides."""

    rate: Fraction


class Lot(Spec):
    """Sizes that a buy order may have: `minimum`, then multiples of `step`. A rest below that is sold whole."""

    minimum: Annotated[int, Field(ge=1)] = 1
    step: Annotated[int, Field(ge=1)] = 1
    note: str = ""


class Commission(Spec):
    """What a broker takes of an order unless the backtest says otherwise."""

    rate: Fraction = 0.0
    minimum: Annotated[float, Field(ge=0)] = 0.0
    """In the market's currency, an order."""


class BoardPattern(Spec):
    """Board of the symbols that match a regular expression."""

    board: str
    symbols: str


R = TypeVar("R", bound=Dated)


class MarketRules(Spec):
    """Dated trading rules of one market: limits, lots, taxes and fees.

    Every answer for a date is the last rule that started on or before it. Fractions are of the traded value or of the
    reference price; prices and minimum fees are in `currency`.
    """

    name: str
    currency: str
    annual_days: Annotated[int, Field(ge=1)]
    """Trading days a year, for annualising."""
    tick: Annotated[float, Field(gt=0)]
    """Smallest price step."""
    settlement_days: Annotated[int, Field(ge=0)]
    """Trading days until bought shares may be sold."""
    boards: tuple[BoardPattern, ...]
    limits: dict[str, tuple[Limit, ...]]
    unlimited_days: dict[str, tuple[UnlimitedDays, ...]]
    lots: dict[str, Lot]
    stamp_duties: tuple[Duty, ...]
    transfer_fees: tuple[Fee, ...]
    commission: Commission

    @classmethod
    def load(cls, market: PathLike) -> Self:
        """Return the rules of a market by its name, or of a YAML file by its path.

        Raises:
            UnknownNameError: no such market.
            SettingError: the file is not YAML, or a rule is wrong.
        """
        file = Path(market)
        if file.suffix in {".yaml", ".yml"}:
            if not file.is_file():
                raise UnknownNameError(f"The market file {file} does not exist.")
            text, where = file.read_text(encoding="utf-8"), str(file)
        else:
            if str(market) not in market_names():
                raise unknown_name("market", str(market), market_names())
            place = resources.files("alphaloom.data") / "markets" / f"{market}.yaml"
            text, where = place.read_text(encoding="utf-8"), f"market {market}"
        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SettingError(f"{where} is not YAML: {error}") from None
        return cls.parse(data, where=where)

    def board_of(self, symbols: Symbols, listed: Sequence[str | None] | None = None) -> Symbols:
        """Return the board of each symbol `[N]`: the one listed, else that of the first matching pattern.

        Raises:
            DataError: a symbol matches no pattern and is listed on no board.
        """
        boards = []
        for k, symbol in enumerate(symbols):
            board = listed[k] if listed is not None else None
            board = board or next((p.board for p in self.boards if re.search(p.symbols, str(symbol))), None)
            if board is None:
                raise DataError(f"Symbol {symbol} belongs to no board of market {self.name!r}; add it to the listing.")
            boards.append(board)
        return np.array(boards, dtype=np.str_)

    def limits_of(self, board: str, is_st: bool, date: object, listed_day: int) -> float | None:
        """Return the largest daily move as a fraction, or None where there is no limit.

        Args:
            board: as in the listing table.
            is_st: whether the stock is under risk warning that day.
            date: trading day.
            listed_day: 1 on the first day of listing.
        """
        if board not in self.limits:
            return None
        free = _in_force(self.unlimited_days[board], as_date(date), f"unlimited days of {board}").days
        if listed_day <= free:
            return None
        rule = _in_force(self.limits[board], as_date(date), f"price limit of {board}")
        return rule.st if is_st else rule.normal

    def limit_fractions(self, boards: Symbols, dates: Dates, is_st: Bools, listed_day: Floats) -> Doubles:
        """Return the largest daily move `[T, N]`, NaN where there is no limit; see `limits_of`.

        Args:
            boards: `[N]`.
            dates: `[T]`.
            is_st: `[T, N]`.
            listed_day: `[T, N]`, 1 on the first day of listing; NaN counts as long listed.
        """
        result = np.full(is_st.shape, np.nan)
        for board in np.unique(boards):
            if board not in self.limits:
                continue
            columns = np.flatnonzero(boards == board)
            limits, frees = self.limits[board], self.unlimited_days[board]
            which, known = _positions(limits, dates)
            normal = np.where(known, np.array([r.normal for r in limits])[which], np.nan)
            st = np.where(known, np.array([r.st for r in limits])[which], np.nan)
            which, known = _positions(frees, dates)
            free = np.where(known, np.array([r.days for r in frees])[which], 0)
            block = np.where(is_st[:, columns], st[:, None], normal[:, None])
            block[np.nan_to_num(listed_day[:, columns], nan=np.inf) <= free[:, None]] = np.nan
            result[:, columns] = block
        return result

    def limit_prices(
        self, reference: Array, boards: Symbols, dates: Dates, is_st: Bools, listed_day: Floats
    ) -> tuple[Doubles, Doubles]:
        """Return the highest and the lowest permitted price `[T, N]`, NaN where there is no limit.

        The reference is rounded half up to the tick, and so are both prices; each is at least one tick away from it.

        Args:
            reference: previous close, on an ex-rights day brought to the new basis `[T, N]`.
            boards: `[N]`.
            dates: `[T]`.
            is_st: `[T, N]`.
            listed_day: `[T, N]`, 1 on the first day of listing.
        """
        fraction = self.limit_fractions(boards, dates, is_st, listed_day)
        base = self.round_to_tick(np.asarray(reference, dtype=np.float64))
        up = np.maximum(self.round_to_tick(base * (1 + fraction)), base + self.tick)
        down = np.minimum(self.round_to_tick(base * (1 - fraction)), base - self.tick)
        return up, np.maximum(down, self.tick)

    def round_to_tick(self, price: Doubles) -> Doubles:
        """Return prices rounded half up to the tick."""
        return np.round(np.floor(price / self.tick + 0.5 + TICK_SLACK) * self.tick, 10)

    def buy_duty(self, date: object) -> float:
        """Return the tax on bought value, a fraction."""
        return _in_force(self.stamp_duties, as_date(date), "stamp duty").buy

    def sell_duty(self, date: object) -> float:
        """Return the tax on sold value, a fraction."""
        return _in_force(self.stamp_duties, as_date(date), "stamp duty").sell

    def transfer_fee(self, date: object) -> float:
        """Return the transfer fee of either side, a fraction."""
        return _in_force(self.transfer_fees, as_date(date), "transfer fee").rate

    def lot(self, board: str) -> Lot:
        """Return the order sizes of a board.

        Raises:
            UnknownNameError: the market has no such board.
        """
        if board not in self.lots:
            raise unknown_name("board", board, self.lots, where=f"market {self.name}")
        return self.lots[board]

    @property
    def commission_rate(self) -> float:
        """What a broker takes of the traded value unless a backtest says otherwise, a fraction."""
        return self.commission.rate

    @property
    def commission_min(self) -> float:
        """Least commission of an order, in the market's currency."""
        return self.commission.minimum

    @cached_property
    def board_names(self) -> tuple[str, ...]:
        """Names of the boards, in the order of their patterns."""
        return tuple(dict.fromkeys(pattern.board for pattern in self.boards))


def market_names() -> list[str]:
    """Return the names of the markets that come with the package."""
    folder = resources.files("alphaloom.data") / "markets"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def _in_force(rules: Sequence[R], day: np.datetime64, what: str) -> R:
    """Return the rule in force on a day.

    Raises:
        DataError: the day lies before the first recorded rule.
    """
    found = None
    for rule in rules:
        if np.datetime64(rule.since, "D") <= day:
            found = rule
    if found is None:
        raise DataError(f"No {what} is recorded for {day}; the first is from {rules[0].since if rules else 'never'}.")
    return found


def _positions(rules: Sequence[R], dates: Dates) -> tuple[Array, Bools]:
    """Return for each date the position of the rule in force, and whether there is one."""
    starts = np.array([np.datetime64(rule.since, "D") for rule in rules])
    which = np.searchsorted(starts, dates, side="right") - 1
    return np.maximum(which, 0), which >= 0
