"""What every registered risk model promises, whoever wrote it."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import DataError, SettingError
from alphaloom.risk.estimator import risk_models

SHORTER = {
    "cne5": {
        "styles": ["size", "liquidity"],
        "covariance": {"least": 40, "simulations": 3},
        "specific": {"window": 60, "few": 10, "enough": 30},
        "universe": [{"name": "listed", "days": 20}],
    },
    "pca": {"window": 60, "factors": 5},
    "ledoit_wolf": {"window": 60},
}
"""Settings under which a year is enough; a model that is not named is tested with its defaults."""


@pytest.fixture(scope="module")
def panel():
    """A year with gaps."""
    return random_panel(240, 40, seed=5)


@pytest.mark.parametrize("name", risk_models.names())
class TestRiskModel:
    """One class of promises, run for each name."""

    def make(self, name):
        """The model with settings for a short history."""
        return risk_models.parse({"name": name, **SHORTER.get(name, {})})

    def test_settings_round_trip_and_refuse_misspelling(self, name):
        """Default settings exist, read back to an equal record, and a misspelt one is refused by name."""
        model = risk_models[name]()
        assert risk_models.parse(model.describe()) == model
        with pytest.raises(SettingError, match="unknown setting 'windw'"):
            risk_models.parse({"name": name, "windw": 1})

    def test_forecast_is_a_covariance(self, name, panel):
        """Finite exposures, a symmetric positive covariance, positive specific variances of covered stocks."""
        forecast = self.make(name).fit(panel).forecast(200)
        K, N = forecast.exposures.shape
        assert panel.shape[1] == N
        assert len(forecast.factors) == K
        assert forecast.date == panel.dates[200]
        assert np.isfinite(forecast.exposures).all()
        np.testing.assert_allclose(forecast.covariance, forecast.covariance.T, atol=1e-15)
        assert np.linalg.eigvalsh(forecast.covariance)[0] >= -1e-12 * np.trace(forecast.covariance)
        covered = np.isfinite(forecast.specific)
        assert covered.sum() > N / 2
        assert (forecast.specific[covered] > 0).all()
        assert (forecast.exposures[:, ~covered] == 0).all()
        assert not covered[panel["is_listed"][200] != 1].any()

    def test_forecast_knows_no_later_row(self, name, panel):
        """Fitted on the panel cut after t, the forecast of t is the same."""
        model = self.make(name)
        whole, cut = model.fit(panel).forecast(180), model.fit(panel.rows(0, 181)).forecast(180)
        weights = np.where(np.isfinite(whole.specific), 1.0, 0.0)
        assert cut.variance(weights) == pytest.approx(whole.variance(weights), rel=1e-9)
        np.testing.assert_allclose(cut.specific, whole.specific, rtol=1e-6)

    def test_it_needs_no_more_than_it_declares(self, name, panel):
        """The required and wanted fields are enough, and the input is not changed."""
        model = self.make(name)
        fields = [field for field in (*model.required, *model.wanted) if field in panel]
        before = {field: panel[field].copy() for field in fields}
        alone = model.fit(panel.select(dict.fromkeys(fields))).forecast(200)
        weights = np.where(np.isfinite(alone.specific), 1.0, 0.0)
        assert alone.variance(weights) == pytest.approx(model.fit(panel).forecast(200).variance(weights), rel=1e-12)
        for field, array in before.items():
            np.testing.assert_array_equal(panel[field], array)

    def test_too_early_is_an_error(self, name, panel):
        """The message names the date."""
        with pytest.raises(DataError, match=str(panel.dates[5])):
            self.make(name).fit(panel).forecast(5)

    def test_foreseen_risk_is_near_what_comes(self, name, panel):
        """An equal-weighted portfolio's volatility is foreseen within a third."""
        model = self.make(name).fit(panel)
        close = panel["adj_close"].astype(float)
        z = []
        for row in range(120, 238):
            forecast = model.forecast(row)
            weights = np.where(np.isfinite(forecast.specific), 1.0, 0.0)
            weights /= weights.sum()
            z.append(np.nansum(weights * (close[row + 1] / close[row] - 1)) / np.sqrt(forecast.variance(weights)))
        assert 0.67 < np.std(z) < 1.5
