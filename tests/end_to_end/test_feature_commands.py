"""`alphaloom features list | describe | check | profile | missing` as a person calls them."""

import errno
import json
from pathlib import Path

import polars as pl
import pytest
from stores import small_store

from alphaloom.cli import call
from alphaloom.cli.display import columns_that_fit
from alphaloom.data.simulate import SimulatedMarket, simulate

DEFINED = "{name: expressions, define: {MOVE: 'returns(close, 5)', TURN: 'log(turnover)'}}"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Forty stocks of a simulated market over two years."""
    path = tmp_path_factory.mktemp("features") / "store"
    simulate(SimulatedMarket.parse({"stocks": 40, "years": 2, "seed": 5}), path)
    return path


def printed(capsys, words, code=0):
    """What a command prints; it must end with the code."""
    assert call(words) == code
    return capsys.readouterr()


def test_list_names_families_and_features(capsys):
    """Without a name the families, with one its features with their expressions, as a table or as JSON."""
    table = printed(capsys, ["features", "list"]).out
    assert "alpha158" in table
    facts = json.loads(printed(capsys, ["features", "list", "--json"]).out)["families"]
    assert {"family", "features", "lookback", "inputs", "kind", "what"} <= set(facts[0])
    table = printed(capsys, ["features", "list", DEFINED]).out
    assert "returns(close, 5)" in table
    every = json.loads(printed(capsys, ["features", "list", "--all", "--json"]).out)["features"]
    assert sum(item["features"] for item in facts) == len(every)


def test_describe_says_what_a_family_and_a_feature_are(capsys, tmp_path):
    """Settings, fields, look-back; of a feature the expression and unit; and what a store lacks for it."""
    text = printed(capsys, ["features", "describe", "carried_forward"]).out
    assert "limit = 20" in text
    text = printed(capsys, ["features", "describe", DEFINED, "MOVE"]).out
    assert "a ratio" in text
    assert "adj_close" in text
    small_store(tmp_path / "small")
    words = ["features", "describe", "{name: factors, groups: [value]}", "--store", str(tmp_path / "small")]
    text = printed(capsys, words).out
    assert "lacks fields" in text
    assert "sales_ttm" in text
    facts = json.loads(printed(capsys, [*words, "--json"]).out)
    assert facts["lacking"]["fund:book"] == ""
    assert facts["lacking"]["fund:sales_ttm"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["describe", "alpha15"], "Did you mean 'alpha158'"),
        (["describe", "alpha158", "KMIDD"], "Did you mean 'KMID'"),
        (["list", "alpha158,alpha360"], "name one"),
        (["profile", "alpha158", "no-store"], "not a store"),
        (["profile", "alpha158", "no-store", "--label", "forward"], "Did you mean 'forward_return'"),
        (["missing", "alpha158", "no-store", "--limit", "0"], "limit"),
    ],
)
def test_mistakes_are_explained(capsys, words, message):
    """A wrong name is answered with the nearest one and exit code 2."""
    assert message in printed(capsys, ["features", *words], 2).err


def test_check_passes_an_honest_family(capsys, store):
    """Exit 0, with what was compared; the same as JSON."""
    text = printed(capsys, ["features", "check", DEFINED, str(store)]).out
    assert "does not know the future" in text
    assert json.loads(printed(capsys, ["features", "check", DEFINED, str(store), "--json"]).out)["passed"]


def test_profile_prints_and_writes(capsys, store, tmp_path):
    """A table on the terminal, a page in the file, all numbers as JSON."""
    page = tmp_path / "page.html"
    text = printed(capsys, ["features", "profile", DEFINED, str(store), "--out", str(page)]).out
    assert "beyond chance" in text
    assert "<!doctype html>" in page.read_text(encoding="utf-8")
    words = ["features", "profile", DEFINED, str(store), "--label", "{name: forward_return, horizon: 10}", "--json"]
    made = json.loads(printed(capsys, words).out)
    assert made["facts"]["label_days"] == 10
    assert [item["feature"] for item in made["features"]] == ["MOVE", "TURN"]


def test_missing_prints_a_conclusion_and_writes(capsys, store, tmp_path):
    """Every policy in the table, a conclusion beneath, a page in the file."""
    page = tmp_path / "page.html"
    text = printed(capsys, ["features", "missing", DEFINED, str(store), "--out", str(page)]).out
    for name in ("leave", "zero", "median", "industry mean", "carry forward", "indicator"):
        assert name in text
    assert "Left missing" in text
    assert "Policies" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["profile", "missing"])
@pytest.mark.parametrize(
    ("place", "message"), [("folder", "is a folder"), ("file/page.html", "is a file, not a folder")]
)
def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    capsys, store, tmp_path, monkeypatch, command, place, message
):
    """Exit 2 with the place that was named, and no panel is loaded for it."""
    monkeypatch.setattr("alphaloom.data.load.load_panel", lambda *_, **__: pytest.fail("loaded a panel"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    printed_words = printed(capsys, ["features", command, DEFINED, str(store), "--out", str(tmp_path / place)], 2).err
    assert f"--out {tmp_path / place}" in printed_words
    assert message in printed_words


def test_a_full_disk_is_told_with_the_page(capsys, store, tmp_path, monkeypatch):
    """Exit 1, the page's own name, and nothing half-written."""
    page = tmp_path / "page.html"

    write = Path.write_text

    def full(path, *given, **named):
        if path.parent != tmp_path:
            return write(path, *given, **named)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert (
        f"{page} could not be written"
        in printed(capsys, ["features", "profile", DEFINED, str(store), "--out", str(page)], 1).err
    )
    assert list(tmp_path.iterdir()) == []


def test_a_narrow_terminal_is_shown_fewer_columns():
    """As many as fit whole, and one at least."""
    frame = pl.DataFrame({"feature": ["MOVE"], "rank ic": [-0.0123], "coverage": [1.0]})
    assert columns_that_fit(frame, 21, 3) == ["feature", "rank ic"]
    assert columns_that_fit(frame, 160, 3) == frame.columns
    assert columns_that_fit(frame, 5, 3) == ["feature"]
