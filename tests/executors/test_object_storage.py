"""Buckets: one download for all processes of a machine, interrupted uploads, errors that say what to do."""

import errno
import os
import pickle
import shutil
from pathlib import Path

import pytest
from object_store import (
    CREDENTIALS,
    content_of,
    fetch_and_count,
    killed_while_uploading,
    publish,
)

from alphaloom.errors import MissingLibraryError, RunError, UnknownNameError, UsageError
from alphaloom.executors import remote
from alphaloom.executors.attempt import failure_of
from alphaloom.executors.base import Task
from alphaloom.executors.local import Local
from alphaloom.executors.remote import ObjectStorage, storage_at
from alphaloom.executors.storage import FolderStorage

FILES = {f"part-{k}": os.urandom(3000) for k in range(6)}


def objects(storage: ObjectStorage) -> set[str]:
    """Return the keys that lie in the bucket, without the root."""
    files, root = storage._files()
    return {key.removeprefix(f"{root}/") for key in files.find(root)}


def cache_of(folder: Path) -> Path:
    """Return the only storage's part of a cache."""
    (part,) = (folder / "objects").iterdir()
    return part


def test_processes_of_a_machine_download_once(object_storage, tmp_path):
    """Four processes ask at the same time: each file is downloaded by one, and all get the same place."""
    publish(object_storage, "panel", FILES)
    shutil.rmtree(tmp_path / "cache")
    notes = tmp_path / "notes"
    notes.mkdir()
    common = {"storage": object_storage, "name": "panel", "folder": notes, "all_of": 4}
    with Local(workers=4).open() as pool:
        for me in range(4):
            pool.submit(Task(f"fetch {me}", fetch_and_count, {**common, "me": me}))
        outcomes = [pool.next() for _ in range(4)]
    assert [outcome.failure for outcome in outcomes] == [None] * 4
    (place,) = {outcome.value for outcome in outcomes}
    assert content_of(Path(place)) == FILES
    assert sorted(file.name.partition("-by-")[0] for file in notes.glob("part-*")) == sorted(FILES)
    assert Path(place).is_relative_to(tmp_path / "cache")


def test_the_publisher_needs_no_download(object_storage, monkeypatch):
    """What a machine published lies in its cache."""
    publish(object_storage, "model", FILES)
    monkeypatch.setattr("s3fs.S3FileSystem._get_file", None)
    assert content_of(object_storage.fetch("model")) == FILES


def test_an_interrupted_upload_is_invisible(object_storage):
    """A process killed between two files: readers see what was there before; a second attempt publishes."""

    def interrupted() -> None:
        arguments = {"storage": object_storage, "name": "model", "files": FILES}
        with Local(workers=1, retries=0).open() as pool:
            pool.submit(Task("killed", killed_while_uploading, arguments))
            failure = pool.next().failure
        assert failure is not None
        assert failure.kind == "lost"

    interrupted()
    left = objects(object_storage)
    assert left, "nothing was uploaded before the process was killed"
    with pytest.raises(FileNotFoundError, match="model"):
        object_storage.fetch("model")
    publish(object_storage, "model", {"a": b"1"})
    interrupted()
    assert content_of(object_storage.fetch("model")) == {"a": b"1"}
    publish(object_storage, "model", FILES)
    assert content_of(object_storage.fetch("model")) == FILES
    object_storage.remove("model")
    assert objects(object_storage) == set()


def test_a_replaced_folder_leaves_no_objects(object_storage):
    """The bucket holds the last version and its marker."""
    publish(object_storage, "model", {"a": b"1", "b/c": b"1"})
    publish(object_storage, "model", {"a": b"2"})
    (prefix,) = {key.split("/")[1] for key in objects(object_storage)} - {".published.json"}
    assert objects(object_storage) == {"model/.published.json", f"model/{prefix}/a"}


def test_content_of_another_machine_is_noticed(object_storage, tmp_path, monkeypatch):
    """A machine that fetched before gets what another one published since, and keeps what it has in use."""
    publish(object_storage, "model", {"a": b"1"})
    monkeypatch.setenv("ALPHALOOM_CACHE", str(tmp_path / "other machine"))
    first = object_storage.fetch("model")
    monkeypatch.setenv("ALPHALOOM_CACHE", str(tmp_path / "cache"))
    publish(object_storage, "model", {"a": b"2"})
    monkeypatch.setenv("ALPHALOOM_CACHE", str(tmp_path / "other machine"))
    assert content_of(object_storage.fetch("model")) == {"a": b"2"}
    assert content_of(first) == {"a": b"1"}


def test_damaged_objects_are_refused(object_storage, tmp_path):
    """Bytes that differ from what was published are not handed on, and not kept."""
    publish(object_storage, "model", FILES)
    shutil.rmtree(tmp_path / "cache")
    files, root = object_storage._files()
    (key,) = (key for key in files.find(root) if key.endswith("part-3"))
    files.pipe_file(key, FILES["part-3"][:-1] + b"?")
    with pytest.raises(RunError, match=r"part-3 is not what was published.*Remove"):
        object_storage.fetch("model")
    assert not [path for path in cache_of(tmp_path / "cache").rglob("part-*") if path.is_file()]


def test_a_missing_object_of_a_published_folder_is_told(object_storage, tmp_path):
    """Somebody removed it by hand: no endless search for another version."""
    publish(object_storage, "model", FILES)
    shutil.rmtree(tmp_path / "cache")
    files, root = object_storage._files()
    files.rm_file(next(key for key in files.find(root) if key.endswith("part-3")))
    with pytest.raises(FileNotFoundError):
        object_storage.fetch("model")


def test_secrets_are_not_shown_but_travel(object_storage):
    """Options may hold a secret key: they are no part of what is printed."""
    assert "secret" not in repr(object_storage)
    assert "test" not in repr(object_storage)
    assert pickle.loads(pickle.dumps(object_storage)) == object_storage


def test_a_full_cache_is_an_error_of_storage(object_storage, small_disk, monkeypatch):
    """The message names the cache and how to move it; nothing of the download stays."""
    publish(object_storage, "panel", {"values": os.urandom(2_000_000)})
    monkeypatch.setenv("ALPHALOOM_CACHE", str(small_disk))
    with pytest.raises(RunError, match=r"cache .*disk.* cannot hold panel.*No space left.*ALPHALOOM_CACHE") as caught:
        object_storage.fetch("panel")
    assert failure_of(caught.value).kind == "storage"
    assert not [path for path in small_disk.rglob("values*") if path.is_file()]


@pytest.mark.parametrize(
    ("place", "root"),
    [
        ("/data/studies", "/data/studies"),
        (Path("/data/studies"), "/data/studies"),
        ("studies", str(Path.cwd() / "studies")),
        ("file:///data/studies", "/data/studies"),
        ("local:///data/studies", "/data/studies"),
    ],
)
def test_paths_are_folders(place, root):
    """With or without the protocol of files, as an absolute path that other processes understand."""
    assert storage_at(place) == FolderStorage(Path(root))


def test_addresses_are_object_storage(object_storage):
    """As text, or as a path that lost one of its slashes; a slash at the end says nothing."""
    for place in (object_storage.url, Path(object_storage.url), object_storage.url + "/"):
        assert storage_at(place, object_storage.options) == object_storage


def test_wrong_places_are_refused_with_what_to_do(object_storage, s3, tmp_path, monkeypatch):
    """Options of a folder, an unknown protocol, one whose library is missing, a bucket that is not there."""
    options = {"endpoint_url": s3, **CREDENTIALS}
    with pytest.raises(UsageError, match=r"storage_options \(endpoint_url\).*is a folder"):
        storage_at(tmp_path, {"endpoint_url": s3})
    with pytest.raises(UnknownNameError, match="protocol of object storage named 's4'.*s3"):
        storage_at("s4://bucket/study")
    with pytest.raises(UsageError, match=r"no bucket 'nowhere'.*Make it") as caught:
        storage_at("s3://nowhere/study", options)
    assert failure_of(caught.value).kind == "storage"
    with pytest.raises(UsageError, match=r"no bucket 'nowhere'"):
        publish(ObjectStorage("s3://nowhere/study", options), "model", {"a": b"1"})
    with pytest.raises(UsageError, match=r"Invalid endpoint.*Check the address, storage_options"):
        storage_at("s3://nowhere/study", options | {"endpoint_url": "nonsense"})

    def missing(protocol: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.get_filesystem_class", missing)
    with pytest.raises(MissingLibraryError, match=r"Install s3fs.*pip install 'alphaloom\[s3\]'"):
        storage_at("s3://bucket/study")


def test_missing_credentials_are_told(s3, tmp_path, monkeypatch):
    """How to give them, for workers too."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UsageError, match=r"no usable credentials.*AWS_ACCESS_KEY_ID.*ray start"):
        storage_at("s3://any/study", {"endpoint_url": s3})


def test_denied_access_is_told(object_storage, monkeypatch):
    """Which rights are needed; no other task would be spared."""

    def denied(*args, **settings):
        raise PermissionError("Access Denied")

    files, _ = object_storage._files()
    monkeypatch.setattr(files, "pipe_file", denied)
    with pytest.raises(UsageError, match=r"Cannot write .*model.*Access Denied.*rights to list") as caught:
        publish(object_storage, "model", {"a": b"1"})
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EACCES
    assert failure_of(caught.value).kind == "storage"


@pytest.mark.slow
def test_a_store_that_cannot_be_reached_is_told(s3):
    """After the library's own attempts, with its address."""
    with pytest.raises(UsageError, match=r"Could not connect to the endpoint.*127\.0\.0\.1:1/.*Check the address"):
        storage_at("s3://bucket/study", {"endpoint_url": "http://127.0.0.1:1", **CREDENTIALS})


def test_the_cache_lies_where_it_is_set(monkeypatch, tmp_path):
    """`ALPHALOOM_CACHE`, else the user's cache folder; endpoints do not share checkpoints."""
    monkeypatch.setattr(remote.Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("ALPHALOOM_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    one, other = (ObjectStorage("s3://b/x", {"endpoint_url": where}) for where in ("http://a", "http://b"))
    assert one.work("w").is_relative_to(tmp_path / "home" / ".cache" / "alphaloom" / "objects")
    assert one.work("w") != other.work("w")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert one.work("w").is_relative_to(tmp_path / "xdg" / "alphaloom")
    monkeypatch.setenv("ALPHALOOM_CACHE", str(tmp_path / "set"))
    assert one.work("w").is_relative_to(tmp_path / "set" / "objects")
