"""Units of expressions: powers of currency and shares, flags, groups, bare numbers and unknown units."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


class UnitError(ValueError):
    """An operator was given values that it cannot combine; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a value is measured in.

    `quantity`: currency ** `currency` * shares ** `shares`; both 0 for a ratio, a rank or a count. `flag`: 1 or 0; in
    arithmetic a flag is a ratio. `group`: codes that only `by=` takes. `any`: a number written in the expression, which
    takes the unit of what it is added to or compared with. `unknown`: a column whose unit nobody stated (a figure of
    a statement, an imported column); it fits everywhere, and so does what it is multiplied into.
    """

    kind: Literal["quantity", "flag", "group", "any", "unknown"] = "quantity"
    currency: Fraction = Fraction(0)
    shares: Fraction = Fraction(0)

    def __str__(self) -> str:
        if self.kind != "quantity":
            names = {"flag": "a flag", "group": "a group", "any": "a number", "unknown": "of unknown unit"}
            return names[self.kind]
        known = {RATIO: "a ratio", PRICE: "a price", SHARES: "a number of shares", MONEY: "an amount of money"}
        if self in known:
            return known[self]
        parts = [_power(name, p) for name, p in (("currency", self.currency), ("shares", self.shares)) if p]
        return " ".join(parts)

    @property
    def is_pure(self) -> bool:
        """Whether it is, or may be, a ratio, a flag or a bare number."""
        return self.kind in {"flag", "any", "unknown"} or (
            self.kind == "quantity" and not self.currency and not self.shares
        )


def _power(name: str, power: Fraction) -> str:
    return name if power == 1 else f"{name}**{power}"


RATIO = Unit()
FLAG = Unit("flag")
GROUP = Unit("group")
ANY = Unit("any")
UNKNOWN = Unit("unknown")
PRICE = Unit(currency=Fraction(1), shares=Fraction(-1))
SHARES = Unit(shares=Fraction(1))
MONEY = Unit(currency=Fraction(1))


def product(a: Unit, b: Unit) -> Unit:
    """Return the unit of a * b.

    Raises:
        UnitError: one of them is a group.
    """
    _no_group(a, b)
    if "unknown" in {a.kind, b.kind}:
        return UNKNOWN
    if a.kind == "any" and b.kind == "any":
        return ANY
    return Unit(currency=a.currency + b.currency, shares=a.shares + b.shares)


def power(a: Unit, exponent: Fraction | None) -> Unit:
    """Return the unit of a ** exponent; None stands for an exponent that is not a constant.

    Raises:
        UnitError: a group, or a quantity raised to a power that is not a constant.
    """
    _no_group(a)
    if a.is_pure:
        return a if a.kind in {"any", "unknown"} else RATIO
    if exponent is None:
        raise UnitError(f"{a} cannot be raised to a power that varies; divide it by something of its own unit first")
    return Unit(currency=a.currency * exponent, shares=a.shares * exponent)


def quotient(a: Unit, b: Unit) -> Unit:
    """Return the unit of a / b.

    Raises:
        UnitError: one of them is a group.
    """
    return product(a, power(b, Fraction(-1)))


def common(*units: Unit) -> Unit:
    """Return the unit that values must share to be added, compared or chosen between; bare numbers take any.

    Raises:
        UnitError: two of them differ, or one is a group.
    """
    _no_group(*units)
    if all(unit.kind == "flag" for unit in units):
        return FLAG
    found: Unit | None = None
    for unit in units:
        if unit.kind in {"any", "unknown"}:
            continue
        plain = RATIO if unit.kind == "flag" else unit
        if found is not None and plain != found:
            raise UnitError(
                f"{found} and {plain} cannot be combined; number(x) drops the unit of x where that is meant"
            )
        found = plain
    if found is not None:
        return found
    return UNKNOWN if UNKNOWN in units else ANY


def _no_group(*units: Unit) -> None:
    if any(unit.kind == "group" for unit in units):
        raise UnitError("a group is no number: it can only stand after by=")
