"""The one door: what it refuses and what it passes on. What each model promises is in the contract tests."""

import numpy as np
import pytest
import torch
from learnable import planted
from numpy.testing import assert_array_equal

from alphaloom.errors import DataError, RunError, SettingError, UnsafeFileError, UsageError
from alphaloom.models.base import FitContext, models
from alphaloom.training.fit import CHECKPOINT_FILE, fit_model, load_fitted
from alphaloom.training.samples import Samples

CONTEXT = FitContext(seed=0, threads=1, features=("a", "b", "c", "d"))


@pytest.fixture(scope="module")
def market():
    """Return a small market with a linear signal."""
    return planted(D=24, N=30, F=4)


def test_number_of_features_must_agree(market):
    """Names for another number of features, or samples of another number when scoring, are refused."""
    short = FitContext(seed=0, threads=1, features=("a",))
    with pytest.raises(UsageError, match="1 feature names were given for 4 features"):
        fit_model(models.parse("ridge"), market.train, market.valid, context=short)
    fitted = fit_model(models.parse("ridge"), market.train, market.valid, context=CONTEXT)
    narrow = Samples(
        np.ascontiguousarray(market.test.block[..., :3]), market.test.label, market.test.member, market.test.rows
    )
    with pytest.raises(DataError, match="fitted on 4 features, the samples have 3"):
        fitted.predict(narrow)


@pytest.mark.parametrize("name", ["ridge", "lightgbm", "xgboost"])
def test_nothing_to_learn_from_is_refused(market, name):
    """Training days without a single labelled row are an error that says what to check."""
    bare = Samples(market.train.block, np.full_like(market.train.label, np.nan), market.train.member, market.train.rows)
    with pytest.raises(DataError, match="None of the 14 training days has a labelled member with a feature"):
        fit_model(models.parse(name), bare, market.valid, context=CONTEXT)


def test_validation_may_be_empty(market):
    """Every model can be fitted without validation days."""
    nothing = market.valid.subset(np.array([], dtype=np.int64))
    for model in (
        "ridge",
        {"name": "lightgbm", "n_estimators": 5},
        {"name": "xgboost", "n_estimators": 5},
        {"name": "gru", "steps": 2, "hidden": 4, "optimisation": {"epochs": 2}},
    ):
        fitted = fit_model(models.parse(model), market.train, nothing, context=CONTEXT)
        assert np.isfinite(fitted.predict(market.test)).any()


def test_progress_gets_the_curve(market, tmp_path):
    """Progress is called with every record; a network leaves its checkpoint in the work folder, trees leave nothing."""
    for model, files in (
        ({"name": "lightgbm", "n_estimators": 5}, []),
        ({"name": "gru", "steps": 2, "hidden": 4, "optimisation": {"epochs": 2}}, [CHECKPOINT_FILE]),
    ):
        seen: list[dict] = []
        work = tmp_path / model["name"]
        work.mkdir()
        fitted = fit_model(
            models.parse(model), market.train, market.valid, context=CONTEXT, work=work, progress=seen.append
        )
        assert seen == fitted.history
        assert {"epoch", "train_loss", "valid_loss", "valid_rank_ic"} <= set(seen[0])
        assert [path.name for path in work.iterdir()] == files


def test_estimators_see_a_date_without_members(market):
    """A sample date on which nobody can be scored gives a row of NaN, not an error."""
    fitted = fit_model(models.parse("ridge"), market.train, market.valid, context=CONTEXT)
    member = market.test.member.copy()
    member[market.test.rows[2]] = False
    scores = fitted.predict(Samples(market.test.block, market.test.label, member, market.test.rows))
    assert np.isnan(scores[2]).all()
    assert_array_equal(scores[3], fitted.predict(market.test)[3])


@pytest.mark.parametrize("name", ["ridge", "gru"])
def test_scores_that_are_not_finite_are_refused(market, name):
    """A score that is not finite is an error that names the date's row, not a stock silently without a score."""
    model = models.parse(name)
    fitted = fit_model(model, market.train, market.valid, context=CONTEXT)
    if name == "ridge":
        fitted.body.weights[:] = np.nan
    else:
        with torch.no_grad():
            fitted.body.module.head.bias.fill_(torch.nan)
    with pytest.raises(RunError, match=f"scores at panel row {market.test.rows[0]} are not finite"):
        fitted.predict(market.test)


def test_loading_what_is_not_a_model_is_refused(market, tmp_path):
    """A missing folder, another format, or a model this version does not know is an error that names the file."""
    with pytest.raises(DataError, match="holds no fitted model"):
        load_fitted(tmp_path / "absent")
    fitted = fit_model(models.parse("ridge"), market.train, market.valid, context=CONTEXT)
    fitted.save(tmp_path)
    text = (tmp_path / "fitted.json").read_text()
    (tmp_path / "fitted.json").write_text(text.replace('"name": "ridge"', '"name": "rigde"'))
    with pytest.raises(SettingError, match="Did you mean 'ridge'"):
        load_fitted(tmp_path)
    (tmp_path / "fitted.json").write_text(text.replace('"format": 1', '"format": 99'))
    with pytest.raises(DataError, match="has format 99; this version reads 1"):
        load_fitted(tmp_path)


@pytest.mark.parametrize("name", ["ridge", "lightgbm", "xgboost"])
def test_damaged_model_is_refused(market, tmp_path, name):
    """A file cut short, changed or missing is named before any library reads it."""
    fitted = fit_model(models.parse(name), market.train, market.valid, context=CONTEXT)
    fitted.save(tmp_path)
    (file,) = (tmp_path / "body").iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(UnsafeFileError, match=f"{file.name} is missing or not as it was saved"):
        load_fitted(tmp_path)
    file.unlink()
    with pytest.raises(UnsafeFileError, match="is missing or not as it was saved"):
        load_fitted(tmp_path)
    (tmp_path / "fitted.json").write_text('{"format": 1, "mod')
    with pytest.raises(UnsafeFileError, match="cut short"):
        load_fitted(tmp_path)
