"""The section of closer looks and the seasonal part of the months."""

import numpy as np
from panels import business_days

from alphaloom.evaluation.context import Context
from alphaloom.evaluation.forward import forward_by_days
from alphaloom.evaluation.signal import evaluate_signal
from alphaloom.report.content import Table, Text
from alphaloom.report.sections_closer import closer_section, season_blocks


def test_tables_stand_in_the_section():
    """Neutral RankIC in words, then exposures, weights and industries as tables; a season over three years."""
    rng = np.random.default_rng(3)
    T, N = 700, 30
    dates = business_days(T + 2)
    price = 10 * np.exp(np.cumsum(0.02 * rng.normal(size=(T + 2, N)), axis=0))
    score = rng.normal(size=(T, N))
    context = Context(
        weights={"traded value": rng.exponential(size=(T, N))},
        groups=(np.arange(N) % 2)[None].repeat(T, axis=0),
        group_names=("bank", "steel"),
        exposures={"size": rng.normal(size=(T, N))},
    )
    signal = evaluate_signal(score, forward_by_days(price, dates, np.arange(T), [1]), dates[:T], context=context)
    assert signal.has_closer_looks
    words, *tables = closer_section(signal).blocks
    assert isinstance(words, Text)
    assert "with industries and styles taken out" in words.text
    assert [item.caption for item in tables] == ["Exposures of the scores", "Weighted", "By industry"]
    assert {row[0] for row in tables[2].rows} == {"bank", "steel"}
    told, parts = season_blocks(signal)
    assert "strength of the season" in told.text
    assert isinstance(parts, Table)
    assert len(parts.rows) == signal.monthly.height
