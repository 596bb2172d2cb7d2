"""Settings of the replay: capital, how orders are filled, and what they cost."""

from typing import Annotated, Literal, Self

from pydantic import Field

from alphaloom.spec import Spec

Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class BacktestSettings(Spec):
    """How target weights are replayed. Defaults are those of a mid-sized fund in China's A-share market."""

    capital: Annotated[float, Field(gt=0)] = 1e8
    """Cash at the start, in the market's currency."""
    market: str = "china"
    """Market rules: a shipped market's name or the path of a rules file."""
    price: Literal["vwap", "open", "close"] = "vwap"
    """Price of the execution day at which orders are filled, before slippage and impact."""
    vwap_fallback: Literal["typical", "none"] = "typical"
    """When a stock traded but its VWAP is unknown: fill at (high + low + close) / 3 and count it, or do not fill."""
    lag: Annotated[int, Field(ge=1, le=20)] = 1
    """Trading days from the decision's close to the execution."""
    sizing: Literal["close", "fill"] = "close"
    """Shares are ordered at the last close before execution, or so that weights are met at the fill price."""
    participation: Annotated[float, Field(gt=0, le=1)] | None = 0.1
    """Largest share of a stock's traded volume that one day's order may take; null means no cap."""
    carry_days: Annotated[int, Field(ge=0)] = 0
    """On how many further days the unfilled part is tried again, at most until the next execution."""
    lots: bool = True
    """Whether the market's lot sizes bind and shares are whole; otherwise fractions of a share trade."""
    price_limits: bool = True
    """Whether a stock locked at its upper limit cannot be bought, nor sold at its lower one."""
    short_selling: bool = False
    """Whether negative weights are taken: borrowed shares are sold on the days on which the market allows it."""
    borrow_rate_annual: Annotated[float, Field(ge=0, le=1)] = 0.08
    """Cost of borrowed shares, a simple annual rate on their value, accrued by trading day."""
    gross_limit: Annotated[float, Field(ge=1, le=10)] = 2.0
    """Largest sum of absolute weights of a decision with short positions."""
    commission: Fraction | None = None
    """Broker's commission on the value of each order, both sides; null means the market's usual rate."""
    commission_min: NotNegative | None = None
    """Smallest commission of an order, in currency; null means the market's."""
    stamp_duty: Fraction | None = None
    """Duty on sales as a fraction of value; null means the market's dated duty on either side."""
    transfer_fee: Fraction | None = None
    """Transfer fee as a fraction of value, both sides; null means the market's dated fee."""
    slippage_bps: Annotated[float, Field(ge=0, le=1000)] = 5.0
    """How much worse than the reference price an order is filled, in basis points."""
    impact: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Y in the price move `Y * sigma * sqrt(order / volume)`; sigma is the stock's daily volatility over 20 days."""
    cash_rate_annual: Annotated[float, Field(ge=-0.5, le=1)] = 0.0
    """Interest on cash, a simple annual rate accrued by trading day; proceeds of short sales earn none."""
    delist_recovery: Fraction = 0.0
    """Fraction of its last price that a holding is worth once its stock is delisted, where the listing table does not
    say what its holders got (`delist_value`)."""
    corporate_actions: Literal["adj_factor", "none"] = "adj_factor"
    """Positions follow the adjustment factor (total return), or actions are ignored."""
    dividends: Literal["reinvest", "cash"] = "reinvest"
    """Whether shares grow by cash dividends as they do by splits and rights, or the money is paid into cash."""
    dividend_most: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A rise of the adjustment factor by at most this fraction is taken for a cash dividend, a larger one for a split
    or rights: the factor alone does not say which."""
    dividend_tax: Fraction = 0.0
    """Tax withheld from cash dividends. In China a fund pays none on what it held for more than a year."""
    annual_days: Annotated[float, Field(gt=0)] | None = None
    """Trading days a year in annual figures; null means the market's."""

    @classmethod
    def frictionless(cls, **changes: object) -> Self:
        """Return settings without costs, lots, limits or a volume cap; weights are met at the fill price."""
        plain: dict[str, object] = {
            "sizing": "fill",
            "participation": None,
            "lots": False,
            "price_limits": False,
            "commission": 0.0,
            "commission_min": 0.0,
            "stamp_duty": 0.0,
            "transfer_fee": 0.0,
            "slippage_bps": 0.0,
            "delist_recovery": 1.0,
            "borrow_rate_annual": 0.0,
        }
        return cls.parse(plain | changes)
