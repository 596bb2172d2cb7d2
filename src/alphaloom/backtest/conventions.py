"""What a replay assumes, in words, to be printed beside its figures."""

from alphaloom.backtest.settings import BacktestSettings
from alphaloom.data.market_rules import MarketRules
from alphaloom.typing import Dates

PRICES = {"vwap": "volume-weighted average price", "open": "open", "close": "close"}


def replay_conventions(settings: BacktestSettings, rules: MarketRules, dates: Dates) -> dict[str, str]:
    """Return how orders were filled and what was paid, by topic."""
    words = {
        "execution": (
            f"decided at the close, traded {settings.lag} trading day(s) later at the {PRICES[settings.price]}"
        ),
        "sizing": "shares at the last close before execution" if settings.sizing == "close" else "weights at the fill",
        "market": f"rules of {rules.name}, dated; which of them are verified stands in its rules file",
        "settlement": "sales before purchases, proceeds reusable the same day, one order a stock a day (T+1 holds)",
        "shares": "whole, in the board's lots; a rest below a lot is sold whole"
        if settings.lots
        else "fractions trade",
        "participation": _participation(settings),
        "carry": f"unfilled orders are tried on {settings.carry_days} further day(s), then dropped",
        "limits": _limits(settings),
        "suspended": "neither bought nor sold; carried at the value of its last trading day",
        "corporate_actions": _actions(settings),
        "delisted": (
            "closed on the first day without bars: at what the listing table says its holders got (delist_value), else "
            f"at {settings.delist_recovery:g} of the last price"
        ),
        "short_selling": _short(settings),
        "money": _money(rules),
    }
    if settings.price == "vwap":
        words["vwap_fallback"] = (
            "where a traded stock has no VWAP, (high + low + close) / 3"
            if settings.vwap_fallback == "typical"
            else "where a traded stock has no VWAP, no fill"
        )
    if settings.price == "close":
        words["close"] = _close(rules, dates)
    return words


def _participation(settings: BacktestSettings) -> str:
    cap = "no cap" if settings.participation is None else f"at most {settings.participation:g} of the day's volume"
    impact = (
        "no impact"
        if settings.impact == 0
        else f"impact {settings.impact:g} x daily volatility (20 days) x root of order / volume"
    )
    return f"{cap}; slippage {settings.slippage_bps:g} bps; {impact}"


def _limits(settings: BacktestSettings) -> str:
    if not settings.price_limits:
        return "ignored"
    inside = "no trade lies inside" if settings.price == "vwap" else f"the {settings.price} is at the limit"
    return f"no purchase when {inside} the upper limit, no sale at the lower one; a bar beyond its limits had none"


def _actions(settings: BacktestSettings) -> str:
    if settings.corporate_actions == "none":
        return "ignored"
    if settings.dividends == "cash":
        what = f"rises of the adjustment factor by at most {settings.dividend_most:g} are dividends paid in cash"
    else:
        what = "shares grow with the adjustment factor: dividends are reinvested at once, rights are taken up"
    rest = ", fractions of a share paid in cash" if settings.lots else ""
    tax = f"; {settings.dividend_tax:g} of cash dividends is withheld" if settings.dividend_tax else "; untaxed"
    return what + rest + tax


def _short(settings: BacktestSettings) -> str:
    if not settings.short_selling:
        return "none"
    return (
        f"any stock can be borrowed at {settings.borrow_rate_annual:g} a year on days on which the market allows it; "
        "no margin call is made"
    )


def _money(rules: MarketRules) -> str:
    if rules.fee_unit <= 0:
        return "amounts are not rounded"
    how = "up" if rules.fee_rounding == "up" else "half up"
    return f"commission, duty and fee of an order are rounded {how} to {rules.fee_unit:g} {rules.currency}"


def _close(rules: MarketRules, dates: Dates) -> str:
    """Return since when closes come from an auction, where that changed within the dates."""
    parts = [
        f"{rule.exchange or 'all exchanges'} from {rule.since}"
        for rule in rules.closing_auctions
        if rule.auction and str(rule.since) > str(dates[0])
    ]
    if not parts:
        return "by closing auction on every day, as far as the rules file says"
    return f"by closing auction at {', '.join(parts)}; before, the average of the last trades"
