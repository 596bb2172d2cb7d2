"""Feature families whose features are written in the factor language."""

from abc import abstractmethod
from functools import lru_cache

from alphaloom.errors import SettingError
from alphaloom.features.base import FeatureFamily
from alphaloom.language.mistake import ExpressionError
from alphaloom.language.parse import parse
from alphaloom.language.plan import Plan
from alphaloom.panel import Panel
from alphaloom.typing import Floats


@lru_cache(maxsize=64)
def plan_of(expressions: tuple[tuple[str, str], ...]) -> Plan:
    """Return the plan of named texts, made once.

    Raises:
        SettingError: a text is wrong or reads ahead; the message names the feature and points at the character.
    """
    roots = {}
    for name, text in expressions:
        try:
            roots[name] = parse(text, look_ahead=False)
        except ExpressionError as error:
            raise SettingError(f"feature {name!r}:\n{error}") from error
    return Plan.of(roots)


class ExpressionFamily(FeatureFamily):
    """A family given by its expressions; fields, look-back and whether it is local follow from them."""

    @abstractmethod
    def expressions(self) -> dict[str, str]:
        """Return the features' texts by published name, in order."""

    @property
    def plan(self) -> Plan:
        """The compiled expressions.

        Raises:
            SettingError: a text is wrong or reads ahead.
        """
        return plan_of(tuple(self.expressions().items()))

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that the expressions read, and `is_listed`."""
        return self.plan.inputs

    @property
    def is_local(self) -> bool:
        """Whether no expression compares stocks."""
        return self.plan.is_local

    @property
    def lookback(self) -> int:
        """How many rows before t the value at t may read."""
        return self.plan.lookback

    def columns(self) -> list[str]:
        """Return the published names of the features, in order."""
        return list(self.expressions())

    def compute(self, panel: Panel) -> Floats:
        """Return the features `[T, N, F]` of every row; NaN where a stock is not listed.

        Rows less than the look-back after the panel's first are computed as if stocks were listed on it.
        """
        return self.plan.compute(panel)
