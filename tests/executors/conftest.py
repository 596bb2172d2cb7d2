"""Executors and storages that the same tests are run on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import CREDENTIALS, new_bucket, s3_server

from alphaloom.executors.base import Executor, executors
from alphaloom.executors.remote import storage_at
from alphaloom.executors.storage import Storage


@pytest.fixture(
    params=[
        "inline",
        "local",
        pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.xdist_group("ray")]),
    ]
)
def executor(request) -> Executor:
    """Each of the executors, with room for two tasks where there can be."""
    if request.param == "ray":
        request.getfixturevalue("joined")
    own = {"local": {"workers": 2}}.get(request.param, {})
    return executors.parse({"name": request.param, **own})


@pytest.fixture(scope="module")
def joined(cluster) -> Iterator[None]:
    """This process has joined the cluster for all tests of a module, as in a notebook."""
    import ray

    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def object_storage(s3, tmp_path, monkeypatch) -> Storage:
    """A new bucket, with a cache of its own."""
    monkeypatch.setenv("ALPHALOOM_CACHE", str(tmp_path / "cache"))
    return storage_at(f"s3://{new_bucket(s3)}/study", {"endpoint_url": s3, **CREDENTIALS})


@pytest.fixture(params=["folder", "objects"])
def storage(request, tmp_path) -> Storage:
    """Each of the storages, empty."""
    if request.param == "objects":
        return request.getfixturevalue("object_storage")
    return storage_at(tmp_path / "study")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if made.returncode:
        pytest.skip(f"a file system cannot be mounted: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
