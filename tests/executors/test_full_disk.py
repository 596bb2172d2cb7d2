"""A real file system that is full or read-only: work stops with what to do, and finished results stay whole."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from executor_tasks import double
from object_store import content_of, publish

from alphaloom.errors import RunError
from alphaloom.executors.base import Outcome, Task
from alphaloom.executors.jobs import Job, run_jobs
from alphaloom.executors.local import Local
from alphaloom.executors.storage import FolderStorage, Storage

VALUES = np.arange(50_000.0)


def write_numpy(file: Path) -> None:
    """Write the values with NumPy."""
    np.save(file, VALUES)


def write_parquet(file: Path) -> None:
    """Write the values with Polars."""
    import polars as pl

    pl.DataFrame({"x": np.random.default_rng(0).normal(size=VALUES.size)}).write_parquet(file)


def write_safetensors(file: Path) -> None:
    """Write the values with safetensors."""
    from safetensors.numpy import save_file

    save_file({"x": VALUES}, file)


def write_torch(file: Path) -> None:
    """Write the values with PyTorch."""
    import torch

    torch.save(torch.from_numpy(VALUES), file)


def write_bytes(file: Path) -> None:
    """Write the values with Python."""
    file.write_bytes(VALUES.tobytes())


WRITERS = [write_numpy, write_parquet, write_safetensors, write_torch, write_bytes]


def publish_bytes(storage: Storage, name: str) -> None:
    """Publish the values as a folder."""
    publish(storage, name, {"values": VALUES.tobytes()})


def one_after_another(storage: Storage, names: list[str], done: list[str]) -> Job:
    """Publish a folder of each name."""
    for name in names:
        (outcome,) = yield [Task(name, publish_bytes, {"storage": storage, "name": name})]
        if outcome.failure is None:
            done.append(name)


def test_a_full_disk_stops_the_work_and_keeps_what_is_done(small_disk):
    """Two results fit, the third does not; with space again, what is missing can be done."""
    storage = FolderStorage(small_disk / "study")
    names, done = ["first", "second", "third", "fourth"], []
    with Local(workers=2).open() as pool:
        with pytest.raises(RunError, match=r"cannot be written: .*No space left.*while third.*Free space"):
            run_jobs([one_after_another(storage, names, done)], pool)
        assert done == ["first", "second"]
        whole = {"values": VALUES.tobytes()}
        assert all(content_of(storage.fetch(name)) == whole for name in done)
        with pytest.raises(FileNotFoundError):
            storage.fetch("third")
        storage.remove("first")
        assert run_jobs([one_after_another(storage, ["third"], done)], pool) == []
        assert content_of(storage.fetch("third")) == whole


def test_a_read_only_disk_stops_the_work(small_disk):
    """It can be read, and the first task that writes ends everything."""
    storage = FolderStorage(small_disk / "study")
    publish_bytes(storage, "first")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with (
        Local(workers=1).open() as pool,
        pytest.raises(RunError, match=r"cannot be written: .*Read-only file system.*make the folder writable"),
    ):
        run_jobs([one_after_another(storage, ["second"], [])], pool)
    assert content_of(storage.fetch("first")) == {"values": VALUES.tobytes()}


def outcomes(tasks: list[Task]) -> list[Outcome]:
    """Return the outcomes of tasks that one worker runs in their order."""
    with Local(workers=1).open() as pool:
        for task in tasks:
            pool.submit(task)
        return [pool.next() for _ in tasks]


@pytest.mark.slow
def test_a_full_disk_is_recognised_whichever_library_writes(small_disk):
    """NumPy, Polars, safetensors and PyTorch each have an error of their own for it."""
    (small_disk / "ballast").write_bytes(bytes(900_000))
    failures = {
        outcome.task.name: outcome.failure
        for outcome in outcomes(
            [Task(write.__name__, _written_by, {"name": write.__name__, "folder": small_disk}) for write in WRITERS]
        )
    }
    assert {name: failure and failure.kind for name, failure in failures.items()} == dict.fromkeys(failures, "storage")
    assert len(failures) == len(WRITERS)


def _written_by(name: str, folder: Path) -> None:
    try:
        next(write for write in WRITERS if write.__name__ == name)(folder / name)
    finally:
        for file in folder.glob("write*"):
            file.unlink()


def test_a_worker_whose_prints_find_no_room_goes_on(small_disk, monkeypatch):
    """What workers print lies in the folder of temporary files, which may be full."""
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    with Local(workers=1).open() as pool:
        (small_disk / "ballast").write_bytes(bytes(1 << 20)[: _room(small_disk)])
        pool.submit(Task("talk", _talk, {"lines": 1000}))
        pool.submit(Task("double", double, {"x": 4}))
        assert [(outcome.value, outcome.failure) for outcome in (pool.next(), pool.next())] == [(1000, None), (8, None)]


def _talk(lines: int) -> int:
    for k in range(lines):
        print(f"epoch {k} of {lines}", flush=True)
    return lines


def _room(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
