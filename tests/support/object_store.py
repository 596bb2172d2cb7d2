"""S3 in this process, and what storage tests do in other processes."""

import logging
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alphaloom.executors.storage import Storage

CREDENTIALS = {"key": "test", "secret": "test"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Return a context with the address of an S3 server that forgets everything at the end."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install s3fs")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def new_bucket(endpoint: str) -> str:
    """Return the name of a bucket that was made there."""
    import s3fs

    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3fs.S3FileSystem(endpoint_url=endpoint, **CREDENTIALS).mkdir(name)
    return name


def fill(folder: Path, files: dict[str, bytes]) -> None:
    """Write files, those of subfolders too."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def content_of(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def publish(storage: Storage, name: str, files: dict[str, bytes]) -> None:
    """Publish a folder."""
    with storage.new_folder(name) as folder:
        fill(folder, files)


def killed_while_filling(storage: Storage, name: str) -> None:
    """End this process in the middle of filling a new folder."""
    with storage.new_folder(name) as folder:
        fill(folder, {"half": b"half"})
        os.kill(os.getpid(), signal.SIGKILL)


def killed_while_uploading(storage: Storage, name: str, files: dict[str, bytes]) -> None:
    """End this process after some of the files were uploaded."""
    import s3fs

    put, done = s3fs.S3FileSystem._put_file, []

    async def put_and_die(self, *args, **settings):
        await put(self, *args, **settings)
        done.append(args)
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    s3fs.S3FileSystem._put_file = put_and_die
    publish(storage, name, files)


def fetch_and_count(storage: Storage, name: str, folder: Path, me: int, all_of: int) -> str:
    """Fetch at the same time as others do, and note each download of a file; return where it lies."""
    import s3fs
    from executor_tasks import until

    get = s3fs.S3FileSystem._get_file

    async def get_and_note(self, path, *args, **settings):
        (folder / f"{path.rpartition('/')[2]}-by-{me}").touch()
        await get(self, path, *args, **settings)

    s3fs.S3FileSystem._get_file = get_and_note
    (folder / f"ready-{me}").touch()
    assert until(lambda: len(list(folder.glob("ready-*"))) == all_of)
    return str(storage.fetch(name))


def fetch_and_read(storage: Storage, name: str) -> dict[str, bytes]:
    """Return a published folder's content."""
    return content_of(storage.fetch(name))
