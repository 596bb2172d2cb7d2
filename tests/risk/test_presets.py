"""Presets: published figures as data, laid under a model's own settings."""

import pytest

from alphaloom.errors import SettingError, UnknownNameError
from alphaloom.risk.estimator import risk_models
from alphaloom.risk.presets import preset, preset_names, preset_source


def test_published_figures():
    """Half-lives and lags of the USE4 models."""
    short, long = preset("use4s"), preset("use4l")
    for found, half_life, regime in ((short, 84, 42), (long, 252, 168)):
        assert found["covariance"]["volatility_half_life"] == half_life
        assert found["covariance"]["regime_half_life"] == regime
        assert found["covariance"]["volatility_lags"] == 5
        assert (found["covariance"]["correlation_half_life"], found["covariance"]["correlation_lags"]) == (504, 2)
        assert found["specific"]["volatility_half_life"] == half_life
        assert found["specific"]["shrinkage"] == 0.1


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_makes_a_model_and_names_its_source(name):
    """Its settings are the model's, and read back to an equal model."""
    model = risk_models.parse({"name": "cne5", "preset": name})
    for part, settings in preset(name).items():
        held = getattr(model, part).dump()
        assert {key: held[key] for key in settings} == settings
    assert risk_models.parse(model.describe()) == model
    assert len(preset_source(name)) > 20


def test_own_settings_lie_over_the_preset():
    """A setting that is given wins; the rest of its part is the preset's."""
    model = risk_models.parse({"name": "cne5", "preset": "use4s", "covariance": {"volatility_half_life": 10}})
    assert model.covariance.volatility_half_life == 10
    assert model.covariance.regime_half_life == 42


def test_unknown_presets_are_named():
    """The message lists what there is."""
    with pytest.raises(SettingError, match="there is no preset 'use5'; there are: use4s, use4l"):
        risk_models.parse({"name": "cne5", "preset": "use5"})
    with pytest.raises(UnknownNameError, match="use4l"):
        preset("use4")
