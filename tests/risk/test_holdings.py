"""What is held and what it earns between decisions."""

import numpy as np
import pytest

from alphaloom.errors import DataError
from alphaloom.risk.holdings import held_weights, holding_returns


def test_returns_of_holders_wait_for_the_next_trade():
    """0 while suspended, the whole move on the day of the next trade, 0 after the last price."""
    price = np.array([[10, 5], [np.nan, 5.5], [np.nan, np.nan], [12, np.nan]], np.float32)
    np.testing.assert_allclose(holding_returns(price), [[0, 0], [0, 0.1], [0, 0], [0.2, 0]], rtol=1e-6)


def test_weights_drift_and_what_is_delisted_becomes_cash():
    """Values grow with returns over the value of the whole; cash earns nothing."""
    targets = np.array([[np.nan] * 2, [0.5, 0.3], [np.nan] * 2, [np.nan] * 2, [0.2, np.nan]])
    returns = np.array([[0, 0], [0, 0], [0.1, -0.5], [0, 0], [0, 0]])
    listed = np.array([[True, True]] * 3 + [[True, False]] * 2)
    held = held_weights(targets, returns, listed)
    assert np.isnan(held[0]).all()
    np.testing.assert_allclose(held[1], [0.5, 0.3])
    whole = 0.5 * 1.1 + 0.3 * 0.5 + 0.2
    np.testing.assert_allclose(held[2], [0.55 / whole, 0.15 / whole])
    np.testing.assert_allclose(held[3], [0.55 / whole, 0.0])
    np.testing.assert_allclose(held[4], [0.2, 0.0])


def test_nothing_to_hold_and_ruin_are_errors():
    """No targets at all, or a loss of everything."""
    with pytest.raises(DataError, match="no target weights"):
        held_weights(np.full((2, 2), np.nan), np.zeros((2, 2)), np.ones((2, 2), bool))
    with pytest.raises(DataError, match="lost everything by row 1"):
        held_weights(np.array([[2.0], [np.nan]]), np.array([[0.0], [-0.6]]), np.ones((2, 1), bool))
