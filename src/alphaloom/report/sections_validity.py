"""The section on searching: what remains of the best of many trials."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from alphaloom.evaluation.validity.judge import Validity
from alphaloom.report.content import Block, Column, Section, count, number, percent, probability, table, text


def searching_section(found: Validity, annual_days: float) -> Section:
    """Return the corrections for having chosen the best of several trials, one a row, with what each means."""
    sharpe, root = found.sharpe, float(np.sqrt(annual_days))
    n2, p1 = number(2), percent(1)
    rows: list[Sequence[str]] = [
        ("Trials", count(sharpe.trials), f"worth {n2(sharpe.effective)} independent ones, by their correlations"),
        (f"Ratio of {found.chosen}", n2(sharpe.sharpe * root), "mean over standard deviation, a year"),
        (
            "Best of as many lucky ones",
            n2(sharpe.expected * root),
            f"ratio to expect without skill; of the independent ones {n2(sharpe.expected_effective * root)}",
        ),
        (
            "Probabilistic Sharpe ratio",
            p1(sharpe.probabilistic),
            "that the true ratio is above 0, had there been one trial",
        ),
        (
            "Deflated Sharpe ratio",
            p1(sharpe.deflated),
            f"that it is above what luck gives the best; by independent ones {p1(sharpe.deflated_effective)}",
        ),
    ]
    if found.overfitting is not None:
        pbo = found.overfitting
        coarse = "; coarse with under ten trials" if pbo.is_coarse else ""
        words = f"that the best of one half of the days is below the middle in the other{coarse}"
        rows.append(("Probability of overfitting", p1(pbo.probability), words))
    if found.superiority is not None:
        best = found.superiority
        named = ", ".join(best.superior) or "none"
        words = f"Hansen's test that none gains; by Romano and Wolf these do at {percent(0)(best.level)}: {named}"
        rows.append(("p of superiority", probability(best.p_value), words))
    frame = pl.DataFrame(rows, schema=["what", "value", "meaning"], orient="row")
    columns = (
        Column("what", "What", text, numeric=False),
        Column("value", "Value", text),
        Column("meaning", "Meaning", text, numeric=False),
    )
    blocks: list[Block] = [table("After the search", frame, columns)]
    lead = "The best of many is lucky as well as good; these count the search. What was tried elsewhere is not in it."
    return Section("search", "What the search is worth", lead, blocks)


def searching_sentence(found: Validity, annual_days: float) -> str:
    """Return the deflated Sharpe ratio of the best trial in one sentence."""
    sharpe, root = found.sharpe, float(np.sqrt(annual_days))
    return (
        f"The best of {sharpe.trials} ({found.chosen}) has a ratio of {number(2)(sharpe.sharpe * root)}; without skill "
        f"the best would have {number(2)(sharpe.expected * root)}. Deflated Sharpe ratio {percent(1)(sharpe.deflated)} "
        f"(counting {number(1)(sharpe.effective)} independent trials {percent(1)(sharpe.deflated_effective)})."
    )
