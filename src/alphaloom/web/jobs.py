"""A queue of runs, kept on disk: each job a folder, each running job a process of its own that outlives the server."""

import datetime as dt
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from alphaloom.errors import UsageError, unknown_name
from alphaloom.recipe import Recipe
from alphaloom.report.files import write_text

FOLDER = ".jobs"
JOB, END, PID, STOP, LOCK, PROGRESS, OUTPUT = (
    "job.json", "end.json", "pid", "stop", "lock", "progress.jsonl", "output.txt",
)  # fmt: skip
ID = re.compile(r"\d{8}-\d{6}-\d{6}")
RUN_NAME = re.compile(r"\w[\w.+=-]{0,79}")
"""A run's folder: letters, digits and `_ . + = -`, no separator, not hidden."""
INTERRUPTED = 130
"""Exit code of a job that was stopped."""
INSIST_SECONDS = 15.0
"""After which a second stop ends a job that did not heed the first."""
LONGEST_OUTPUT = 20_000

Status = Literal["queued", "running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Job:
    """One job as it stands."""

    id: str
    status: Status
    recipe: str
    """Name in the recipe."""
    run: str
    """Name of the run's folder in the store of runs."""
    store: str
    """Name of the store of data."""
    threads: int
    created: str
    launched: str | None = None
    ended: str | None = None
    stage: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    """Since it was launched, until it ended."""
    message: str = ""
    """Why it failed."""


class Jobs:
    """The jobs of a folder of runs.

    A job's process holds a lock while it lives, so that its state can be told by any server at any time. One server
    at a time launches jobs; others show them and add to the queue.
    """

    def __init__(self, runs: Path, stores: dict[str, Path], at_once: int) -> None:
        self.runs = runs
        self.folder = runs / FOLDER
        self.stores = stores
        self.at_once = at_once
        self._children: list[subprocess.Popen[bytes]] = []
        self._closing = threading.Event()
        self._adding = threading.Lock()

    def add(self, recipe: Recipe, store: str, run: str, threads: int) -> Job:
        """Queue a run.

        Raises:
            UsageError: a name that no run may have, or that one has already.
            UnknownNameError: no such store.
        """
        if store not in self.stores:
            raise unknown_name("store", store, self.stores)
        if not RUN_NAME.fullmatch(run):
            raise UsageError(f"{run[:90]!r} cannot name a run: take 1 to 80 letters, digits or _ . + = -.")
        with self._adding:
            taken = {job.run for job in self.all()} | {path.name for path in self.runs.iterdir()}
            if run in taken:
                raise UsageError(f"There is a run {run!r} already. Give another name.")
            return self._add(recipe, store, run, threads)

    def _add(self, recipe: Recipe, store: str, run: str, threads: int) -> Job:
        now = dt.datetime.now(dt.UTC)
        job = Job(
            id=f"{now:%Y%m%d-%H%M%S-%f}",  # in order of time: the first come is the first served
            status="queued",
            recipe=recipe.name,
            run=run,
            store=store,
            threads=threads,
            created=now.isoformat(timespec="seconds"),
        )
        home = self.folder / job.id
        home.mkdir(parents=True)
        write_text(home / "recipe.yaml", recipe.to_yaml())
        self._write(job)
        return job

    def all(self) -> list[Job]:
        """Return every job, the latest first."""
        return [self.get(home.name) for home in sorted(self.folder.glob("*-*-*"), reverse=True) if _is_job(home)]

    def get(self, job_id: str) -> Job:
        """Return a job; one whose files cannot be read has failed, and says so.

        Raises:
            UnknownNameError: there is none of that id.
        """
        home = self._home(job_id)
        try:
            return self._read(home)
        except FileNotFoundError:  # resumed while it was read
            return self.get(job_id)
        except (ValueError, TypeError, KeyError) as error:
            words = f"Its files cannot be read: {error}"
            return Job(job_id, "failed", recipe="", run="", store="", threads=0, created="", message=words)

    def _read(self, home: Path) -> Job:
        job = Job(**json.loads((home / JOB).read_text(encoding="utf-8")))
        if job.launched is None and not (home / END).is_file():
            return job
        is_alive = _is_locked(home / LOCK)  # before looking for the end: a job that ends in between is still told right
        told = _last_line(home / PROGRESS)
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        if (home / END).is_file():
            end = json.loads((home / END).read_text(encoding="utf-8"))
            status: Status = {0: "done", INTERRUPTED: "stopped"}.get(end["code"], "failed")  # type: ignore[assignment]
            job = replace(job, status=status, ended=end["time"], message=end["message"])
        elif is_alive:
            job = replace(job, status="running")
        else:
            words = "Its process ended without a word: it was killed, or the machine ran out of memory or stopped."
            job = replace(job, status="failed", message=words)
        seconds = _seconds(job.launched, job.ended or now) if job.launched else 0.0
        return replace(job, seconds=seconds, **told)

    def output(self, job_id: str) -> str:
        """Return the last part of what a job printed."""
        file = self._home(job_id) / OUTPUT
        return file.read_text(encoding="utf-8", errors="replace")[-LONGEST_OUTPUT:] if file.is_file() else ""

    def stop(self, job_id: str) -> Job:
        """Interrupt a job; what it has finished is kept. One that does not end is killed by a second stop.

        Raises:
            UsageError: it is not running, or only just starting.
            UnknownNameError: there is none of that id.
        """
        job, home = self.get(job_id), self._home(job_id)
        if job.status == "queued":
            write_end(home, INTERRUPTED, "Stopped before it began.")
        elif job.status != "running":
            raise UsageError(f"The job {job_id} is {job.status}: there is nothing to stop.")
        elif not (home / PID).is_file():
            raise UsageError(f"The job {job_id} is only just starting. Try again in a moment.")
        else:
            asked = home / STOP
            insist = asked.is_file() and time.time() - asked.stat().st_mtime > INSIST_SECONDS
            if not asked.is_file():
                asked.touch()
            group = int((home / PID).read_text(encoding="utf-8"))
            os.killpg(group, signal.SIGKILL if insist else signal.SIGINT)
        return self.get(job_id)

    def resume(self, job_id: str) -> Job:
        """Queue a stopped or failed job again; finished fits are not redone.

        Raises:
            UsageError: it is queued, running or done.
            UnknownNameError: there is none of that id.
        """
        job, home = self.get(job_id), self._home(job_id)
        if job.status not in {"stopped", "failed"}:
            raise UsageError(f"The job {job_id} is {job.status}: there is nothing to resume.")
        self._write(replace(job, status="queued", launched=None, ended=None, message="", stage="", done=0, total=0))
        for name in (END, PID, STOP, PROGRESS):
            (home / name).unlink(missing_ok=True)
        return self.get(job_id)

    def serve(self) -> None:
        """Launch queued jobs as places become free, until `close`; waits while another server does."""
        while not self._closing.is_set():
            if any(self.folder.glob(f"*/{JOB}")):
                with _locked(self.folder / LOCK) as lock:
                    while lock is not None and not self._closing.wait(0.5):
                        self.launch()
            self._closing.wait(0.5)

    def launch(self) -> None:
        """Launch as many queued jobs as there are free places, the oldest first."""
        self._children = [child for child in self._children if child.poll() is None]
        jobs = self.all()
        free = self.at_once - sum(job.status == "running" for job in jobs)
        for job in [job for job in reversed(jobs) if job.status == "queued"][: max(free, 0)]:
            self._launch(job)

    def close(self) -> None:
        """Stop launching. Running jobs go on; the next server finds them."""
        self._closing.set()

    def _launch(self, job: Job) -> None:
        home = self._home(job.id)
        words = [
            sys.executable,
            "-m",
            "alphaloom.web.worker",
            str(home.absolute()),
            str(self.runs.absolute() / job.run),
        ]
        with _locked(home / LOCK) as lock, (home / OUTPUT).open("ab") as output:
            if lock is None:
                return
            self._write(replace(job, launched=dt.datetime.now(dt.UTC).isoformat(timespec="seconds")))
            self._children.append(
                subprocess.Popen(
                    [*words, str(self.stores[job.store].absolute()), str(job.threads)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[lock],  # the lock lives as long as the process
                    env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
                )
            )

    def _write(self, job: Job) -> None:
        write_text(self.folder / job.id / JOB, json.dumps(asdict(job), ensure_ascii=False, indent=1))

    def _home(self, job_id: str) -> Path:
        home = self.folder / job_id
        if not ID.fullmatch(job_id) or not _is_job(home):
            raise unknown_name("job", job_id, [])
        return home


def write_end(home: Path, code: int, message: str) -> None:
    """Note how a job ended."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    write_text(home / END, json.dumps({"code": code, "message": message, "time": now}, ensure_ascii=False))


@contextmanager
def _locked(file: Path, kind: int = fcntl.LOCK_EX) -> Iterator[int | None]:
    """Give the descriptor of a lock held inside the block, None where another process holds it."""
    handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield handle
    finally:
        os.close(handle)


def _is_locked(file: Path) -> bool:
    if not file.is_file():
        return False
    with _locked(file, fcntl.LOCK_SH) as lock:
        return lock is None


def _is_job(home: Path) -> bool:
    return bool(ID.fullmatch(home.name)) and (home / JOB).is_file()


def _last_line(file: Path) -> dict[str, Any]:
    """Return the last whole line of a file of JSON lines; empty where there is none."""
    if not file.is_file():
        return {}
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - 2_000))
        lines = stream.read().rsplit(b"\n", 2)
    if len(lines) < 2 or not lines[-2].startswith(b"{"):
        return {}
    line: dict[str, Any] = json.loads(lines[-2])
    return line


def _seconds(start: str, end: str) -> float:
    return (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)).total_seconds()
