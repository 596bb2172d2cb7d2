"""What may be removed, and that nothing else is."""

import json
import os
import time

import pytest
from typer.testing import CliRunner

from alphaloom.cli import app
from alphaloom.errors import UsageError
from alphaloom.run_store.waste import find_waste, remove


def old(path, hours=48):
    """Make a file or folder look as if nothing changed for some hours."""
    then = time.time() - hours * 3600
    for item in [path, *path.rglob("*")]:
        os.utime(item, (then, then))


def put(path, content="x" * 1000):
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def runs(tmp_path):
    """Return a folder of a finished run, an interrupted one and a finished study, each with left-overs."""
    for name, status in (("done", "done"), ("half", "running"), ("study/points/a", "done")):
        home = tmp_path / name
        put(home / "run.json", json.dumps({"status": status}))
        for part in ("models/inputs/k/block.npy", "models/2017-01/gru-s0/task.json", "models/candidates/k.json"):
            put(home / part)
        put(home / "models/2017-01/.gru-s0.work/checkpoint.pt")
        put(home / "models/2017-01/.gru-s1.work/checkpoint.pt")
        put(home / "models/2017-01/.x.1234.partial/fitted")
    put(tmp_path / "study/study.json", "{}")
    put(tmp_path / "study/report.html")
    put(tmp_path / "study/failed/x.log")
    old(tmp_path)
    return tmp_path


def names(root, waste):
    """Return the paths found, from the root."""
    return {item.path.relative_to(root).as_posix() for item in waste}


def test_left_overs_and_what_finished_runs_no_longer_need(runs):
    """Checkpoints of unfinished fits, results, candidates and the inputs of an interrupted run stay."""
    found = names(runs, find_waste(runs))
    common = {"models/2017-01/.gru-s0.work", "models/2017-01/.x.1234.partial"}
    expected = {f"{name}/{part}" for name in ("done", "half", "study/points/a") for part in common}
    expected |= {"done/models/inputs", "study/points/a/models/inputs", "study/failed"}
    assert found == expected
    more = names(runs, find_waste(runs, candidates=True)) - found
    assert more == {"done/models/candidates", "study/points/a/models/candidates"}
    whole = names(runs, find_waste(runs, unfinished=True))
    assert "half" in whole
    assert not any(name.startswith("half/") for name in whole)


def test_what_changed_lately_stays(runs):
    """Somebody may be writing it."""
    put(runs / "half/models/2017-01/.x.1234.partial/more")
    assert "half/models/2017-01/.x.1234.partial" not in names(runs, find_waste(runs, unfinished=True))
    assert "half" not in names(runs, find_waste(runs, unfinished=True))


def test_a_study_with_a_result_stays(runs):
    """Of an interrupted one only runs without a result are listed, and none while the study goes on."""
    put(runs / "study/points/b/run.json", json.dumps({"status": "running"}))
    put(runs / "new/study.json", "{}")
    put(runs / "new/points/a/run.json", json.dumps({"status": "running"}))
    old(runs)
    whole = names(runs, find_waste(runs, unfinished=True))
    assert {"study/points/b", "new", "half"} <= whole
    assert not {"study", "study/points/a"} & whole
    put(runs / "study/log.jsonl")
    put(runs / "new/log.jsonl")
    later = names(runs, find_waste(runs, unfinished=True))
    assert not {"study/points/b", "new", "new/points/a"} & later


def test_nothing_goes_without_being_told(runs):
    """A dry run lists; --delete removes exactly that, and says how much."""
    before = sorted(runs.rglob("*"))
    listed = CliRunner().invoke(app, ["runs", "gc", str(runs), "--json"])
    assert sorted(runs.rglob("*")) == before
    told = json.loads(listed.stdout)
    assert told["bytes"] == sum(item.bytes for item in find_waste(runs)) > 0
    done = CliRunner().invoke(app, ["runs", "gc", str(runs), "--delete"])
    assert "MB freed" in done.stdout
    assert not find_waste(runs)
    assert (runs / "done/models/2017-01/gru-s0/task.json").is_file()
    assert (runs / "half/models/2017-01/.gru-s1.work/checkpoint.pt").is_file()
    assert "Nothing to remove" in CliRunner().invoke(app, ["runs", "gc", str(runs)]).stdout


def test_no_such_folder(tmp_path):
    """It is named."""
    with pytest.raises(UsageError, match="nowhere"):
        find_waste(tmp_path / "nowhere")
    assert remove([]) == 0
