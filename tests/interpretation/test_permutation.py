"""Permutation importance against a plain loop, and on signals whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from learnable import planted
from scipy.stats import spearmanr
from subjects import framed, quiet, subject

from alphaloom.errors import UsageError
from alphaloom.interpretation.permutation import Permutation, mean_and_error
from alphaloom.report.figures_interpretation import drop_bars

GRU = {"name": "gru", "steps": 3, "hidden": 16, "dropout": 0.0, "optimisation": {"epochs": 12, "lr": 0.01}}
MASTER = {
    "name": "master",
    "steps": 3,
    "d_model": 16,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "optimisation": {"epochs": 6, "lr": 0.005},
}


@pytest.mark.parametrize("settings", [{"name": "ridge"}, {"name": "lightgbm", "min_data_in_leaf": 20}, GRU, MASTER])
def test_planted_features_come_first_and_noise_is_none(settings):
    """The three features of a linear signal lead; of nine others at most two are two errors away from no drop.

    Of features that mean nothing one in twenty is that far by chance, so not all of them can be asked to be nearer.
    """
    given = subject(settings, labels=True, D=200, N=80, F=12)
    summary = Permutation(repeats=2, stocks=None).summary(framed(Permutation(repeats=2, stocks=None), given))
    assert set(summary["feature"][:3]) == {"f0", "f1", "f2"}
    assert summary["feature"][0] == "f0"
    assert (summary["t"][:3] > 5).all()
    noise = summary.filter(~summary["feature"].is_in(["f0", "f1", "f2"]))
    distance = noise["drop"].abs() / (noise["se"] + 1e-12)
    assert (distance > 2).sum() <= 2
    assert distance.max() < 4


@pytest.mark.parametrize("settings", [{"name": "ridge"}, GRU, MASTER])
def test_equal_to_a_plain_loop(settings):
    """One feature at a time, one stock after the other: the same drops."""
    given = subject(settings, labels=True, repeats=2, D=40, N=30)
    method = Permutation(repeats=2, stocks=None, days=None)
    daily = method.explain(given, quiet)["permutation"]
    samples, steps = given.samples, given.fits[0].model.steps
    block = samples.block.copy()
    for d in range(2):
        row = samples.rows[d]
        score = np.mean([fit.predict(samples)[d] for fit in given.fits], axis=0)
        stocks = np.flatnonzero(~np.isnan(score))
        for f in (0, 4):
            scores = []
            for k in range(2):
                seed = (0, int(given.dates[d].astype(int)), k)
                order = np.random.default_rng(seed).permutation(stocks.size)
                changed = block.copy()
                for i, n in enumerate(stocks):
                    for back in range(steps):
                        changed[row - back, n, f] = block[row - back, stocks[order[i]], f]
                moved = replace(samples, block=changed)
                scores.append(np.mean([fit.predict(moved)[d] for fit in given.fits], axis=0))
            known = ~np.isnan(score) & ~np.isnan(given.label[d])
            label = given.label[d][known]
            whole = spearmanr(score[known], label)[0]
            drop = whole - np.mean([spearmanr(s[known], label)[0] for s in scores])
            found = daily.filter(date=given.dates[d].item(), feature=f"f{f}")
            assert found["rank_ic"][0] == pytest.approx(whole, abs=1e-6)
            assert found["drop"][0] == pytest.approx(drop, abs=1e-6)


def test_substitutes_are_seen_as_a_group():
    """Of two copies of a feature each alone is worth less than both together, which a group tells."""
    data = planted("linear", F=6, D=120, N=80, gaps=False)
    block = data.train.block.copy()
    rng = np.random.default_rng(1)
    block[..., 5] = block[..., 0] + 0.05 * rng.standard_normal(block.shape[:2])
    parts = {name: replace(getattr(data, name), block=block) for name in ("train", "valid", "test")}
    given = subject({"name": "ridge", "penalty": 1.0}, data=replace(data, **parts), labels=True)
    frames = framed(Permutation(), given)
    summary = Permutation().summary(frames)
    group = summary.filter("is_group")
    assert group["members"].to_list() == ["f0, f5"]
    assert group["feature"][0] in {"f0 and 1 more", "f5 and 1 more"}
    single = summary.filter(summary["feature"].is_in(["f0", "f5"]))["drop"]
    assert group["drop"][0] > 1.5 * single.max()


def test_a_feature_shared_by_all_stocks_tells_nothing():
    """The market's state cannot be permuted among the stocks of a day: no drop is given rather than none at all."""
    data = planted("linear", F=6, D=40, N=30, gaps=False)
    block = data.train.block.copy()
    block[..., 5] = block[:, :1, 5]
    parts = {name: replace(getattr(data, name), block=block) for name in ("train", "valid", "test")}
    for settings in ({"name": "ridge"}, GRU):
        given = subject(settings, data=replace(data, **parts), labels=True)
        summary = Permutation().summary(framed(Permutation(), given))
        assert summary.filter(feature="f5")["days"].to_list() == [0]
        assert summary.filter(feature="f5")["drop"].to_list() == [None]
        assert summary["feature"][-1] == "f5"


def test_a_day_does_not_depend_on_which_others_are_asked_for():
    """The drop on a date is the same alone and among others."""
    given = subject({"name": "ridge"}, labels=True, D=60)
    method = Permutation(stocks=20)
    whole = method.explain(given, quiet)["permutation"]
    few = Permutation(stocks=20, days=3).explain(given, quiet)["permutation"]
    assert few["date"].n_unique() == 3
    assert few.equals(whole.filter(whole["date"].is_in(few["date"].unique().to_list())))


def test_labels_are_needed_and_errors_are_those_of_newey_and_west():
    """Without labels there is no RankIC; a series without variation has error 0; too few days have none."""
    with pytest.raises(UsageError, match="needs the labels"):
        Permutation().explain(subject({"name": "ridge"}, D=40), quiet)
    assert mean_and_error(np.zeros(16), 1) == (0.0, 0.0)
    for days, overlap in ((2, 1), (15, 1), (60, 4)):
        mean, error = mean_and_error(np.ones(days), overlap)
        assert mean == 1.0
        assert np.isnan(error)
    x = np.random.default_rng(0).standard_normal(50)
    assert mean_and_error(x, 1)[0] == pytest.approx(x.mean())


@pytest.mark.parametrize("overlap", [1, 2, 5, 10])
def test_a_true_zero_is_seldom_two_errors_away(overlap):
    """Of sums of `overlap` draws, on the fewest days that get an error and on more, under 15 % are two errors away."""
    rng = np.random.default_rng(7)
    for days in (16 * overlap, 30 * overlap):
        noise = rng.standard_normal((1200, days + overlap - 1))
        series = np.lib.stride_tricks.sliding_window_view(noise, overlap, axis=1).sum(axis=-1)
        found = np.array([mean_and_error(one, overlap) for one in series])
        assert not np.isnan(found).any()
        assert (np.abs(found[:, 0]) > 2 * found[:, 1]).mean() < 0.15


def test_overlap_is_told_in_the_dates_that_are_left():
    """Labels over ten dates overlap two of every fifth date, and none of dates ten apart."""
    given = replace(subject({"name": "ridge"}, labels=True, D=200), overlap=10)
    D = given.dates.size
    assert given.thinned(None).overlap == 10
    assert given.thinned(D // 5).overlap == 2
    assert given.thinned(D // 10).overlap == 1
    daily = Permutation(days=D // 5).explain(given, quiet)["permutation"]
    assert daily["overlap"].unique().to_list() == [2]


def test_rows_without_an_error_have_no_bar():
    """A drop on too few days stands in table and figure without an error."""
    given = subject({"name": "ridge"}, labels=True, D=60)
    summary = Permutation().summary(framed(Permutation(days=5), given))
    assert summary["drop"].null_count() == 0
    assert summary["se"].null_count() == summary["t"].null_count() == summary.height
    bars = drop_bars(summary).data[0]
    assert not any(bars.error_x.array)
    assert bars.error_x.width == 0
