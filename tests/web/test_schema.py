"""Schemathesis against the API: whatever fits its schema, or just does not, no request fails on the server's side."""

import contextlib

import pytest

pytest.importorskip("fastapi", reason="the extra `ui` is not installed")
pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from alphaloom.web.app import create_app
from alphaloom.web.settings import WebSettings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
HERE = {"host": "127.0.0.1"}
OURS = {200, 201, 204, 400, 401, 403, 404, 405, 413, 415, 421, 422}


@pytest.fixture(scope="module")
def operations(runs, market):
    """Return every operation of a server whose jobs are queued and never launched."""
    app = create_app(WebSettings(runs, {"market": market}))
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=HERE)
    return [found.ok() for found in schema.get_all_operations()]


def statuses(operation, mode):
    """Return the statuses met while asking one operation, each checked; empty where it cannot be asked in this mode."""
    met = set()

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        answer = case.call(headers=HERE)
        assert answer.status_code in OURS, (answer.status_code, answer.text)
        met.add(answer.status_code)

    with contextlib.suppress(Unsatisfiable):  # without parameters there is nothing to break
        ask()
    return met


@pytest.mark.parametrize(("mode", "least"), [(GenerationMode.POSITIVE, 18), (GenerationMode.NEGATIVE, 8)])
def test_no_request_fails_on_the_servers_side(operations, mode, least):
    """Every operation, with requests of its schema and with ones that break it, answers with a known status."""
    asked = {operation.label: statuses(operation, mode) for operation in operations}
    assert sum(map(bool, asked.values())) >= least, asked
    if mode is GenerationMode.POSITIVE:
        assert all(asked.values())
