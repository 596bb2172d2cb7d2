"""Features in a folder: whatever happened on the way, they are bit for bit those of one computation in memory."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from feature_families import CALLS, Crowd, Trend
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import random_panel

from alphaloom.data import blocks
from alphaloom.data.feature_folder import FeatureFolder
from alphaloom.errors import DataError, RunError, SettingError, UsageError
from alphaloom.features.base import FeatureFamily, features
from alphaloom.features.expressions import Expressions
from alphaloom.features.materialise import feature_frames, lineage, materialise, pieces
from alphaloom.features.materialise.request import parse_families
from alphaloom.panel import Panel

T, N = 200, 9
TEXTS = {"REV": "close / delay(close, 3) - 1", "VOL": "ts_mean(volume, 4)", "TOP": "cs_rank(ts_mean(close, 2))"}


@pytest.fixture
def panel() -> Panel:
    """A market with gaps, in which all listed stocks may be held."""
    made = random_panel(T, N, seed=3)
    return made.with_universe(made["is_listed"] == 1)


def families() -> list[FeatureFamily]:
    """A local family and one that compares stocks."""
    return [Trend(), Crowd()]


def assert_whole(folder: Path, made: list[FeatureFamily], panel: Panel) -> None:
    """Check that the folder holds the bits that one computation in memory gives."""
    stored = FeatureFolder(folder)
    stored.check()
    np.testing.assert_array_equal(stored.dates, panel.dates)
    np.testing.assert_array_equal(stored.symbols, panel.symbols)
    np.testing.assert_array_equal(stored.listed, panel.universe)
    whole = np.concatenate([family.compute(panel) for family in made], axis=2)
    np.testing.assert_array_equal(stored.block(), whole)
    assert not [path for path in folder.rglob("*") if ".aside" in path.name or path.name.startswith(".meta")]


def times(folder: Path) -> dict[str, int]:
    """Return when each finished block was written; a block still written aside is none."""
    return {str(p.parent.relative_to(folder)): p.stat().st_mtime_ns for p in folder.glob("*/[!.]*/values.npy")}


def changed(panel: Panel, name: str, rows: slice, stock: int, factor: float) -> Panel:
    """Return the panel with one stock's field scaled on some rows."""
    array = panel[name].copy()
    array[rows, stock] *= np.float32(factor)
    return panel.with_fields({name: array})


def test_folder_equals_one_computation(panel: Panel, tmp_path: Path) -> None:
    """Blocks put together are what one computation gives; rows, columns and their order can be chosen."""
    update = materialise(families(), panel, tmp_path / "f")
    assert_whole(tmp_path / "f", families(), panel)
    assert (update.columns, update.symbols, update.rows) == (3, N, T)
    assert (update.computed, update.kept) == (T * N * 3, 0)
    assert (update.blocks, update.blocks_kept) == (8, 0)
    stored = FeatureFolder(tmp_path / "f")
    whole = stored.block()
    np.testing.assert_array_equal(stored.block(60, 70, ["CROWD", "CHANGE"]), whole[60:70][:, :, [2, 0]])
    np.testing.assert_array_equal(stored.block(60, 70, ["TRADED", "CHANGE"]), whole[60:70][:, :, [1, 0]])
    part = stored.panel(["TRADED"], 5, 130)
    np.testing.assert_array_equal(part["TRADED"], whole[5:130, :, 1])
    np.testing.assert_array_equal(part.universe, panel.universe[5:130])


def test_repeating_computes_nothing(panel: Panel, tmp_path: Path) -> None:
    """The same call again reads the hashes and writes no block."""
    materialise(families(), panel, tmp_path / "f")
    before = times(tmp_path / "f")
    CALLS.clear()
    update = materialise(families(), panel, tmp_path / "f")
    assert CALLS == []
    assert (update.computed, update.kept, update.blocks_kept) == (0, T * N * 3, update.blocks)
    assert times(tmp_path / "f") == before


@pytest.mark.parametrize("first", [1, 63, 64, 65, 150, 199])
def test_appended_days_alone_are_computed(panel: Panel, tmp_path: Path, first: int) -> None:
    """Days added at the end cost their rows and the look-back, no more; older blocks are not touched."""
    early = panel.rows(0, max(first, 7))
    first = early.shape[0]
    materialise(families(), early, tmp_path / "f")
    before = times(tmp_path / "f")
    CALLS.clear()
    update = materialise(families(), panel, tmp_path / "f")
    assert_whole(tmp_path / "f", families(), panel)
    assert update.rows == T - first
    assert update.computed == (T - first) * N * 3
    after = times(tmp_path / "f")
    for index in range(first // 64):
        assert after[f"trend/{index:05d}"] == before[f"trend/{index:05d}"]
    assert all(shape[0] <= T - first + 5 for _, shape in CALLS[: len(CALLS) - 2])


def test_a_rescaled_stock_is_computed_alone(panel: Panel, tmp_path: Path) -> None:
    """A new adjustment of one stock from a date on recomputes that stock from its block on, all stocks where they
    are compared.
    """
    materialise(families(), panel, tmp_path / "f")
    before = times(tmp_path / "f")
    other = changed(panel, "adj_close", slice(130, None), 4, 2.0)
    CALLS.clear()
    update = materialise(families(), other, tmp_path / "f")
    assert_whole(tmp_path / "f", families(), other)
    assert update.computed == (T - 128) * (1 * 2 + N * 1)
    assert next(shape for name, shape in CALLS if name == "trend") == (T - 128 + 5, 1)
    after = times(tmp_path / "f")
    assert all((after[key] == before[key]) == (key[-1] in "01") for key in before)


def test_the_look_back_reaches_into_the_next_block(panel: Panel, tmp_path: Path) -> None:
    """A change of the last row of a block changes the block after it, whose look-back reads that row."""
    materialise(families(), panel, tmp_path / "f")
    other = changed(panel, "adj_close", slice(63, 64), 2, 1.5)
    materialise(families(), other, tmp_path / "f")
    assert_whole(tmp_path / "f", families(), other)


def test_a_field_that_nothing_reads_changes_nothing(panel: Panel, tmp_path: Path) -> None:
    """Content counts: a field that no feature reads, or one written again with equal values, costs nothing."""
    materialise(families(), panel, tmp_path / "f")
    other = changed(panel, "amount", slice(0, None), 0, 3.0).with_fields({"adj_close": panel["adj_close"].copy()})
    assert materialise(families(), other, tmp_path / "f").computed == 0


def test_a_change_of_the_listing_or_universe_counts(panel: Panel, tmp_path: Path) -> None:
    """A stock that was listed earlier than thought is recomputed; the universe counts where stocks are compared."""
    materialise(families(), panel, tmp_path / "f")
    universe = panel.universe.copy()
    universe[100, 3] = ~universe[100, 3]
    other = panel.with_universe(universe)
    update = materialise(families(), other, tmp_path / "f")
    assert update.computed == 64 * N
    assert_whole(tmp_path / "f", families(), other)


def test_new_stocks_are_added_and_gone_ones_dropped(panel: Panel, tmp_path: Path) -> None:
    """A local family computes the new stock alone and copies the others; one that compares stocks begins anew."""
    keep = np.arange(N) != 4
    few = panel.columns(keep)
    materialise(families(), few, tmp_path / "f")
    update = materialise(families(), panel, tmp_path / "f")
    assert_whole(tmp_path / "f", families(), panel)
    assert update.computed == T * (1 * 2 + N * 1)
    update = materialise(families(), few, tmp_path / "f")
    assert_whole(tmp_path / "f", families(), few)
    assert update.computed == T * (N - 1)
    assert len(list((tmp_path / "f").glob("symbols-*"))) == 1


def test_one_changed_expression_is_computed_alone(panel: Panel, tmp_path: Path) -> None:
    """A changed expression recomputes its column; adding, removing, renaming and reordering move columns by copying."""
    materialise([Expressions(define=TEXTS)], panel, tmp_path / "f")
    assert_whole(tmp_path / "f", [Expressions(define=TEXTS)], panel)
    for define, columns in (
        ({**TEXTS, "VOL": "ts_mean(volume, 6)"}, 1),
        ({"TOP": TEXTS["TOP"], "REV": TEXTS["REV"]}, 0),
        ({"REV3": TEXTS["REV"], "NEW": "open - close", "TOP": TEXTS["TOP"]}, 1),
        ({"REV3": "close/delay(close,3)-1", "TOP": TEXTS["TOP"]}, 0),
    ):
        family = Expressions(define=define)
        update = materialise([family], panel, tmp_path / "f")
        assert update.columns == columns
        assert update.computed == columns * T * N
        assert_whole(tmp_path / "f", [family], panel)


def test_an_expression_is_computed_anew_for_its_own_fields(panel: Panel, tmp_path: Path) -> None:
    """A changed volume recomputes the expression of the volume, for that stock, and no other."""
    family = Expressions(define=TEXTS)
    materialise([family], panel, tmp_path / "f")
    other = changed(panel, "adj_volume", slice(70, 75), 5, 2.0)
    update = materialise([family], other, tmp_path / "f")
    assert (update.columns, update.symbols, update.computed) == (1, 1, 64)
    assert_whole(tmp_path / "f", [family], other)


def test_settings_and_code_count(panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another setting, or other code of a family, recomputes it and leaves the others alone."""
    materialise(families(), panel, tmp_path / "f")
    update = materialise([Trend(rows=6), Crowd()], panel, tmp_path / "f")
    assert update.computed == T * N * 2
    assert_whole(tmp_path / "f", [Trend(rows=6), Crowd()], panel)
    monkeypatch.setattr("alphaloom.features.materialise.lineage.code_of", lambda _: "other")
    assert materialise([Trend(rows=6), Crowd()], panel, tmp_path / "f").computed == T * N * 3


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_an_interruption_keeps_finished_blocks(
    panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Stopped anywhere, the folder is refused by the reader, and the same call goes on where it stopped."""

    def stop(stage: str, done: int, total: int) -> None:
        if done > after:
            raise KeyboardInterrupt

    monkeypatch.setattr(pieces, "LARGEST_PIECE", 1)
    with pytest.raises(KeyboardInterrupt):
        materialise(families(), panel, tmp_path / "f", progress=stop)
    with pytest.raises(DataError, match="unfinished"):
        FeatureFolder(tmp_path / "f")
    before = times(tmp_path / "f")
    assert len(before) == after + 1
    update = materialise(families(), panel, tmp_path / "f")
    assert update.blocks_kept == after + 1
    assert before.items() <= times(tmp_path / "f").items()
    assert_whole(tmp_path / "f", families(), panel)


def test_an_interrupted_update_goes_on(panel: Panel, tmp_path: Path) -> None:
    """Blocks of the old and of the new state of the data lie side by side until the next call ends the update."""
    few = panel.rows(0, 150).columns(np.arange(N) != 2)
    materialise(families(), few, tmp_path / "f")

    def stop(stage: str, done: int, total: int) -> None:
        if done >= 5:
            raise KeyboardInterrupt

    other = changed(panel, "adj_close", slice(70, None), 1, 1.1)
    with pytest.raises(KeyboardInterrupt):
        materialise(families(), other, tmp_path / "f", progress=stop)
    materialise(families(), other, tmp_path / "f")
    assert_whole(tmp_path / "f", families(), other)


@settings(max_examples=15)
@given(
    first=st.integers(7, T),
    stocks=st.lists(st.booleans(), min_size=N, max_size=N).filter(any),
    change=st.tuples(st.integers(0, T - 1), st.integers(1, T), st.integers(0, N - 1)),
    field=st.sampled_from(["adj_close", "adj_volume", "is_listed"]),
)
def test_any_change_ends_the_same(
    tmp_path_factory: pytest.TempPathFactory, first: int, stocks: list[bool], change: tuple[int, int, int], field: str
) -> None:
    """Fewer dates and stocks before, and any change of any field: the update equals a computation from nothing."""
    whole = random_panel(T, N, seed=3)
    whole = whole.with_universe(whole["is_listed"] == 1)
    start, length, stock = change
    folder = tmp_path_factory.mktemp("any") / "f"
    made = [*families(), Expressions(define=TEXTS)]
    materialise(made, whole.rows(0, first).columns(np.array(stocks)), folder)
    array = whole[field].copy()
    rows = slice(start, start + length)
    array[rows, stock] = np.nan if field == "is_listed" else array[rows, stock] * np.float32(1.5)
    other = whole.with_fields({field: array})
    other = other.with_universe(other["is_listed"] == 1)
    materialise(made, other, folder)
    assert_whole(folder, made, other)


@pytest.mark.parametrize("file", ["values.npy", "inputs.npy", "block.json", ""])
def test_damage_is_refused_and_mended(panel: Panel, tmp_path: Path, file: str) -> None:
    """A damaged, short or absent block is refused by the reader with what to do, and computed anew by the same call."""
    folder = tmp_path / "f"
    materialise(families(), panel, folder)
    block = folder / "trend" / "00001"
    if file:
        content = (block / file).read_bytes()
        (block / file).write_bytes(content[: len(content) // 2])
    else:
        shutil.rmtree(block)
    with pytest.raises(DataError, match="00001.*Run the same `alphaloom features compute` again"):
        FeatureFolder(folder).check()
    update = materialise(families(), panel, folder)
    assert update.computed == 64 * N * 2
    assert len(update.notes) == (1 if file else 0)
    assert_whole(folder, families(), panel)


def test_damaged_values_are_not_copied(panel: Panel, tmp_path: Path) -> None:
    """A block whose values were altered is found by reading it, and never carried into an extended block."""
    folder = tmp_path / "f"
    materialise(families(), panel.rows(0, 150), folder)
    file = folder / "trend" / "00002" / "values.npy"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="00002.*values are not those that were written"):
        FeatureFolder(folder).check()
    update = materialise(families(), panel, folder)
    assert "not those that were written" in update.notes[0]
    assert_whole(folder, families(), panel)


def test_a_full_disk_leaves_nothing_half_written(panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk ends the work with what to do; finished blocks stay and nothing else."""
    write = np.lib.format.write_array
    count = 0

    def full(stream, array, **more):
        nonlocal count
        count += array.dtype == np.float32
        if count == 4 and array.dtype == np.float32:
            stream.write(b"half")
            raise OSError(28, "No space left on device")
        write(stream, array, **more)

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(RunError, match=r"trend/00003 .* No space left on device.*same command"):
        materialise(families(), panel, tmp_path / "f")
    assert sorted(times(tmp_path / "f")) == ["trend/00000", "trend/00001", "trend/00002"]
    assert not list((tmp_path / "f").rglob(".aside*"))
    monkeypatch.undo()
    assert materialise(families(), panel, tmp_path / "f").blocks_kept == 3
    assert_whole(tmp_path / "f", families(), panel)


def test_too_small_a_disk_is_refused_before_work(panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit on the disk is refused with both sizes."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(blocks.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    CALLS.clear()
    with pytest.raises(RunError, match=r"[1-9.]+ MB are needed in .* for trend, crowd; 0.00 MB are free"):
        materialise(families(), panel, tmp_path / "f")
    assert CALLS == []


def test_small_memory_gives_the_same(panel: Panel, tmp_path: Path) -> None:
    """A budget for few stocks at a time gives the same bits; one for none is refused with what is needed."""
    made = pieces.Pieces(Trend(rows=90))
    small = pieces.layout(made, N, 30_000, 64)
    assert (small.rows, small.stocks) == (64, 4)
    want = made.compute(panel, 100, 164)
    np.testing.assert_array_equal(made.compute(panel, 100, 164, group=small.stocks), want)
    crowd = pieces.Pieces(Crowd())
    with pytest.raises(
        SettingError, match=r"'crowd' on 9 stocks needs at least [0-9.]+ [GM]B .* Raise --memory"
    ) as told:
        pieces.layout(crowd, N, -50_000_000, 64)
    assert float(str(told.value).split()[-2]) == 50  # what is lacking already, and the few bytes for the piece
    with pytest.raises(SettingError, match="Raise --memory"):
        materialise(families(), panel, tmp_path / "f", memory=1_000_000)


def test_what_would_be_lost_is_refused(panel: Panel, tmp_path: Path) -> None:
    """Leaving out a family or dates that the folder holds is refused; so is a folder of something else."""
    folder = tmp_path / "f"
    materialise(families(), panel, folder)
    with pytest.raises(UsageError, match="holds the features of crowd as well"):
        materialise([Trend()], panel, folder)
    with pytest.raises(UsageError, match="of which only"):
        materialise(families(), panel, folder, start_row=3)
    with pytest.raises(UsageError, match="of which only"):
        materialise(families(), panel, folder, stop_row=T - 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="holds no features"):
        materialise(families(), panel, tmp_path / "other")
    with pytest.raises(DataError, match="looks back 300 rows"):
        materialise([Trend(rows=300)], panel, tmp_path / "long")
    with blocks.sole_writer(folder), pytest.raises(UsageError, match="Another process"):
        materialise(families(), panel, folder)


def test_rows_can_be_chosen_and_widened(panel: Panel, tmp_path: Path) -> None:
    """Rows from a date on are those of the whole; earlier ones can be added later without computing the others."""
    folder = tmp_path / "f"
    materialise(families(), panel, folder, start_row=100, stop_row=190)
    whole = np.concatenate([family.compute(panel) for family in families()], axis=2)
    np.testing.assert_array_equal(FeatureFolder(folder).block(), whole[100:190])
    update = materialise(families(), panel, folder, start_row=40)
    np.testing.assert_array_equal(FeatureFolder(folder).block(), whole[40:])
    assert update.computed == (60 + 10) * N * 3


def test_removed_dates_go(panel: Panel, tmp_path: Path) -> None:
    """A store that lost its last days, or a day in between, is followed."""
    folder = tmp_path / "f"
    materialise(families(), panel, folder)
    update = materialise(families(), panel.rows(0, 100), folder)
    (note,) = update.notes
    assert note.startswith(f"{T - 100} dates that the folder held are not in the store and were dropped")
    assert note.endswith(f"{panel.dates[100]} to {panel.dates[-1]}")
    assert_whole(folder, families(), panel.rows(0, 100))
    assert sorted(times(folder))[-1] == "trend/00001"
    keep = np.arange(T) != 80
    gap = Panel(panel.dates[keep], panel.symbols, panel.universe[keep], {k: v[keep] for k, v in panel.fields.items()})
    materialise(families(), gap, folder)
    assert_whole(folder, families(), gap)


def test_removed_first_dates_go(panel: Panel, tmp_path: Path) -> None:
    """A store that lost its first days keeps what its blocks still share with the stored ones."""
    materialise(families(), panel, tmp_path / "f")
    update = materialise(families(), panel.rows(16, T), tmp_path / "f")
    assert update.kept > 0
    assert_whole(tmp_path / "f", families(), panel.rows(16, T))


def test_shared_names_are_told_apart(panel: Panel, tmp_path: Path) -> None:
    """Two families of one name, or with one column name, stand side by side."""
    made = [Trend(), Trend(rows=7)]
    materialise(made, panel, tmp_path / "f")
    assert FeatureFolder(tmp_path / "f").names == ["trend:CHANGE", "trend:TRADED", "trend-2:CHANGE", "trend-2:TRADED"]
    assert_whole(tmp_path / "f", made, panel)
    frames = list(feature_frames(made, panel))
    assert frames[0].columns[2:] == FeatureFolder(tmp_path / "f").names


def test_empty_features_are_named(panel: Panel, tmp_path: Path) -> None:
    """A feature without any value is named in the update, and refused in a long frame."""
    blank = panel.with_fields({"adj_close": np.full(panel.shape, np.nan, np.float32)})
    assert materialise(families(), blank, tmp_path / "f").empty == ("trend:CHANGE", "crowd:CROWD")
    assert materialise(families(), blank, tmp_path / "f").empty == ("trend:CHANGE", "crowd:CROWD")
    with pytest.raises(DataError, match=r"'CHANGE' \(and 1 more\) of 'trend' has no value .* adj_volume"):
        list(feature_frames(families(), blank))


def test_the_record_says_what_was_done(panel: Panel, tmp_path: Path) -> None:
    """meta.json names families with settings, columns, dates and what the last update computed."""
    materialise(families(), panel, tmp_path / "f")
    meta = json.loads((tmp_path / "f" / "meta.json").read_text())
    assert meta["families"][0]["family"] == {"name": "trend", "rows": 5}
    assert meta["families"][1]["columns"] == ["CROWD"]
    assert (meta["from"], meta["to"]) == (str(panel.dates[0]), str(panel.dates[-1]))
    assert meta["update"]["computed"] == T * N * 3


@pytest.mark.parametrize("memory", [pieces.DEFAULT_MEMORY, 0])
def test_long_frames_equal_the_folder(
    panel: Panel, tmp_path: Path, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamed parts, however long, are the frame of the whole: every listed stock-day, by date, then symbol."""
    import polars as pl

    if not memory:
        monkeypatch.setattr("alphaloom.features.materialise.stream.resident_bytes", lambda: 0)
        memory = 40_000
    parts = list(feature_frames(families(), panel, start_row=20, memory=memory))
    assert (len(parts) > 1) == (memory == 40_000)
    whole = np.concatenate([family.compute(panel) for family in families()], axis=2)[20:]
    want = Panel.from_block(panel.rows(20, T), ["CHANGE", "TRADED", "CROWD"], whole)
    want = want.to_frame(universe_only=True, drop_empty=False)
    assert pl.concat(parts).equals(want)
    materialise(families(), panel, tmp_path / "f", start_row=20)
    assert pl.concat(FeatureFolder(tmp_path / "f").to_frames()).equals(want)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("alpha158", ["alpha158"]),
        ("alpha158,alpha360", ["alpha158", "alpha360"]),
        ("{name: expressions, define: {gap: 'open / close'}}", ["expressions"]),
        ("[alpha158, {name: expressions, define: {gap: open / close}}]", ["alpha158", "expressions"]),
    ],
)
def test_families_are_named_in_one_text(text: str, names: list[str]) -> None:
    """One name, several, or YAML with settings."""
    assert [family.name for family in parse_families(text)] == names


@pytest.mark.parametrize(
    ("text", "words"), [("alpha15", "Did you mean"), ("", "No feature family"), ("{name: [", "names no feature")]
)
def test_wrong_names_are_explained(text: str, words: str) -> None:
    """A misspelt family, none, or a broken text is refused."""
    with pytest.raises(SettingError, match=words):
        parse_families(text)


def test_progress_counts_blocks(panel: Panel, tmp_path: Path) -> None:
    """Progress ends with all blocks done, and begins with those that were there."""
    seen: list[tuple[str, int, int]] = []
    materialise(families(), panel, tmp_path / "f", progress=lambda *item: seen.append(item))
    assert seen[0] == ("trend", 0, 8)
    assert seen[-1] == ("crowd", 8, 8)


SLOW_COMPUTATION = """
import sys, time
import feature_families
from panels import random_panel
from alphaloom.features.materialise import materialise, pieces

class Slow(feature_families.Trend):
    def compute(self, panel):
        time.sleep(0.05)
        return super().compute(panel)

panel = random_panel(640, 9, seed=3)
pieces.LARGEST_PIECE = 1
update = materialise([Slow()], panel.with_universe(panel["is_listed"] == 1), sys.argv[1])
print(update.blocks_kept)
"""


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same(tmp_path: Path) -> None:
    """Killed without warning again and again, finished blocks are never computed twice and the end is the same."""
    folder = tmp_path / "f"
    words = [sys.executable, "-c", SLOW_COMPUTATION, str(folder)]
    where = {"PYTHONPATH": ":".join(sys.path)}
    kept: dict[str, int] = {}
    for wanted in (2, 4, 7):
        with subprocess.Popen(words, env=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + 60
            while len(times(folder)) < wanted and time.monotonic() < deadline:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        now = times(folder)
        assert kept.items() <= now.items()
        assert wanted <= len(now) < 10
        kept = now
    done = subprocess.run(words, env=where, capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(kept)
    assert kept.items() <= times(folder).items()
    panel = random_panel(640, N, seed=3)
    assert_whole(folder, [Trend()], panel.with_universe(panel["is_listed"] == 1))


def test_the_code_behind_a_family_is_found() -> None:
    """The files of a family, of the families inside it and of what they import count; other families do not."""
    plain, wrapped = (
        lineage.code_modules(features.parse(item)) for item in ("alpha360", {"name": "sampled", "of": "cne5"})
    )
    assert "alphaloom.features.alpha360" in plain
    assert "alphaloom.features.sampled" in wrapped
    assert "alphaloom.features.cne5" in wrapped
    assert "alphaloom.features.sampled" not in plain
    assert "alphaloom.data.load" not in wrapped


WITHIN_A_BUDGET = """
import sys
import numpy as np
from panels import random_panel
from alphaloom.features.materialise import materialise, parse_families
from alphaloom.panel import Panel

made = parse_families("alpha158")
few = random_panel(800, 250, seed=3)
fields = {name: np.tile(few[name], 8) for name in made[0].required}
panel = Panel(few.dates, np.array([f"S{k:04d}" for k in range(2000)]), np.ones((800, 2000), dtype=bool), fields)
update = materialise(made, panel, sys.argv[1], memory=int(sys.argv[2]))
status = dict(line.split(":") for line in open("/proc/self/status"))
print(update.computed, int(status["VmHWM"].split()[0]) * 1024)  # unlike maxrss, not that of the process that forked
"""


@pytest.mark.slow
def test_the_process_keeps_within_its_budget(tmp_path: Path) -> None:
    """Features larger than the budget: the whole process, fields and program included, never holds more than it."""
    budget = 800_000_000
    parse_families("alpha158")[0].compute(random_panel(70, 3))  # compiles here: that memory is not the budget's matter
    words = [sys.executable, "-c", WITHIN_A_BUDGET, str(tmp_path / "f"), str(budget)]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    cells, peak = (int(word) for word in done.stdout.split())
    assert 4 * cells > 1.2 * budget
    assert peak < budget
