"""Forward returns against loops, and what they refuse."""

import numpy as np
import pytest

from alphaloom.errors import AlignmentError, DataError, UsageError
from alphaloom.evaluation.forward import Forward, forward_by_days, forward_by_periods, forward_returns


def prices(T: int = 40, N: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return `[T, N]` prices with holes and their dates."""
    rng = np.random.default_rng(seed)
    price = np.cumprod(1 + rng.normal(0, 0.02, (T, N)), axis=0)
    price[rng.random((T, N)) < 0.1] = np.nan
    return price, np.busday_offset("2021-01-04", np.arange(T), roll="forward").astype("datetime64[D]")


def test_forward_returns_equal_a_loop():
    """A return is exit over entry less one; NaN when either is missing or outside the data."""
    price, _ = prices()
    entry, leave = np.array([0, 3, 35, 39, 45]), np.array([5, 4, 40, 41, 46])
    got = forward_returns(price, entry, leave)
    for d, (a, b) in enumerate(zip(entry, leave, strict=True)):
        for n in range(price.shape[1]):
            inside = a < 40 and b < 40
            expected = price[b, n] / price[a, n] - 1 if inside else np.nan
            np.testing.assert_allclose(got[d, n], expected, rtol=1e-14)


def test_prices_are_never_carried_forward():
    """A stock that is gone at its exit has no return: filling its last price would book a return of exactly zero."""
    price = np.full((10, 2), 10.0)
    price[4:, 1] = np.nan
    got = forward_returns(price, np.array([0, 2]), np.array([3, 5]))
    np.testing.assert_array_equal(got, [[0.0, 0.0], [0.0, np.nan]])


def test_periods_leave_where_the_later_decision_enters():
    """With p periods ahead the exit is the p-th later decision's entry; decisions without one have no return."""
    price, dates = prices()
    rows = np.array([0, 4, 9, 15, 20, 38])
    made = forward_by_periods(price, dates, rows, (1, 3), lag=1)
    assert list(made) == ["1", "3"]
    for p in (1, 3):
        item = made[str(p)]
        assert item.steps == p
        for d in range(rows.size):
            if d + p < rows.size:
                leave = rows[d + p] + 1
                np.testing.assert_allclose(item.returns[d], price[leave] / price[rows[d] + 1] - 1, rtol=1e-14)
                assert item.exits[d] == dates[leave]
            else:
                assert np.isnan(item.returns[d]).all()
                assert np.isnat(item.exits[d])
    assert made["1"].days == 5.0


def test_an_exit_beyond_the_data_is_not_a_return():
    """The last decision's return must not be measured to the last date there happens to be."""
    price, dates = prices(T=12)
    made = forward_by_periods(price, dates, np.array([1, 6, 11]), (1,), lag=1)["1"]
    assert np.isnat(made.exits).tolist() == [False, True, True]
    assert np.isnan(made.returns[1:]).all()


def test_some_dates_keep_returns_that_end_among_the_others():
    """Taking dates after the returns are made keeps those whose exit is a decision that was left out."""
    price, dates = prices()
    rows = np.array([0, 4, 9, 15, 20])
    made = forward_by_periods(price, dates, rows, (1,))["1"].at(np.array([0, 1]))
    np.testing.assert_allclose(made.returns[1], price[10] / price[5] - 1)
    assert made.exits.tolist() == [dates[5].item(), dates[10].item()]


def test_days_ahead_are_trading_rows():
    """Horizons are positional trading days from the entry; steps is the overlap in units of the decisions."""
    price, dates = prices()
    rows = np.arange(0, 40, 5)
    made = forward_by_days(price, dates, rows, (1, 5, 12), lag=1)
    assert {name: item.steps for name, item in made.items()} == {"1": 1, "5": 1, "12": 3}
    for h in (1, 5, 12):
        for d, row in enumerate(rows):
            leave = row + 1 + h
            expected = price[leave] / price[row + 1] - 1 if leave < 40 else np.full(6, np.nan)
            np.testing.assert_allclose(made[str(h)].returns[d], expected, rtol=1e-14)
            assert np.isnat(made[str(h)].exits[d]) == (leave >= 40)


def test_a_return_knows_nothing_after_its_exit():
    """Changing prices after the exit leaves a return as it is; changing the exit price moves it."""
    price, dates = prices()
    rows = np.array([2, 7, 12, 17])
    before = forward_by_periods(price, dates, rows, (1,))["1"].returns[1]
    later = price.copy()
    later[14:] *= 3
    np.testing.assert_array_equal(forward_by_periods(later, dates, rows, (1,))["1"].returns[1], before)
    later[13] *= 2
    assert not np.array_equal(forward_by_periods(later, dates, rows, (1,))["1"].returns[1], before, equal_nan=True)


def test_what_is_refused():
    """Prices must be positive, exits later than entries, decisions increasing, horizons and lags sensible."""
    price, dates = prices()
    with pytest.raises(DataError, match="zero or negative"):
        forward_returns(np.zeros((5, 2)), np.array([0]), np.array([1]))
    with pytest.raises(DataError, match="Exit row 3 is not after entry row 3"):
        forward_returns(price, np.array([3]), np.array([3]))
    with pytest.raises(AlignmentError, match="Entries and exits"):
        forward_returns(price, np.array([3]), np.array([3, 4]))
    with pytest.raises(UsageError, match="must increase"):
        forward_by_periods(price, dates, np.array([3, 3]))
    with pytest.raises(UsageError, match="Horizons must be 1 or more"):
        forward_by_days(price, dates, np.array([3]), (0,))
    with pytest.raises(UsageError, match="lag must be 0"):
        forward_by_days(price, dates, np.array([3]), (1,), lag=-1)
    with pytest.raises(AlignmentError, match=r"\[D, N\]"):
        Forward(np.zeros((3, 2)), dates[:2], 1, 1.0)
    with pytest.raises(UsageError, match="at least one step"):
        Forward(np.zeros((3, 2)), dates[:3], 0, 1.0)
