"""MarketRules: the dated rules of one market. A new market is one new YAML file beside `markets/china.yaml`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import Field, model_validator

from alphaloom.data.rule_records import (
    BoardPattern,
    ClosingAuction,
    Commission,
    Dated,
    DelistingLimit,
    ExchangePattern,
    FirstDays,
    Levy,
    Limit,
    Lot,
    OneTick,
    Relisting,
    Settlement,
    ShortSelling,
    in_force,
    of_exchange,
)
from alphaloom.errors import DataError, SettingError, UnknownNameError, unknown_name
from alphaloom.panel import as_date
from alphaloom.spec import Spec
from alphaloom.typing import Doubles, PathLike, Symbols

TICK_SLACK = 1e-6
"""Ticks added before rounding half up, so that 10.005 held as 10.00499999 in binary still rounds up."""


@dataclass(frozen=True)
class Band:
    """Largest rise and fall of a day, as fractions of the reference price, or of the issue price."""

    up: float
    down: float
    of_issue_price: bool = False


class MarketRules(Spec):
    """Dated trading rules of one market: limits, lots, taxes, fees, settlement, short selling.

    Every answer for a date is the last rule of the exchange that started on or before it. Fractions are of the traded
    value or of the reference price; prices and amounts are in `currency`.
    """

    name: str
    currency: str
    annual_days: Annotated[int, Field(ge=1)]
    """Trading days a year, for annualising."""
    tick: Annotated[float, Field(gt=0)]
    """Smallest price step."""
    fee_unit: Annotated[float, Field(ge=0)]
    """Smallest amount of money of a tax, fee or commission; 0 for no rounding."""
    fee_rounding: Literal["nearest", "up"] = "nearest"
    """Whether amounts are rounded half up to the unit, or up."""
    boards: tuple[BoardPattern, ...]
    exchanges: tuple[ExchangePattern, ...] = ()
    limits: dict[str, tuple[Limit, ...]] = Field(default={})
    """Price limits by board; a board without has none."""
    first_days: dict[str, tuple[FirstDays, ...]] = Field(default={})
    delisting_limits: dict[str, tuple[DelistingLimit, ...]] = Field(default={})
    relisting: tuple[Relisting, ...] = ()
    one_tick: tuple[OneTick, ...] = ()
    lots: dict[str, tuple[Lot, ...]]
    duties: tuple[Levy, ...]
    """Tax of an order."""
    fees: tuple[Levy, ...]
    """Fees of exchange, depository or regulator of an order."""
    commissions: tuple[Commission, ...]
    settlement: tuple[Settlement, ...]
    closing_auctions: tuple[ClosingAuction, ...] = ()
    short_selling: tuple[ShortSelling, ...]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for what, rules in self.records().items():
            for earlier, later in pairwise(rules):
                if later.since < earlier.since:
                    raise ValueError(f"{what}: rules must be in the order of their dates; {later.since} is out of it")
        return self

    @classmethod
    def load(cls, market: PathLike) -> Self:
        """Return the rules of a market by its name, or of a YAML file by its path.

        Raises:
            UnknownNameError: no such market.
            SettingError: the file is not YAML, or a rule is wrong.
        """
        file = Path(market)
        if file.suffix not in {".yaml", ".yml"}:
            return cls.parse(_shipped(str(market)), where=f"market {market}")
        if not file.is_file():
            raise UnknownNameError(f"The market file {file} does not exist.")
        try:
            data = yaml.safe_load(file.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise SettingError(f"{file} is not YAML: {error}") from None
        return cls.parse(data, where=str(file))

    def records(self) -> dict[str, tuple[Dated, ...]]:
        """Return every list of dated rules by its name, those of boards as `limits.main`."""
        found: dict[str, tuple[Dated, ...]] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, dict):
                found |= {f"{name}.{board}": rules for board, rules in value.items()}
            elif isinstance(value, tuple) and value and isinstance(value[0], Dated):
                found[name] = value
        return found

    def board_of(self, symbols: Symbols, listed: Sequence[str | None] | None = None) -> Symbols:
        """Return the board of each symbol `[N]`: the one listed, else that of the first matching pattern.

        Raises:
            DataError: a symbol matches no pattern and is listed on no board.
        """
        names = symbols.tolist()
        boards = _first_matches([(pattern.symbols, pattern.board) for pattern in self.boards], names)
        if listed is not None:
            boards = [given or found for given, found in zip(listed, boards, strict=True)]
        if "" in boards:
            symbol = names[boards.index("")]
            raise DataError(f"Symbol {symbol} belongs to no board of market {self.name!r}; add it to the listing.")
        return np.array(boards, dtype=np.str_)

    def exchange_of(self, symbols: Symbols) -> Symbols:
        """Return the exchange of each symbol `[N]`; an empty text where no pattern matches."""
        patterns = [(pattern.symbols, pattern.exchange) for pattern in self.exchanges]
        return np.array(_first_matches(patterns, symbols.tolist()), dtype=np.str_)

    def band(
        self,
        board: str,
        date: object,
        *,
        exchange: str = "",
        is_st: bool = False,
        listed_day: int | None = None,
        delisting_day: int | None = None,
        relisted_day: int | None = None,
    ) -> Band | None:
        """Return the largest move of a stock on a day, or None where there is no limit.

        Args:
            board: as in the listing table.
            date: trading day.
            exchange: as in `exchanges`; empty takes only rules of all exchanges.
            is_st: whether the stock is under risk warning that day.
            listed_day: 1 on the first day of listing; None long after.
            delisting_day: 1 on the first day of the delisting period; None outside of it.
            relisted_day: 1 on the first day after the stock was admitted to trading again; None long after.
        """
        if board not in self.limits:
            return None
        day = as_date(date)
        if relisted_day is not None:
            rules = of_exchange(self.relisting, exchange)
            if rules and relisted_day <= in_force(rules, day, exchange, "relisting rule").unlimited_days:
                return None
        if delisting_day is not None:
            rule = in_force(self.delisting_limits[board], day, exchange, f"limit of the delisting period of {board}")
            return None if delisting_day <= rule.unlimited_days else Band(rule.limit, rule.limit)
        if listed_day is not None:
            first = self.first_days_of(board, day, exchange)
            if listed_day <= first.days:
                return None if first.up is None else Band(first.up, first.down or 0.0, of_issue_price=True)
        limit = in_force(self.limits[board], day, exchange, f"price limit of {board}")
        move = limit.st if is_st else limit.normal
        return Band(move, move)

    def first_days_of(self, board: str, date: object, exchange: str = "") -> FirstDays:
        """Return the rule of the first days of listing of a board.

        Raises:
            DataError: none is recorded for that day.
        """
        return in_force(self.first_days[board], as_date(date), exchange, f"rule of the first days of {board}")

    def round_to_tick(self, price: Doubles) -> Doubles:
        """Return prices rounded half up to the tick."""
        return np.round(np.floor(price / self.tick + 0.5 + TICK_SLACK) * self.tick, 10)

    def duty(self, date: object, exchange: str = "") -> Levy:
        """Return the tax in force."""
        return in_force(self.duties, as_date(date), exchange, "duty")

    def fee(self, date: object, exchange: str = "") -> Levy:
        """Return the fee in force."""
        return in_force(self.fees, as_date(date), exchange, "fee")

    def commission(self, date: object) -> Commission:
        """Return what brokers take and may take."""
        return in_force(self.commissions, as_date(date), "", "commission")

    def settlement_on(self, date: object) -> Settlement:
        """Return the settlement rule in force."""
        return in_force(self.settlement, as_date(date), "", "settlement rule")

    def has_closing_auction(self, date: object, exchange: str = "") -> bool:
        """Return whether the close comes from an auction."""
        return in_force(self.closing_auctions, as_date(date), exchange, "rule on the close").auction

    def lot(self, board: str, date: object, exchange: str = "") -> Lot:
        """Return the order sizes of a board.

        Raises:
            UnknownNameError: the market has no such board.
            DataError: the board had no trading yet.
        """
        return in_force(self.lots_of(board), as_date(date), exchange, f"lot size of {board}")

    def lots_of(self, board: str) -> tuple[Lot, ...]:
        """Return the order sizes of a board by date.

        Raises:
            UnknownNameError: the market has no such board.
        """
        if board not in self.lots:
            raise unknown_name("board", board, self.lots, where=f"market {self.name}")
        return self.lots[board]


def _first_matches(patterns: Sequence[tuple[str, str]], symbols: Sequence[str]) -> list[str]:
    """Return for each symbol the name of the first pattern that matches it; an empty text where none does."""
    found = [""] * len(symbols)
    left = list(range(len(symbols)))
    for expression, name in patterns:
        search = re.compile(expression).search
        rest = []
        for k in left:
            if search(symbols[k]):
                found[k] = name
            else:
                rest.append(k)
        left = rest
    return found


@cache
def _shipped(market: str) -> Mapping[str, Any]:
    """Return the content of a market's file that comes with the package."""
    if market not in market_names():
        raise unknown_name("market", market, market_names())
    place = resources.files("alphaloom.data") / "markets" / f"{market}.yaml"
    content: dict[str, Any] = yaml.safe_load(place.read_text(encoding="utf-8"))
    return content


def market_names() -> list[str]:
    """Return the names of the markets that come with the package."""
    folder = resources.files("alphaloom.data") / "markets"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))
