"""AlphaNet's models on operators of raw bars: a planted signal is found, noise is not, a fit goes to disk and back."""

import numpy as np
import pytest
from alphanet_by_hand import operator_market
from learnable import rank_ic
from numpy.testing import assert_array_equal

from alphaloom.features.alphanet import AlphaNet
from alphaloom.models.alphanet_parts import Column
from alphaloom.models.base import FitContext, models
from alphaloom.training.fit import fit_model, load_fitted

VERSIONS = {
    "alphanet_v1": (AlphaNet(preset="v1"), {}),
    "alphanet_v2": (AlphaNet(preset="v2"), {}),
    "alphanet_v3": (AlphaNet(preset="v3"), {}),
    "alphanet_v4": (
        AlphaNet(preset="v4", windows=(5, 10)),
        {"windows": (5, 10), "steps": 6, "hidden": 16, "ff": 32, "layers": 1},
    ),
}


def trained(name, strength, seed=0):
    """Return the market of a version and its model fitted to it: raw levels and covariances, no transform."""
    family, settings = VERSIONS[name]
    model = models.parse({"name": name, **settings, "optimisation": {"lr": 5e-3, "epochs": 10, "patience": 10}})
    market = operator_market(family, model, strength=strength, seed=seed)
    features = tuple(family.columns())
    return market, fit_model(model, market.train, market.valid, context=FitContext(0, 1, features))


@pytest.fixture(scope="module")
def signal():
    """Return a function that gives each version's market and fit, made once."""
    done = {}

    def found(name):
        if name not in done:
            done[name] = trained(name, strength=1.0)
        return done[name]

    return found


@pytest.mark.parametrize("name", VERSIONS)
def test_a_signal_made_of_its_operators_is_found(name, signal):
    """Out of sample the scores earn more than half of what knowing the truth would."""
    market, fitted = signal(name)
    assert np.nanmax(np.abs(market.train.block)) > 1e10
    assert rank_ic(fitted.predict(market.test), market.test) > 0.5 * market.ceiling


@pytest.mark.parametrize("name", VERSIONS)
def test_noise_gives_nothing(name):
    """On labels without any signal the out-of-sample RankIC is zero within three standard errors."""
    market, fitted = trained(name, strength=0.0)
    scores = fitted.predict(market.test)
    assert abs(rank_ic(scores, market.test)) < 3 / np.sqrt(np.isfinite(scores).sum())


def test_the_filter_is_stored_with_the_fit(signal, tmp_path):
    """What was kept on the training days is saved, and the loaded fit scores with it bit for bit."""
    market, fitted = signal("alphanet_v4")
    fitted.save(tmp_path / "fit")
    loaded = load_fitted(tmp_path / "fit", threads=1)
    kept = fitted.body.shape.settled["kept"]
    assert loaded.body.shape == fitted.body.shape
    assert [column.name for column in loaded.body.module.main.columns] == kept["10"]
    columns = [Column.parse(name) for name in fitted.features]
    assert 20 < len(kept["10"]) < sum(column.window == 10 for column in columns)
    assert_array_equal(loaded.predict(market.test), fitted.predict(market.test))


def test_significance_points_at_the_planted_operators(signal):
    """A V1 trained on two planted columns gives them significance: both stand in the first tenth of 117."""
    _, fitted = signal("alphanet_v1")
    table = fitted.body.module.column_significance()
    assert {"corr_close_returns_10", "std_returns_10"} <= set(table["feature"][:12])
