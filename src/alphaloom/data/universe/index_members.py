"""Members of an index as of the date."""

from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.data.universe.base import UniverseRule, universe_rules
from alphaloom.panel import Panel
from alphaloom.typing import Bools


@universe_rules.register("index_members")
class IndexMembers(UniverseRule):
    """Stocks in any of the indices, by the list in force on the date."""

    indices: Annotated[tuple[str, ...], Field(min_length=1)] = ("SH000300",)
    """Index symbols, for example SH000300 and SH000905; a member of any of them stays."""

    @property
    def required(self) -> tuple[str, ...]:
        """One membership field an index."""
        return tuple(f"member:{index}" for index in self.indices)

    def keep(self, panel: Panel) -> Bools:
        """Return true where the stock is a member of one of the indices."""
        out = np.zeros(panel.shape, dtype=np.bool_)
        for name in self.required:
            out |= panel[name] == 1
        return out
