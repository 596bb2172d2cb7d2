"""Where results lie: a folder that all workers see, or object storage. A result is there whole, or not at all."""

import errno
import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


class Storage(ABC):
    """Named results: files written at once, and folders published whole. Names have slashes: `models/2017-01/gru-s0`.

    Fit to be pickled: tasks carry it to the machine where they run.
    """

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the content of a file, also of one in a published folder; None when it is not there."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file at once: readers see the old content or the new."""

    @abstractmethod
    def new_folder(self, name: str) -> AbstractContextManager[Path]:
        """Return a context with an empty local folder to fill; leaving it without an error publishes it as `name`.

        What was published under the name before is replaced.
        """

    @abstractmethod
    def fetch(self, name: str) -> Path:
        """Return where a published folder's files lie on this machine, brought here once if they do not.

        Raises:
            FileNotFoundError: nothing was published under the name.
        """

    @abstractmethod
    def work(self, name: str) -> Path:
        """Return a local folder for the checkpoints of a task, kept until `clear`; made if it is not there."""

    @abstractmethod
    def clear(self, name: str) -> None:
        """Remove what `work` gave."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file or a published folder; nothing happens when it is not there."""


@dataclass(frozen=True)
class FolderStorage(Storage):
    """A folder of this machine, or one that all machines have under the same path."""

    root: Path

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None when it is not there."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file aside and rename it."""
        aside = self._aside(name)
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.root / name)
        finally:
            aside.unlink(missing_ok=True)

    @contextmanager
    def new_folder(self, name: str) -> Iterator[Path]:
        """Return a context with an empty folder beside the final one, renamed at the end."""
        aside, final = self._aside(name), self.root / name
        aside.mkdir(parents=True)
        try:
            yield aside
            sync(aside)
            while not rename_unless_there(aside, final):
                self._move_away(name)
            _sync(final.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def fetch(self, name: str) -> Path:
        """Return the folder itself."""
        folder = self.root / name
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not there")
        return folder

    def work(self, name: str) -> Path:
        """Return a hidden folder beside the result's."""
        folder = self._work(name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear(self, name: str) -> None:
        """Remove what `work` gave."""
        shutil.rmtree(self._work(name), ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove a file or a published folder."""
        self._move_away(name)

    def _move_away(self, name: str) -> None:
        old = self._aside(name)
        with suppress(FileNotFoundError):  # another process may have done it
            (self.root / name).rename(old)
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)

    def _work(self, name: str) -> Path:
        place = self.root / name
        return place.with_name(f".{place.name}.work")

    def _aside(self, name: str) -> Path:
        place = self.root / name
        return place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.partial")


def sync(folder: Path) -> None:
    """Have a folder's files on the disk before its name says that they are there, should the machine lose its power."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rename_unless_there(folder: Path, final: Path) -> bool:
    """Rename a folder unless a filled one has the new name; return whether it was done."""
    try:
        folder.rename(final)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise
    return True
