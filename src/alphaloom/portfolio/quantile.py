"""One quantile group of the scored stocks."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from alphaloom.errors import DataError
from alphaloom.portfolio.allocate import allocate, pinned, ranked, require_scores
from alphaloom.portfolio.base import Construction, Decision, Target, constructions


@constructions.register("quantile")
class Quantile(Construction):
    """Holds one of `groups` equal groups of the scored stocks, the best by default, equally or by capitalisation.

    Group g holds the ranks beyond `ceil((g - 1) n / groups)` up to `ceil(g n / groups)` of n scored stocks, so that the
    portfolios of all groups share the market among them: a layered test is one portfolio a group. Stocks of the group
    that cannot be bought are left out; holdings that cannot be sold stay as they are.

    Source: layered test of the seed study of AlphaNet (five groups, the first the best).
    """

    groups: Annotated[int, Field(ge=1)] = 10
    """Into how many groups the scored stocks are cut."""
    group: Annotated[int, Field(ge=1)] = 1
    """Which of them is held: 1 is the best, `groups` the worst."""
    weight: Literal["equal", "cap"] = "equal"
    """Equal weights, or in proportion to market capitalisation."""

    @model_validator(mode="after")
    def _group_exists(self) -> Self:
        if self.group > self.groups:
            raise ValueError(f"group is {self.group}, and there are {self.groups} groups")
        return self

    @property
    def label(self) -> str:
        """Which group of how many: `quantile-1-of-5`, and `quantile-1-of-5-cap` where weights follow capitalisation."""
        return f"quantile-{self.group}-of-{self.groups}" + ("-cap" if self.weight == "cap" else "")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Capitalisation, as its logarithm, where weights follow it."""
        return ("log_cap",) if self.weight == "cap" else ()

    def weigh(self, decision: Decision) -> Target:
        """Return the weights of the group.

        Raises:
            DataError: no stock has a score, or a chosen stock has no capitalisation to be weighted by.
        """
        scored = require_scores(decision)
        stuck = pinned(decision)
        order = ranked(decision.score, scored)
        first, stop = (int(np.ceil(g * order.size / self.groups)) for g in (self.group - 1, self.group))
        layer = order[first:stop]
        names = layer[~stuck[layer] & (decision.can_buy[layer] | (decision.current[layer] > 0))]
        shares = np.zeros(decision.score.size)
        shares[names] = 1.0
        if self.weight == "cap" and names.size:
            cap = np.exp(decision.fields["log_cap"][names])
            if np.isnan(cap).any():
                raise DataError(
                    f"{int(np.isnan(cap).sum())} of the {names.size} chosen stocks have no log_cap on {decision.date}: "
                    "they cannot be weighted by capitalisation. Set weight to equal."
                )
            shares[names] = cap / cap.sum()
        return Target(
            allocate(decision, shares),
            {
                "chosen": float(names.size),
                "pinned": float(stuck.sum()),
                "pinned_weight": float(decision.current[stuck].sum()),
            },
        )


def layer_sets(portfolios: Mapping[str, Construction]) -> list[tuple[str, ...]]:
    """Return the names of those portfolios that together are all groups of one quantile construction, best group first.

    One tuple a construction (number of groups and weights), in the order of the portfolios; a single group is no test.
    """
    found: dict[tuple[int, str], dict[int, str]] = {}
    for name, item in portfolios.items():
        if isinstance(item, Quantile) and item.groups > 1:
            found.setdefault((item.groups, item.weight), {}).setdefault(item.group, name)
    return [tuple(names[g] for g in sorted(names)) for (groups, _), names in found.items() if len(names) == groups]
