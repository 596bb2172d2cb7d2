"""A small market and a small study on it."""

import pytest

from alphaloom.data.simulate import SimulatedMarket, simulate


@pytest.fixture(scope="session")
def market(tmp_path_factory):
    """Return the store of a small market with planted alpha."""
    folder = tmp_path_factory.mktemp("market") / "store"
    return simulate(SimulatedMarket(stocks=70, years=2, seed=11, alpha="all"), folder).path
