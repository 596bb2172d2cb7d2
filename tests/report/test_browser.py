"""The page in a real browser, without network."""

import re

import pytest
from browsing import CHROMIUM, DRAWN, draw_all, wait_until, watch
from grids import make_grid

from alphaloom.report.grid_page import write_grid_page
from alphaloom.report.write import write_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def address(study, tmp_path_factory):
    """The file address of a full report."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(study, path)
    return path.as_uri()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_every_chart_draws_offline_without_complaint(browser, address, scheme, width):
    """Scrolling draws all charts; no page error, console error or outside request; nothing wider than the screen."""
    context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    problems = watch(page, ("file:", "data:", "blob:"))
    page.goto(address)
    assert page.locator(".plot.drawn").count() < page.locator(".plot").count()
    draw_all(page)
    assert problems == []
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_every_chart_of_a_grid_draws(browser, tmp_path, width):
    """The page of a grid draws all charts, names inside the forests, and nothing is wider than the screen."""
    write_grid_page(make_grid({"steps": ("5", "10", "20"), "loss": ("mse", "rank_ic")}, {}), tmp_path / "report.html")
    context = browser.new_context(offline=True, viewport={"width": width, "height": 900})
    page = context.new_page()
    problems = watch(page, ("file:", "data:", "blob:"))
    page.goto((tmp_path / "report.html").as_uri())
    draw_all(page)
    names = page.evaluate("[...document.querySelectorAll('.plot .annotation-text')].map((e) => e.textContent)")
    assert {"10 · rank_ic", "loss: rank_ic", "steps: 20"} <= set(names)
    assert problems == []
    context.close()


def test_theme_button_changes_page_and_charts(browser, address):
    """The button goes from the system's setting to light, dark and back, and charts follow."""
    context = browser.new_context(offline=True, color_scheme="light")
    page = context.new_page()
    page.goto(address)
    page.locator(".plot").first.scroll_into_view_if_needed()
    page.wait_for_selector(".plot.drawn")
    ink = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    light = page.evaluate(ink)
    button = page.locator("#theme")
    seen = []
    for _ in range(3):
        button.click()
        seen.append(page.evaluate("document.documentElement.dataset.theme"))
        if seen[-1] == "dark":
            assert page.evaluate(ink) != light
    assert seen == ["light", "dark", "auto"]
    assert page.evaluate(ink) == light
    context.close()


def test_language_button_changes_words_and_charts(browser, address):
    """Chinese on one click, headings, tables, hints and charts; English as it was on the next."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    problems = watch(page, ("file:", "data:", "blob:"))
    page.goto(address)
    draw_all(page)
    before = page.locator("main").inner_text()
    legend = "[...document.querySelectorAll('.plot .legendtext, .plot .ytitle')].map((e) => e.textContent).join()"
    axes = page.evaluate(legend)
    page.locator("#language").click()
    wait_until(page, "document.documentElement.lang === 'zh'")
    words = page.locator("main").inner_text()
    for heading in ("样本与数据", "训练窗口", "组合", "前视审计", "累计 RankIC"):
        assert heading in words
    english = [line for line in words.splitlines() if re.fullmatch(r"[A-Z][a-z]+( [a-z]+){2,}", line.strip())]
    assert not english
    assert page.evaluate(legend) != axes
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#language").click()
    wait_until(page, "document.documentElement.lang === 'en'")
    assert page.locator("main").inner_text() == before
    assert problems == []
    context.close()


def test_printing_draws_charts_that_were_never_seen(browser, address):
    """Before printing every chart is drawn, on white paper."""
    context = browser.new_context(offline=True, color_scheme="dark")
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("window.Plotly !== undefined", timeout=20_000)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(DRAWN)
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "auto"
    context.close()


def test_without_javascript_the_tables_remain(browser, address):
    """With scripts off the verdict, the tables and a word on the charts can be read."""
    context = browser.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert "Evidence for skill" in page.locator("#verdict").inner_text()
    assert page.locator("table").count() > 10
    assert page.locator("noscript p").is_visible()
    assert not page.locator(".chart").first.is_visible()
    context.close()
