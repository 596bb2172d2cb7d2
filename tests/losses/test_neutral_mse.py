"""The error of neutralised scores, against least squares in numpy."""

import numpy as np
import pytest
import torch

from alphaloom.errors import SettingError
from alphaloom.losses.base import losses


def days(B=3, N=60, seed=0):
    """Return float64 scores, labels, a mask, industries (one unknown code in ten) and log market values."""
    rng = np.random.default_rng(seed)
    industry = rng.integers(0, 5, (B, N)).astype(float)
    industry[rng.random((B, N)) < 0.1] = np.nan
    cap = 23 + rng.standard_normal((B, N))
    cap[rng.random((B, N)) < 0.1] = np.nan
    mask = rng.random((B, N)) < 0.8
    return rng.standard_normal((B, N)), rng.standard_normal((B, N)), mask, {"industry": industry, "log_cap": cap}


def value(score, label, mask, extras, **settings):
    """Return the loss in float64."""
    given = {name: torch.from_numpy(values) for name, values in extras.items()}
    arrays = [torch.from_numpy(array) for array in (score, label, mask)]
    return losses.parse({"name": "neutral_mse", **settings})(*arrays, given).item()


def residual(s, groups, regressors):
    """Return the residual of a day's least squares on dummies (NaN a group of its own) and filled regressors."""
    columns = [np.isnan(groups), *(groups == code for code in np.unique(groups[~np.isnan(groups)]))]
    columns += [np.where(np.isnan(x), np.nanmean(x), x) for x in regressors]
    X = np.array(columns, dtype=float).T
    return s - X @ np.linalg.lstsq(X, s, rcond=None)[0]


@pytest.mark.parametrize("settings", [{}, {"industry": False}, {"regressors": ()}])
def test_equals_least_squares(settings):
    """The day's squared error of the residuals, for industries, size, or both."""
    score, label, mask, extras = days()
    expected = []
    for d in range(3):
        m = mask[d]
        groups = extras["industry"][d][m] if settings.get("industry", True) else np.zeros(m.sum())
        regressors = [extras[name][d][m] for name in settings.get("regressors", ("log_cap",))]
        expected.append(np.mean((residual(score[d][m], groups, regressors) - label[d][m]) ** 2))
    assert value(score, label, mask, extras, **settings) == pytest.approx(np.mean(expected), rel=1e-10)


def test_exposures_of_the_score_are_invisible():
    """Adding any multiple of an industry or of size to the scores changes nothing; the gradient along it is zero."""
    score, label, mask, extras = days()
    extras["log_cap"] = np.nan_to_num(extras["log_cap"], nan=23.0)
    tilted = score + 3 * extras["log_cap"] - 2 * (extras["industry"] == 1)
    assert value(tilted, label, mask, extras) == pytest.approx(value(score, label, mask, extras), rel=1e-9)
    given = torch.from_numpy(score).requires_grad_(True)
    loss = losses.parse("neutral_mse")
    loss(
        given, torch.from_numpy(label), torch.from_numpy(mask), {k: torch.from_numpy(v) for k, v in extras.items()}
    ).backward()
    for direction in (extras["log_cap"], extras["industry"] == 1):
        assert (given.grad.numpy() * direction).sum() == pytest.approx(0, abs=1e-12)


def test_collinear_and_constant_exposures_do_no_harm():
    """A regressor given twice under two names, or without any variation, leaves the loss as it is."""
    score, label, mask, extras = days()
    extras |= {"again": 2 * extras["log_cap"] - 7, "same": np.full_like(score, 4.2)}
    alone = value(score, label, mask, extras)
    for more in ("again", "same"):
        assert value(score, label, mask, extras, regressors=("log_cap", more)) == pytest.approx(alone, rel=1e-9)


def test_required_fields_follow_the_settings():
    """The loss asks for the industry field if it is used, and for its regressors."""
    assert losses.parse("neutral_mse").required == ("industry", "log_cap")
    assert losses.parse({"name": "neutral_mse", "industry": False, "regressors": ["turnover"]}).required == (
        "turnover",
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"industry": False, "regressors": []}, "needs `industry: true`, at least one field"),
        ({"regressors": ["log_cap", "log_cap"]}, "each panel field once"),
        ({"regressors": ["industry"]}, "`industry` not among them"),
    ],
)
def test_nonsense_is_refused(settings, message):
    """Nothing to project on, a regressor given twice, and a code taken for a number are errors."""
    with pytest.raises(SettingError, match=message):
        losses.parse({"name": "neutral_mse", **settings})
