"""Dated market rules: limits by board and date, taxes and fees, lots, and a market of one's own."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaloom.data.market_rules import MarketRules, market_names
from alphaloom.errors import DataError, SettingError, UnknownNameError

CHINA = MarketRules.load("china")


@pytest.mark.parametrize(
    ("board", "is_st", "date", "day", "expected"),
    [
        ("main", False, "2010-01-04", 100, 0.10),
        ("main", True, "2026-07-03", 100, 0.05),
        ("main", True, "2026-07-06", 100, 0.10),
        ("chinext", False, "2020-08-21", 100, 0.10),
        ("chinext", False, "2020-08-24", 100, 0.20),
        ("chinext", True, "2020-08-21", 100, 0.05),
        ("chinext", True, "2020-08-24", 100, 0.20),
        ("star", True, "2021-01-04", 100, 0.20),
        ("bse", False, "2022-01-04", 100, 0.30),
        ("main", False, "2023-04-07", 1, None),
        ("main", False, "2023-04-07", 2, 0.10),
        ("main", False, "2023-04-10", 5, None),
        ("main", False, "2023-04-10", 6, 0.10),
        ("chinext", False, "2020-08-21", 2, 0.10),
        ("chinext", False, "2020-08-24", 5, None),
        ("star", False, "2019-07-26", 5, None),
        ("bse", False, "2022-01-04", 2, 0.30),
    ],
)
def test_limits_by_board_and_date(board: str, is_st: bool, date: str, day: int, expected: float | None) -> None:
    """The limit in force on a date, and none on the first days of listing."""
    assert CHINA.limits_of(board, is_st, date, day) == expected


def test_taxes_and_fees_by_date() -> None:
    """Stamp duty is the seller's since 2008-09-19 and was halved on 2023-08-28; the transfer fee fell twice."""
    assert (CHINA.buy_duty("2008-09-18"), CHINA.sell_duty("2008-09-18")) == (0.001, 0.001)
    assert (CHINA.buy_duty("2008-09-19"), CHINA.sell_duty("2008-09-19")) == (0.0, 0.001)
    assert CHINA.sell_duty("2023-08-25") == 0.001
    assert CHINA.sell_duty("2023-08-28") == 0.0005
    assert [CHINA.transfer_fee(d) for d in ("2015-07-31", "2015-08-03", "2022-04-29")] == [0.0, 2e-5, 1e-5]
    assert (CHINA.commission_rate, CHINA.commission_min, CHINA.settlement_days) == (0.00025, 5.0, 1)


def test_lots_by_board() -> None:
    """Hundreds on the main board; at least 200 and then single shares on STAR."""
    assert (CHINA.lot("main").minimum, CHINA.lot("main").step) == (100, 100)
    assert (CHINA.lot("star").minimum, CHINA.lot("star").step) == (200, 1)
    with pytest.raises(UnknownNameError, match="no board named 'moon'"):
        CHINA.lot("moon")


def test_boards_of_symbols() -> None:
    """The listing table's board comes first, else the first matching pattern."""
    symbols = np.array(["SH600000", "SH688001", "SZ300750", "SZ000001", "BJ430047"])
    assert CHINA.board_of(symbols).tolist() == ["main", "star", "chinext", "main", "bse"]
    assert CHINA.board_of(symbols, ["star", None, None, None, None])[0] == "star"


def test_prices_round_half_up_and_move_at_least_a_tick() -> None:
    """10 % of 0.05 is less than a tick: the limit is one tick; 10.05 x 1.1 = 11.055 rounds up to 11.06."""
    reference = np.array([[10.05, 0.05, 12.345]])
    args = (np.array(["main"] * 3), np.array(["2020-01-02"], dtype="datetime64[D]"))
    up, down = CHINA.limit_prices(
        reference, *args, np.zeros((1, 3), dtype=bool), np.full((1, 3), 100, dtype=np.float32)
    )
    np.testing.assert_allclose(up[0], [11.06, 0.06, 13.59])  # 12.345 counts as 12.35
    np.testing.assert_allclose(down[0], [9.05, 0.04, 11.12])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_array_form_equals_the_single_answers(seed: int) -> None:
    """Fractions over [T, N] are those asked for one by one."""
    rng = np.random.default_rng(seed)
    boards = rng.choice(np.array(["main", "chinext", "star", "bse"]), 4)
    dates = np.sort(rng.choice(np.arange("2021-12-01", "2027-01-01", dtype="datetime64[D]"), 5, replace=False))
    is_st = rng.random((5, 4)) < 0.3
    day = rng.integers(1, 9, (5, 4)).astype(np.float32)
    found = CHINA.limit_fractions(boards, dates, is_st, day)
    for t in range(5):
        for n in range(4):
            expected = CHINA.limits_of(str(boards[n]), bool(is_st[t, n]), dates[t], int(day[t, n]))
            np.testing.assert_equal(found[t, n], np.nan if expected is None else expected)


def test_dates_before_the_rules_are_refused() -> None:
    """A date that no rule covers is an error, not a guess; in arrays it is no limit."""
    with pytest.raises(DataError, match=r"No price limit of star is recorded|No unlimited days of star"):
        CHINA.limits_of("star", False, "2019-07-19", 10)
    fraction = CHINA.limit_fractions(
        np.array(["star"]),
        np.array(["2019-07-19"], dtype="datetime64[D]"),
        np.zeros((1, 1), dtype=bool),
        np.full((1, 1), 50, dtype=np.float32),
    )
    assert np.isnan(fraction).all()


def test_a_market_of_ones_own_is_a_file(tmp_path: Path) -> None:
    """Any YAML file of the same form is a market; a misspelt rule is refused with its place."""
    data = CHINA.dump()
    data["name"] = "elsewhere"
    file = tmp_path / "elsewhere.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True))
    rules = MarketRules.load(file)
    assert rules.name == "elsewhere"
    assert rules.limits == CHINA.limits
    data["limits"]["main"][0]["normol"] = 0.2
    file.write_text(yaml.safe_dump(data, allow_unicode=True))
    with pytest.raises(SettingError, match=r"limits\.main\.0.*unknown setting 'normol'"):
        MarketRules.load(file)


def test_markets_that_come_with_the_package() -> None:
    """Every shipped file is valid; an unknown name lists them. The US market has no daily limit."""
    assert market_names() == ["china", "us"]
    for name in market_names():
        assert MarketRules.load(name).name == name
    assert MarketRules.load("us").limits_of("main", False, "2020-01-02", 1) is None
    with pytest.raises(UnknownNameError, match=r"no market named 'chin'.*Did you mean 'china'"):
        MarketRules.load("chin")
