"""Every page and every route of the API, also with what no honest user sends."""

import re

import pytest

pytest.importorskip("fastapi", reason="the extra `ui` is not installed")

from fastapi.testclient import TestClient
from markupsafe import escape

from alphaloom.report.runs import RunFolder
from alphaloom.web.app import create_app
from alphaloom.web.settings import WebSettings

SCRIPT = "<script>alert(1)</script>"
EVIL = SCRIPT.replace("/", "\\")
OURS = re.compile(r'<script (src="/static/(page|ui)\.js"|type="text/plain" id="packed-)')


@pytest.fixture(scope="module")
def client(runs, market):
    """Return a client of the runs and the store; no job is launched."""
    settings = WebSettings(runs, {"market": market})
    return TestClient(create_app(settings), base_url="http://127.0.0.1", follow_redirects=False)


def page(client, path, status=200):
    """Return a page's text after checking that it holds no script but its own."""
    answer = client.get(path)
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"].startswith("text/html")
    for found in re.finditer(r"<script[^>]*", answer.text):
        assert OURS.match(answer.text, found.start()), found.group()
    assert not re.search(r"\son\w+=", answer.text)
    return answer.text


def test_the_list_shows_filters_sorts_and_escapes(client):
    """All runs, also broken and unfinished ones; what stands in their files is text."""
    text = page(client, "/")
    for part in ("first", "group/second", "unfinished", "broken", str(escape(SCRIPT))):
        assert part in text
    assert "classified" not in text
    assert page(client, "/?text=plain").count('<th scope="row">') == 1
    assert page(client, "/?sort=-rank_ic").index("unfinished") > page(client, "/?sort=-rank_ic").index("first")
    assert "No run fits" in page(client, f"/?text={SCRIPT}x")
    assert "no column" in page(client, "/?sort=nothing", 404)


@pytest.mark.parametrize("name", ["first", "group/second", "unfinished", "broken", EVIL])
def test_a_run_is_shown_whatever_is_in_it(client, name):
    """Finished, unfinished, broken or hostile."""
    text = page(client, f"/runs/{name.replace('<', '%3C')}")
    assert str(escape(name)) in text


def test_a_report_runs_in_an_origin_of_its_own(client):
    """Its scripts may draw, and reach neither the server nor the cookie."""
    answer = client.get("/report/first")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts allow-downloads;")
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy
    assert "default-src 'none'" in policy
    assert client.get("/report/unfinished").status_code == 400


def test_comparison(client):
    """Runs side by side; too few or unfinished ones are refused in words."""
    assert "Paired differences" in page(client, "/compare?run=first&run=group/second")
    assert "Compare 2 to 8" in page(client, "/compare?run=first", 400)
    assert "interrupted" in page(client, "/compare?run=first&run=unfinished", 400)
    found = client.get("/api/compare", params={"run": ["first", "group/second"]}).json()
    assert found["differences"][0]["difference"] == 0.0


@pytest.mark.parametrize(
    "path", ["/start", "/start?like=first", "/jobs", "/data", "/data/market", "/login", "/today/first"]
)
def test_other_pages(client, path):
    """Each is there."""
    page(client, path)


def test_start_like_fills_in_a_recipe_as_text(client):
    """A recipe with a script in it is text in the form."""
    text = page(client, f"/start?like={EVIL.replace('<', '%3C')}")
    assert str(escape(SCRIPT)) in text


def test_api_of_runs(client, runs):
    """Rows, one row, numbers, tags."""
    rows = client.get("/api/runs", params={"filter": ["status=done"], "sort": "-name"}).json()
    assert [row["name"] for row in rows] == ["group/second", "first", EVIL]
    assert client.get("/api/runs/group/second").json()["status"] == "done"
    assert client.get("/api/metrics/first").json()["headline"] == "ensemble"
    assert client.get("/api/metrics/unfinished").status_code == 400
    assert client.post("/api/tags/first", json={"add": ["good", "weekly"]}).json() == ["good", "weekly"]
    assert client.post("/api/tags/first", json={"remove": ["weekly"]}).json() == ["good"]
    assert RunFolder(runs / "first").tags() == ["good"]
    assert [row["name"] for row in client.get("/api/runs", params={"tag": "good"}).json()] == ["first"]
    for tag in (SCRIPT, "", "a b", "x" * 100):
        assert client.post("/api/tags/first", json={"add": [tag]}).status_code == 400
    assert client.post("/api/tags/first", json={"adds": []}).status_code == 422
    assert client.get("/api/runs", params={"filter": "rank_ic>'"}).status_code == 400


def test_api_of_data(client):
    """Stores that are served, and no other."""
    (store,) = client.get("/api/stores").json()
    assert store["name"] == "market"
    assert client.get("/api/stores/market/info").json()["market"] == "china"
    assert client.get("/api/stores/market/check").json()["ok"] is True
    for name in ("other", "..", "%2e%2e", "market%2f..", "/etc"):
        assert client.get(f"/api/stores/{name}/info").status_code == 404


TRAVERSALS = (
    "../outside", "..%2Foutside", "%2e%2e/outside", "%2e%2e%2foutside", "..%252foutside", "....//outside",
    "first/../../outside", "first%2f..%2f..%2foutside", "link", "group/link", "link/secret.txt", "..\\outside",
    "..%5coutside", "/etc/passwd", "%2Fetc%2Fpasswd", "first%00", "%00", ".jobs", "first/", "//",
    "%c0%ae%c0%ae/outside", "first/metrics.json",
)  # fmt: skip


@pytest.mark.parametrize("name", TRAVERSALS)
@pytest.mark.parametrize("route", ["/runs/", "/report/", "/today/", "/start?like=", "/api/runs/", "/api/metrics/"])
def test_no_path_leads_out_of_the_store(client, route, name):
    """Plain, encoded, doubly encoded, through links: nothing but runs of the list."""
    answer = client.get(f"{route}{name}")
    assert answer.status_code in {400, 404}, answer.text[:300]
    assert "classified" not in answer.text


def test_a_run_whose_files_link_elsewhere_is_not_shown(client, runs):
    """A link in place of a report or of the recipe gives nothing away."""
    folder = RunFolder.open(runs / "linked", "name: linked", "r", "d")
    (folder.path / "metrics.json").write_text("{}")
    folder.finish()
    (folder.path / "report.html").symlink_to(runs.parent / "outside" / "secret.txt")
    for route in ("/runs/", "/report/", "/start?like=", "/api/metrics/"):
        answer = client.get(f"{route}linked")
        assert answer.status_code == 400
        assert "classified" not in answer.text


@pytest.mark.parametrize("name", ["../../pyproject.toml", "..%2fguard.py", "%2e%2e%2f__init__.py", "page.html.j2", ""])
def test_only_own_files_are_static(client, name):
    """The page's files by their names, nothing beside them."""
    assert client.get(f"/static/{name}").status_code == 404


def test_unknown_things_are_said(client):
    """404 with a sentence, as a page or as JSON."""
    assert "no run named" in page(client, "/runs/none", 404)
    assert "no run named" in client.get("/api/runs/none").json()["detail"]
    assert client.get("/api/jobs/none").status_code == 404
    assert client.get("/api/jobs/20260101-000000-000000/events").status_code == 404
    assert client.post("/api/jobs/..%2f..%2fx/stop").status_code == 404
    assert client.get("/jobs/none").status_code == 404
    assert client.get("/nothing").status_code == 404
    assert client.put("/api/runs").status_code == 405


def test_the_schema_names_every_route(client):
    """OpenAPI describes the API, and not the pages."""
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/runs", "/api/jobs", "/api/jobs/{job_id}/events", "/api/predictions/{name}"} <= set(paths)
    assert all(path.startswith("/api/") for path in paths)
