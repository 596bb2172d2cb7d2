"""What storages promise: a result is there whole or not at all, in a folder and in a bucket alike."""

import pickle
import threading

import pytest
from executor_tasks import until
from object_store import content_of, fetch_and_read, fill, killed_while_filling, publish

from alphaloom.executors.base import Task
from alphaloom.executors.local import Local
from alphaloom.executors.storage import FolderStorage

FILES = {"model.bin": bytes(range(256)) * 40, "parts/a/weights": b"\x00\x01", "empty": b"", "名.json": b"{}"}


def test_files_are_written_and_replaced(storage):
    """What was not written reads as None; a second writing replaces the first."""
    assert storage.read("trials/one.json") is None
    storage.write("trials/one.json", b"1")
    storage.write("trials/two.json", b"")
    assert (storage.read("trials/one.json"), storage.read("trials/two.json")) == (b"1", b"")
    storage.write("trials/one.json", b"other")
    assert storage.read("trials/one.json") == b"other"
    assert storage.read("trials") is None
    assert storage.read("trials/one.json/below") is None


def test_a_published_folder_is_fetched_as_it_was(storage):
    """Every file of every subfolder, byte for byte, also in another process."""
    publish(storage, "models/2017-01/gru-s0", FILES)
    assert content_of(storage.fetch("models/2017-01/gru-s0")) == FILES
    assert storage.read("models/2017-01/gru-s0") is None
    name, content = next((name, content) for name, content in FILES.items() if "/" not in name)
    assert storage.read(f"models/2017-01/gru-s0/{name}") == content
    assert storage.read("models/2017-01/gru-s0/nothing") is None
    with Local(workers=1).open() as pool:
        pool.submit(Task("read", fetch_and_read, {"storage": storage, "name": "models/2017-01/gru-s0"}))
        assert pool.next().value == FILES


def test_what_is_published_again_replaces_the_first(storage):
    """Files of the first that the second lacks are gone, also where the first was fetched."""
    publish(storage, "model", {"a": b"1", "b": b"1"})
    assert content_of(storage.fetch("model")) == {"a": b"1", "b": b"1"}
    publish(storage, "model", {"a": b"2", "c": b"2"})
    assert content_of(storage.fetch("model")) == {"a": b"2", "c": b"2"}
    assert [storage.read(f"model/{name}") for name in "abc"] == [b"2", None, b"2"]
    publish(storage, "model", {})
    assert content_of(storage.fetch("model")) == {}


def test_an_error_while_filling_publishes_nothing(storage):
    """What was there before stays, and the new folder's files are gone."""
    seen = []

    def fail():
        with storage.new_folder("model") as folder:
            seen.append(folder)
            fill(folder, {"a": b"2"})
            raise ValueError("no convergence")

    with pytest.raises(ValueError, match="no convergence"):
        fail()
    with pytest.raises(FileNotFoundError, match="model"):
        storage.fetch("model")
    publish(storage, "model", {"a": b"1"})
    with pytest.raises(ValueError, match="no convergence"):
        fail()
    assert content_of(storage.fetch("model")) == {"a": b"1"}
    assert not any(folder.exists() for folder in seen)


def test_a_process_killed_while_filling_publishes_nothing(storage):
    """The task's second attempt, or another run, publishes as if the first had not been."""
    with Local(workers=1, retries=0).open() as pool:
        pool.submit(Task("killed", killed_while_filling, {"storage": storage, "name": "model"}))
        failure = pool.next().failure
    assert failure is not None
    assert failure.kind == "lost"
    with pytest.raises(FileNotFoundError):
        storage.fetch("model")
    publish(storage, "model", FILES)
    assert content_of(storage.fetch("model")) == FILES


def test_removed_results_are_gone_and_their_neighbours_are_not(storage):
    """Files and folders; names that begin alike stay; what is not there may be removed."""
    publish(storage, "models/a", {"x": b"1"})
    publish(storage, "models/ab", {"x": b"2"})
    storage.write("models/a.json", b"3")
    storage.remove("models/a")
    storage.remove("models/none")
    with pytest.raises(FileNotFoundError):
        storage.fetch("models/a")
    assert content_of(storage.fetch("models/ab")) == {"x": b"2"}
    assert storage.read("models/a.json") == b"3"
    storage.remove("models/a.json")
    assert storage.read("models/a.json") is None
    storage.remove("models")
    with pytest.raises(FileNotFoundError):
        storage.fetch("models/ab")


def test_work_folders_are_kept_until_they_are_cleared(storage):
    """A task that is tried again finds its checkpoint; they are no results."""
    fill(storage.work("models/gru"), {"checkpoint": b"epoch 3"})
    again = pickle.loads(pickle.dumps(storage))
    assert content_of(again.work("models/gru")) == {"checkpoint": b"epoch 3"}
    with pytest.raises(FileNotFoundError):
        storage.fetch("models/gru")
    storage.clear("models/gru")
    assert content_of(storage.work("models/gru")) == {}
    storage.clear("models/gru")
    storage.clear("models/gru")


def test_publishers_at_the_same_time_leave_one_result(storage):
    """A task that was taken for lost may end after its second attempt did: one of both is there, whole."""
    made = [{"who": str(k).encode(), **{f"f{i}": str(k).encode() * 1000 for i in range(5)}} for k in range(4)]
    start = threading.Barrier(4)
    errors = []

    def work(k: int) -> None:
        start.wait()
        try:
            for _ in range(5):
                publish(storage, "model", made[k])
        except Exception as error:  # noqa: BLE001 - asserted on below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert content_of(storage.fetch("model")) in made


def test_a_folder_storage_holds_nothing_but_results(tmp_path):
    """After writing, publishing, replacing and removing there is no other file, hidden ones included."""
    storage = FolderStorage(tmp_path / "study")
    for content in (b"1", b"2"):
        storage.write("a/file", content)
        publish(storage, "a/folder", {"x": content})
    fill(storage.work("a/folder"), {"checkpoint": b"1"})
    storage.clear("a/folder")
    storage.remove("a/none")
    storage.remove("none/at/all")
    assert content_of(tmp_path) == {"study/a/file": b"2", "study/a/folder/x": b"2"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "file", "folder", "study", "x"]


def test_a_reader_never_sees_half_of_a_folder(object_storage):
    """While a bucket's folder is published again and again, each fetch gives one whole version."""
    versions = [{f"f{i}": str(k).encode() * 100 for i in range(4)} for k in range(8)]
    publish(object_storage, "model", versions[0])
    seen, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(content_of(object_storage.fetch("model")))

    thread = threading.Thread(target=read)
    thread.start()
    for version in versions:
        publish(object_storage, "model", version)
        assert until(lambda: seen[-1:] != [])
    done.set()
    thread.join()
    assert all(one in versions for one in seen)
