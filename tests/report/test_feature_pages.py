"""Pages of feature profiles and of studies of missing values: complete, self-contained, safe, and usable."""

import re
import shutil

import numpy as np
import pytest
from panels import random_panel

from alphaloom.feature_study.missing_policies import policies
from alphaloom.feature_study.missing_values import compare_policies
from alphaloom.feature_study.profile import profile_features
from alphaloom.features.base import features
from alphaloom.labels.base import labels
from alphaloom.report.feature_page import feature_page, headline, strong_t, write_feature_page
from alphaloom.report.missing_page import write_missing_page
from alphaloom.report.small_drawings import histogram_svg, interval_svg

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
DEFINE = {
    "MOVE": "returns(close, 3)",
    "BACK": "-returns(close, 3)",
    "SPREAD": "ts_std(returns, 10)",
    "STILL": "close - close + 3",
    "A<b>B": "log(turnover)",
}


@pytest.fixture(scope="module")
def profile():
    """The profile of five features, one with a dangerous name."""
    family = features.parse({"name": "expressions", "define": DEFINE})
    return profile_features(family, random_panel(130, 40, seed=3), labels.parse("forward_return"))


def test_every_feature_has_a_row_and_every_name_is_escaped(profile):
    """All features, groups and remarks are there; a name never becomes markup."""
    text = feature_page(profile, footer={"data": "abc"})
    assert text.count("<tr data-words=") == len(DEFINE)
    assert "A&lt;b&gt;B" in text
    assert "A<b>B" not in text
    assert "Group 1" in text
    assert "STILL" in text[text.index('id="remarks"') :]
    assert headline(profile) in text.replace("&#39;", "'")


def test_the_page_asks_for_nothing_outside(profile):
    """No address but its own anchors and the empty icon."""
    text = feature_page(profile)
    assert set(re.findall(r'(?:src|href)="([^"]+)"', text)) <= {
        "data:,", "#features", "#groups", "#remarks", "#method",
    }  # fmt: skip
    assert "http" not in re.sub(r'xmlns="[^"]+"', "", text)


def test_numbers_can_be_sorted(profile):
    """Numeric cells carry their value; what is unknown carries an empty one."""
    text = feature_page(profile)
    mean = profile.table["rank_ic"].to_list()[0]
    assert f'data-v="{mean:.9g}"' in text
    assert 'data-v=""' in text
    assert 'data-v="nan"' not in text


def test_the_bound_grows_with_the_number_of_features():
    """One feature needs 1.96, a hundred need more (Bonferroni)."""
    assert strong_t(1) == pytest.approx(1.96, abs=0.001)
    assert strong_t(100) == pytest.approx(3.48, abs=0.01)


def test_drawings_say_nothing_where_nothing_is_known():
    """A dash stands where there is no value; colours tell on which side of 0 an interval lies."""
    assert histogram_svg(np.zeros(5)) == interval_svg(float("nan"), 1.0, 1.0) == "–"
    assert histogram_svg([0.0, 0.5, 0.5]).count("M") == 2
    assert "up" in interval_svg(0.5, 0.1, 1.0)
    assert "down" in interval_svg(-0.5, 0.1, 1.0)
    assert not re.search("up|down", interval_svg(0.1, 0.1, 1.0))


def test_study_of_missing_values_is_a_page(tmp_path):
    """The conclusion, every policy and the recipes stand on it."""
    compared = policies(features.parse({"name": "expressions", "define": {"MOVE": "returns(close, 3)"}}))
    study = compare_policies(compared, random_panel(200, 40, seed=1), labels.parse("forward_return"))
    write_missing_page(study, tmp_path / "missing.html")
    text = (tmp_path / "missing.html").read_text(encoding="utf-8")
    for policy in compared:
        assert f'<th scope="row">{policy.name}</th>' in text
    assert "carried_forward" in text
    assert "unknown" in text
    assert [item.name for item in tmp_path.iterdir()] == ["missing.html"]


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_table_sorts_and_filters_offline(profile, tmp_path, scheme, width):
    """Sorting orders the rows, the filter hides them, column sets switch; nothing fails or is wider than the screen."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")
    write_feature_page(profile, tmp_path / "page.html")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_context(
            offline=True, color_scheme=scheme, viewport={"width": width, "height": 900}
        ).new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda entry: problems.append(entry.text) if entry.type == "error" else None)
        page.goto((tmp_path / "page.html").as_uri())
        names = "[...document.querySelectorAll('#features tbody tr:not([hidden]) th')].map(cell => cell.textContent)"
        assert page.evaluate(names) == list(DEFINE)
        page.click("#features th:has-text('RankIC') >> nth=1")
        known = profile.table.filter(profile.table["rank_ic"].is_not_nan()).sort("rank_ic", descending=True)
        assert page.evaluate(names)[: known.height] == known["feature"].to_list()
        assert page.evaluate(names)[-1] == "STILL"
        page.fill("#features input", "group 1")
        assert set(page.evaluate(names)) == {"MOVE", "BACK"}
        assert page.inner_text("#features .shown") == "2 of 5 features"
        page.fill("#features input", "group 11")
        assert page.evaluate(names) == []
        page.fill("#features input", "")
        page.click("text=Distribution")
        assert page.is_visible("#features th:has-text('Kurtosis')")
        assert not page.is_visible("#features th:has-text('ICIR')")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not problems
        browser.close()
