"""The fitted CNE5 model on a simulated market: forecasts, coverage, pure portfolios, what is left out."""

import numpy as np
import polars as pl
import pytest

from alphaloom.errors import DataError, MissingFieldError, SettingError
from alphaloom.risk.diagnostics import exposure_stability, factor_table
from alphaloom.risk.estimator import risk_models
from alphaloom.risk.exposures import compute_exposures
from alphaloom.risk.left_out import allow
from alphaloom.risk.regression import simple_returns


def test_factors_are_country_industries_and_styles(market, fitted):
    """In this order, industries by their codes."""
    assert fitted.factors[0] == "country"
    assert fitted.factors[1:9] == market.categories["industry"]
    assert fitted.factors[9:] == ("beta", "size", "liquidity", "leverage", "growth", "earnings_yield")
    assert fitted.regressions.kinds.count("industry") == 8


def test_forecast_is_exposures_covariance_and_specific_risk(fitted):
    """X F X' + diag(s^2) for a portfolio of covered stocks, by the model's own tables."""
    row = int(np.flatnonzero(fitted.ready)[-1])
    forecast = fitted.forecast(row)
    stocks = np.flatnonzero(np.isfinite(forecast.specific))
    weights = np.zeros(fitted.symbols.size)
    weights[stocks] = np.random.default_rng(0).normal(size=stocks.size)
    X = np.zeros((stocks.size, len(fitted.factors)))
    X[:, 0] = 1
    X[np.arange(stocks.size), 1 + fitted.cells.industry[row, stocks]] = 1
    X[:, 9:] = fitted.cells.styles[row, stocks]
    V = X @ fitted.factor.values[row] @ X.T + np.diag(fitted.specific.volatility[row, stocks].astype(float) ** 2)
    assert forecast.variance(weights) == pytest.approx(weights[stocks] @ V @ weights[stocks], rel=1e-9)
    assert forecast.date == fitted.dates[row]
    assert (forecast.exposures[:, np.isnan(forecast.specific)] == 0).all()
    assert np.isnan(forecast.variance(np.ones(fitted.symbols.size)))


def test_coverage_is_wider_than_estimation(market, fitted):
    """Listed stocks that are too young for regressions, or suspended, still have a forecast; the unlisted have none."""
    rows = np.flatnonzero(fitted.ready)
    listed = market["is_listed"][rows] == 1
    covered = np.isfinite(fitted.specific.volatility[rows])
    members = fitted.cells.members[rows]
    assert (covered & ~members & listed).any()
    assert not (covered & ~listed).any()
    assert covered[listed].mean() > 0.99
    young = listed & (market["listed_days"][rows] < 60)
    assert young.any()
    assert not (young & members).any()


def test_too_early_a_forecast_names_the_first(fitted):
    """The message tells the first date with a forecast."""
    first = fitted.dates[np.flatnonzero(fitted.ready)[0]]
    with pytest.raises(DataError, match=f"Too little history for a risk forecast at {fitted.dates[5]}.*is of {first}"):
        fitted.forecast(5)


def test_a_forecast_knows_no_later_row(market, estimator, fitted):
    """Fitted on the market cut after t, the forecast of t is the same."""
    t = int(np.flatnonzero(fitted.ready)[40])
    cut = estimator.fit(market.rows(0, t + 1)).forecast(t)
    whole = fitted.forecast(t)
    assert cut.factors == whole.factors
    np.testing.assert_array_equal(cut.exposures, whole.exposures)
    np.testing.assert_allclose(cut.covariance, whole.covariance, rtol=1e-9)
    np.testing.assert_allclose(cut.specific, whole.specific, rtol=1e-6)


def test_pure_portfolios_earn_the_factor_returns(market, fitted):
    """Unit own exposure and no other to 1e-8; where all members trade, their return is the factor's."""
    returns = simple_returns(market["adj_close"])
    checked = 0
    for row in np.flatnonzero(fitted.ready)[::25]:
        names, pure = fitted.pure(int(row))
        X, _ = fitted.exposures(int(row))
        load = pure @ X[[fitted.factors.index(name) for name in names]].T
        styles = [k for k, name in enumerate(names) if k > 8]
        np.testing.assert_allclose(load[np.ix_(styles, range(len(names)))], np.eye(len(names))[styles], atol=1e-8)
        np.testing.assert_allclose(load[0, [0, *styles]], np.eye(len(styles) + 1)[0], atol=1e-8)
        np.testing.assert_allclose(load[1:9, 1:9], np.eye(8) - load[0, 1:9], atol=1e-8)
        np.testing.assert_allclose(load[1:9, [0, *styles]], 0, atol=1e-8)
        assert load[0, 1:9].sum() == pytest.approx(1.0, abs=1e-8)
        held = (pure != 0).any(axis=0)
        if row + 1 < market.dates.size and np.isfinite(returns[row + 1, held]).all():
            expected = fitted.regressions.returns[row + 1, [fitted.factors.index(name) for name in names]]
            np.testing.assert_allclose(pure[:, held] @ returns[row + 1, held], expected, atol=1e-9)
            checked += 1
    assert checked


def test_what_the_data_lack_is_recorded(fitted):
    """Analysts' forecasts are not there: which descriptors, their weights, and why."""
    found = {(style, name): why for style, name, _, why in fitted.left_out.iter_rows()}
    assert set(found) == {("earnings_yield", "epibs"), ("growth", "egibs"), ("growth", "egibs_s")}
    assert found["earnings_yield", "epibs"] == "the data have no fund:earnings_forecast"
    assert fitted.left_out["weight"].to_list() == [0.18, 0.11, 0.68]


def test_a_style_without_any_field_is_left_out_whole(market, estimator):
    """Without debt there is no leverage; without every style's fields there is no model."""
    lean = market.select([name for name in market.names if name != "fund:debt"])
    model = estimator.fit(lean)
    assert "leverage" not in model.factors
    assert model.left_out.filter(pl.col("style") == "leverage")["descriptor"].to_list() == ["mlev", "dtoa", "blev"]
    only = risk_models.parse({**estimator.describe(), "styles": ["leverage"]})
    with pytest.raises(MissingFieldError, match="fields of none of the styles: leverage: the data have no fund:debt"):
        only.fit(lean)


def test_a_style_that_few_know_is_left_out(market, estimator):
    """Known for a third of the stocks, it counts as unknown on every day, and is recorded."""
    book = market["fund:book"].copy()
    book[:, np.arange(book.shape[1]) % 3 > 0] = np.nan
    few = risk_models.parse({**estimator.describe(), "styles": ["size", "book_to_price"]})
    model = few.fit(market.with_fields({"fund:book": book}))
    assert model.factors[9:] == ("size",)
    why = model.left_out.filter(pl.col("style") == "book_to_price")["why"].to_list()
    assert why == ["known for less than 50% of the universe on every day"]


def test_a_style_that_becomes_known_comes_in_later(market, estimator):
    """Until enough know it, it counts as unknown; once it has enough returns, forecasts hold it."""
    book = market["fund:book"].copy()
    book[:250] = np.nan
    few = risk_models.parse({**estimator.describe(), "styles": ["size", "book_to_price"]})
    model = few.fit(market.with_fields({"fund:book": book}))
    assert np.isnan(model.regressions.returns[:251, -1]).all()
    assert np.isfinite(model.regressions.returns[251:, -1]).all()
    assert "book_to_price" not in model.forecast(251 + 58).factors
    assert "book_to_price" in model.forecast(251 + 59).factors
    assert "size" in model.forecast(251 + 58).factors


def test_without_industries(market, estimator):
    """Country and styles alone."""
    settings = {**estimator.describe(), "industries": False, "styles": ["size"]}
    model = risk_models.parse(settings).fit(market)
    assert model.factors == ("country", "size")
    forecast = model.forecast(int(np.flatnonzero(model.ready)[-1]))
    assert forecast.exposures.shape[0] == 2


def test_inverse_variances_lessen_the_errors(market, estimator, fitted):
    """A second pass with weights of the first one's specific risk has smaller standard errors."""
    second = risk_models.parse({**estimator.describe(), "regression": {"weights": "inverse_variance"}}).fit(market)
    rows = np.flatnonzero(fitted.ready)[20:]
    before, after = (np.nanmean(model.regressions.errors[rows][:, 9:]) for model in (fitted, second))
    assert after < 0.9 * before


def test_too_short_a_market_says_what_is_asked_for(market, estimator):
    """Days there are, and the settings that ask for more."""
    with pytest.raises(DataError, match="covariance.least asks for 60 days, specific.enough for 60"):
        estimator.fit(market.rows(0, 50))


def test_settings_name_the_mistake():
    """Unknown style, twice the same style, a rule that is none."""
    with pytest.raises(SettingError, match="Did you mean 'leverage'"):
        risk_models.parse({"name": "cne5", "styles": ["leverag"]})
    with pytest.raises(SettingError, match="without: there is no descriptor 'epib'"):
        risk_models.parse({"name": "cne5", "styles": [{"name": "earnings_yield", "without": ["epib"]}]})
    with pytest.raises(SettingError, match="every descriptor is left out"):
        risk_models.parse({"name": "cne5", "styles": [{"name": "size", "without": ["lncap"]}]})


def test_forecasts_of_analysts_come_in_where_the_data_have_them():
    """Descriptors left out by default are used with their fields; those left out by setting are not."""
    fields = {"fund:earnings_forecast", "total_cap", "is_listed", "log_cap"}
    style = risk_models.parse({"name": "cne5", "styles": ["earnings_yield"]}).styles[0]
    found = allow([style], fields)
    assert found.styles[0].used == ("epibs",)
    assert found.left_out["descriptor"].to_list() == ["etop", "cetop"]
    set_ = {"name": "earnings_yield", "without": ["epibs", "cetop"]}
    style = risk_models.parse({"name": "cne5", "styles": [set_]}).styles[0]
    found = allow([style], fields | {"fund:earnings_ttm"})
    assert found.styles[0].used == ("etop",)
    why = dict(found.left_out.select("descriptor", "why").iter_rows())
    assert why["epibs"] == "left out by setting"


def test_the_source_that_keeps_most_weight_is_taken():
    """A vendor's multiples where there are no statements; a source that was set stays."""
    fields = {"pe_ttm", "pcf_ttm", "is_listed"}
    parse = risk_models["cne5"].model_validate
    (style,) = allow(parse({"styles": ["earnings_yield"]}).styles, fields).styles
    assert style.source == "ratio"
    assert style.used == ("cetop", "etop")
    chosen = parse({"styles": [{"name": "earnings_yield", "source": "fundamentals"}]}).styles
    assert allow(chosen, fields).styles == ()


def test_exposures_record_their_coverage(market, estimator):
    """Known and members of every descriptor in use, each day."""
    chosen = allow(estimator.styles, set(market.names)).styles
    found = compute_exposures(market, chosen)
    assert set(found.known["descriptor"]) == {
        "beta", "lncap", "stom", "stoq", "stoa", "mlev", "dtoa", "blev", "sgro", "egro", "cetop", "etop",
    }  # fmt: skip
    assert (found.known["known"] <= found.known["members"]).all()
    late = found.known.filter((pl.col("descriptor") == "lncap") & (pl.col("members") > 0))
    assert (late["known"] == late["members"]).all()


def test_stability_is_the_weighted_correlation_of_months(fitted):
    """Size is stable; the figure is numpy's weighted correlation over the members of both days."""
    cells = fitted.cells
    found = exposure_stability(cells, fitted.factors[9:])
    k = found.shape[0] - 1
    now = 21 * (k + 1)
    w = np.sqrt(np.where(cells.members[now], cells.cap[now], 0.0))
    x, y = cells.styles[now - 21, :, 0].astype(float), cells.styles[now, :, 0].astype(float)
    use = (w > 0) & np.isfinite(x) & np.isfinite(y)
    expected = np.cov(x[use], y[use], aweights=w[use])
    assert found[k, 0] == pytest.approx(expected[0, 1] / np.sqrt(expected[0, 0] * expected[1, 1]), rel=1e-9)
    assert np.nanmin(found[:, 1]) > 0.98


def test_factor_table_is_about_the_returns(fitted):
    """A year's return and volatility, t statistics and the last forecast of each factor."""
    table = factor_table(fitted, 250.0, start=100)
    row = table.row(by_predicate=pl.col("factor") == "size", named=True)
    k = fitted.factors.index("size")
    f, e = fitted.regressions.returns[100:, k], fitted.regressions.errors[100:, k]
    assert row["return"] == pytest.approx(250 * f.mean())
    assert row["volatility"] == pytest.approx(f.std(ddof=1) * np.sqrt(250))
    assert row["t"] == pytest.approx(f.mean() / f.std(ddof=1) * np.sqrt(f.size))
    assert row["abs_t"] == pytest.approx(np.abs(f / e).mean())
    assert row["significant"] == pytest.approx((np.abs(f / e) > 2).mean())
    assert row["forecast"] == pytest.approx(np.sqrt(250 * fitted.factor.values[-1, k, k]))
