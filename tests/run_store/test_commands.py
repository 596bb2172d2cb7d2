"""`alphaloom runs` and `alphaloom compare`."""

import json

import pytest
from finished_runs import write_run
from studies import make_study

from alphaloom.cli import call
from alphaloom.report.runs import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with two finished runs and a broken one."""
    root = tmp_path_factory.mktemp("runs")
    study = make_study()
    for name in ("first", "second"):
        write_run(root / name, study, {"name": f"recipe {name}"})
    (root / "third").mkdir()
    (root / "third" / "run.json").write_text("{")
    return root


def answer(capsys, *words):
    """Return what a command printed, after checking that it succeeded."""
    assert call(list(map(str, words))) == 0
    return capsys.readouterr().out


def test_runs_lists_as_before_and_by_name_of_the_command(folder, capsys):
    """`runs FOLDER` and `runs list FOLDER` are one."""
    text = answer(capsys, "runs", folder)
    assert text == answer(capsys, "runs", "list", folder)
    for part in ("recipe first", "Evidence for skill", "third is broken: JSONDecodeError"):
        assert part in text


def test_runs_gives_all_columns_as_json_sorted_and_filtered(folder, capsys):
    """Options after the folder work as for any command."""
    found = json.loads(answer(capsys, "runs", folder, "--json", "--sort=-name", "--filter", "status=done"))["runs"]
    assert [row["name"] for row in found] == ["second", "first"]
    assert found[0]["recipe_hash"]
    assert call(["runs", str(folder), "--filter", "rank_ic"]) == 2
    assert "must look like" in capsys.readouterr().err


def test_tags(folder, capsys):
    """Added, listed by, removed."""
    assert answer(capsys, "runs", "tag", folder / "first", "--add", "good", "--add", "new").split() == ["good", "new"]
    found = json.loads(answer(capsys, "runs", folder, "--tag", "good", "--json"))["runs"]
    assert [row["name"] for row in found] == ["first"]
    assert answer(capsys, "runs", "tag", folder / "first", "--remove", "good").split() == ["new"]
    assert RunFolder(folder / "first").tags() == ["new"]


def test_rebuild(folder, capsys):
    """Says how many runs there are."""
    assert answer(capsys, "runs", "rebuild", folder).startswith("3 runs")


def test_compare(folder, capsys, tmp_path):
    """Prints tables, or JSON, and writes the page."""
    out = tmp_path / "page.html"
    text = answer(capsys, "compare", folder / "first", folder / "second", "--out", out)
    assert "No difference in RankIC beyond chance" in text
    assert out.is_file()
    found = json.loads(answer(capsys, "compare", folder / "first", folder / "second", "--out", out, "--json"))
    assert found["differences"][0]["difference"] == 0.0
    assert call(["compare", str(folder / "first"), "--out", str(out)]) == 2


def test_the_web_page_refuses_what_it_cannot_serve(folder, capsys, tmp_path, monkeypatch):
    """A store that is none, a token that is too short, libraries that are absent."""
    assert call(["ui", str(folder), "--store", str(tmp_path / "none")]) == 2
    assert "is not a store" in capsys.readouterr().err
    monkeypatch.setenv("ALPHALOOM_UI_TOKEN", "short")
    assert call(["ui", str(folder)]) == 2
    assert "16 or more" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    assert call(["ui", str(folder)]) == 2
    assert 'pip install "alphaloom[ui]"' in capsys.readouterr().err
