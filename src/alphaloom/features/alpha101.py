"""The 101 formulaic alphas: published formulas over price, volume, industry and capitalisation, in the factor language.

Each alpha stands in `alpha101.toml` twice: as printed in the paper, and as the language has it. Between the two:

* rank, scale, indneutralize, correlation ... are cs_rank, cs_scale, cs_demean, ts_corr ...; ranks of either kind are
  shares in (0, 1]. A fractional number of days is floored. `min(x, d)` and `max(x, d)` with a number of days are
  ts_min and ts_max (alpha029), with two series the smaller and the larger. The place that ts_argmax gives counts from
  the oldest day, 1.
* A sum over d days is d times ts_mean, so that a missing day does not pass for a day of 0; where only a rank or a
  correlation sees it, the factor is left out, as are sums and products over one day. The logarithm of a product
  (alpha081) is the sum of logarithms, which float32 can hold for any number of stocks.
* A comparison in the language is 0 where a side is missing. The alphas are missing there: `a < b` as a number is
  `max(sign(b - a), 0)`, times -1 it is `min(sign(a - b), 0)`; a choice adds `0 * x` for the x that decides it.
* `number(...)` drops units where the paper mixes them: a price with a deviation of returns (001) or a correlation
  (018, 028), money with shares (007, 021, 047), a price as an exponent (084). A bare number takes any unit: 0.25, 0.1
  and 0.05 in 046, 049 and 051, 0.001 in 101 are amounts of the adjusted price, so these depend on its base.
* The levels of IndClass (sector, industry, subindustry) are all the store's one `industry`.
* An infinite value is missing: a division by 0 (053, 083), or a power beyond float32 (084).

Source: Z. Kakushadze, "101 Formulaic Alphas", Wilmott 2016 (84), arXiv:1601.00991, Appendix A.
"""

import ast
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from alphaloom.features.base import features
from alphaloom.features.written import ExpressionFamily
from alphaloom.language.operators import OPERATORS

_AVERAGE = re.compile(r"adv([0-9]+)")


@dataclass(frozen=True, slots=True)
class Formula:
    """One alpha: the formula as printed in the paper, and its text in the factor language.

    In the text, `cap` stands for a field of capitalisation and `adv20` for the mean of 20 days' trading.
    """

    paper: str
    text: str


@cache
def formulas() -> dict[str, Formula]:
    """Return the formulas by name, alpha001 to alpha101."""
    listed = tomllib.loads(files(__package__).joinpath("alpha101.toml").read_text(encoding="utf-8"))
    return {name: Formula(*(" ".join(item[key].split()) for key in ("paper", "text"))) for name, item in listed.items()}


class _Completed(ast.NodeTransformer):
    """Puts in what the family's settings decide: the fields behind `cap` and `adv20`, and `min_periods` of windows."""

    def __init__(self, cap: str, adv: str, known: float) -> None:
        self.cap, self.adv, self.known = cap, adv, known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        average = _AVERAGE.fullmatch(node.id)
        if average:
            return self.visit_Call(ast.parse(f"ts_mean({self.adv}, {average[1]})", mode="eval").body)
        return ast.Name(self.cap, node.ctx) if node.id == "cap" else node

    def visit_Call(self, node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        node.args = [self.visit(argument) for argument in node.args]
        operator = OPERATORS.get(node.func.id)
        if operator and "min_periods" in operator.settings:
            window = node.args[len(operator.operands)]
            assert isinstance(window, ast.Constant)
            needed = max(operator.least, ceil(round(self.known * int(str(window.value)), 9)))
            node.keywords.append(ast.keyword("min_periods", ast.Constant(needed)))
        return node


@cache
def _completed(cap: str, adv: str, known: float) -> tuple[tuple[str, str], ...]:
    made = _Completed(cap, adv, known)
    return tuple(
        (name, ast.unparse(made.visit(ast.parse(formula.text, mode="eval")))) for name, formula in formulas().items()
    )


@features.register("alpha101")
class Alpha101(ExpressionFamily):
    """The 101 formulaic alphas of Kakushadze (2016), alpha001 to alpha101, from adjusted prices and volumes.

    Positions as published, not standardised: ranks, choices of -1, 0 and 1, amounts of price. Windows are rows of the
    stock's own listed span; where they are whole the values are those of the formulas, and a window with gaps, or cut
    short by the listing, is used if enough of it is known. NaN where a value that the formula reads is missing.
    Knowable at the close of the row.

    With `adv: amount`, the paper's definition, alpha007 compares money with shares and is -1 where a share costs more
    than one unit of currency, and alpha021 is 1 or -1 by its first two conditions alone.

    Source: arXiv:1601.00991; every alpha is compared with the paper's printed formula, run with pandas, in the tests.
    """

    cap: Literal["float_cap", "total_cap"] = "float_cap"
    """Field that is the market capitalisation of alpha056."""
    adv: Literal["amount", "volume"] = "amount"
    """What the average daily trading adv20 ... averages: traded value, as the paper defines it, or adjusted volume."""
    known: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Share of a window's rows that must have a value, rounded up; 1 asks for whole windows."""

    def expressions(self) -> dict[str, str]:
        """Return the alphas in the factor language by name."""
        return dict(_completed(self.cap, self.adv, self.known))
