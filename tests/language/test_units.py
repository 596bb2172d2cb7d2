"""Units: what goes together, what comes out, and that every operator and field has one."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaloom.data.fields import PREFIX_UNITS, PREFIXES, RULES
from alphaloom.language.mistake import ExpressionError
from alphaloom.language.names import called, field_names, field_of
from alphaloom.language.operators import OPERATORS
from alphaloom.language.parse import parse
from alphaloom.language.units import (
    ANY,
    FLAG,
    GROUP,
    MONEY,
    PRICE,
    RATIO,
    SHARES,
    UNKNOWN,
    Unit,
    UnitError,
    common,
    power,
    product,
    quotient,
)

QUANTITIES = st.builds(
    Unit, currency=st.fractions(-3, 3, max_denominator=4), shares=st.fractions(-3, 3, max_denominator=4)
)
UNITS = QUANTITIES | st.sampled_from([RATIO, FLAG, ANY, UNKNOWN, PRICE, SHARES, MONEY])


@given(QUANTITIES, QUANTITIES, QUANTITIES)
def test_units_multiply_as_powers_do(a: Unit, b: Unit, c: Unit) -> None:
    """Products are commutative and associative, quotients undo them, powers repeat them."""
    assert product(a, b) == product(b, a)
    assert product(product(a, b), c) == product(a, product(b, c))
    assert quotient(product(a, b), b) == a
    assert power(a, Fraction(2)) == product(a, a)
    assert power(power(a, Fraction(1, 2)), Fraction(2)) == a
    assert quotient(a, a) == RATIO


@given(UNITS, UNITS)
def test_common_is_symmetric(a: Unit, b: Unit) -> None:
    """Two units go together in either order, with the same result; otherwise both are named."""
    plain = [RATIO if unit == FLAG else unit for unit in (a, b)]
    if plain[0] == plain[1] or {ANY, UNKNOWN} & set(plain):
        assert common(a, b) == common(b, a)
    else:
        with pytest.raises(UnitError) as caught:
            common(a, b)
        assert all(str(unit) in str(caught.value) for unit in plain)
        with pytest.raises(UnitError):
            common(b, a)


def test_names_of_units() -> None:
    """A unit is named in words, or by its powers."""
    assert [str(unit) for unit in (PRICE, SHARES, MONEY, RATIO, FLAG, GROUP, ANY, UNKNOWN)] == [
        "a price", "a number of shares", "an amount of money", "a ratio", "a flag", "a group", "a number",
        "of unknown unit",
    ]  # fmt: skip
    assert str(product(PRICE, PRICE)) == "currency**2 shares**-2"
    assert str(power(MONEY, Fraction(1, 2))) == "currency**1/2"


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("close", PRICE),
        ("volume", SHARES),
        ("close * volume", MONEY),
        ("amount / volume", PRICE),
        ("amount / volume - close", PRICE),
        ("close / open", RATIO),
        ("close / open - 1", RATIO),
        ("close + 1e-12", PRICE),
        ("2 * close", PRICE),
        ("1 / close", quotient(RATIO, PRICE)),
        ("close ** 2", product(PRICE, PRICE)),
        ("(close * close) ** 0.5", PRICE),
        ("(close ** (1 / 3)) ** 3", PRICE),
        ("sqrt(ts_var(close, 5))", PRICE),
        ("turnover ** turnover", RATIO),
        ("log(close)", RATIO),
        ("sign_power(close, 2)", product(PRICE, PRICE)),
        ("ts_std(close, 5)", PRICE),
        ("ts_cov(close, volume, 5)", MONEY),
        ("ts_beta(close, volume, 5)", quotient(PRICE, SHARES)),
        ("ts_residual(close, volume, 5)", PRICE),
        ("ts_corr(close, volume, 5)", RATIO),
        ("ts_product(close / open, 5)", RATIO),
        ("close > open", FLAG),
        ("(close > open) & is_st", FLAG),
        ("delay(close > open, 1)", FLAG),
        ("(close > open) + (close > high)", RATIO),
        ("(close > open) * close", PRICE),
        ("-(close > open)", RATIO),
        ("ts_mean(close > open, 5)", RATIO),
        ("ts_std(close > open, 5)", RATIO),
        ("ts_count(close > open, 5)", RATIO),
        ("is_missing(close)", FLAG),
        ("where(close > open, close, 0)", PRICE),
        ("where(close > open, 1, -1) * close", PRICE),
        ("number(close) + turnover", RATIO),
        ("cs_rank(close)", RATIO),
        ("cs_demean(close)", PRICE),
        ("cs_bucket(close, 5)", RATIO),
        ("industry", GROUP),
        ('fund("net_profit")', UNKNOWN),
        ('fund("net_profit") / total_cap', UNKNOWN),
        ('fund("net_profit") / total_cap + turnover', RATIO),
        ('fund("net_profit") + total_cap', MONEY),
        ('fund("a") + fund("b")', UNKNOWN),
        ('exp(fund("a"))', RATIO),
        ('returns(index("SH000300", "close"))', RATIO),
    ],
)
def test_units_of_expressions(text: str, unit: Unit) -> None:
    """Units follow the operations."""
    assert parse(text).unit == unit


@pytest.mark.parametrize(
    "text",
    ["close + volume", "close + turnover", "close > volume", "max(close, amount)", "clip(close, 0, volume)",
     "where(close > open, close, volume)", "coalesce(close, volume)", "exp(close)", "tanh(close)",
     "ts_product(close, 5)", "close ** turnover", "2 ** close", "close & open", "not close", "ts_count(close, 5)",
     "industry * 2", "ts_mean(industry, 5)", "cs_rank(industry)", "is_missing(industry)", "ts_beta(close, industry, 5)",
     "((close > open) + 1) & is_st", "number(industry)", "log(industry)", "power(close, open)"],
)  # fmt: skip
def test_what_does_not_go_together(text: str) -> None:
    """Mixed units are refused."""
    with pytest.raises(ExpressionError, match=r"cannot be|is needed here|a group is|an exponent is"):
        parse(text)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_refuses_groups_as_numbers(name: str) -> None:
    """No operator takes a group as an operand."""
    rule = OPERATORS[name]
    for place in range(len(rule.operands)):
        units = [RATIO] * len(rule.operands)
        units[place] = GROUP
        with pytest.raises(UnitError):
            rule.unit(*units)


def test_every_field_has_a_unit() -> None:
    """All fields and prefixes of the catalogue have a unit that the language knows."""
    assert set(PREFIX_UNITS) == set(PREFIXES)
    for name in (*field_names(), *RULES):
        assert field_of(name) is not None
    assert {called(prefix, "x").unit for prefix in PREFIXES} <= {FLAG, RATIO, UNKNOWN, MONEY}
    by_unit = {rule.unit for rule in RULES.values()}
    assert by_unit == {"price", "shares", "money", "ratio", "flag", "group"}
