"""Plans: random expressions against one operator at a time, stages, look-back, threads, what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_operators import naive
from panels import random_panel

from alphaloom.errors import MissingFieldError, SettingError
from alphaloom.language.build import field, make, number
from alphaloom.language.nodes import FIELD, NUMBER, Node, in_order
from alphaloom.language.operators import OPERATORS
from alphaloom.language.parse import parse
from alphaloom.language.plan import Plan
from alphaloom.language.units import FLAG, GROUP, RATIO
from alphaloom.panel import Panel

T, N = 36, 9
FIELDS = [field(name, RATIO) for name in ("adj_close", "adj_open", "turnover", "log_cap")]
INDUSTRY = field("industry", GROUP)
UNARY = ("negative", "abs", "sign", "sqrt", "tanh", "sigmoid", "is_missing")
BINARY = ("add", "subtract", "multiply", "min", "max", "coalesce")
COMPARE = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
SHIFT = ("delay", "delta", "returns")
WINDOW = (
    "ts_sum", "ts_mean", "ts_std", "ts_min", "ts_max", "ts_argmin", "ts_argmax", "ts_rank", "ts_median", "ts_quantile",
    "ts_slope", "ts_last", "ts_mad", "decay_linear", "ts_ewm",
)  # fmt: skip
CROSS = ("cs_rank", "cs_demean", "cs_mean", "cs_sum", "cs_median")


def market(seed: int = 3) -> Panel:
    """Return a small market with gaps, ties, a stock that comes back, and a universe that changes."""
    panel = random_panel(T, N, seed=seed)
    rng = np.random.default_rng(seed)
    fields = {name: array.copy() for name, array in panel.fields.items()}
    fields["adj_open"] = np.round(fields["adj_open"])
    for name in ("adj_close", "turnover", "adj_open", "log_cap", "is_listed", "industry"):
        fields[name][14:19, 4] = np.nan
    fields["industry"][3, 1] = np.nan
    return panel.with_fields(fields).with_universe(panel.universe & (rng.random((T, N)) < 0.8))


@st.composite
def trees(draw: st.DrawFn, depth: int = 4) -> Node:
    """Draw an expression; its values stay finite."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(FIELDS))
    child = trees(depth - 1)
    kind = draw(st.sampled_from(("unary", "binary", "number", "where", "shift", "window", "window", "pair", "cross")))
    x = draw(child)
    if kind == "unary":
        return make(draw(st.sampled_from(UNARY)), [x])
    if kind == "binary":
        return make(draw(st.sampled_from(BINARY)), [x, draw(child)])
    if kind == "number":
        return make(draw(st.sampled_from(BINARY)), [x, number(draw(st.sampled_from((0.0, 1.5, 2.0))))])
    if kind == "where":
        return make("where", [make(draw(st.sampled_from(COMPARE)), [x, draw(child)]), draw(child), x])
    if kind == "shift":
        name = draw(st.sampled_from(SHIFT))
        safe = make("add", [make("abs", [x]), number(1.0)]) if name == "returns" else x
        return make(name, [safe], draw(st.integers(1, 5)))
    if kind == "pair":
        return make("ts_cov", [x, draw(child)], draw(st.sampled_from((2, 5, 60))))
    if kind == "cross":
        by = draw(st.sampled_from((None, INDUSTRY)))
        weight = field("float_cap", RATIO) if draw(st.booleans()) else None
        name = draw(st.sampled_from(CROSS))
        return make(name, [x], by=by, weight=weight if name in {"cs_demean", "cs_mean"} else None)
    name = draw(st.sampled_from(WINDOW))
    extra = {"q": 0.3} if name == "ts_quantile" else {}
    return make(name, [x], draw(st.sampled_from((2, 3, 5, 10, 50))), extra)


def by_stock(panel: Panel, of_span: Callable[..., np.ndarray], *planes: np.ndarray) -> np.ndarray:
    """Apply a function of series to every listed span."""
    out = np.full((T, N), np.nan)
    for n in range(N):
        listed = panel["is_listed"][:, n] == 1.0
        edges = np.flatnonzero(np.diff(np.concatenate([[False], listed, [False]]).astype(int)))
        for first, stop in zip(edges[::2], edges[1::2], strict=True):
            out[first:stop, n] = of_span(*(plane[first:stop, n] for plane in planes))
    return out


def cross_section(node: Node, panel: Panel, x: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Return a cross-sectional operator by loops over dates and groups."""
    out = np.full((T, N), np.nan)
    for t in range(T):
        group = panel["industry"][t] if node.group is not None else np.zeros(N)
        for g in np.unique(group[~np.isnan(group)]):
            here = group == g
            member = here & panel.universe[t] & ~np.isnan(x[t])
            w = np.ones(N) if weight is None else weight[t]
            known = member & (w > 0)
            if not known.any():
                continue
            v = x[t, known].astype(float)
            mean = np.average(v, weights=w[known])
            if node.operator == "cs_rank":
                below = (v[:, None] < x[t, here]).sum(axis=0) + ((v[:, None] == x[t, here]).sum(axis=0) + 1) / 2
                out[t, here] = np.where(np.isnan(x[t, here]), np.nan, below.clip(1, v.size) / v.size)
            elif node.operator == "cs_demean":
                out[t, here] = x[t, here] - mean
            else:
                out[t, here] = {"cs_mean": mean, "cs_sum": v.sum(), "cs_median": np.median(v)}[node.operator]
    return out


CELLS: dict[str, Callable[..., np.ndarray]] = {
    "negative": np.negative, "abs": np.abs, "sign": np.sign, "sqrt": np.sqrt, "tanh": np.tanh, "add": np.add,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "is_missing": np.isnan, "subtract": np.subtract,
    "multiply": np.multiply, "min": np.minimum, "max": np.maximum, "coalesce": lambda x, y: np.where(np.isnan(x), y, x),
    "less": np.less, "less_equal": np.less_equal, "greater": np.greater, "greater_equal": np.greater_equal,
    "equal": np.equal, "not_equal": lambda x, y: (x != y) & ~np.isnan(x) & ~np.isnan(y),
    "where": lambda c, x, y: np.where(np.nan_to_num(c) != 0, x, y),
}  # fmt: skip


def expected(node: Node, panel: Panel, known: dict[Node, np.ndarray]) -> np.ndarray:
    """Return what a node should be, from the values found for its operands."""
    operands = [known[child] for child in node.operands]
    if node.operator == NUMBER:
        return np.full((T, N), node.value)
    if node.operator == FIELD:
        return panel[node.name]
    if node.operator in CELLS:
        with np.errstate(invalid="ignore", over="ignore"):
            return CELLS[node.operator](*operands).astype(float)
    if node.operator.startswith("cs_"):
        return cross_section(node, panel, operands[0], None if node.weight is None else panel[node.weight.name])
    extra = {"q": node.setting("q")} if node.operator == "ts_quantile" else {}
    return by_stock(panel, lambda *x: naive(node.operator, *x, window=node.window, **extra), *operands)


@settings(max_examples=60, deadline=None)
@given(roots=st.lists(trees(), min_size=1, max_size=4))
def test_random_expressions_equal_one_operator_at_a_time(roots: list[Node]) -> None:
    """Every node of random expressions is its operator of its operands; how a plan is cut and shared changes no bit."""
    panel = market()
    nodes = [node for node in in_order(roots) if node.unit.kind != "group"]
    plan = Plan.of({str(k): node for k, node in enumerate(nodes)})
    values = plan.compute(panel)
    known = {node: values[:, :, k] for k, node in enumerate(nodes)}
    for node in nodes:
        wanted = np.where(panel["is_listed"] == 1.0, expected(node, panel, known), np.nan)
        scale = max(np.nanmax(np.abs(known[child]), initial=1.0) for child in (node, *node.operands))
        np.testing.assert_allclose(known[node], wanted, rtol=2e-6, atol=2e-6 * scale, err_msg=str(node.operator))
    alone = Plan.of({str(k): root for k, root in enumerate(roots)})
    np.testing.assert_array_equal(alone.compute(panel), np.stack([known[root] for root in roots], axis=2))
    start = min(alone.lookback + 3, T - 1)
    np.testing.assert_array_equal(alone.compute(panel, start_row=start), alone.compute(panel)[start:])
    np.testing.assert_array_equal(alone.compute(panel.rows(0, T - 7)), alone.compute(panel)[: T - 7])


def registers(plan: Plan) -> list[int]:
    """Return how many instructions each stage has."""
    return [step.program.instructions.shape[0] for step in plan.steps]


def test_equal_subexpressions_are_computed_once() -> None:
    """A subexpression that several features share is one instruction; windows of one series are one, too."""
    one = Plan.of({"a": "close + ts_mean(open, 5)"})
    two = Plan.of({"a": "close + ts_mean(open, 5)", "b": "(close + ts_mean(open, 5)) * 2"})
    assert registers(two)[0] == registers(one)[0] + 1
    windows = Plan.of({f"m{d}": f"ts_mean(close, {d}) / ts_std(close, {d})" for d in (5, 10, 20)})
    assert registers(windows) == [1 + 1 + 3]  # load, one instruction for six windows, three quotients


def test_values_that_a_stage_needs_again_are_stored_once() -> None:
    """A window that a cross-sectional operator and the result both use is computed in one stage alone."""
    text = "cs_rank(ts_corr(close, volume, 10)) + ts_corr(close, volume, 10)"
    first, last = Plan.of({"x": text}).steps
    assert [node.operator for node in first.stage.stored] == ["ts_corr"]
    assert [node.operator for node in last.stage.planes] == ["cs_rank"]
    assert {node.operator for node in last.stage.loaded} == {"cs_rank", "ts_corr"}


@pytest.mark.parametrize(
    "text",
    ["ts_mean(close, 20) / close", "cs_rank(ts_median(delta(close, 1), 5))", "cs_neutralise(log_cap, by=industry)"],
)
def test_threads_change_no_bit(text: str) -> None:
    """Several threads give the values of one, over more stocks than fit into a block."""
    panel = random_panel(70, 150, seed=5)
    plan = Plan.of({"x": text})
    np.testing.assert_array_equal(plan.compute(panel, threads=3), plan.compute(panel, threads=1))


def test_long_spans_are_cut_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans that are run in pieces, to stay in the cache, have the values of those that are not."""
    panel = random_panel(500, 6, seed=8)
    texts = {
        "a": "ts_corr(close, volume, 10)",
        "b": "cs_rank(ts_mean(close, 10)) - ts_slope(close, 5) / close",
        "c": "returns",
    }
    whole = Plan.of(texts).compute(panel)
    monkeypatch.setattr("alphaloom.language.execute.CACHE", 0)
    np.testing.assert_array_equal(Plan.of(texts).compute(panel), whole)


def test_infinite_results_are_missing_but_infinities_inside_count() -> None:
    """Only the last step turns an infinite value into a missing one."""
    panel = random_panel(20, 3, gaps=False)
    volume = panel["adj_volume"].copy()
    volume[4] = 0.0
    panel = panel.with_fields({"adj_volume": volume})
    made = Plan.of({"x": "close / volume", "y": "1 / (close / volume)", "z": "ts_count(close / volume > 1e30, 3)"})
    values = made.compute(panel)
    assert np.isnan(values[4, :, 0]).all()
    assert (values[4, :, 1] == 0.0).all()
    assert (values[4:7, :, 2] == 1.0).all()


def test_reading_ahead_is_allowed_to_labels() -> None:
    """A negative shift gives the later value, NaN where the stock leaves before; nothing is cut into pieces."""
    panel = random_panel(30, 4, gaps=False)
    plan = Plan.of({"next": "delay(close, -2) / close - 1"})
    assert (plan.lookback, plan.lookahead) == (0, 2)
    values = plan.compute(panel)[:, :, 0]
    close = panel["adj_close"]
    np.testing.assert_array_equal(values[:-2], close[2:] / close[:-2] - np.float32(1))
    assert np.isnan(values[-2:]).all()


def test_reading_ahead_inside_is_not_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expression that looks forward and back again has all rows that it needs, however short the pieces."""
    panel = random_panel(400, 5, seed=9, gaps=False)
    texts = {f"x{d}": f"delay(cs_rank(ts_mean(delay(close, -3), {d})), 3)" for d in (2, 5)}
    plan = Plan.of(texts)
    assert plan.lookahead == 0
    whole = plan.compute(panel)
    monkeypatch.setattr("alphaloom.language.execute.CACHE", 64)
    np.testing.assert_array_equal(plan.compute(panel), whole)


def test_outputs_may_be_fields_numbers_and_repeated() -> None:
    """An output that is only a field, a constant or another output's expression is written all the same."""
    panel = random_panel(12, 3, gaps=False)
    values = Plan.of({"a": "close", "b": "2 * 3", "c": "close", "d": "number(close)"}).compute(panel)
    for j in (0, 2, 3):
        np.testing.assert_array_equal(values[:, :, j], panel["adj_close"])
    assert (values[:, :, 1] == 6.0).all()


def test_memory_estimate_counts_output_inputs_and_planes() -> None:
    """The estimate for one row covers the result, the fields read and the planes alive together."""
    local = Plan.of({"x": "ts_mean(close, 5)"})
    crossed = Plan.of({"x": "cs_rank(ts_mean(close, 5))"})
    assert local.bytes_per_row(10) == 4 * 10 * (1 + 2)
    assert crossed.bytes_per_row(10) == 4 * 10 * (1 + 2 + 2)


def test_refusals() -> None:
    """No expression, a group as a feature, a missing field and rows outside the panel are refused by name."""
    panel = random_panel(12, 3)
    with pytest.raises(SettingError, match="at least one expression"):
        Plan.of({})
    with pytest.raises(SettingError, match="'g' is a group"):
        Plan.of({"g": "industry"})
    with pytest.raises(MissingFieldError, match="adj_vwap"):
        Plan.of({"x": "vwap"}).compute(panel.select(["adj_close", "is_listed"]))
    with pytest.raises(SettingError, match="start_row is 12; the panel has rows 0 to 11"):
        Plan.of({"x": "close"}).compute(panel, start_row=12)


def test_every_operator_can_be_planned() -> None:
    """No operator of the catalogue lacks an instruction or a kernel."""
    panel = random_panel(30, 6)
    for name, rule in OPERATORS.items():
        conditions = {"condition"} | ({"x", "y"} if name in {"both", "either", "no"} else set())
        inputs = [field("is_suspended", FLAG) if o in conditions else field("turnover", RATIO) for o in rule.operands]
        required = {key: setting.low or 0.5 for key, setting in rule.settings.items() if setting.default is None}
        more = {"by": INDUSTRY} if name == "cs_neutralise" else {}
        node = make(name, inputs, 5 if rule.window else None, required, **more)
        assert Plan.of({name: node}).compute(panel).shape == (30, 6, 1)


def test_plan_of_a_text_is_that_of_its_node() -> None:
    """Texts and nodes make equal plans."""
    text = "cs_zscore(ts_mean(close, 5), by=industry)"
    assert Plan.of({"x": text}) == Plan.of({"x": parse(text)})


def test_memory_that_is_there_is_used() -> None:
    """The result goes into `out` and is what a fresh one is; memory that does not fit is refused."""
    panel = random_panel(40, 7, 3)
    plan = Plan.of({"a": "ts_mean(close, 5)", "b": "ts_quantile(close, 5, 0.3)", "c": "ts_median(open, 9)"})
    out = np.full((30, 7, 3), 7.0, np.float32)
    assert plan.compute(panel, start_row=10, out=out) is out
    np.testing.assert_array_equal(out, plan.compute(panel, start_row=10))
    with pytest.raises(SettingError, match="out must be writeable"):
        plan.compute(panel, out=out)
