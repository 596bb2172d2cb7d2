"""Reading expressions: what they mean, what is refused and where the carets stand, look-back, writing them again."""

import contextlib
import inspect
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaloom.errors import SettingError
from alphaloom.language import build
from alphaloom.language.build import ArgumentError, make, number
from alphaloom.language.mistake import ExpressionError
from alphaloom.language.names import field_of
from alphaloom.language.nodes import FIELD, NUMBER, Node, in_order
from alphaloom.language.operators import OPERATORS, ewm_rows
from alphaloom.language.parse import parse
from alphaloom.language.scan import LONGEST_TEXT
from alphaloom.language.units import UnitError
from alphaloom.language.write import to_text


def known(name: str) -> Node:
    """Return a field of the catalogue."""
    found = field_of(name)
    assert found is not None
    return found


CLOSE, OPEN, VOLUME = known("close"), known("open"), known("volume")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("close", CLOSE),
        ("adj_close", CLOSE),
        ("+close", CLOSE),
        ("delay(close, 0)", CLOSE),
        ("close - open", make("subtract", [CLOSE, OPEN])),
        ("-close", make("negative", [CLOSE])),
        ("close ** 2", make("power", [CLOSE, number(2)])),
        ("close < open", make("less", [CLOSE, OPEN])),
        ("not close < open", make("no", [make("less", [CLOSE, OPEN])])),
        ("~(close < open)", make("no", [make("less", [CLOSE, OPEN])])),
        ("close > open if open < close else close < open", None),
        ("ts_mean(close, 20)", make("ts_mean", [CLOSE], 20)),
        ("ts_mean(close, d=5 * 4)", make("ts_mean", [CLOSE], 20)),
        ("ts_mean(x=close, d=20, min_periods=1)", make("ts_mean", [CLOSE], 20)),
        ("ts_quantile(close, 20, 0.8)", make("ts_quantile", [CLOSE], 20, {"q": 0.8})),
        ('ts_argmax(close, 20, gap="first")', make("ts_argmax", [CLOSE], 20, {"gap": "first"})),
        ("returns", make("returns", [CLOSE], 1)),
        ("returns(close)", make("returns", [CLOSE], 1)),
        ("returns(close, 5)", make("returns", [CLOSE], 5)),
        ("adv20", make("ts_mean", [known("amount")], 20)),
        ("cs_rank(close, by=industry)", make("cs_rank", [CLOSE], by=known("industry"))),
        ("ts_mean(\n  close,  # adjusted\n\t20\n)", make("ts_mean", [CLOSE], 20)),
        ("ts_mean(\r\nclose,\r20)", make("ts_mean", [CLOSE], 20)),
    ],
)
def test_meaning(text: str, same: Node | None) -> None:
    """A text reads as the node that it describes."""
    node = parse(text)
    assert same is None or node == same


def test_fields_of_the_language() -> None:
    """Bare names mean the adjusted series; names with a prefix are called."""
    pairs = {
        "close": "adj_close",
        "volume": "adj_volume",
        "raw_close": "close",
        "turnover": "turnover",
        'fund("net_profit")': "fund:net_profit",
        'member("SH000300")': "member:SH000300",
        'weight("SH000300")': "weight:SH000300",
        'frame("score")': "frame:score",
        'index("SH000300", "close")': "index:SH000300:close",
        'macro("cpi")': "macro:cpi",
    }
    for text, panel_field in pairs.items():
        assert parse(text).name == panel_field
        assert to_text(parse(text)) == text


def test_further_columns_are_called() -> None:
    """A store's own columns of bars are named by `bar`; a field of the catalogue goes by its own name alone."""
    node = parse('bar("my_score") + close')
    assert node.inputs[0].name == "my_score"
    assert to_text(node) == '(bar("my_score") + close)'
    with pytest.raises(ExpressionError, match="there is no field or operator 'my_score'"):
        parse("my_score")
    with pytest.raises(ExpressionError, match="'close' is a field of its own: write raw_close"):
        parse('bar("close")')


def test_chained_comparisons_and_conditions() -> None:
    """`a < b < c` is both comparisons; words and signs join conditions alike."""
    assert parse("open < close < high") == parse("(open < close) & (close < high)")
    assert parse("open < close and close < high and low < open") == parse("open < close < high and low < open")
    assert parse("open < close or close < high") == parse("(open < close) | (close < high)")
    assert parse("close if close > open else open") == parse("where(close > open, close, open)")


@pytest.mark.parametrize(
    ("text", "value"),
    [("2 * 3", 6.0), ("-(1)", -1.0), ("2 ** 0.5", 2**0.5), ("1 / 3", 1 / 3), ("1 < 2", 1.0), ("log(1)", 0.0),
     ("not 1 < 2", 0.0), ("max(2, 3) - min(2, 3)", 1.0), ("clip(5, 0, 1)", 1.0), ("sign(-3)", -1.0), ("-0", 0.0)],
)  # fmt: skip
def test_constants_are_folded(text: str, value: float) -> None:
    """An operation of numbers alone is a number."""
    assert parse(text) == number(value)


def test_only_constants_are_folded() -> None:
    """What holds a series stays as it was written: rounding depends on the order."""
    assert parse("close * 2 * 3") != parse("close * (2 * 3)")
    assert parse("close * 1").operator == "multiply"


def test_every_operator_folds_or_needs_a_series() -> None:
    """Elementwise operators take constants, the others refuse them."""
    for name, rule in OPERATORS.items():
        inputs = [number(0.5)] * len(rule.operands)
        if rule.kind == "cell":
            assert make(name, inputs).operator == NUMBER
        else:
            with pytest.raises(ArgumentError, match=r"0\.5 is a constant"):
                make(name, inputs, 20 if rule.window else None)


def test_equal_subexpressions_are_one_node() -> None:
    """Equality and hash are by what is computed, however it is written."""
    left, right = parse("ts_mean(close, 20) / ts_mean(Ref($close, 0 + 1 - 1 + 2), 20)").inputs
    again = parse("Mean($close, 20)")
    assert left == again
    assert hash(left) == hash(again)
    assert left != right
    both = parse("(close - ts_mean(close, 20)) / (close - ts_mean(close, 20.0, min_periods=1))")
    assert [node.operator for node in in_order([both])] == ["field", "ts_mean", "subtract", "divide"]
    assert parse("ts_mean(close, 20)") != parse("ts_mean(close, 20, min_periods=2)")


# Mistakes: each text, the characters under the carets (line, start, end), and a part of the message.
MISTAKES = [
    ("close + volme", "volme", "there is no field or operator 'volme'. Did you mean 'volume'?"),
    ("close + volume", "close + volume", "a price and a number of shares cannot be combined"),
    ("1 + (close + volume) * 2", "close + volume", "a price and a number of shares"),
    ("close > 0 & volume > 0", "0 & volume", "comparisons joined by & or | need brackets"),
    ("exp(close)", "exp(close)", "this is a price"),
    ("close ** turnover", "close ** turnover", "a price cannot be raised to a power that varies"),
    ("turnover ** close", "turnover ** close", "an exponent is a ratio or a number; this is a price"),
    ("industry + 1", "industry + 1", "a group is no number"),
    ("where(close, open, high)", "where(close, open, high)", "a condition is needed here"),
    ("ts_mean(close, 8.93)", "8.93", "a whole number of rows, not 8.93; round it, to 9"),
    ("ts_mean(close, -3)", "-3", "the window of ts_mean is at least 1 row, not -3"),
    ("ts_mean(close, 0)", "0", "at least 1 row, not 0"),
    ("ts_mean(close, 3000)", "3000", "at most 2520 rows, not 3000"),
    ("ts_std(close, 1)", "1", "at least 2 rows, not 1"),
    ("delta(close, 0)", "0", "compares a value with itself"),
    ("ts_mean(close, open)", "open", "the window is a constant, such as 20"),
    ("ts_mean(close)", "ts_mean(close)", "ts_mean needs d: ts_mean(x, d, half_life=0, min_periods=1)"),
    ("ts_mean()", "ts_mean()", "ts_mean needs x and d"),
    ("ts_corr(close, 5)", "ts_corr(close, 5)", "ts_corr needs d: ts_corr(x, y, d,"),
    ("ts_corr(close, 5, 10)", "5", "ts_corr needs a value with a history; 5 is a constant"),
    ("ts_corr(close, y=open, d=5, d=6)", "d=6", "is given 'd' twice"),
    ("abs(close, open)", "open", "abs takes at most 1 argument: abs(x)"),
    ("ts_mean(close, 5, min_period=3)", "min_period=3", "has no argument 'min_period'. Did you mean 'min_periods'?"),
    ("ts_mean(close, 5, min_periods=6)", "6", "min_periods is at most the window, 5, not 6"),
    ("ts_mean(close, 5, min_periods=0)", "0", "min_periods of ts_mean is at least 1, not 0"),
    ("ts_mean(close, 5, min_periods=1.5)", "1.5", "is a whole number, not 1.5"),
    ("ts_quantile(close, 5)", "ts_quantile(close, 5)", "ts_quantile needs q"),
    ("ts_quantile(close, 5, 1.5)", "1.5", "q of ts_quantile is at least 0 and at most 1, not 1.5"),
    ('ts_argmax(close, 5, gap="last")', '"last"', "gap of ts_argmax is 'skip' or 'first', not 'last'"),
    ('ts_mean(close, 5, min_periods="2")', '"2"', "is a number, not '2'"),
    ("ts_mean(close, 5, **close)", "**close", "has no argument None"),
    ("ts_mean(*close, 5)", "*close", "this has no place in an expression"),
    ("cs_rank(close, by=open)", "open", "by= needs a group, such as industry; this is a price"),
    ("cs_rank(close, by=2)", "2", "by= needs a value with a cross section"),
    ("ts_mean(close, 5, by=industry)", "by=industry", "has no argument 'by'"),
    ("cs_neutralise(close)", "cs_neutralise(close)", "cs_neutralise needs a group, regressors or both"),
    ("cs_neutralise(close, on=industry)", "industry", "on= needs numbers; groups stand after by="),
    ("cs_rank(3)", "3", "needs a value with a cross section"),
    ("mean(close, 5)", "mean", "there is no operator 'mean'. Did you mean 'ts_mean' or 'cs_mean'?"),
    ("TS_MEAN(close, 5)", "TS_MEAN", "Did you mean 'ts_mean'?"),
    ("CLOSE + 1", "CLOSE", "Did you mean 'close'?"),
    ("close(5)", "close", "'close' is a field, no operator; it takes no brackets"),
    ("1 + ts_mean", "ts_mean", "ts_mean is an operator: ts_mean(x, d,"),
    ("fund", "fund", 'fund needs a name in brackets: fund("net_profit")'),
    ("fund(close)", "close", "takes names in quotation marks"),
    ('fund("a", "b")', 'fund("a", "b")', 'fund is used as fund("net_profit")'),
    ('index("SH000300")', 'index("SH000300")', 'index is used as index("SH000300", "close")'),
    ('fund("")', '""', "'' is no name"),
    ('fund("a:b")', '"a:b"', "'a:b' is no name"),
    ('"close"', '"close"', "a text stands only in fields"),
    ("f'{close}'", "f'{close}'", "a text stands only in fields"),
    ("close[5]", "close[5]", "the value of 5 rows ago is delay(x, 5)"),
    ("close ^ 2", "close ^ 2", "a power is written **"),
    ("close % 2", "close % 2", "no remainder"),
    ("close // 2", "close // 2", "no whole division"),
    ("close @ open", "close @ open", "no such operation"),
    ("close is open", "close is open", "compared by < <= > >= == != alone"),
    ("close in open", "close in open", "compared by < <= > >= == != alone"),
    ("True", "True", "True has no place"),
    ("1j", "1j", "1j has no place"),
    ("...", "...", "Ellipsis has no place"),
    ("close, open", "close, open", "one expression is allowed here, not several"),
    ("[close]", "[close]", "a list stands only after on="),
    ("(a := close)", "a := close", "gives no names to its parts"),
    ("lambda: close", "lambda: close", "has no place in an expression"),
    ("[x for x in close]", "[x for x in close]", "has no place in an expression"),
    ("{1: 2}", "{1: 2}", "has no place in an expression"),
    ("close.__class__", "close.__class__", "no parts after a dot"),
    ("[].x", "[].x", "no parts after a dot"),
    ("(lambda: 1)()", "lambda: 1", "only an operator's name can stand before brackets"),
    ("__import__('os')", "__import__", "there is no operator '__import__'"),
    ("close.fillna(0)", "close.fillna", "only an operator's name can stand before brackets"),
    ("9**9**9", "9**9**9", "is not a finite number"),
    ("1e400", "1e400", "a constant must be finite"),
    ("1e39 * close", "1e39", "1e+39 is beyond float32"),
    ("close * 1e-50", "1e-50", "1e-50 is beyond float32"),
    ("close / (1 - 1) + 1 / 0", "1 / 0", "is not a finite number"),
    ("close) + (open", ")", "this ')' closes no '('"),
    ("ts_mean((close, 5", "(", "this '(' is never closed"),
    ("ts_mean(close, 5]", "]", "this ']' closes no '['"),
    ("close ? open : high", "?", "a conditional is written: a if condition else b"),
    ("(close > open) && (close > high)", "&", "a and b, or a & b"),
    ("5close", "5", "invalid decimal literal"),
    ("clo\u200bse", "\u200b", "has no place in an expression"),
    ("close\x00", "\x00", "has no place in an expression"),
    ("ｃlose + 1", "ｃlose", "spelt with other letters than 'close'"),
    ("$ + 1", "$", "$ stands before the name of a field"),
    ("a$b", "a$b", "$ stands before the name of a field"),
    ("$clse", "$clse", "there is no field '$clse'. Did you mean 'close'?"),
    ("$Mean", "$Mean", "there is no field '$Mean'"),
]  # fmt: skip


def shown(error: ExpressionError) -> tuple[str, str, str]:
    """Return the line that a message shows, what is under its carets (all characters one column wide), and the rest."""
    line, carets, message = str(error).split("\n", 2)
    assert set(carets.strip()) == {"^"}
    return line, line[len(carets) - len(carets.lstrip()) : len(carets)], message


@pytest.mark.parametrize(("text", "part", "message"), MISTAKES, ids=[text for text, _, _ in MISTAKES])
def test_a_mistake_points_at_its_characters(text: str, part: str, message: str) -> None:
    """The carets are under the wrong part and nothing else, and the message says what is wrong with it."""
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    if text.isascii() and text.isprintable():
        line, under, explained = shown(caught.value)
        assert (line, under) == (text, part)
        assert message in explained
    assert message in str(caught.value)
    assert isinstance(caught.value, SettingError)


def test_carets_after_wide_and_composed_characters() -> None:
    """Chinese characters take two columns, a combining accent none, and bytes are not counted for characters."""
    with pytest.raises(ExpressionError) as caught:
        parse('fund("换手") + volme')
    assert str(caught.value).split("\n")[:2] == ['fund("换手") + volme', " " * 15 + "^" * 5]
    with pytest.raises(ExpressionError) as caught:
        parse("ｃlose")
    assert str(caught.value).split("\n")[1] == "^" * 6
    with pytest.raises(ExpressionError) as caught:
        parse('fund("n\u0301") + volme')
    assert str(caught.value).split("\n")[1] == " " * 12 + "^" * 5


def test_carets_in_later_lines_and_behind_tabs() -> None:
    """The line shown is the one with the mistake; a tab stays a tab."""
    with pytest.raises(ExpressionError) as caught:
        parse("close +\n\t 2 * volme\n + open")
    assert str(caught.value).split("\n")[:2] == ["\t 2 * volme", "\t" + " " * 5 + "^" * 5]
    with pytest.raises(ExpressionError) as caught:
        parse("(close\n + volume)")
    assert str(caught.value).split("\n")[:2] == ["(close", " ^^^^^"]


def test_something_missing_at_the_end() -> None:
    """A text that ends too early is marked at its end."""
    with pytest.raises(ExpressionError) as caught:
        parse("close +\n")
    assert str(caught.value) == "close +\n       ^\nsomething is missing at the end"


def test_long_lines_are_cut_around_the_carets() -> None:
    """A message shows the neighbourhood of a mistake in a long line."""
    with pytest.raises(ExpressionError) as caught:
        parse("close + " * 100 + "volme" + " + open" * 10)
    line, under, _ = shown(caught.value)
    assert under == "volme"
    assert len(line) < 120


@pytest.mark.parametrize(
    "text",
    ["", "  \n ", "# nothing", "(" * 10_000, "(" * 10_000 + "close" + ")" * 10_000, "-" * 15_000 + "close",
     "close" + " + close" * 2_000, "not " * 4_000 + "close", "ts_mean(" * 1_000, "close" * 5_000, "9" * 5_000,
     "9**" * 1_000 + "9", "close" + "[0]" * 1_000, "close" + ".x" * 5_000, "\ud800", "'" + "\\d" * 10 + "'",
     "1 if " * 1_000 + "1", "close <" * 2_000 + " close", "((" * 90 + "close" + "))" * 90 + "+", "ǂclose",
     "eval('1')", "exec('1')", "open('/etc/passwd')", "().__class__.__bases__", "close or __import__('os').f('x')"],
)  # fmt: skip
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    """No text can run code, exhaust the stack or take long."""
    start = time.process_time()
    with pytest.raises(ExpressionError):
        parse(text)
    assert time.process_time() - start < 1.0


def test_size_limits() -> None:
    """Texts up to the limit are read; other types are no texts."""
    assert parse("close" + " " * (LONGEST_TEXT - 5)) == CLOSE
    with pytest.raises(ExpressionError, match="at most 20000 characters; this one has 20001"):
        parse("close" + " " * (LONGEST_TEXT - 4))
    with pytest.raises(ExpressionError, match="an expression is a text, not 5"):
        parse(5)  # type: ignore[arg-type]
    assert parse("+".join(["close"] * 150)).operator == "add"
    assert parse("(" * 150 + "close" + ")" * 150) == CLOSE


@given(st.text(max_size=40))
def test_any_text_reads_or_is_refused(text: str) -> None:
    """Whatever is written, the answer is a node or an `ExpressionError`."""
    with contextlib.suppress(ExpressionError):
        assert isinstance(parse(text), Node)


SNIPPETS = ["close", "volume", "$open", "ts_mean", "Corr", "(", ")", ",", "+", "-", "*", "**", "/", "<", " and ", "5",
            "0.5", "by=", "industry", "\n", "\t", "if", "else", "换", "'", "fund", "~", "[", "]", " "]  # fmt: skip


@given(st.lists(st.sampled_from(SNIPPETS), max_size=14))
def test_any_arrangement_reads_or_is_refused(parts: list[str]) -> None:
    """So does every arrangement of the language's own parts; a message has a line, carets and a reason."""
    message = ""
    try:
        parse("".join(parts))
    except ExpressionError as error:
        message = str(error)
    assert message in {"", "the expression is empty"} or message.count("\n") == 2


def test_look_back_and_look_ahead_by_hand() -> None:
    """Rows needed before and after t, composed through shifts and windows."""
    cases = {
        "close": (0, 0),
        "delay(close, 5)": (5, 0),
        "ts_mean(close, 20)": (19, 0),
        "delay(ts_mean(close, 20), 5)": (24, 0),
        "close / ts_mean(delay(close, 3), 10) + returns(open, 30)": (30, 0),
        "delay(close, -3)": (0, 3),
        "delay(delay(close, 5), -3)": (2, 3),
        "delay(delay(close, -3), 5)": (5, 0),
        "returns(close, -2)": (0, 2),
        "Ref($close, -2) / Ref($close, -1) - 1": (0, 2),
        "ts_mean(delay(close, -3), 2)": (1, 3),
        "ts_ewm(close, 12)": (ewm_rows(12) - 1, 0),
        "cs_rank(ts_mean(close, 5))": (4, 0),
        "cs_neutralise(close, by=industry, on=delay(log_cap, 7))": (7, 0),
    }
    assert {text: (parse(text).lookback, parse(text).lookahead) for text in cases} == cases


def test_look_ahead_is_refused_where_it_must_not_be() -> None:
    """A feature's expression points at the shift that reads ahead."""
    with pytest.raises(ExpressionError) as caught:
        parse("close / delay(close, -1) - 1", look_ahead=False)
    _, under, message = shown(caught.value)
    assert under == "delay(close, -1)"
    assert message == "delay reads 1 row after the date it is for; no feature may"
    assert parse("delay(close, 1)", look_ahead=False).lookahead == 0


def test_cross_sections_are_not_local() -> None:
    """A node is local until a cross-sectional operator stands in it."""
    assert parse("ts_mean(close, 5)").is_local
    assert not parse("ts_mean(cs_rank(close), 5)").is_local


def test_parts_of_a_cross_sectional_node() -> None:
    """Operands, group, weight and regressors can be told apart."""
    node = parse("cs_neutralise(returns, by=industry, on=(log_cap, turnover))")
    assert node.operands == (parse("returns"),)
    assert node.group == known("industry")
    assert node.weight is None
    assert node.regressors == (known("log_cap"), known("turnover"))
    weighted = parse("cs_mean(returns, weight=float_cap)")
    assert (weighted.operands, weighted.group, weighted.weight) == ((parse("returns"),), None, known("float_cap"))
    assert parse("ts_corr(close, open, 5)").operands == (CLOSE, OPEN)
    assert parse("ts_corr(close, open, 5)").regressors == ()


def test_settings_are_complete() -> None:
    """Every node carries all settings of its operator, defaults filled in."""
    node = parse("ts_corr(close, open, 10, half_life=5)")
    assert dict(node.settings) == {"half_life": 5.0, "min_periods": 2.0, "min_std": 0.0}
    assert node.setting("half_life") == 5.0
    assert parse("ts_argmax(close, 5)").choice("gap") == "skip"


def test_kinds_of_leaves_are_no_operators() -> None:
    """A field or a constant cannot be taken for an operator of that name: `number(close)` is no constant."""
    assert {FIELD, NUMBER}.isdisjoint(OPERATORS)
    assert parse("number(close)").inputs == (CLOSE,)
    assert parse(to_text(parse("number(close)"))) == parse("number(close)")


LEAVES = [known(name) for name in ("close", "open", "volume", "turnover", "log_cap")] + [parse('fund("roe")')]
SERIES = [name for name, rule in OPERATORS.items() if rule.kind == "series"]
CELLS = [name for name, rule in OPERATORS.items() if rule.kind == "cell"]
CROSSES = [name for name, rule in OPERATORS.items() if rule.kind == "cross"]


def tried(name: str, inputs: list[Node], *arguments: object, **more: object) -> Node:
    """Return the node, or the first operand where the operator does not take it."""
    try:
        return make(name, inputs, *arguments, **more)  # type: ignore[arg-type]
    except (ArgumentError, UnitError):
        return inputs[0]


@st.composite
def node_over(draw: st.DrawFn, below: st.SearchStrategy[Node]) -> Node:
    """Return an operator over nodes."""
    kind = draw(st.sampled_from(["cell", "series", "series", "shift", "cross"]))
    first = draw(below)
    if kind == "shift":
        return tried(draw(st.sampled_from(["delay", "delta", "returns"])), [first], draw(st.integers(-4, 6)))
    name = draw(st.sampled_from({"cell": CELLS, "series": SERIES, "cross": CROSSES}[kind]))
    rule = OPERATORS[name]
    inputs = [first, *(draw(below) for _ in rule.operands[1:])]
    if kind == "cell":
        return tried(name, inputs)
    settings = {"q": 0.25} if name == "ts_quantile" else {"n": 5} if name == "cs_bucket" else {}
    if kind == "series":
        window = draw(st.integers(1, 7))
        if "half_life" in rule.settings and draw(st.booleans()):
            settings["half_life"] = draw(st.floats(0.5, 60))
        return tried(name, inputs, window, settings)
    by = draw(st.sampled_from([None, known("industry")]))
    on = [draw(below) for _ in range(draw(st.integers(0, 2)))] if rule.on else []
    weight = draw(below) if rule.weight and draw(st.booleans()) else None
    return tried(name, inputs, None, settings, by=by, weight=weight, on=on)


CONSTANTS = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-30).map(number)
NODES = st.recursive(st.sampled_from(LEAVES) | CONSTANTS, node_over, max_leaves=8)


@given(NODES)
def test_a_node_reads_as_it_is_written(node: Node) -> None:
    """`to_text` and `parse` are inverse to each other."""
    again = parse(to_text(node))
    assert again == node
    assert hash(again) == hash(node)
    assert (again.unit, again.lookback, again.lookahead, again.is_local) == (
        node.unit,
        node.lookback,
        node.lookahead,
        node.is_local,
    )


def rows_needed(node: Node, t: int) -> set[int]:
    """Return all rows at which the node or a part of it must be known for its value at row t."""
    rows = {t}
    if node.operator == "delay":
        read = [t - node.window]
    elif node.operator in {"delta", "returns"}:
        read = [t, t - node.window]
    elif node.operator == "ts_ewm":
        read = list(range(t - ewm_rows(node.window) + 1, t + 1))
    elif node.window:
        read = list(range(t - node.window + 1, t + 1))
    else:
        read = [t]
    for part in node.inputs:
        ends = [rows_needed(part, row) for row in {min(read), max(read)}]
        rows |= set().union(*ends)
    return rows


@given(NODES)
def test_look_back_is_what_the_rows_read_say(node: Node) -> None:
    """Look-back and look-ahead are the outermost rows that an evaluation row by row visits."""
    rows = rows_needed(node, 0)
    assert (node.lookback, node.lookahead) == (-min(rows), max(rows))


def test_a_nearly_full_stack_is_told_in_words() -> None:
    """A text within the limits is refused, not answered with a `RecursionError`, where the stack has no room for it."""
    text = "abs(" * 90 + "close" + ")" * 90
    assert parse(text).operator == "abs"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 120)
    try:
        with pytest.raises(ExpressionError, match="nested too deeply"):
            parse(text)
    finally:
        sys.setrecursionlimit(limit)


def test_build_refuses_what_the_parser_cannot_even_ask_for() -> None:
    """Nodes made in Python are checked alike."""
    with pytest.raises(ArgumentError, match="there is no operator 'ts_men'. Did you mean 'ts_mean'?"):
        make("ts_men", [CLOSE], 5)
    with pytest.raises(ArgumentError, match=r"ts_corr takes 2 operands \(x, y\), not 1"):
        make("ts_corr", [CLOSE], 5)
    with pytest.raises(ArgumentError, match="abs takes no window"):
        make("abs", [CLOSE], 5)
    with pytest.raises(ArgumentError, match="ts_mean has no setting 'q'"):
        make("ts_mean", [CLOSE], 5, {"q": 0.5})
    with pytest.raises(ArgumentError, match="cs_rank takes no weight="):
        make("cs_rank", [CLOSE], weight=VOLUME)
    with pytest.raises(ArgumentError, match="a constant must be finite; this is nan"):
        number(float("nan"))
    assert build.LONGEST == 2520
