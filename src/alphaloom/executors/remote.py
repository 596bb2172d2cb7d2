"""Results in object storage, with a cache on each machine; and the choice between it and a folder."""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from alphaloom.errors import AlphaloomError, MissingLibraryError, RunError, UsageError, unknown_name
from alphaloom.executors.storage import FolderStorage, Storage, rename_unless_there, sync
from alphaloom.spec import fingerprint

LOCAL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def storage_at(place: str | Path, options: Mapping[str, Any] | None = None) -> Storage:
    """Return the storage at a folder's path, or at the address of object storage: `s3://bucket/name`.

    Args:
        place: a path, an address that begins with `file://`, or one of another protocol that fsspec knows.
        options: what fsspec hands to the protocol's library, such as `endpoint_url`; only for object storage.

    Raises:
        UsageError: there is no such protocol or bucket, no credentials, or they do not suffice.
        MissingLibraryError: the protocol's library is not installed.
    """
    slashes = "/{1,2}" if isinstance(place, Path) else "//"  # a Path keeps one of two
    address = re.match(rf"([a-zA-Z][\w.+-]+):{slashes}(.*)", str(place))
    if address is None or address[1] in {"file", "local"}:
        if options:
            raise UsageError(
                f"storage_options ({', '.join(options)}) are for object storage, such as s3://bucket/name, but "
                f"{place} is a folder. Remove them, or give the address."
            )
        return FolderStorage(Path(address[2] if address else place).absolute())
    _require_library(address[1])
    storage = ObjectStorage(f"{address[1]}://{address[2].rstrip('/')}", dict(options or {}))
    storage.read(".there")  # tells at once what is wrong with the address or the credentials
    return storage


def _require_library(protocol: str) -> None:
    import fsspec

    if protocol not in fsspec.available_protocols():
        raise unknown_name("protocol of object storage", protocol, ("s3", "gs", "abfs", "file"), "storage")
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        how = "pip install 'alphaloom[s3]'" if protocol in {"s3", "s3a"} else f"pip install 'fsspec[{protocol}]'"
        raise MissingLibraryError(f"Storage at {protocol}:// needs a library ({error}): {how}.") from None


@dataclass(frozen=True)
class _File:
    """A file of a published folder."""

    name: str
    size: int
    content: str
    """BLAKE2 of its bytes."""


@dataclass(frozen=True)
class _Marker:
    """What makes a published folder visible: its files, and under which prefix they lie."""

    content: str
    prefix: str
    files: tuple[_File, ...]

    def dump(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, text: bytes) -> "_Marker":
        data = json.loads(text)
        return cls(data["content"], data["prefix"], tuple(_File(**file) for file in data["files"]))


@dataclass(frozen=True)
class ObjectStorage(Storage):
    """A bucket, or a part of it. Objects are written whole by the store itself.

    A folder's files are uploaded under a prefix of their own; then one object, `NAME/.published.json`, names the prefix
    and the files, so that readers see the folder whole, or what was there before. On each machine it is downloaded once
    into a cache: `ALPHALOOM_CACHE`, or `alphaloom` in the user's cache folder. What was published again has other
    content, and is downloaded anew. An upload that was cut off leaves objects that nothing names until `remove`.

    Every error of the store is a `UsageError` whose cause is an `OSError` with a code: nothing can go on without it.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """For fsspec; they may hold secrets."""

    def read(self, name: str) -> bytes | None:
        """Return the content of an object, or of a file of a published folder; None when it is not there."""
        content = self._object(name)
        folder, _, file = name.rpartition("/")
        if content is not None or not folder or file == _MARKER:
            return content
        marker = self._marker(folder)
        while marker is not None and any(item.name == file for item in marker.files):
            content = self._object(f"{folder}/{marker.prefix}/{file}")
            now = marker if content is not None else self._marker(folder)
            if now == marker:
                return content
            marker = now  # replaced in between
        return None

    def _object(self, name: str) -> bytes | None:
        with self._explained("read", name):
            files, root = self._files()
            try:
                content: bytes = files.cat_file(f"{root}/{name}")
            except FileNotFoundError as error:
                if _bucket_is_missing(error):
                    raise
                return None
            return content

    def write(self, name: str, content: bytes) -> None:
        """Write an object."""
        with self._explained("write", name):
            files, root = self._files()
            files.pipe_file(f"{root}/{name}", content)

    @contextmanager
    def new_folder(self, name: str) -> Iterator[Path]:
        """Return a context with an empty folder of the cache, uploaded at the end."""
        folder = self._cache() / "new" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            yield folder
            marker = self._upload(name, folder)
            place = self._place(name, marker)
            place.parent.mkdir(parents=True, exist_ok=True)
            sync(folder)
            rename_unless_there(folder, place)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def fetch(self, name: str) -> Path:
        """Return the folder in the cache; one process downloads it while others wait.

        Raises:
            FileNotFoundError: nothing was published under the name.
        """
        marker = self._marker(name)
        while marker is not None:
            place = self._place(name, marker)
            try:
                self._download(name, marker, place)
            except FileNotFoundError:
                now = self._marker(name)
                if now == marker:
                    raise
                marker = now  # replaced or removed in the middle of the download
            else:
                return place
        raise FileNotFoundError(errno.ENOENT, "Nothing was published", f"{self.url}/{name}")

    def work(self, name: str) -> Path:
        """Return a folder of this machine's cache: checkpoints do not follow a task to another machine."""
        folder = self._cache() / "work" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear(self, name: str) -> None:
        """Remove what `work` gave."""
        shutil.rmtree(self._cache() / "work" / name, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove an object or a published folder, first of all what makes it visible."""
        with self._explained("remove", name):
            files, root = self._files()
            for path in (f"{root}/{name}/{_MARKER}", f"{root}/{name}"):
                with suppress(FileNotFoundError):
                    files.rm_file(path)
            _remove_below(files, f"{root}/{name}")

    def _upload(self, name: str, folder: Path) -> _Marker:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        listed = tuple(_describe(path, folder) for path in paths)
        marker = _Marker(fingerprint([asdict(file) for file in listed]), uuid.uuid4().hex[:12], listed)
        before = self._marker(name)
        with self._explained("write", name):
            files, root = self._files()
            prefix = f"{root}/{name}/{marker.prefix}"
            if paths:
                files.put([str(path) for path in paths], [f"{prefix}/{file.name}" for file in listed])
            files.pipe_file(f"{root}/{name}/{_MARKER}", marker.dump())
            if before is not None:
                _remove_below(files, f"{root}/{name}/{before.prefix}")
        return marker

    def _download(self, name: str, marker: _Marker, place: Path) -> None:
        if place.is_dir():
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f".{uuid.uuid4().hex}.partial")
        with place.with_name(f".{place.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if place.is_dir():
                return
            try:
                aside.mkdir()
                with self._explained("fetch", name):
                    files, root = self._files()
                    here = [str(aside / file.name) for file in marker.files]
                    if here:
                        files.get([f"{root}/{name}/{marker.prefix}/{file.name}" for file in marker.files], here)
                self._check(name, marker, aside)
                sync(aside)
                rename_unless_there(aside, place)
            finally:
                shutil.rmtree(aside, ignore_errors=True)

    def _check(self, name: str, marker: _Marker, folder: Path) -> None:
        for file in marker.files:
            if _describe(folder / file.name, folder) != file:
                raise RunError(
                    f"{self.url}/{name}/{marker.prefix}/{file.name} is not what was published: its bytes differ. "
                    f"Remove {self.url}/{name}, so that it is made again."
                ) from OSError(errno.EIO, "damaged")

    def _marker(self, name: str) -> _Marker | None:
        text = self._object(f"{name}/{_MARKER}")
        return None if text is None else _Marker.read(text)

    def _place(self, name: str, marker: _Marker) -> Path:
        return self._cache() / "published" / name / marker.content

    def _cache(self) -> Path:
        """Return this storage's folder in the cache: endpoints have buckets of the same name."""
        base = os.environ.get("ALPHALOOM_CACHE")
        home = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alphaloom"
        return home.absolute() / "objects" / fingerprint([self.url, self.options.get("endpoint_url")])

    def _files(self) -> tuple[Any, str]:
        """Return fsspec's file system, which it keeps for each process, and the path of the root."""
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self.url, **{"use_listings_cache": False, **self.options})
        return files, root.rstrip("/")

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        """Turn what the store's library raises into an error that says what to do."""
        try:
            yield
        except AlphaloomError:
            raise
        except FileNotFoundError as error:
            if not _bucket_is_missing(error):
                raise
            bucket = self.url.partition("://")[2].partition("/")[0]
            raise UsageError(
                f"There is no bucket {bucket!r} for storage {self.url}. Make it, or correct the address or "
                "storage_options.endpoint_url."
            ) from OSError(errno.EIO, str(error))
        except Exception as error:
            if isinstance(error, OSError) and error.errno in LOCAL_ERRORS:
                raise RunError(
                    f"The cache {self._cache()} cannot hold {name}: {error}. Free space, or set ALPHALOOM_CACHE to "
                    "another folder."
                ) from error
            code = errno.EACCES if isinstance(error, PermissionError) else errno.EIO
            raise UsageError(f"Cannot {doing} {self.url}/{name}: {_advice(error)}") from OSError(code, str(error))


_MARKER = ".published.json"


def _describe(path: Path, folder: Path) -> _File:
    with path.open("rb") as stream:
        content = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return _File(path.relative_to(folder).as_posix(), path.stat().st_size, content)


def _remove_below(files: Any, path: str) -> None:
    with suppress(FileNotFoundError):
        found = files.find(path)
        if found:
            files.rm(found)


def _bucket_is_missing(error: BaseException) -> bool:
    """Return whether S3 says so: its library raises the same error for an object that is not there."""
    response = getattr(error.__cause__, "response", {})
    return bool(response.get("Error", {}).get("Code") == "NoSuchBucket")


def _advice(error: Exception) -> str:
    kind = type(error).__name__  # of a library that this module does not import
    said = " ".join(str(error).split())
    if "Credentials" in kind:
        return (
            f"no usable credentials were found ({said}). For S3 set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE, in the environment of this command, and on other machines in that of `ray start`."
        )
    if isinstance(error, PermissionError):
        return (
            f"access is denied ({said}). The credentials need the rights to list the bucket and to read, write and "
            "delete objects there."
        )
    return f"{kind}: {said}. Check the address, storage_options and the network."
