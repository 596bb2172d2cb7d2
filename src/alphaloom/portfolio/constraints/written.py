"""Constraints of one's own, written in cvxpy."""

import importlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from alphaloom.errors import SettingError
from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Constraint, Modelled, Term, constraints
from alphaloom.typing import Doubles


@constraints.register("written")
class Written(Constraint):
    """Takes constraints from a Python function: `function(weights, decision)` returns a list of cvxpy constraints.

    `weights` is a cvxpy variable `[N]`, `decision` all that is known on the date. The whole problem is then solved by
    cvxpy, over all stocks: slower by two orders of magnitude, and proven by the cone solver's own gap.
    """

    importance: ClassVar[int | None] = None

    function: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] = "alphaloom.portfolio.constraints.written:nothing"
    """Where the function is: `package.module:name`."""
    reads: tuple[str, ...] = ()
    """Expressions of the factor language that it finds in `decision.measured`."""

    @property
    def expressions(self) -> tuple[str, ...]:
        """What the function reads."""
        return self.reads

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the function.

        Raises:
            SettingError: there is no such module or function.
        """
        return [Modelled(label, self._found())]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return the largest violation that cvxpy reports for the function's constraints."""
        from alphaloom.portfolio.solve.modelled import violation_of

        return violation_of(self._found(), decision, weights)

    def _found(self) -> Callable[[Any, Decision], Sequence[Any]]:
        module, _, name = self.function.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise SettingError(
                f"The constraint function {self.function!r} cannot be imported: {error}. Give package.module:name of a "
                "function that Python finds from here."
            ) from None
        if not callable(found):
            raise SettingError(f"{self.function!r} is {type(found).__name__}, not a function.")
        return found  # type: ignore[no-any-return]


def nothing(_weights: Any, _decision: Decision) -> list[Any]:
    """Return no constraint: the place of a function of one's own."""
    return []
