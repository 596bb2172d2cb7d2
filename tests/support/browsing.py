"""Pages in headless Chromium: watched for complaints and outside requests, their charts drawn."""

import shutil
import time

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
DRAWN = "document.querySelectorAll('.plot.drawn').length === document.querySelectorAll('.plot').length"
HAS_MARKS = "[...document.querySelectorAll('.plot')].every((p) => p.querySelector('.main-svg .trace, .main-svg .hm'))"


def launch(driver):
    """Return Chromium, with nothing of its own going out."""
    return driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))


def watch(page, allowed):
    """Return the list that will hold errors of the page and the console, and requests to other places than these."""
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda entry: problems.append(entry.text) if entry.type == "error" else None)
    page.on("request", lambda sent: None if sent.url.startswith(allowed) else problems.append(sent.url))
    return problems


def wait_until(page, condition, seconds=20.0):
    """Wait until a JavaScript expression holds; unlike playwright's own waiting it needs no eval in the page."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"{condition} did not come true in {seconds} s"
        time.sleep(0.1)


def draw_all(page):
    """Scroll to every chart until all are drawn, and check that each shows something and that nothing is too wide."""
    for k in range(page.locator(".plot").count()):
        page.locator(".plot").nth(k).scroll_into_view_if_needed()
    wait_until(page, DRAWN)
    assert page.evaluate(HAS_MARKS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
