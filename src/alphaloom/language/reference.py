"""The reference of operators and fields in Markdown, written from the catalogues themselves."""

import inspect
from collections.abc import Iterable, Mapping

from alphaloom.data.fields import PREFIX_UNITS, PREFIXES, RULES
from alphaloom.language.build import SHIFTS, signature
from alphaloom.language.names import BAR, TO_FIELD, example, field_names
from alphaloom.language.operators import OPERATORS, Operator, Setting
from alphaloom.language.qlib_syntax import ALIASES, REFUSED

_KINDS = {"cell": "Elementwise", "series": "Time series", "cross": "Cross section"}
_INTRODUCTION = """\
Values are float32; missing is NaN. Each result has a unit, derived from those of its operands; units that do not go
together are refused, and `number(x)` drops one. The look-back is the number of earlier rows that a value reads, besides
its operands' own. A shift may be negative in labels: it reads ahead."""
_CELL = """\
IEEE arithmetic in float32, but a power is missing where its base or its exponent is. A comparison with a missing value
is 0. `+ - * / **`, `< <= > >= == !=`, `and or not` (or
`& | ~`) and `a if condition else b` are read as these operators."""
_SERIES = """\
Over the last `d` rows of the stock's own listed span, today's included; a suspended day is a row, and at the listing
the window is cut short. Missing and infinite values are left out; with fewer than `min_periods` left the result is
missing. Sums run in float64."""
_CROSS = """\
Over the stocks of one date. Statistics are taken over the members of the universe that have a finite value (and a
group, with `by=`); every stock that has a value gets a result from them, member or not, except that a stock without a
group gets none under `by=`. One outside the universe takes the rank, or the bucket, of the place among the members that
it would stand at. `by=` takes a group such as `industry`; `on=` one regressor or several: `on=(log_cap, turnover)`;
`weight=` a weight, which counts as 0 where it is missing, infinite or not above 0."""
_CONVENTIONS = {"cell": _CELL, "series": _SERIES, "cross": _CROSS}


def operator_table() -> str:
    """Return the reference of the language as Markdown: operators, settings, fields, qlib's names."""
    parts = ["# Operators of the factor language", _INTRODUCTION]
    for kind, title in _KINDS.items():
        rules = [rule for rule in OPERATORS.values() if rule.kind == kind]
        parts += [f"## {title}", _CONVENTIONS[kind], _operators(rules, with_rows=kind == "series")]
    parts += ["## Settings", _settings(OPERATORS.values())]
    parts += ["## Fields", _fields(), "## qlib's names", _qlib(), ""]
    return "\n\n".join(parts)


def _operators(rules: Iterable[Operator], *, with_rows: bool) -> str:
    head = ["operator", "meaning", "unit of the result"] + (["look-back"] if with_rows else [])
    rows = []
    for rule in rules:
        meaning = rule.meaning + ("; missing where today's value is" if rule.today else "")
        row = [f"`{signature(rule)}`", meaning, str(inspect.getdoc(rule.unit))]
        rows.append(row + ([_look_back(rule)] if with_rows else []))
    return _table(head, rows)


def _look_back(rule: Operator) -> str:
    if rule.name in SHIFTS:
        return "d"
    if rule.reads(20) == 19:
        return "d - 1"
    return f"{rule.reads(5)} for d = 5, {rule.reads(20)} for 20, {rule.reads(60)} for 60"


def _settings(rules: Iterable[Operator]) -> str:
    meanings: dict[tuple[str, str], list[str]] = {}
    for rule in rules:
        for name, setting in rule.settings.items():
            if name != "min_periods":
                meanings.setdefault((name, f"{setting.meaning} ({_allowed(setting)})"), []).append(f"`{rule.name}`")
    rows = [
        ["`min_periods`", "fewest known values in the window, from the default to d", "all over a window of values"]
    ]
    rows += [[f"`{name}`", meaning, ", ".join(users)] for (name, meaning), users in meanings.items()]
    return _table(["setting", "meaning", "operators"], rows)


def _allowed(setting: Setting) -> str:
    if setting.choices:
        return " or ".join(setting.choices)
    if setting.high != float("inf"):
        return f"{setting.low:g} to {setting.high:g}"
    return f"{'a whole number, ' if setting.whole else ''}at least {setting.low:g}"


def _fields() -> str:
    rows = []
    for name in field_names():
        rule = RULES[TO_FIELD.get(name, name)]
        rows.append([f"`{name}`", rule.meaning, rule.unit])
    rows += [
        ["`returns`", "`returns(close, 1)`", "ratio"],
        ["`adv20`", "`ts_mean(amount, 20)`, and so with any number of rows", "money"],
    ]
    rows += [[f"`{example(name)}`", PREFIXES[name][2], PREFIX_UNITS[name]] for name in PREFIXES]
    rows.append([f"`{example(BAR)}`", "a store's own column of bars", "unknown"])
    return _table(["field", "meaning", "unit"], rows)


def _qlib() -> str:
    rows = []
    for name, alias in ALIASES.items():
        note = "`ts_count(no(is_missing(x)), d)`" if name == "Count" else f"`{alias.operator}`{_with(alias.settings)}"
        rows.append([f"`{name}`", note])
    rows += [[f"`{name}`", f"refused: {reason}"] for name, reason in REFUSED.items()]
    return "Fields are written `$close`; arguments stand in qlib's order.\n\n" + _table(["qlib", "here"], rows)


def _with(settings: Mapping[str, float | str]) -> str:
    return " with " + ", ".join(f"`{key}={value!r}`" for key, value in settings.items()) if settings else ""


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
