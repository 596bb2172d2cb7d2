"""Names of the language: which panel field each means, and its unit.

`open`, `high`, `low`, `close`, `vwap` and `volume` are the adjusted series, missing while the stock is suspended;
`raw_open` ... `raw_volume` the unadjusted ones. Every other field of the catalogue goes by its own name, and fields
with a prefix are called: `fund("net_profit")`, `member("SH000300")`, `index("SH000300", "close")`. `bar("pe_ttm")` is a
store's own column of bars.
"""

from collections.abc import Sequence

from alphaloom.data.fields import PREFIX_UNITS, PREFIXES, RULES
from alphaloom.language.build import field
from alphaloom.language.nodes import Node
from alphaloom.language.units import FLAG, GROUP, MONEY, PRICE, RATIO, SHARES, UNKNOWN

ADJUSTED = ("open", "high", "low", "close", "vwap", "volume")
"""Names that mean the adjusted series."""
TO_FIELD = {name: f"adj_{name}" for name in ADJUSTED} | {f"raw_{name}": name for name in ADJUSTED}
_TO_NAME = {panel: name for name, panel in TO_FIELD.items()}
_UNITS = {
    "price": PRICE,
    "shares": SHARES,
    "money": MONEY,
    "ratio": RATIO,
    "flag": FLAG,
    "group": GROUP,
    "unknown": UNKNOWN,
}
BAR = "bar"
"""Names a further column of bars, whose panel field has no prefix."""
CALLED = (*PREFIXES, BAR)
"""Names before brackets that make a field."""
_EXAMPLES = {
    BAR: ("pe_ttm",),
    "member": ("SH000300",),
    "weight": ("SH000300",),
    "fund": ("net_profit",),
    "frame": ("score",),
    "index": ("SH000300", "close"),
    "macro": ("cpi",),
}


def field_of(name: str) -> Node | None:
    """Return the field of the catalogue that a name means, or None."""
    panel = TO_FIELD.get(name, name)
    return field(panel, _UNITS[RULES[panel].unit]) if panel in RULES else None


def called(prefix: str, *keys: str) -> Node:
    """Return the field `prefix:key` of a prefix of the catalogue, such as `fund:net_profit`, or a column of bars.

    Raises:
        ValueError: a column of bars is named that is a field of the catalogue, and so has a name of its own.
    """
    if prefix == BAR:
        (key,) = keys
        if key in RULES:
            raise ValueError(f"{key!r} is a field of its own: write {_TO_NAME.get(key, key)}")
        return field(key, UNKNOWN)
    return field(":".join((prefix, *keys)), _UNITS[PREFIX_UNITS[prefix]])


def example(prefix: str) -> str:
    """Return how fields of a prefix are written.

    >>> example("index")
    'index("SH000300", "close")'
    """
    return _call(prefix, _EXAMPLES[prefix])


def field_names() -> list[str]:
    """Return the names of all fields of the catalogue, without those that are called."""
    return sorted({_TO_NAME.get(panel, panel) for panel in RULES})


def written(panel_field: str) -> str:
    """Return how a panel field is written in an expression.

    >>> written("adj_close"), written("close"), written("fund:net_profit"), written("pe_ttm")
    ('close', 'raw_close', 'fund("net_profit")', 'bar("pe_ttm")')
    """
    prefix, *keys = panel_field.split(":")
    if keys and prefix in PREFIXES:
        return _call(prefix, keys)
    if panel_field not in RULES:
        return _call(BAR, [panel_field])
    return _TO_NAME.get(panel_field, panel_field)


def _call(prefix: str, keys: Sequence[str]) -> str:
    return f"{prefix}({', '.join(chr(34) + key + chr(34) for key in keys)})"
