"""The web page in a real browser: a user starts a run, watches it, opens its report, compares, stops another."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from browsing import CHROMIUM, draw_all, wait_until, watch

pytest.importorskip("uvicorn", reason="the extra `ui` is not installed")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.xdist_group("web_browser"),
]


def serve(folder, market, port):
    """Return a server once it answers."""
    words = [sys.executable, "-m", "alphaloom", "ui", folder, "--store", market, "--port", port, "--threads", 1]
    process = subprocess.Popen(list(map(str, words)), stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/jobs", timeout=5).close()
        except (urllib.error.URLError, OSError):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        else:
            return process


@pytest.fixture(scope="module")
def address(tmp_path_factory, market):
    """The address of a server over an empty folder of runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = serve(tmp_path_factory.mktemp("web") / "runs", market, port)
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=30)


def start(page, address, recipe_text, name, *overrides):
    """Fill in the form and start a run."""
    page.goto(f"{address}/start")
    page.get_by_label("Your own").check()
    page.locator("#source").fill(recipe_text)
    page.locator("#overrides").fill("\n".join(overrides))
    page.locator("#run").fill(name)
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/jobs/*")


def status_is(*names):
    """Return the condition that the job's page shows one of these."""
    return f"{list(names)}.includes(document.getElementById('status').textContent)"


@pytest.fixture(scope="module")
def used(browser, address, recipe_text):
    """Two finished runs and a stopped one, made by clicking; the complaints met on the way."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    problems = watch(page, (address, "data:", "blob:"))
    page.goto(address)
    assert page.get_by_text("No runs yet").is_visible()
    start(page, address, recipe_text, "one")
    wait_until(page, "document.getElementById('output').textContent.includes('features')", 300)
    wait_until(page, status_is("done", "failed"), 300)
    assert page.locator("#status").inner_text() == "done", page.locator("#output").inner_text()
    page.get_by_role("link", name="Open the run").click()
    page.wait_for_url("**/runs/one")
    draw_all(page)
    page.get_by_label("New tag").fill("good")
    page.get_by_role("button", name="Add").click()
    page.wait_for_selector(".tag >> text=good")
    start(page, address, recipe_text, "two", "models.0.penalty=1000")
    wait_until(page, status_is("done"), 300)
    start(page, address, recipe_text, "three", "repeats=40", "seed=9")
    wait_until(page, status_is("running"), 60)
    wait_until(page, "document.getElementById('stage').textContent !== ''", 120)
    page.get_by_role("button", name="Stop").click()
    wait_until(page, status_is("stopped"), 120)
    assert page.get_by_role("button", name="Resume").is_visible()
    yield problems
    context.close()


def test_a_user_runs_watches_and_stops_without_complaint(used):
    """No error of the page or the console, no request to another host, while runs are started, watched and stopped."""
    assert used == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_every_page_draws_without_complaint(browser, address, used, scheme, width):
    """All pages, in both themes and on a phone: charts drawn, nothing wider than the screen, no outside request."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    problems = watch(page, (address, "data:", "blob:"))
    for path in ("/", "/runs/one", "/start", "/start?like=one", "/jobs", "/data", "/data/market", "/today/one"):
        page.goto(address + path)
        draw_all(page)
    page.goto(f"{address}/report/one")
    draw_all(page)
    assert page.locator(".plot").count() > 5
    page.goto(address)
    for name in ("one", "two"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare 2").click()
    page.wait_for_url("**/compare?*")
    draw_all(page)
    assert page.get_by_text("Settings that differ").is_visible()
    assert problems == []
    context.close()


def test_todays_portfolio(browser, address, used):
    """Scores and target weights of the store's last day."""
    context = browser.new_context()
    page = context.new_page()
    problems = watch(page, (address, "data:", "blob:"))
    page.goto(f"{address}/today/one")
    page.get_by_role("button", name="Compute").click()
    page.wait_for_url("**/today/one?*", timeout=120_000)
    draw_all(page)
    assert page.get_by_text("Target weights").is_visible()
    assert problems == []
    context.close()


def test_a_wrong_recipe_is_told_on_the_page(browser, address):
    """A misspelt setting is named with the nearest one, and nothing is queued."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/start")
    page.locator("#overrides").fill("sead=1")
    page.get_by_role("button", name="Check only").click()
    wait_until(page, "!document.getElementById('problem').hidden")
    assert "Did you mean 'seed'?" in page.locator("#problem").inner_text()
    page.locator("#overrides").fill("seed=1")
    page.get_by_role("button", name="Check only").click()
    page.wait_for_selector("#answer:visible")
    assert "every setting is understood" in page.locator("#answer").inner_text()
    context.close()
