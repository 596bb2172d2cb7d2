"""Features that the user writes in the factor language."""

from typing import Annotated

from pydantic import Field, model_validator

from alphaloom.errors import SettingError
from alphaloom.features.base import features
from alphaloom.features.written import ExpressionFamily

EXAMPLES = {
    "REVERSAL5": "(close - delay(close, 5)) / ts_std(close, 20)",
    "PRICE_VOLUME": "cs_rank(-ts_corr(open, volume, 10))",
}


@features.register("expressions")
class Expressions(ExpressionFamily):
    """Features by name, each an expression such as `(close - delay(close, 5)) / ts_std(close, 20)`.

    The operators are listed in `docs/reference/operators.md`; qlib's syntax (`Ref($close, 5)`) is read as well. Prices
    and volumes are adjusted (`raw_close` ... are not). NaN where a stock is not listed, and where a value is infinite.
    Knowable at the close of the row: an expression that reads ahead is refused.
    """

    define: Annotated[dict[str, str], Field(min_length=1)] = EXAMPLES
    """Expressions by the names of their features."""

    @model_validator(mode="after")
    def _check(self) -> "Expressions":
        try:
            self.plan  # noqa: B018  reads every expression
        except SettingError as error:
            raise ValueError(str(error)) from error
        return self

    def expressions(self) -> dict[str, str]:
        """Return `define`."""
        return dict(self.define)
