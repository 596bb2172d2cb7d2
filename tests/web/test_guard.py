"""What is refused before the application sees it: foreign hosts and sites, wrong tokens, too much, and no JSON."""

import pytest

pytest.importorskip("fastapi", reason="the extra `ui` is not installed")

from fastapi.testclient import TestClient

from alphaloom.errors import UsageError
from alphaloom.web.app import create_app
from alphaloom.web.guard import COOKIE, session_of
from alphaloom.web.settings import WebSettings

TOKEN = "a-long-and-random-token"


@pytest.fixture
def local(tmp_path):
    """Return a client of a server on loopback."""
    return TestClient(create_app(WebSettings(tmp_path)), base_url="http://127.0.0.1:8765", follow_redirects=False)


@pytest.fixture
def remote(tmp_path):
    """Return a client of a server that others reach, without its token."""
    settings = WebSettings(tmp_path, host="0.0.0.0", token=TOKEN, longest_body=10_000)
    return TestClient(create_app(settings), base_url="http://alphaloom.example", follow_redirects=False)


def test_an_address_that_others_reach_needs_a_token(tmp_path):
    """No token beyond loopback, or a short one, is refused at the start."""
    with pytest.raises(UsageError, match="set a token"):
        WebSettings(tmp_path, host="0.0.0.0")
    with pytest.raises(UsageError, match="16 or more"):
        WebSettings(tmp_path, token="short")
    with pytest.raises(UsageError, match="no folder"):
        WebSettings(tmp_path / "none")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::", "evil@127.0.0.2x", "a b"])
def test_a_foreign_host_is_refused_on_loopback(local, host):
    """A name that was made to point to this machine (DNS rebinding) is not served."""
    assert local.get("/", headers={"host": host}).status_code == 421
    assert local.get("/api/runs", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:1", "[::1]:8765", "localhost"])
def test_own_names_are_served(local, host):
    """This machine's own names are, with any port."""
    assert local.get("/api/runs", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:8765.evil.example"},
        {"origin": "http://[:"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_requests_from_other_sites_change_nothing(local, headers):
    """A page elsewhere cannot post in the user's name."""
    assert local.post("/api/jobs", json={"store": "x"}, headers=headers).status_code == 403
    assert local.post("/api/logout", headers=headers).status_code == 403


def test_own_pages_may_post(local):
    """The same origin, or a program that names none, may."""
    own = {"origin": "http://127.0.0.1:8765", "sec-fetch-site": "same-origin"}
    assert local.post("/api/logout", headers=own).status_code == 204
    assert local.post("/api/logout").status_code == 204


def test_what_is_too_long_is_refused(remote):
    """By the length that is said, and by the length that comes."""
    admitted = {"authorization": f"Bearer {TOKEN}"}
    huge = b'{"source": "' + b"x" * 20_000 + b'"}'
    assert remote.post("/api/recipes/resolve", content=huge, headers=admitted).status_code == 413

    def pieces():
        yield from (huge[k : k + 1000] for k in range(0, len(huge), 1000))

    assert remote.post("/api/recipes/resolve", content=pieces(), headers=admitted).status_code == 413
    for length in ("-1", "ten", "9" * 40):
        bad = remote.post("/api/recipes/resolve", content=b"{}", headers=admitted | {"content-length": length})
        assert bad.status_code in {400, 413}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(local, kind):
    """What a form of another site could send without asking is not read."""
    refused = local.post("/api/recipes/resolve", content=b'{"shipped": "demo"}', headers={"content-type": kind})
    assert refused.status_code == 415


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b"null", b'{"source": 3}', b"[" * 20_000, b'{"a": NaN}'])
def test_bad_json_is_an_answer_not_a_failure(local, body):
    """Whatever is sent as JSON, the answer says what is wrong with it."""
    answer = local.post("/api/recipes/resolve", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": "Bearer"},
        {"cookie": f"{COOKIE}={TOKEN}"},
        {"cookie": f"{COOKIE}="},
        {"cookie": f"{COOKIE}={session_of('another token that is long')}"},
        {"cookie": "\x00;=;;"},
        {"authorization": "Bearer " + "é".encode().decode("latin-1")},
    ],
)
def test_a_wrong_token_opens_nothing(remote, headers):
    """Programs get 401, people the page that asks for the token; the page's own files alone are given."""
    raw = {key: value.encode("latin-1") for key, value in headers.items()}
    assert remote.get("/api/runs", headers=raw).status_code == 401
    assert remote.get("/api/openapi.json", headers=raw).status_code == 401
    assert remote.post("/api/jobs", json={}, headers=raw).status_code == 401
    page = remote.get("/runs/x", headers=raw)
    assert (page.status_code, page.headers["location"]) == (303, "/login")
    assert remote.get("/static/ui.css").status_code == 200
    assert remote.get("/static/../api/runs", headers=raw).status_code in {303, 401, 404}
    assert remote.get("/static/%2e%2e/api/runs", headers=raw).status_code in {303, 401, 404}


def test_the_token_opens_and_its_cookie_does(remote, monkeypatch):
    """The token itself, or the cookie that it is exchanged for; the cookie does not hold it."""

    async def at_once():
        pass

    monkeypatch.setattr("alphaloom.web.api.slow_down", at_once)
    assert remote.get("/api/runs", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    assert remote.post("/api/login", json={"token": "wrong"}).status_code == 401
    answer = remote.post("/api/login", json={"token": TOKEN})
    assert answer.status_code == 204
    kept = answer.headers["set-cookie"].lower()
    assert "httponly" in kept
    assert "samesite=strict" in kept
    assert TOKEN not in kept
    assert remote.get("/").status_code == 200
    remote.post("/api/logout")
    assert remote.get("/").status_code == 303


def test_every_answer_carries_the_policy(local, remote):
    """Refusals too; nothing from outside may load, and no other site may frame a page."""
    for answer in (local.get("/"), local.get("/none"), remote.get("/api/runs"), local.get("/static/ui.js")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self';" in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_documentation_page_that_loads_from_elsewhere(local):
    """FastAPI's own pages would fetch scripts from another host."""
    assert local.get("/docs").status_code == 404
    assert local.get("/redoc").status_code == 404


def test_websockets_are_not_served(local):
    """Nothing but HTTP."""
    with pytest.raises(Exception, match=".*"), local.websocket_connect("/api/runs"):
        pass
