"""The index of runs follows the folders, whatever happens to them or to it."""

import shutil
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphaloom.errors import DataError, UnknownNameError, UsageError
from alphaloom.report.runs import RunFolder
from alphaloom.run_store.index import INDEX, RunStore, list_runs
from alphaloom.run_store.select import Selection


def names(root, **selection):
    """Return the names of the selected runs."""
    return [row.name for row in RunStore(root).rows(Selection(**selection))]


def test_runs_are_listed_with_their_figures(make_run, tmp_path):
    """A finished run shows its figures, an unfinished one none, at any of three depths."""
    make_run("a", rank_ic=0.03)
    make_run("group/b", done=False)
    first, second = list_runs(tmp_path).to_dicts()
    assert (first["name"], first["status"], first["rank_ic"], first["t_newey_west"]) == ("a", "done", 0.03, 3.0)
    assert first["verdict"] == "Weak evidence for skill"
    assert (second["name"], second["status"], second["rank_ic"]) == ("group/b", "running", None)
    assert list_runs(tmp_path / "a")["name"].to_list() == ["."]
    assert not (tmp_path / "a" / INDEX).exists()


def test_an_empty_folder_has_no_runs_and_gets_no_index(tmp_path):
    """Listing leaves nothing behind where there are no runs."""
    assert list_runs(tmp_path).height == 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="no folder"):
        list_runs(tmp_path / "absent")


def test_the_index_follows_changes_made_by_hand(make_run, tmp_path):
    """Copied, changed and removed folders are seen at the next reading."""
    folder = make_run("a", rank_ic=0.01)
    assert names(tmp_path) == ["a"]
    shutil.copytree(folder.path, tmp_path / "b")
    shutil.rmtree(folder.path)
    assert names(tmp_path) == ["b"]
    RunFolder(tmp_path / "b").tag(add=["keep"])
    assert RunStore(tmp_path).rows()[0].tags == ("keep",)


def test_an_unchanged_folder_is_not_read_again(make_run, tmp_path, monkeypatch):
    """What the index knows already is not opened: a list of many runs costs a look at the files' times."""
    make_run("a", rank_ic=0.01)
    assert names(tmp_path) == ["a"]
    monkeypatch.setattr("alphaloom.run_store.index.read_row", None)
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("run.json", "{}"),
        ("metrics.json", '{"headline": "x", "signals": {"x": 3}}'),
        ("recipe.yaml", ": : :"),
        ("recipe.yaml", "text"),
        ("tags.json", "{}"),
        ("recipe.yaml", None),
    ],
)
def test_a_broken_folder_is_listed_as_broken(make_run, tmp_path, file, content):
    """One damaged run does not hide the others, and says what is wrong."""
    make_run("a", rank_ic=0.01)
    broken = make_run("b", rank_ic=0.02)
    if content is None:
        (broken.path / file).unlink()
    else:
        (broken.path / file).write_text(content)
    first, second = RunStore(tmp_path).rows()
    assert first.status == "done"
    assert second.status == "broken"
    assert second.problem


def test_rebuilding_gives_the_same_list_also_over_a_damaged_index(make_run, tmp_path):
    """The folders hold everything: an index that is lost or spoilt is made again."""
    for k, name in enumerate("abc"):
        make_run(name, rank_ic=0.01 * k)
    before = RunStore(tmp_path).rows()
    (tmp_path / INDEX).write_bytes(b"not a database" * 500)
    for end in ("-wal", "-shm"):
        (tmp_path / f"{INDEX}{end}").unlink(missing_ok=True)
    with pytest.raises(DataError, match="runs rebuild"):
        RunStore(tmp_path).rows()
    assert RunStore(tmp_path).rebuild() == 3
    assert RunStore(tmp_path).rows() == before


def test_selection(make_run, tmp_path):
    """Filters, tags, text and order act together; what has no value stands last either way."""
    make_run("a", rank_ic=0.01).tag(add=["good"])
    make_run("b", rank_ic=0.03, data_hash="12e5")
    make_run("c", done=False).tag(add=["good", "中文"])
    assert names(tmp_path, sort="rank_ic") == ["a", "b", "c"]
    assert names(tmp_path, sort="-rank_ic") == ["b", "a", "c"]
    assert names(tmp_path, filters=["rank_ic>0.02"]) == ["b"]
    assert names(tmp_path, filters=["rank_ic <= 0.03", "status=done", "recipe~OF A"]) == ["a"]
    assert names(tmp_path, filters=["data_hash=12e5"]) == ["b"]
    assert names(tmp_path, filters=["verdict!=x"], tags=["good"]) == ["a", "c"]
    assert names(tmp_path, tags=["good", "中文"]) == ["c"]
    assert names(tmp_path, text="weak") == ["a", "b"]
    assert names(tmp_path, text="' OR 1=1 --") == []


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"filters": ["rank_ic"]}, "must look like"),
        ({"filters": ["rank_ic>high"]}, "no number"),
        ({"filters": ["rankic>1"]}, "Did you mean 'rank_ic'"),
        ({"sort": "name; DROP TABLE runs"}, "no column"),
        ({"sort": "-tags"}, "no column"),
    ],
)
def test_wrong_selections_are_refused(tmp_path, selection, message):
    """What is not understood is not ignored."""
    with pytest.raises(UsageError, match=message):
        names(tmp_path, **selection)


@given(st.text(max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_text_is_only_a_value(make_run, tmp_path, text):
    """No text of a search, filter value or tag is ever read as SQL."""
    if not (tmp_path / "a").exists():
        make_run("a", rank_ic=0.01)
    assert set(names(tmp_path, text=text)) <= {"a"}
    assert names(tmp_path, filters=[f"name={text}"]) == (["a"] if text.strip() == "a" else [])
    assert names(tmp_path, tags=[text]) == []


def test_names_do_not_lead_out_of_the_store(make_run, tmp_path):
    """Neither dots nor links reach a run elsewhere."""
    make_run("outside")
    make_run("store/inside")
    store = RunStore(tmp_path / "store")
    (store.root / "link").symlink_to(tmp_path / "outside")
    assert store.folder("inside").path == store.root / "inside"
    assert [row.name for row in store.rows()] == ["inside"]
    for name in ("../outside", "link", "", "/", "inside/../../outside", str(tmp_path / "outside")):
        with pytest.raises(UnknownNameError):
            store.folder(name)


def test_tags_live_in_the_folder(make_run, tmp_path):
    """Tags are a file of the run; what is no tag is refused."""
    folder = make_run("a")
    assert folder.tag(add=["b", "a"]) == ["a", "b"]
    assert folder.tag(add=["c"], remove=["a", "absent"]) == ["b", "c"]
    assert RunFolder(folder.path).tags() == ["b", "c"]
    for wrong in ("", "<script>", "a b", "x" * 41, "-a"):
        with pytest.raises(UsageError, match="must be 1 to 40"):
            folder.tag(add=[wrong])
    with pytest.raises(UsageError, match="holds no run"):
        RunFolder(tmp_path / "none").tag(add=["a"])


def test_a_running_run_is_noted_only_where_an_index_is(make_run, tmp_path):
    """A run brings its row up to date in an index that exists, makes none, and survives a damaged one."""
    folder = make_run("group/a", done=False)
    RunStore.note_run(folder.path)
    assert not (tmp_path / INDEX).exists()
    assert names(tmp_path) == ["group/a"]
    folder.finish()
    RunStore.note_run(folder.path)
    with sqlite3.connect(tmp_path / INDEX) as index:
        assert index.execute("SELECT status FROM runs").fetchall() == [("done",)]
    index.close()
    for end in ("-wal", "-shm"):
        (tmp_path / f"{INDEX}{end}").unlink(missing_ok=True)
    (tmp_path / INDEX).write_bytes(b"spoilt" * 1000)
    RunStore.note_run(folder.path)


WRITER = """
import sys
from pathlib import Path
from alphaloom.report.runs import RunFolder
from alphaloom.run_store.index import RunStore

root, mine = Path(sys.argv[1]), sys.argv[2]
for k in range(15):
    folder = RunFolder(root / f"{mine}{k}")
    folder.path.mkdir()
    (folder.path / "recipe.yaml").write_text("name: x")
    folder.write_json("run.json", {"status": "done", "recipe_hash": mine, "data_hash": "d", "started": None})
    RunStore.note_run(folder.path)
    RunStore(root).rows()
"""


@pytest.mark.slow
def test_several_processes_write_at_once(make_run, tmp_path):
    """Four processes that add runs and read the list at the same time lose nothing and leave a sound index."""
    make_run("first")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), mine]) for mine in "abcd"]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 4
    with sqlite3.connect(tmp_path / INDEX) as index:
        assert index.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kept = index.execute("SELECT COUNT(*) FROM runs").fetchone()
    index.close()
    assert kept == (61,)
    assert len(RunStore(tmp_path).rows()) == 61
