"""Gradients of a day's losses against central differences, plain loops and LightGBM's own objective."""

from itertools import pairwise, permutations, product

import lightgbm
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import rankdata, spearmanr

from alphaloom.kernels.daily_gradients import ic_gradient, ndcg_gradient, rank_ic_gradient

SIZES = [40, 9, 0, 25, 12]
OFFSETS = np.concatenate([[0], np.cumsum(SIZES)])
DAYS = [slice(a, b) for a, b in pairwise(OFFSETS) if b - a >= 10]
GAINS = 2.0 ** np.arange(5) - 1


def standard(values):
    """Return values with mean 0 and population variance 1."""
    return (values - values.mean()) / values.std()


def daily(values):
    """Return values standardised on each day, zeros on empty ones."""
    parts = [values[a:b] for a, b in pairwise(OFFSETS)]
    return np.concatenate([standard(part) if part.size else part for part in parts])


def daily_ranks(label):
    """Return each day's ranks, ties averaged, standardised."""
    return daily(np.concatenate([rankdata(label[a:b]) for a, b in pairwise(OFFSETS)]))


def sample(seed=0, ties=0):
    """Return scores and labels of days of these sizes; scores rounded to a grid when ties are wanted."""
    rng = np.random.default_rng(seed)
    label = rng.standard_normal(OFFSETS[-1])
    score = 0.3 * label + rng.standard_normal(label.size)
    return (np.round(score * ties) / ties if ties else score), label


def run(kernel, score, target, *more, offsets=OFFSETS, least=10):
    """Return loss, gradient and Hessian of a kernel."""
    gradient, hessian = (np.full(score.size, 9, np.float32) for _ in range(2))
    return kernel(score, target, offsets, least, *more, gradient, hessian), gradient, hessian


def difference(function, point):
    """Return the gradient of a function by central differences in float64."""
    out = np.empty(point.size)
    for i in range(point.size):
        step = np.zeros(point.size)
        step[i] = 1e-6
        out[i] = (function(point + step) - function(point - step)) / 2e-6
    return out


def correlation(a, b):
    """Return Pearson's correlation."""
    return float(np.mean(standard(a) * standard(b)))


def soft_ranks(score, width):
    """Return soft ranks by all pairs, with Laplace's distribution function."""
    x = (score[:, None] - score[None, :]) / width
    return 0.5 + np.where(x < 0, 0.5 * np.exp(-np.abs(x)), 1 - 0.5 * np.exp(-np.abs(x))).sum(axis=1)


@pytest.mark.parametrize("softness", [0.0, 0.3, 1.0])
def test_ic_gradient_is_that_of_the_correlation(softness):
    """Each day's gradient is that of `-sum z u / sqrt(var + softness^2)` times the root; Hessian 1, loss minus IC."""
    score, label = sample()
    loss, gradient, hessian = run(ic_gradient, score, daily(label), softness)
    for day in DAYS:
        z = standard(label[day])
        root = np.sqrt(score[day].var() + softness**2)
        expected = difference(lambda s, z=z: -(z @ (s - s.mean())) / np.sqrt(s.var() + softness**2), score[day])
        assert_allclose(gradient[day], root * expected, atol=2e-6)
        assert_array_equal(hessian[day], 1)
    weights = [day.stop - day.start for day in DAYS]
    assert loss == pytest.approx(-np.average([correlation(score[d], label[d]) for d in DAYS], weights=weights))


def test_the_bare_correlation_leaves_the_residual_of_the_best_fit():
    """Without softness it is squared error's gradient after each day's scores were fitted to the label by a line."""
    score, label = sample(1)
    _, gradient, _ = run(ic_gradient, score, daily(label), 0.0)
    for day in DAYS:
        z = standard(label[day])
        assert_allclose(gradient[day], np.polyval(np.polyfit(score[day], z, 1), score[day]) - z, atol=1e-6)
        assert gradient[day] @ (score[day] - score[day].mean()) == pytest.approx(0, abs=1e-5)


def test_the_true_curvature_is_no_hessian_for_trees():
    """The second derivative of `-n corr` has negative eigenvalues as large as its positive ones, so 1 is taken."""
    score, label = sample(2)
    s, y = score[:40], label[:40]
    rows = [
        difference(lambda v: -40 * correlation(v, y), s + h) - difference(lambda v: -40 * correlation(v, y), s - h)
        for h in 1e-4 * np.eye(40)
    ]
    values = np.linalg.eigvalsh(np.array(rows) + np.transpose(rows))
    assert values[0] < -0.5 * values[-1]


@pytest.mark.parametrize("ties", [0, 2])
@pytest.mark.parametrize("softness", [0.05, 0.5, 3.0])
def test_rank_ic_gradient_is_that_of_soft_ranks(softness, ties):
    """It is the gradient of `-sum z soft rank` by pairs, each day scaled to Hessians of mean 1; loss minus RankIC."""
    score, label = sample(3, ties)
    ranks = daily_ranks(label)
    loss, gradient, hessian = run(rank_ic_gradient, score, ranks, softness)
    worth = []
    for day in DAYS:
        expected = difference(lambda s, z=ranks[day]: -(z @ soft_ranks(s, softness)), score[day])
        density = np.exp(-np.abs(score[day][:, None] - score[day]) / softness).sum(axis=1) / 2
        assert_allclose(gradient[day], softness / density.mean() * expected, atol=5e-4 if ties else 3e-5)
        assert_allclose(hessian[day], density / density.mean(), rtol=1e-6)
        worth.append(spearmanr(score[day], label[day]).statistic * score[day].size)
    assert loss == pytest.approx(-sum(worth) / sum(day.stop - day.start for day in DAYS))


def test_softness_makes_both_squared_error():
    """With much softness each gradient is minus the label or its rank, which every tree then fits anew."""
    score, label = sample(4)
    for kernel, target in ((ic_gradient, daily(label)), (rank_ic_gradient, daily_ranks(label))):
        _, gradient, _ = run(kernel, score, target, 1e4)
        for day in DAYS:
            assert_allclose(gradient[day], -target[day], atol=1e-3)


def by_pairs(score, grade, truncation):
    """Return LambdaRank's gradient and Hessian of a day without ties, pair by pair."""
    place = np.empty(score.size, dtype=int)
    place[np.argsort(-score)] = np.arange(score.size)
    discount, gradient, hessian = 1 / np.log2(place + 2), np.zeros(score.size), np.zeros(score.size)
    for i in range(score.size):
        for j in range(score.size):
            if grade[i] > grade[j] and min(place[i], place[j]) < truncation:
                delta = (GAINS[grade[i]] - GAINS[grade[j]]) * abs(discount[i] - discount[j])
                r = 1 / (1 + np.exp(score[i] - score[j]))
                gradient[i] -= delta * r
                gradient[j] += delta * r
                hessian[[i, j]] += delta * r * (1 - r)
    return gradient, hessian


def grades(label):
    """Return each day's labels in five grades."""
    return np.concatenate(
        [((rankdata(label[a:b]) - 0.5) * 5 / max(b - a, 1)).astype(np.int64) for a, b in pairwise(OFFSETS)]
    )


@pytest.mark.parametrize("truncation", [1, 7, 1000])
def test_ndcg_gradient_equals_a_loop_over_pairs(truncation):
    """Without ties it is LambdaRank pair by pair, each day scaled to Hessians of mean 1; the loss is minus NDCG."""
    score, label = sample(5)
    grade = grades(label)
    loss, gradient, hessian = run(ndcg_gradient, score, grade, truncation, GAINS)
    worth = []
    for day in DAYS:
        g, h = by_pairs(score[day], grade[day], truncation)
        assert_allclose(gradient[day], g / h.mean(), rtol=1e-5, atol=1e-6)
        assert_allclose(hessian[day], h / h.mean(), rtol=1e-5, atol=1e-6)
        n = day.stop - day.start
        kept = (1 / np.log2(np.arange(n) + 2))[:truncation]
        ideal = np.sort(GAINS[grade[day]])[::-1][:truncation] @ kept
        worth.append(GAINS[grade[day]][np.argsort(-score[day])][:truncation] @ kept / ideal * n)
    assert loss == pytest.approx(-sum(worth) / sum(day.stop - day.start for day in DAYS))


@pytest.mark.parametrize("truncation", [2, 6, 50])
def test_tied_scores_are_a_mean_over_their_orders(truncation):
    """With ties, gradient and Hessian are means over all ways to break them, so the order of rows does not matter."""
    rng = np.random.default_rng(6)
    score = np.array([2.0, 1, 1, 1, 0, 0, 0, -1, -1, -1])
    grade = rng.integers(0, 5, score.size)
    offsets = np.array([0, score.size])
    _, gradient, hessian = run(ndcg_gradient, score, grade, truncation, GAINS, offsets=offsets)
    orders = [np.concatenate([[0], *parts]) for parts in product(permutations(range(3)), repeat=3)]
    g, h = np.mean([by_pairs(score + 1e-9 * order, grade, truncation) for order in orders], axis=0)
    assert_allclose(gradient, g / h.mean(), rtol=1e-5, atol=1e-6)
    assert_allclose(hessian, h / h.mean(), rtol=1e-5, atol=1e-6)
    order = rng.permutation(score.size)
    assert_allclose(
        run(ndcg_gradient, score[order], grade[order], truncation, GAINS, offsets=offsets)[1],
        gradient[order],
        rtol=1e-5,
    )


def test_ndcg_gradient_equals_lightgbms():
    """Newton's steps are those of LightGBM's lambdarank without normalisation, in a tree of leaves of few rows."""
    score, label = sample(7)
    part = slice(0, 40)
    grade = grades(label)
    parameters = {
        "objective": "lambdarank",
        "lambdarank_norm": False,
        "lambdarank_truncation_level": 8,
        "num_leaves": 41,
        "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": 0,
        "lambda_l2": 0,
        "learning_rate": 1.0,
        "verbosity": -1,
        "min_data_in_bin": 1,
        "num_threads": 1,
    }
    rows = np.random.default_rng(0).permutation(40).astype(float)[:, None]
    data = lightgbm.Dataset(rows, grade[part], group=[40], init_score=score[part], params=parameters)
    booster = lightgbm.train(parameters, data, 1)
    leaves = booster.predict(rows, pred_leaf=True)[:, 0]
    assert leaves.max() > 30
    _, gradient, hessian = run(ndcg_gradient, score[part], grade[part], 8, GAINS, offsets=np.array([0, 40]))
    expected = -np.bincount(leaves, gradient)[leaves] / np.bincount(leaves, hessian)[leaves]
    assert_allclose(booster.predict(rows, raw_score=True), expected, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("kernel", [ic_gradient, rank_ic_gradient, ndcg_gradient])
def test_days_that_do_not_count_are_silent(kernel):
    """Days of fewer than ten rows, and days of one label, have gradient and Hessian zero and no part in the loss."""
    score, label = sample(8)
    label[OFFSETS[3] : OFFSETS[4]] = 1.0
    more = (10, GAINS) if kernel is ndcg_gradient else (0.5,)
    with np.errstate(invalid="ignore"):
        target = grades(label) if kernel is ndcg_gradient else np.nan_to_num(daily(label))
    loss, gradient, hessian = run(kernel, score, target, *more)
    for d in (1, 3):
        part = slice(OFFSETS[d], OFFSETS[d + 1])
        assert not gradient[part].any()
        assert not hessian[part].any()
    keep = np.concatenate([np.arange(40), np.arange(OFFSETS[4], OFFSETS[5])])
    alone = run(kernel, score[keep], target[keep], *more, offsets=np.array([0, 40, 52]))
    assert loss == pytest.approx(alone[0])
    assert_array_equal(gradient[keep], alone[1])
    assert run(kernel, score[40:49], target[40:49], *more, offsets=np.array([0, 9]))[0] == 0


@pytest.mark.parametrize("level", [0.0, -3.3])
def test_a_constant_score_pulls_towards_the_label(level):
    """The first tree learns from the standardised label or its rank; with NDCG from each gain beyond the mean."""
    _, label = sample(9)
    score = np.full(label.size, level)
    ranks = daily_ranks(label)
    _, plain, hessian = run(ic_gradient, score, daily(label), 1.0)
    _, ranked, soft = run(rank_ic_gradient, score, ranks, 0.5)
    _, graded, stiff = run(ndcg_gradient, score, grades(label), 10, GAINS)
    for day in DAYS:
        assert_allclose(plain[day], -standard(label[day]), atol=1e-6)
        assert_allclose(ranked[day], -ranks[day], atol=1e-6)
        gain = GAINS[grades(label)[day]]
        assert correlation(-graded[day].astype(float), gain) == pytest.approx(1)
        for curvature in (hessian, soft, stiff):
            assert curvature[day].astype(float).mean() == pytest.approx(1)


@pytest.mark.parametrize("kernel", [ic_gradient, rank_ic_gradient])
def test_level_of_scores_does_not_matter(kernel):
    """Scores moved by a constant, and by the same multiple as the softness, have the same gradient."""
    score, label = sample(10)
    loss, gradient, hessian = run(kernel, score, daily(label), 0.7)
    other = run(kernel, 1e-3 * score + 5, daily(label), 0.7e-3)
    assert other[0] == pytest.approx(loss)
    assert_allclose(other[1], gradient, atol=1e-5)
    assert_allclose(other[2], hessian, rtol=1e-4)
