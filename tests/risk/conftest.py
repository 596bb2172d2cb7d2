"""A simulated market whose truth is known, and a risk model fitted on it."""

import pytest

from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_panel
from alphaloom.data.simulate import SimulatedMarket, simulate
from alphaloom.risk.estimator import risk_models

SETTINGS = {
    "name": "cne5",
    "preset": "next_day",
    "styles": ["beta", "size", "liquidity", "leverage", {"name": "growth", "years": 2}, "earnings_yield"],
    "covariance": {"simulations": 5, "least": 60},
    "specific": {"window": 120, "few": 20, "enough": 60},
}
"""A small model that is quickly ready."""


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Two years of 150 stocks in 8 industries, with little specific risk."""
    folder = tmp_path_factory.mktemp("risk") / "store"
    return simulate(SimulatedMarket(stocks=150, years=2, industries=8, specific_vol=0.006, seed=3), folder)


@pytest.fixture(scope="session")
def estimator():
    """Settings of the fitted model."""
    return risk_models.parse(SETTINGS)


@pytest.fixture(scope="session")
def market(simulated, estimator):
    """The panel with every field that the model can use."""
    there = set(available_fields(simulated))
    return load_panel(simulated, [*estimator.required, *(name for name in estimator.wanted if name in there)])


@pytest.fixture(scope="session")
def fitted(market, estimator):
    """The model fitted on it."""
    return estimator.fit(market)
