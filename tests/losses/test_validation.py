"""The validation measures that early stopping follows, against plain loops over days."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import spearmanr

from alphaloom.losses.base import RETURN
from alphaloom.losses.validation import CAPITAL, Watch, highest, selection_extras

SIZES = (40, 7, 0, 120, 25)
OFFSETS = np.concatenate([[0], np.cumsum(SIZES)])


def rows(seed=0):
    """Return scores, labels and extras of the labelled rows of five days, two of which do not count."""
    rng = np.random.default_rng(seed)
    n = sum(SIZES)
    label = rng.standard_normal(n).astype(np.float32)
    extras = {
        RETURN: (0.03 * label + 0.02 * rng.standard_normal(n)).astype(np.float32),
        "amount": np.exp(16 + 2 * rng.standard_normal(n)).astype(np.float32),
    }
    return label + rng.standard_normal(n), label, extras


def days():
    """Yield the rows of each day that counts."""
    for d, size in enumerate(SIZES):
        if size >= 10:
            yield slice(OFFSETS[d], OFFSETS[d + 1])


def measure(select_on, score, label, extras):
    """Return a measure as the record holds it."""
    return Watch(select_on, label, OFFSETS, extras).record(score, 0.5)[f"valid_{select_on}"]


def test_rank_ic_and_icir():
    """Mean of the daily Spearman correlations, and their mean over their standard deviation with N - 1."""
    score, label, extras = rows()
    daily = [spearmanr(score[day], label[day]).statistic for day in days()]
    assert measure("rank_ic", score, label, extras) == pytest.approx(np.mean(daily))
    assert measure("icir", score, label, extras) == pytest.approx(np.mean(daily) / np.std(daily, ddof=1))


def test_sharpe_of_the_top_group():
    """Mean over deviation of the raw return of the tenth of stocks with the highest scores, rounded up."""
    score, label, extras = rows()
    daily = []
    for day in days():
        best = np.argsort(-score[day])[: -(-(day.stop - day.start) // 10)]
        daily.append(extras[RETURN][day][best].mean())
    assert measure("sharpe", score, label, extras) == pytest.approx(np.mean(daily) / np.std(daily, ddof=1), rel=1e-6)


@pytest.mark.parametrize("richness", [1.0, 1e-2, 1e3])
def test_liquidity_return(richness):
    """150 million spread over the 50 best scores by traded value, at most a tenth of it; the rest earns nothing."""
    score, label, extras = rows()
    extras["amount"] = extras["amount"] * np.float32(richness)
    daily = []
    for day in days():
        best = np.argsort(-score[day])[:50]
        traded = extras["amount"][day][best].astype(float)
        money = np.minimum(CAPITAL * traded / traded.sum(), 0.1 * traded)
        daily.append((money * extras[RETURN][day][best]).sum() / CAPITAL)
    assert measure("liquidity_return", score, label, extras) == pytest.approx(np.mean(daily), rel=1e-6)


def test_illiquid_picks_cannot_earn():
    """Stocks that hardly trade take no money, however much they rise; unknown volumes and returns count as zero."""
    score, label, extras = rows()
    extras["amount"] = np.full_like(label, 1e9)
    full = measure("liquidity_return", score, label, extras)
    extras["amount"][extras[RETURN] > 0] = np.nan
    assert measure("liquidity_return", score, label, extras) < full
    extras["amount"][:] = np.nan
    assert measure("liquidity_return", score, label, extras) == 0
    extras["amount"][:] = 1e9
    extras[RETURN][:] = np.nan
    assert measure("liquidity_return", score, label, extras) == 0


def test_tied_scores_share_the_places_at_the_edge():
    """Which of several equal scores comes first in the data plays no part."""
    assert highest(np.zeros(4), 1).tolist() == [0.25] * 4
    assert highest(np.array([2.0, 1.0, 1.0, 0.0]), 2).tolist() == [1, 0.5, 0.5, 0]
    _, label, extras = rows()
    rng = np.random.default_rng(1)
    order = np.concatenate([rng.permutation(np.arange(a, b)) for a, b in pairwise(OFFSETS)])
    tied = np.round(label)
    for select_on in ("sharpe", "liquidity_return"):
        shuffled = {name: values[order] for name, values in extras.items()}
        expected = measure(select_on, tied, label, extras)
        assert measure(select_on, tied[order], label[order], shuffled) == pytest.approx(expected, rel=1e-12)


def test_higher_is_better():
    """Every measure prefers the true returns to noise, and the loss is followed downwards."""
    score, label, extras = rows()
    for select_on in ("rank_ic", "icir", "sharpe", "liquidity_return"):
        watch = Watch(select_on, label, OFFSETS, extras)
        truth, wrong = (watch.value(watch.record(s, 1.0)) for s in (extras[RETURN], -extras[RETURN]))
        assert truth > watch.value(watch.record(score, 1.0)) > wrong
    watch = Watch("loss", label, OFFSETS, {})
    assert watch.value(watch.record(score, 0.2)) > watch.value(watch.record(score, 0.3))


def test_what_the_days_must_give():
    """A loss needs no day of ten stocks, a mean needs one, a deviation two."""
    label = np.arange(24, dtype=np.float32)
    extras = {RETURN: label, "amount": label}
    enough = {
        select_on: [
            Watch(select_on, label[: sum(sizes)], np.cumsum([0, *sizes]), extras).is_possible
            for sizes in ((9, 9), (24,), (12, 12))
        ]
        for select_on in ("loss", "rank_ic", "liquidity_return", "icir", "sharpe")
    }
    assert enough == {
        "loss": [True, True, True],
        "rank_ic": [False, True, True],
        "liquidity_return": [False, True, True],
        "icir": [False, False, True],
        "sharpe": [False, False, True],
    }


def test_equal_days_do_not_divide_by_zero():
    """Without any deviation the measure is large, with the sign of the mean."""
    label = np.tile(np.arange(12, dtype=np.float32), 2)
    watch = Watch("icir", label, np.array([0, 12, 24]), {})
    assert np.isfinite(watch.value(watch.record(label, 0.0)))
    assert watch.value(watch.record(label, 0.0)) > 1e3 > -1e3 > watch.value(watch.record(-label, 0.0))


def test_what_a_measure_reads():
    """Only the two measures in money ask the data for more."""
    assert selection_extras("rank_ic") == selection_extras("icir") == selection_extras("loss") == ()
    assert selection_extras("sharpe") == (RETURN,)
    assert selection_extras("liquidity_return") == (RETURN, "amount")
