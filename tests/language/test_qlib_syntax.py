"""qlib's names and argument order, and what is refused of it."""

import inspect

import pytest

from alphaloom.language.mistake import ExpressionError
from alphaloom.language.operators import OPERATORS
from alphaloom.language.parse import parse
from alphaloom.language.qlib_syntax import ALIASES, REFUSED

# Each expression of qlib's, and its meaning in the language's own words.
SAME = {
    "$close": "close",
    "$factor": "adj_factor",
    "Ref($close, 5)/$close": "delay(close, 5) / close",
    "Ref($close, -2)/Ref($close, -1) - 1": "delay(close, -2) / delay(close, -1) - 1",
    "Delta($close, 5)": "delta(close, 5)",
    "Mean($close, 5)": "ts_mean(close, 5)",
    "Sum($close, 5)": "ts_sum(close, 5)",
    "Std($close, 5)": "ts_std(close, 5)",
    "Var($close, 5)": "ts_var(close, 5)",
    "Skew($close, 5)": "ts_skew(close, 5)",
    "Kurt($close, 5)": "ts_kurt(close, 5)",
    "Max($high, 5)": "ts_max(high, 5)",
    "Min($low, 5)": "ts_min(low, 5)",
    "IdxMax($high, 5)/5": 'ts_argmax(high, 5, gap="first") / 5',
    "IdxMin($low, 5)/5": 'ts_argmin(low, 5, gap="first") / 5',
    "Quantile($close, 5, 0.8)": "ts_quantile(close, 5, q=0.8)",
    "Med($close, 5)": "ts_median(close, 5)",
    "Mad($close, 5)": "ts_mean_deviation(close, 5)",
    "Rank($close, 5)": "ts_rank(close, 5)",
    "Count($close, 5)": "ts_count(not is_missing(close), 5)",
    "Slope($close, 5)": "ts_slope(close, 5)",
    "Rsquare($close, 5)": "ts_rsquare(close, 5, min_std=2e-5)",
    "Resi($close, 5)": "ts_resid(close, 5)",
    "WMA($close, 5)": "decay_linear(close, 5)",
    "EMA($close, 5)": "ts_ewm(close, 5)",
    "EMA($close, 0.5)": "ts_ewm(close, 3)",
    "EMA($close, 0.1)": "ts_ewm(close, 19)",
    "Corr($close, Log($volume+1), 5)": "ts_corr(close, log(volume + 1), 5, min_std=2e-5)",
    "Cov($close, $open, 5)": "ts_cov(close, open, 5)",
    "Abs($close)": "abs(close)",
    "Sign($close)": "sign(close)",
    "Power($close, 2)": "close ** 2",
    "Add($close, $open)": "close + open",
    "Sub($close, $open)": "close - open",
    "Mul($close, $open)": "close * open",
    "Div($close, $open)": "close / open",
    "Greater($open, $close)": "max(open, close)",
    "Less($open, $close)": "min(open, close)",
    "Gt($close, $open)": "close > open",
    "Ge($close, $open)": "close >= open",
    "Lt($close, $open)": "close < open",
    "Le($close, $open)": "close <= open",
    "Eq($close, $open)": "close == open",
    "Ne($close, $open)": "close != open",
    "And($close > $open, $close > $low)": "close > open and close > low",
    "Or($close > $open, $close > $low)": "close > open or close > low",
    "Not($close > $open)": "not close > open",
    "If($close > $open, $close, $open)": "close if close > open else open",
    "cs_rank(Mean($close, 5) / ts_std($open, 20))": "cs_rank(ts_mean(close, 5) / ts_std(open, 20))",
}


@pytest.mark.parametrize(("theirs", "ours"), SAME.items(), ids=SAME)
def test_meaning(theirs: str, ours: str) -> None:
    """An expression of qlib's is the node of ours that means the same."""
    assert parse(theirs) == parse(ours)


def test_every_name_is_tried_above() -> None:
    """The table above leaves no name of qlib's out, and all stand for operators and settings that exist."""
    text = " ".join(SAME)
    assert [name for name in ALIASES if f"{name}(" not in text] == []
    for alias in ALIASES.values():
        assert set(alias.settings) <= set(OPERATORS[alias.operator].settings)


def test_a_stated_setting_comes_before_the_names_own() -> None:
    """What a name stands for can be set otherwise."""
    assert parse("Corr($close, $open, 5, min_std=0)") == parse("ts_corr(close, open, 5)")


@pytest.mark.parametrize("name", REFUSED)
def test_refused_names_say_what_to_write(name: str) -> None:
    """Names without a counterpart are pointed at, with the reason."""
    with pytest.raises(ExpressionError) as caught:
        parse(f"{name}($close, 5)")
    line, carets, message = str(caught.value).split("\n")
    assert (line, carets) == (f"{name}($close, 5)", "^" * len(name))
    assert message == f"{name} of qlib is not read here: {REFUSED[name]}"


@pytest.mark.parametrize(
    ("text", "part", "message"),
    [
        ("Mean($close, 0)", "0", "Mean of qlib over 0 rows reads all rows since the listing"),
        ("Ref($close, 0)", "0", "it means the first value ever"),
        ("Mean($close, 0.5)", "0.5", "a whole number of rows, not 0.5"),
        ("EMA($close, 0.3)", "0.3", "round it"),
        ("Mean($close)", "Mean($close)", "Mean needs d: Mean(x, d,"),
        ("Quantile($close, 5)", "Quantile($close, 5)", "needs q"),
        ("Corr($close, 5, 10)", "5", "needs a value with a history"),
        ("Abs($close, 5)", "5", "Abs takes at most 1 argument: Abs(x)"),
        ("$close + $volme", "$volme", "there is no field '$volme'. Did you mean 'volume'?"),
        ("If($close, $open, $high)", "If($close, $open, $high)", "a condition is needed here"),
        ("ref($close, 5)", "ref", "Did you mean 'Ref'?"),
    ],
)
def test_mistakes(text: str, part: str, message: str) -> None:
    """Mistakes in qlib's syntax are pointed at in the same way; a dollar sign keeps its place."""
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    line, carets, explained = str(caught.value).split("\n")
    start = len(carets) - len(carets.lstrip())
    assert (line, line[start : len(carets)]) == (text, part)
    assert message in explained


def test_operators_differ_only_where_the_module_says() -> None:
    """Every stated difference is about a name that is read."""
    import alphaloom.language.qlib_syntax as module

    text = str(inspect.getdoc(module))
    for name in ("EMA", "WMA", "Ne", "Resi", "If", "Corr", "Rsquare"):
        assert name in text
        assert name in ALIASES
