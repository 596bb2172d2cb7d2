"""`alphaloom features compute`: what it writes, what it says, what it refuses."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from stores import small_store

from alphaloom.cli.feature_compute import compute, parse_bytes
from alphaloom.data.feature_folder import FeatureFolder
from alphaloom.data.load import load_panel
from alphaloom.data.store import Store
from alphaloom.errors import AlphaloomError, SettingError
from alphaloom.features.compute import compute_features
from alphaloom.features.expressions import Expressions

REVERSAL = "{name: expressions, define: {REV: 'close / delay(close, 3) - 1', RANK: cs_rank(amount)}}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A small store of 70 days."""
    return small_store(tmp_path_factory.mktemp("store") / "s", T=70)


def run(*words: object) -> None:
    """Run the command alone; errors of the library are raised."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(compute)
    app([str(word) for word in words], standalone_mode=False)


def whole(store: Store, start: str | None = None, end: str | None = None) -> pl.DataFrame:
    """Return the long frame as one computation in memory gives it."""
    family = Expressions(define={"REV": "close / delay(close, 3) - 1", "RANK": "cs_rank(amount)"})
    panel = load_panel(store, [*family.required, "is_listed"])
    panel = panel.with_universe(panel["is_listed"] == 1)
    first, stop = panel.span(start, end)
    made = compute_features([family], panel.rows(0, stop), start_row=first)
    return made.to_frame(universe_only=True, drop_empty=False)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_files_hold_the_long_frame(
    store: Store, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file holds date, symbol and the columns of every listed stock-day, whatever its form; rows can be chosen."""
    out = tmp_path / f"x.{ending}"
    days = ("2020-02-03", "2020-03-04")
    run(REVERSAL, store.path, "--out", out, "--from", days[0], "--to", days[1], "--json")
    facts = json.loads(capsys.readouterr().out)
    want = whole(store, *days)
    assert (facts["rows"], facts["features"], facts["skipped"]) == (want.height, 2, {})
    if ending == "parquet":
        back = pl.read_parquet(out)
    else:
        back = pl.read_csv(out, try_parse_dates=True, schema_overrides=want.schema)
    assert back.equals(want)


def test_folders_are_brought_up_to_date(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder is extended to later days, says what was there, and holds the same as a file."""
    run(REVERSAL, store.path, "--out", tmp_path / "f", "--to", "2020-02-28", "--json")
    capsys.readouterr()
    run(REVERSAL, store.path, "--out", tmp_path / "f")
    words = capsys.readouterr().out
    assert "0 of 2 blocks were there" in words
    assert "(2 columns, 5 symbols, 28 dates)" in words
    run(REVERSAL, store.path, "--out", tmp_path / "f")
    assert "2 of 2 blocks were there; computed 0 of 700 cells" in capsys.readouterr().out
    assert pl.concat(FeatureFolder(tmp_path / "f").to_frames()).equals(whole(store))


def test_all_skips_what_the_store_lacks(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`all` computes the families that the store has fields and days for, and says why it left out the others."""
    run("all", store.path, "--out", tmp_path / "f", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert "expressions" not in facts["skipped"]
    assert all("Field" in reason or "looks back" in reason for reason in facts["skipped"].values())
    names = {item["part"] for item in FeatureFolder(tmp_path / "f").meta["families"]}
    assert {"expressions", "alpha360"} <= names
    assert names.isdisjoint(facts["skipped"])
    assert np.isfinite(FeatureFolder(tmp_path / "f").block(columns=["CLOSE3"])).any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["alpha15", "--out", "x"], "Did you mean 'alpha158'"),
        (["expressions", "--out", "x.pkl"], "a .parquet or .csv file, or to a folder"),
        (["expressions", "--out", "x", "--memory", "lots"], "'lots' is no amount of memory"),
        (["expressions", "--out", "x", "--memory", "0GB"], "no amount of memory"),
        (["expressions", "--out", "x", "--from", "2030-01-01"], "no trading day from 2030-01-01"),
        (["expressions", "--out", "x", "--from", "soon"], "is not a date"),
        (["{name: expressions, define: {A: clos}}", "--out", "x"], "close"),
        (["{name: expressions, define: {A: macro('cpi')}}", "--out", "x"], "feature family expressions"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    """A mistake is told before any work, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AlphaloomError, match=message):
        run(words[0], store.path, *words[1:])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "number"), [("500MB", 500_000_000), ("8 GB", 8_000_000_000), ("1.5g", 1_500_000_000), ("4096", 4096)]
)
def test_amounts_of_memory(text: str, number: int) -> None:
    """Amounts are written as people write them."""
    assert parse_bytes(text) == number


def test_wrong_amount_says_how(store: Store) -> None:
    """A wrong unit is refused with an example."""
    with pytest.raises(SettingError, match="write it as 500MB or 8GB"):
        parse_bytes("8 gallons")
