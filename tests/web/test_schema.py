"""Schemathesis against the API: whatever fits its schema, or just does not, no request fails on the server's side."""

import pytest

pytest.importorskip("fastapi", reason="the extra `ui` is not installed")
pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import schemathesis
from hypothesis import HealthCheck, settings

from alphaloom.web.app import create_app
from alphaloom.web.settings import WebSettings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def api_schema(runs, market):
    """Return the schema of a server whose jobs are queued and never launched."""
    app = create_app(WebSettings(runs, {"market": market}))
    return schemathesis.openapi.from_asgi("/api/openapi.json", app, headers={"host": "127.0.0.1"})


schema = schemathesis.pytest.from_fixture("api_schema")


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_fails_on_the_servers_side(case):
    """Answers have a documented form and no status of 500 or above."""
    answer = case.call(headers={"host": "127.0.0.1"})
    assert answer.status_code < 500, answer.text
