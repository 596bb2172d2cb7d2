"""IC, quantile returns, turnover and rank autocorrelation against alphalens-reloaded, on plain and awkward panels.

alphalens gets the forward returns; where it makes its own (prices carried forward past a delisting) the difference is
shown. Returns are rounded to float32, in which RankIC compares them.
"""

import warnings
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from panels import business_days

from alphaloom.errors import AlignmentError
from alphaloom.evaluation.forward import forward_by_days
from alphaloom.evaluation.ic import ic_series
from alphaloom.evaluation.quantiles import assign_quantiles, quantile_returns, quantile_turnover, rank_autocorrelation
from alphaloom.evaluation.signal import evaluate_signal

pytestmark = [
    pytest.mark.slow,  # alphalens takes seconds to import
    pytest.mark.filterwarnings("ignore"),  # its own: pandas' coming changes, constant input, dates
]

T, N, Q = 50, 40, 5
DATES = business_days(T + 10)
NAMES = [f"S{n:02d}" for n in range(N)]


@pytest.fixture(scope="module")
def alphalens() -> ModuleType:
    """Return alphalens with its modules."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import alphalens.performance
        import alphalens.utils
    return alphalens


@dataclass
class Market:
    """Scores `[T, N]` and prices `[T + 10, N]`."""

    score: np.ndarray
    price: np.ndarray

    def returns(self, horizon: int) -> np.ndarray:
        """Return what follows each score, from its own close."""
        forward = forward_by_days(self.price, DATES, np.arange(T), [horizon], lag=0)[str(horizon)].returns
        return forward.astype(np.float32).astype(np.float64)

    def clean(self, alphalens: ModuleType, horizon: int) -> pd.DataFrame:
        """Return alphalens' table of the same returns; quantiles of dates that it cannot cut are left out."""
        returns = pd.Series(self.returns(horizon).ravel(), index=self._index(), name=f"{horizon}D")
        return alphalens.utils.get_clean_factor(self._factor(), returns.to_frame(), quantiles=Q, max_loss=1.0)

    def ic(self, alphalens: ModuleType, horizon: int) -> np.ndarray:
        """Return alphalens' IC by date; NaN where it has none."""
        factor, returns = self._factor(), pd.Series(self.returns(horizon).ravel(), index=self._index())
        data = pd.DataFrame({f"{horizon}D": returns, "factor": factor}).dropna()
        ic = alphalens.performance.factor_information_coefficient(data)
        return ic.iloc[:, 0].reindex(DATES[:T]).to_numpy()

    def _index(self) -> pd.MultiIndex:
        return pd.MultiIndex.from_product([pd.DatetimeIndex(DATES[:T]), NAMES], names=["date", "asset"])

    def _factor(self) -> pd.Series:
        return pd.Series(self.score.ravel(), index=self._index())


def made(kind: str) -> Market:
    """Return a market of the named kind."""
    rng = np.random.default_rng(7)
    price = 10 * np.exp(np.cumsum(0.02 * rng.normal(size=(T + 10, N)), axis=0))
    score = np.cumsum(rng.normal(size=(T, N)), axis=0)
    if kind == "ties":
        score = np.round(score / 3)
    if kind == "missing":
        score[rng.random(score.shape) < 0.15] = np.nan
        price[rng.random(price.shape) < 0.1] = np.nan
    if kind == "constant":
        score[[3, 17, 18]] = 1.0
        price[20:31] = price[20]
    if kind == "delisted":
        price[30:, :15] = np.nan
    return Market(score, price)


@pytest.mark.parametrize("kind", ["plain", "ties", "missing", "constant", "delisted"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_rank_ic(alphalens, kind, horizon):
    """The same value on every date, and none on the same dates."""
    market = made(kind)
    ours = ic_series(market.score, market.returns(horizon), min_names=3).rank_ic
    np.testing.assert_allclose(ours, market.ic(alphalens, horizon), atol=1e-12)
    assert kind != "constant" or np.isnan(ours[[3, 17, 18]]).all()


@pytest.mark.parametrize("kind", ["plain", "missing"])
def test_quantile_returns(alphalens, kind):
    """Equal-weighted returns by date, on dates whose names divide by five; both place the names that have a return."""
    market = made(kind)
    returns = market.returns(5)
    seen = np.where(np.isnan(returns), np.nan, market.score)
    ours, counts = quantile_returns(assign_quantiles(seen, Q, min_names=5), returns, Q)
    theirs, _ = alphalens.performance.mean_return_by_quantile(market.clean(alphalens, 5), by_date=True, demeaned=False)
    table = theirs.iloc[:, 0].unstack("factor_quantile").reindex(DATES[:T]).to_numpy()
    even = (~np.isnan(seen)).sum(axis=1) % Q == 0
    assert even.sum() >= 5
    np.testing.assert_allclose(ours[even], table[even], atol=1e-12)
    assert (counts[even] == counts[even, :1]).all()


def test_turnover_and_rank_autocorrelation(alphalens):
    """The share of new names five dates later, and the correlation of ranks."""
    market = made("plain")
    clean = market.clean(alphalens, 5)
    bucket = assign_quantiles(market.score, Q)
    for q in (1, Q):
        theirs = alphalens.performance.quantile_turnover(clean["factor_quantile"], q, period=5)
        ours = quantile_turnover(bucket, Q, steps=5)[:, q - 1]
        np.testing.assert_allclose(ours[5:], theirs.reindex(DATES[:T]).to_numpy()[5:], atol=1e-12)
    theirs = alphalens.performance.factor_rank_autocorrelation(clean, period=5)
    np.testing.assert_allclose(
        rank_autocorrelation(market.score, steps=5)[5:], theirs.reindex(DATES[:T]).to_numpy()[5:], atol=1e-12
    )


def test_uneven_quantiles_differ_by_the_names_at_the_edges(alphalens):
    """With 37 names alphalens makes the outer groups larger, ours the second and fourth: one name an edge, no more."""
    market = made("plain")
    market.score[:, 37:] = np.nan
    clean = market.clean(alphalens, 1)["factor_quantile"].unstack("asset").reindex(columns=NAMES).to_numpy() - 1
    ours = assign_quantiles(market.score, Q)[:, :37]
    assert np.abs(ours - clean[:, :37]).max() == 1
    assert (ours != clean[:, :37]).sum(axis=1).max() <= Q - 1
    flipped = assign_quantiles(-market.score, Q)[:, :37]
    np.testing.assert_array_equal(flipped, Q - 1 - ours)


def test_delisted_names_have_no_return(alphalens):
    """Alphalens carries the last price forward: returns of exactly 0 after the last day. Ours are missing."""
    market = made("delisted")
    frame = pd.DataFrame(market.price, index=pd.DatetimeIndex(DATES), columns=NAMES)
    kept = alphalens.utils.compute_forward_returns(market._factor(), frame, periods=(5,)).iloc[:, 0]
    theirs = kept.unstack("asset").reindex(columns=NAMES).to_numpy()
    ours = market.returns(5)
    gone = np.isnan(ours)
    assert gone[25:, :15].all()
    assert (theirs[30:, :15] == 0.0).all()
    np.testing.assert_allclose(ours[~gone], theirs[~gone], rtol=1e-5, atol=1e-8)


def test_too_few_names_and_repeated_dates(alphalens):
    """One stock has no IC in either; a repeated date is refused by name here."""
    market = made("plain")
    market.score[:, 1:] = np.nan
    assert np.isnan(market.ic(alphalens, 1)).all()
    assert np.isnan(ic_series(market.score, market.returns(1), min_names=3).rank_ic).all()
    dates = DATES[:T].copy()
    dates[4] = dates[3]
    forward = forward_by_days(market.price, DATES, np.arange(T), [1])
    with pytest.raises(AlignmentError, match="increase"):
        evaluate_signal(market.score, forward, dates)
