"""CNE5 descriptors: what Barra's China model measures styles by, as features and for the risk model alike."""

from functools import reduce
from typing import Annotated, Literal

from pydantic import Field

from alphaloom.features.base import features
from alphaloom.features.written import ExpressionFamily

MONTH = 21
YEAR = 252
GAP = 126
"""Rows for which a price counts as the last known: the first return after a shorter suspension spans it, after a longer
one there is none."""
RETURN = f"(close / delay(ts_last(close, {GAP}), 1) - 1)"
"""Daily total return since the last day traded; missing on days without trading."""

Style = Literal[
    "size", "beta", "momentum", "residual_volatility", "nonlinear_size", "book_to_price", "liquidity",
    "earnings_yield", "growth", "leverage",
]  # fmt: skip
OF_BARS: tuple[Style, ...] = ("size", "beta", "momentum", "residual_volatility", "nonlinear_size", "liquidity")
"""Styles that daily bars with turnover allow."""
Market = Literal["cap", "equal"]
Source = Literal["fundamentals", "ratio"]
"""Announced figures (`fund:...`), or a vendor's multiples (`pe_ttm`, `pb_mrq`, `ps_ttm`, `pcf_ttm`)."""
STATEMENT_YEAR = 243
"""Rows of a year between what is known of a company now and what was known then."""


def market_return(market: Market) -> str:
    """Return the market's return: the universe's, by the day before's capitalisation or equally.

    A stock has a part in it on days on which it traded, as it did the day before, so that neither its own rise nor the
    leap after a suspension counts.
    """
    weight = ", weight=exp(delay(log_cap, 1))" if market == "cap" else ""
    return f"cs_mean(returns{weight})"


def beta(window: int = YEAR, half_life: float = 63, least: int = 126, market: Market = "cap") -> str:
    """Return BETA: the weighted least-squares slope of daily returns on the market's."""
    settings = f"{window}, min_periods={least}, half_life={half_life:g}"
    return f"ts_beta({RETURN}, {market_return(market)}, {settings})"


def hsigma(window: int = YEAR, half_life: float = 63, least: int = 126, market: Market = "cap") -> str:
    """Return HSIGMA: the weighted deviation of the residuals of beta's regression."""
    settings = f"{window}, min_periods={least}, half_life={half_life:g}"
    return f"ts_residual_std({RETURN}, {market_return(market)}, {settings})"


def rstr(window: int = 504, lag: int = 21, half_life: float = 126, least: int = 231) -> str:
    """Return RSTR: the weighted mean of daily log returns over `window` rows that end `lag` rows ago.

    A listed day without a return counts as 0: the return over a suspension is that of the day on which it ends.
    """
    mean = f"ts_mean(coalesce(log(1 + {RETURN}), 0), {window}, min_periods={least}, half_life={half_life:g})"
    return f"delay({mean}, {lag})" if lag else mean


def dastd(window: int = YEAR, half_life: float = 42, least: int = 126) -> str:
    """Return DASTD: the weighted standard deviation of daily returns."""
    return f"ts_std({RETURN}, {window}, min_periods={least}, half_life={half_life:g})"


def cmra(months: int = 12) -> str:
    """Return CMRA: the largest less the smallest log return over the last 1, 2, ... months.

    Today's price drops out of the difference, so it is the log range of the prices at the months' starts.
    """
    prices = [f"delay(ts_last(close, {GAP}), {MONTH * k})" for k in range(1, months + 1)]
    return f"log({_of_all('max', prices)} / {_of_all('min', prices)})"


def _of_all(operator: str, texts: list[str]) -> str:
    return reduce(lambda a, b: f"{operator}({a}, {b})", texts)


def turnover(months: int) -> str:
    """Return STOM, STOQ or STOA: the log of the mean monthly turnover over some months of 21 rows."""
    rows = MONTH * months
    return f"log(ts_sum(turnover, {rows}, min_periods={(rows + 1) // 2}) / {months})"


def trend(value: str, years: int = 5) -> str:
    """Return SGRO or EGRO: the slope on time, in years, of the values of some years, over the mean of their sizes.

    The values are those known now and 1, 2, ... years of 243 rows ago; those there are count, two at least. With
    `years=2` it is the last year's growth.
    """
    values = [f"delay({value}, {STATEMENT_YEAR * k})" if k else value for k in range(years)]
    known = [f"(1 - is_missing({v}))" for v in values]
    filled = [f"coalesce({v}, 0)" for v in values]
    n = " + ".join(known)
    x = " + ".join(f"{-k} * {w}" for k, w in enumerate(known) if k)
    xx = " + ".join(f"{k * k} * {w}" for k, w in enumerate(known) if k)
    y = " + ".join(filled)
    xy = " + ".join(f"{-k} * {v}" for k, v in enumerate(filled) if k)
    slope = f"(({n}) * ({xy}) - ({x}) * ({y})) / (({n}) * ({xx}) - ({x}) * ({x}))"
    size = " + ".join(f"abs({v})" for v in filled)
    return f"{slope} * ({n}) / ({size})"


def of_earnings(source: Source) -> dict[str, str]:
    """Return EPIBS (analysts' forecast of 12 months' profit), ETOP and CETOP."""
    return {
        "epibs": 'fund("earnings_forecast") / total_cap',
        **(
            {"etop": 'fund("earnings_ttm") / total_cap', "cetop": 'fund("cash_flow_ttm") / total_cap'}
            if source == "fundamentals"
            else {"etop": '1 / bar("pe_ttm")', "cetop": '1 / bar("pcf_ttm")'}
        ),
    }


def of_book(source: Source) -> dict[str, str]:
    """Return BTOP."""
    return {"btop": 'fund("book") / total_cap' if source == "fundamentals" else '1 / bar("pb_mrq")'}


def of_growth(source: Source, years: int = 5) -> dict[str, str]:
    """Return SGRO, EGRO and analysts' forecasts of long and short growth, EGIBS and EGIBS_S.

    From a vendor's multiples, sales and earnings are those of a share held through splits and dividends.
    """
    if source == "fundamentals":
        sales, earnings = 'fund("sales_ttm")', 'fund("earnings_ttm")'
    else:
        sales, earnings = (f'ts_last(close, {GAP}) / bar("{name}")' for name in ("ps_ttm", "pe_ttm"))
    return {
        "sgro": trend(sales, years),
        "egro": trend(earnings, years),
        "egibs": 'fund("growth_forecast_long")',
        "egibs_s": 'fund("growth_forecast_short")',
    }


FORECASTS = ("epibs", "egibs", "egibs_s")
"""Descriptors made of analysts' forecasts."""

DESCRIPTORS: dict[Style, dict[str, str]] = {
    "size": {"lncap": "log_cap"},
    "beta": {"beta": beta()},
    "momentum": {"rstr": rstr()},
    "residual_volatility": {"dastd": dastd(), "cmra": cmra(), "hsigma": hsigma()},
    "nonlinear_size": {"nlsize": "cs_neutralise(cs_zscore(log_cap) ** 3, on=cs_zscore(log_cap))"},
    "book_to_price": of_book("fundamentals"),
    "liquidity": {"stom": turnover(1), "stoq": turnover(3), "stoa": turnover(12)},
    "earnings_yield": of_earnings("fundamentals"),
    "growth": of_growth("fundamentals"),
    "leverage": {
        "mlev": '1 + fund("debt") / total_cap',
        "dtoa": 'fund("debt") / fund("total_assets")',
        "blev": '1 + fund("debt") / fund("book")',
    },
}
"""Descriptors of each style by name; larger means more of the style."""


@features.register("cne5")
class Cne5(ExpressionFamily):
    """Descriptors of the CNE5 styles, raw: neither winsorised nor standardised nor combined into styles.

    size LNCAP; beta BETA; momentum RSTR; residual volatility DASTD, CMRA, HSIGMA; non-linear size NLSIZE; liquidity
    STOM, STOQ, STOA; and from announced figures book-to-price BTOP; earnings yield ETOP, CETOP; growth SGRO, EGRO;
    leverage MLEV, DTOA, BLEV. The risk model uses the same expressions. Knowable at the row's close.

    Source: Barra CNE5 descriptor details, 2013. Differs: no analysts' forecasts; the risk-free rate is 0; RSTR is a
    mean over listed days, so that shorter histories compare; growth is that of the company, not of a share, and from
    two years' figures on where five are not known; leverage counts all debt and no
    preferred equity; NLSIZE is regressed without weights (the risk model's own is cap-weighted).
    """

    styles: Annotated[tuple[Style, ...], Field(min_length=1)] = OF_BARS
    """Styles whose descriptors are wanted; by default those of daily bars with turnover."""
    growth_years: Annotated[int, Field(ge=2, le=10)] = 5
    """Figures, a year apart, whose slope growth is; 2 is the growth of the last year and looks back less far."""

    def expressions(self) -> dict[str, str]:
        """Return lncap, beta, rstr, ... of the styles chosen."""
        written = {**DESCRIPTORS, "growth": of_growth("fundamentals", self.growth_years)}
        texts = {name: text for style in dict.fromkeys(self.styles) for name, text in written[style].items()}
        return {name: text for name, text in texts.items() if name not in FORECASTS}
