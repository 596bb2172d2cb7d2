"""`alphaloom bench train` as a person calls it."""

import json

import pytest

from alphaloom.cli import call

TINY = [
    "bench", "train", "--stocks", "12", "--days", "6", "--features", "4", "--rows", "24", "--steps", "2",
    "--repeats", "2", "--threads", "1",
]  # fmt: skip


def printed(capsys, words, code=0):
    """What a command prints; it must end with the code."""
    assert call([str(word) for word in words]) == code
    return capsys.readouterr()


def test_a_table_of_random_samples(capsys, tmp_path):
    """Machine, samples, settings and a row a cell as JSON; the second call measures nothing and prints the table."""
    words = [*TINY, "--sizes", "small", "--max-steps", "3", "--out", tmp_path]
    made = json.loads(printed(capsys, [*words, "--json"]).out)
    assert {"machine", "samples", "settings", "reused", "cells", "files"} == set(made)
    assert made["samples"] == {"kind": "synthetic", "features": 4, "stocks": 12, "days": 6, "seed": 777}
    assert made["settings"]["max_steps"] == 3
    assert [cell["precision"] for cell in made["cells"]] == ["float32", "bfloat16"]
    for cell in made["cells"]:
        assert (cell["size"], cell["rows"], cell["batches"], cell["epoch_rows"]) == ("small", 24, 3, 72)
        assert 0 < cell["seconds_min"] <= cell["seconds_mean"] <= cell["seconds_max"]
        assert cell["resident_mb"] > 0
        assert cell["error"] is None
    text = printed(capsys, words)
    assert "2 of 2 cells were measured before" in text.out
    assert "transformer small, 2 steps: fastest with 24 rows" in text.out
    assert {item.name for item in tmp_path.iterdir()} == {
        "cells", "speed.html", "speed.json", "speed.md", "speed.parquet",
    }  # fmt: skip


def test_a_split_of_a_store(capsys, tmp_path, market, recipe_file):
    """Without a recipe Alpha158 of the store, with one its features and last window; none beyond it."""
    axes = ["--model", "gru", "--set", "hidden=4", "--steps", "2", "--rows", "64", "--precision", "float32"]
    axes += ["--max-steps", "2", "--repeats", "1", "--threads", "1"]
    made = json.loads(
        printed(capsys, ["bench", "train", market, "--split", "3", *axes, "--json", "--out", tmp_path]).out
    )
    assert made["samples"]["kind"] == "store"
    assert made["cells"][0]["parameters"] > 158 * 3 * 4
    more = ["bench", "train", market, "--recipe", recipe_file, "--out", tmp_path / "recipe", "--json"]
    made = json.loads(printed(capsys, [*more, *axes[2:], "--set", "loss={name: ic, pooled: true}"]).out)
    assert (made["samples"]["recipe"], made["samples"]["split"]) == ("tiny", None)
    assert made["cells"][0]["epoch_rows"] == 128
    words = ["bench", "train", market, "--split", "99", *axes, "--out", tmp_path / "other"]
    assert "--split 99: the recipe bench has at most" in printed(capsys, words, 2).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sizes", "huge"], "no size named 'huge'"),
        (["--precision", "bfloat61"], "Did you mean 'bfloat16'"),
        (["--model", "transfomer"], "Did you mean 'transformer'"),
        (["--model", "gru", "--sizes", "small"], "no setting `size`"),
        (["--rows", "512,x"], "--rows '512,x'"),
        (["--rows", "1"], "2 or more"),
        (["--steps", ""], "--steps ''"),
        (["--set", "hidden=4"], "unknown setting 'hidden'"),
        (["--set", "size=small"], "--sizes"),
        (["--split", "3"], "--split needs a STORE"),
        (["--recipe", "nosuch"], "no recipe file"),
        (["no-store"], "not a store"),
        (["no-store", "--stocks", "5"], "only for samples made at random"),
        (["--stocks", "1"], "stocks"),
        (["--out", "file"], "is a file"),
    ],
)
def test_mistakes_are_one_plain_paragraph(capsys, tmp_path, monkeypatch, words, message):
    """Exit 2 with what is allowed, before anything is measured or written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr("alphaloom.bench.train.run_cell", lambda *_: pytest.fail("measured a cell"))
    asked = ["bench", "train", *([] if "--out" in words else ["--out", "out"]), *words]
    output = printed(capsys, asked, 2)
    assert message in output.err
    assert "Traceback" not in output.err
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_float16_without_a_gpu_is_a_failed_cell(capsys, tmp_path):
    """What this machine cannot do is told in the table's place, and the rest goes on."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("float16 works on this machine")
    words = [*TINY, "--sizes", "small", "--precision", "float16,float32", "--repeats", "1", "--out", tmp_path, "--json"]
    made = json.loads(printed(capsys, words).out)
    assert "float16 needs a GPU" in made["cells"][0]["error"]
    assert made["cells"][1]["error"] is None
