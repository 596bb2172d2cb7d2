"""The audit passes what is honest and catches planted leaks, naming what, where and when."""

import numpy as np
import polars as pl
import pytest
from panels import random_panel

from alphaloom.audit import audit_components, audit_features, audit_sample, default_components, replace_rows
from alphaloom.data.universe.base import UniverseRule
from alphaloom.errors import DataError, LeakError
from alphaloom.features.base import FeatureFamily
from alphaloom.labels.base import Label, labels
from alphaloom.panel import Panel
from alphaloom.transforms.base import Transform


@pytest.fixture(scope="module")
def panel() -> Panel:
    """A small market with gaps."""
    return random_panel(90, 12, 7)


class Momentum(FeatureFamily):
    """Honest: returns of the past 1 and 5 days; one column may look `peek` days ahead."""

    name = "momentum"
    inputs = ("adj_close",)
    peek: int = 0

    @property
    def lookback(self) -> int:
        """Five days."""
        return 5

    def columns(self) -> list[str]:
        """Two columns."""
        return ["ROC1", "ROC5"]

    def compute(self, panel: Panel) -> np.ndarray:
        """Return the two ratios."""
        price = panel["adj_close"]
        out = np.full((*price.shape, 2), np.nan, dtype=np.float32)
        out[1:, :, 0] = price[1:] / price[:-1]
        ahead = price if self.peek == 0 else np.concatenate([price[self.peek :], price[-1:].repeat(self.peek, 0)])
        out[5:, :, 1] = ahead[5:] / price[:-5]
        return out


class WholeSample(FeatureFamily):
    """Leaks without looking at one later row in particular: it standardises by the mean of all dates."""

    name = "whole_sample"
    inputs = ("turnover",)

    @property
    def lookback(self) -> int:
        """None declared."""
        return 0

    def columns(self) -> list[str]:
        """One column."""
        return ["TURN"]

    def compute(self, panel: Panel) -> np.ndarray:
        """Return turnover over its mean of all dates."""
        x = panel["turnover"]
        return (x / np.nanmean(x))[:, :, None].astype(np.float32)


class FitsOnEverything(Transform):
    """Leaks: says it is fitted, but standardises by whatever block it is applied to."""

    name = "fits_on_everything"
    is_fitted = True

    def fit(self, block: np.ndarray, panel: Panel) -> dict[str, np.ndarray]:
        """Return a state that is not used."""
        return {"mean": np.nanmean(block, axis=(0, 1))}

    def apply(self, block: np.ndarray, panel: Panel, state) -> None:
        """Subtract the mean of all dates."""
        block -= np.nanmean(block, axis=(0, 1))


class CarriesForward(Transform):
    """Not cross-sectional: fills a hole with the stock's value of the date before."""

    name = "carries_forward"

    def apply(self, block: np.ndarray, panel: Panel, state) -> None:
        """Fill from the row above."""
        for t in range(1, block.shape[0]):
            hole = np.isnan(block[t])
            block[t][hole] = block[t - 1][hole]


class Liar(Label):
    """A two-day return that declares to end after one."""

    name = "liar"
    inputs = ("adj_close",)
    declared: int = 1

    def entries(self, dates: np.ndarray) -> np.ndarray:
        """The next day."""
        rows = np.arange(dates.size) + 1
        return np.where(rows < dates.size, rows, -1)

    def ends(self, dates: np.ndarray) -> np.ndarray:
        """The declared end."""
        return np.minimum(np.arange(dates.size) + 1 + self.declared, dates.size)

    def compute(self, panel: Panel) -> np.ndarray:
        """Return close[t + 3] / close[t + 1] - 1."""
        out = np.full(panel.shape, np.nan, dtype=np.float32)
        out[:-3] = panel["adj_close"][3:] / panel["adj_close"][1:-2] - 1
        return out


class KnowsWhoSurvives(UniverseRule):
    """Leaks: keeps the stocks that are still listed at the end."""

    name = "survivors"
    inputs = ("is_listed",)

    def keep(self, panel: Panel) -> np.ndarray:
        """Return the last row for all dates."""
        return np.broadcast_to(panel["is_listed"][-1] == 1, panel.shape)


def test_every_registered_component_passes(panel: Panel) -> None:
    """No registered feature, transform, label or universe rule knows the future, and none is skipped."""
    parts = default_components()
    report = audit_components(panel, parts.families, parts.transforms, parts.labels, parts.rules, cuts=3)
    assert report.passed, str(report.findings[:3])
    table = report.table()
    assert table["result"].unique().to_list() == ["passed"]
    assert set(table["kind"]) == {"feature", "transform", "label", "universe rule"}
    assert (table["cells"] > 0).all()
    report.raise_if_leaking()


@pytest.mark.parametrize("peek", [1, 3])
def test_a_feature_that_peeks_is_named_with_its_date(panel: Panel, peek: int) -> None:
    """Reading t + k is found at the k dates before the cut, in that column alone, with stock and both values."""
    report = audit_features(panel, [Momentum(), Momentum(peek=peek)], cuts=4, seed=1)
    assert not report.passed
    assert {f.column for f in report.findings} == {"ROC5"}
    assert {f.change for f in report.findings} == {"later dates cut off", "later dates replaced"}
    cuts = sorted({f.date for f in report.findings})
    assert len(cuts) == 4
    for finding in report.findings:
        t = int(np.searchsorted(panel.dates, finding.date))
        n = int(np.searchsorted(panel.symbols, finding.symbol))
        column = Momentum(peek=peek).compute(panel)[:, :, 1]
        np.testing.assert_allclose(finding.before, column[t, n])
    with pytest.raises(LeakError, match=rf"feature 'momentum', column 'ROC5', changed on {report.findings[0].date}"):
        report.raise_if_leaking()


def test_honest_features_pass_beside_leaking_ones(panel: Panel) -> None:
    """Each component has its own row and verdict in the table."""
    report = audit_features(panel, [Momentum(), WholeSample()])
    table = report.table()
    assert table.select("name", "result", "leaking").rows() == [("momentum", "passed", 0), ("whole_sample", "leaks", 1)]
    assert "column 'TURN', changed on 2020-01-02" in table["detail"][1]
    frame = report.findings_frame()
    assert frame["date"].dtype == pl.Date
    assert frame.height == len(report.findings)


def test_a_transform_fitted_on_everything_is_caught(panel: Panel) -> None:
    """A fitted transform whose result on a date depends on later dates fails, column by column."""
    report = audit_components(panel, transforms_=[FitsOnEverything()])
    assert {f.column for f in report.findings} == {f"column {k}" for k in range(4)}
    assert {f.name for f in report.findings} == {"fits_on_everything"}


def test_a_transform_that_reads_other_dates_is_caught(panel: Panel) -> None:
    """Reading only the past is no look-ahead, but it is no cross-section either: a date must stand alone."""
    report = audit_components(panel, transforms_=[CarriesForward()])
    assert {f.change for f in report.findings} == {"other dates replaced"}


def test_a_label_that_ends_later_than_it_says_is_caught(panel: Panel) -> None:
    """A label reading past its declared end would escape the purge: found at the first date that does."""
    report = audit_components(panel, labels_=[Liar()])
    assert {f.change for f in report.findings} >= {"later dates replaced"}
    assert audit_components(panel, labels_=[Liar(declared=2)]).passed


def test_a_label_that_is_there_before_its_end_is_caught(panel: Panel) -> None:
    """A value computed while its declared end lies beyond the data was made from a shorter span."""
    report = audit_components(panel, labels_=[Liar(declared=3)])
    assert {f.change for f in report.findings} == {"computed before its declared end"}


def test_a_rule_that_knows_the_survivors_is_caught(panel: Panel) -> None:
    """A universe made of those still listed at the end fails."""
    report = audit_components(panel, rules=[KnowsWhoSurvives()])
    assert not report.passed
    assert report.findings[0].kind == "universe rule"


def test_a_component_without_its_fields_is_listed_as_skipped(panel: Panel) -> None:
    """What cannot be audited is said, with the field, and does not count as passed work."""
    report = audit_features(panel.select(["turnover"]), [Momentum(), WholeSample()])
    row = report.table().row(0, named=True)
    assert (row["result"], row["cells"], row["detail"]) == ("skipped", 0, "the panel has no adj_close")


def test_the_same_seed_gives_the_same_audit(panel: Panel) -> None:
    """Dates and replaced values are drawn by the seed alone."""
    a, b, c = (audit_features(panel, [Momentum(peek=1)], seed=seed) for seed in (3, 3, 4))
    assert a.findings_frame().equals(b.findings_frame())
    assert not a.findings_frame().equals(c.findings_frame())


def test_replaced_values_stay_possible(panel: Panel) -> None:
    """Kept dates keep their bits; flags stay flags and categories codes; the rest really changes."""
    keep = np.arange(90) < 30
    out = replace_rows(panel, keep, np.random.default_rng(0))
    for name in panel.names:
        np.testing.assert_array_equal(out[name][keep], panel[name][keep])
    assert set(np.unique(out["is_st"][~np.isnan(out["is_st"])])) <= {0, 1}
    assert np.nanmax(out["industry"]) < len(panel.categories["industry"])
    assert (out["adj_close"][~keep] != panel["adj_close"][~keep]).mean() > 0.9
    assert not np.array_equal(out.universe[~keep], panel.universe[~keep])


def test_sample_keeps_recent_dates_and_living_stocks(panel: Panel) -> None:
    """The sample is the last rows of some stocks that are in the universe there."""
    some = audit_sample(panel, rows=40, symbols=5, seed=1)
    assert some.shape == (40, 5)
    np.testing.assert_array_equal(some.dates, panel.dates[-40:])
    assert some.universe.any(axis=0).all()


def test_a_panel_too_short_is_refused() -> None:
    """A handful of dates cannot be cut."""
    with pytest.raises(DataError, match="at least 8 dates and 1 cut; given 5 dates"):
        audit_components(random_panel(5, 3, 0), labels_=[labels.parse("forward_return")])
