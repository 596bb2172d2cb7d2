"""The ten CNE5 style exposures at one close, from the state of the simulated market."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from alphaloom.data.simulate.factors import STYLES
from alphaloom.data.simulate.fundamentals import ASSETS, BOOK, CASH_FLOW, DEBT, EARNINGS, Companies
from alphaloom.data.simulate.state import State
from alphaloom.typing import Doubles, Ints

_MADE_OF_SEVERAL = ("earnings_yield", "growth", "leverage", "nonlinear_size")


@dataclass(frozen=True)
class StyleInputs:
    """What the exposures are made of, `[n]` over listed stocks.

    `beta`, `volatility` and `liquidity` are latent traits that move slowly (autoregressions with half-lives of 250,
    120 and 120 days); `momentum` is the exponentially weighted past return (half-life 126 days, the last 21 days left
    out); the rest follows from market capitalisation and the last announced fundamentals.
    """

    cap: Doubles
    beta: Doubles
    volatility: Doubles
    liquidity: Doubles
    momentum: Doubles
    book: Doubles
    earnings: Doubles
    cash_flow: Doubles
    debt: Doubles
    assets: Doubles
    sales_growth: Doubles
    earnings_growth: Doubles

    @classmethod
    def of(cls, state: State, companies: Companies) -> Self:
        """Return the inputs of the listed stocks at this close."""
        on, known = state.listed, companies.known
        return cls(
            cap=state.cap[on],
            beta=state.traits["beta"][on],
            volatility=state.traits["volatility"][on],
            liquidity=state.traits["liquidity"][on],
            momentum=state.momentum[on],
            book=known[BOOK][on],
            earnings=known[EARNINGS][on],
            cash_flow=known[CASH_FLOW][on],
            debt=known[DEBT][on],
            assets=known[ASSETS][on],
            sales_growth=companies.sales_growth[on],
            earnings_growth=companies.earnings_growth[on],
        )


def exposures(inputs: StyleInputs, *, clips: int = 2) -> Doubles:
    """Return the exposures `[n, 10]` in the order of `STYLES`: cap-weighted mean 0, equal-weighted deviation 1.

    Formulas follow CNE5 where the inputs exist: earnings yield 2/3 cash earnings to price + 1/3 earnings to price;
    leverage .38 market leverage + .35 debt to assets + .27 book leverage; growth 2/3 sales + 1/3 earnings growth;
    non-linear size the cube of size, made orthogonal to size. Descriptors, and the styles made of them,
    are clipped at three deviations as often as `clips` says: twice keeps outliers from setting the scale. Once is
    CNE5's way, in which a style of a single descriptor is not clipped again.
    """
    cap, book = inputs.cap, np.maximum(inputs.book, 1.0)
    simple = _clip(
        np.stack(
            [
                inputs.beta,
                inputs.momentum,
                np.log(cap),
                inputs.volatility,
                inputs.book / cap,
                inputs.liquidity,
                inputs.cash_flow / cap,
                inputs.earnings / cap,
                1 + inputs.debt / cap,
                inputs.debt / inputs.assets,
                1 + inputs.debt / book,
                inputs.sales_growth,
                inputs.earnings_growth,
            ]
        ),
        clips,
    )
    size = simple[2]
    cube = size**3
    root = np.sqrt(cap)
    mean = (root * size).sum() / root.sum()
    slope = (root * (size - mean) * cube).sum() / (root * (size - mean) ** 2).sum()
    columns = {
        "beta": simple[0],
        "momentum": simple[1],
        "size": size,
        "residual_volatility": simple[3],
        "book_to_price": simple[4],
        "liquidity": simple[5],
        "earnings_yield": 0.66 * simple[6] + 0.34 * simple[7],
        "leverage": 0.38 * simple[8] + 0.35 * simple[9] + 0.27 * simple[10],
        "growth": 0.66 * simple[11] + 0.34 * simple[12],
        "nonlinear_size": cube - slope * (size - mean),
    }
    raw = np.stack([columns[name] for name in STYLES])
    again = [k for k, name in enumerate(STYLES) if clips > 1 or name in _MADE_OF_SEVERAL]
    raw[again] = _clip(raw[again], clips)
    weights = cap / cap.sum()
    centred = raw - (raw @ weights)[:, None]
    scaled: Doubles = (centred / np.maximum(raw.std(axis=1), 1e-12)[:, None]).T
    return scaled


def cap_weights_by_industry(cap: Doubles, industry: Ints, count: int) -> Doubles:
    """Return each industry's share of total capitalisation `[count]`."""
    sums = np.bincount(industry, weights=cap, minlength=count)
    shares: Doubles = sums / sums.sum()
    return shares


def _clip(raw: Doubles, times: int) -> Doubles:
    """Return rows of z-scores, clipped at three deviations some times."""
    for _ in range(times):
        deviation = np.maximum(raw.std(axis=1, keepdims=True), 1e-12)
        raw = np.clip((raw - raw.mean(axis=1, keepdims=True)) / deviation, -3.0, 3.0)
    return raw
