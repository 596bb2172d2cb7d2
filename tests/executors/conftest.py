"""Executors and storages that the same tests are run on."""

import pytest

from alphaloom.executors.base import Executor, executors


@pytest.fixture(
    params=[
        "inline",
        "local",
    ]
)
def executor(request) -> Executor:
    """Each of the executors, with room for two tasks where there can be."""
    own = {"inline": {}, "local": {"workers": 2}}[request.param]
    return executors.parse({"name": request.param, **own})
