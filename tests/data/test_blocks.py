"""Blocks on disk, content hashes and streamed long frames."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panels import random_panel

from alphaloom.data import blocks
from alphaloom.data.blocks import Block, Source, read_block, write_block
from alphaloom.data.content_hash import CHUNK, PanelHashes
from alphaloom.data.feature_folder import FeatureFolder, column_labels
from alphaloom.data.long_frame import write_frames
from alphaloom.errors import DataError, RunError, UnsafeFileError, UsageError


def block(folder: Path, rows: int = 4, stocks: int = 3) -> tuple[Block, np.ndarray]:
    """Return a record and the values that go with it."""
    rng = np.random.default_rng(rows)
    made = Block(
        folder,
        np.arange(rows).astype("datetime64[D]"),
        "0123",
        ("a", "b"),
        ("k1", "k2"),
        (0, 1),
        (Source(("adj_close",), 5, True), Source(("universe",), 0, False)),
        rng.integers(0, 2**63, (2, stocks)).astype(np.uint64),
        stocks,
        (1,),
    )
    return made, rng.normal(size=(rows, stocks, 2)).astype(np.float32)


def test_a_block_reads_back(tmp_path: Path) -> None:
    """What is written is read, mapped and read-only; writing again replaces it whole."""
    made, values = block(tmp_path / "part" / "00000")
    write_block(made, values)
    for _ in range(2):
        back = read_block(made.folder)
        assert back is not None
        np.testing.assert_array_equal(back.values(), values)
        assert not back.values().flags.writeable
        np.testing.assert_array_equal(back.inputs, made.inputs)
        np.testing.assert_array_equal(back.dates, made.dates)
        assert (back.columns, back.keys, back.source, back.sources) == (
            made.columns, made.keys, made.source, made.sources,
        )  # fmt: skip
        assert back.empty == (1,)
        made, values = block(tmp_path / "part" / "00000", rows=6)
        write_block(made, values)
    assert [item.name for item in (tmp_path / "part").iterdir()] == ["00000"]
    assert read_block(tmp_path / "part" / "00001") is None


def test_others_can_read_a_block(tmp_path: Path) -> None:
    """A block is not closed to other users of a shared disk."""
    made, values = block(tmp_path / "part" / "00000")
    write_block(made, values)
    assert made.folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("file", ["values.npy", "inputs.npy", "block.json"])
@pytest.mark.parametrize("how", ["cut", "longer", "absent", "zeros"])
def test_a_damaged_block_is_refused(tmp_path: Path, file: str, how: str) -> None:
    """A file that is cut short, too long, absent or zeros is refused with its name and what to do."""
    made, values = block(tmp_path / "00000", rows=200, stocks=20)
    write_block(made, values)
    target = made.folder / file
    content = target.read_bytes()
    if how == "absent":
        target.unlink()
    else:
        target.write_bytes({"cut": content[:-9], "longer": content + content, "zeros": bytes(len(content))}[how])
    with pytest.raises(UnsafeFileError, match=f"{file} is damaged .*features compute` again"):
        read_block(made.folder)


def test_a_failed_write_keeps_the_old_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told in plain words; the block that was there stays."""
    made, values = block(tmp_path / "00000")
    write_block(made, values)
    write = np.lib.format.write_array

    def full(stream, array, **more):
        if array.dtype == np.uint64:
            raise OSError(28, "No space left on device")
        write(stream, array, **more)

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(RunError, match="No space left on device. Finished blocks are kept; make room"):
        write_block(block(tmp_path / "00000", rows=6)[0], values)
    monkeypatch.undo()
    back = read_block(made.folder)
    assert back is not None
    np.testing.assert_array_equal(back.values(), values)
    assert [item.name for item in tmp_path.iterdir()] == ["00000"]


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    """A second writer is refused; afterwards the place is free again."""
    with blocks.sole_writer(tmp_path), pytest.raises(UsageError, match="Another process"), blocks.sole_writer(tmp_path):
        pass
    with blocks.sole_writer(tmp_path):
        pass


def test_a_folder_without_features_is_refused(tmp_path: Path) -> None:
    """A folder of something else, or of a later version, says what it is not."""
    with pytest.raises(DataError, match="holds no features"):
        FeatureFolder(tmp_path)
    (tmp_path / "meta.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="format 99"):
        FeatureFolder(tmp_path)


def test_repeated_names_are_qualified() -> None:
    """A name that two families share is written with its family."""
    assert column_labels([("a", ["x", "y"]), ("b", ["y", "z"])]) == ["x", "a:y", "b:y", "z"]


@given(
    start=st.integers(0, 99),
    length=st.integers(1, 100),
    row=st.integers(0, 99),
    stock=st.integers(0, 6),
    field=st.sampled_from(["adj_close", "volume", "universe"]),
)
def test_hashes_tell_what_changed(start: int, length: int, row: int, stock: int, field: str) -> None:
    """One changed value changes the hash of its stock alone, and only over rows that hold it (or share its chunk)."""
    panel = random_panel(100, 7, seed=1)
    stop = min(100, start + length)
    if field == "universe":
        universe = panel.universe.copy()
        universe[row, stock] = ~universe[row, stock]
        other = panel.with_universe(universe)
    else:
        array = panel[field].copy()
        array.view(np.uint32)[row, stock] ^= 1
        other = panel.with_fields({field: array})
    fields = ["volume", "adj_close", "universe"]
    before, after = (PanelHashes(p).of(fields, start, stop) for p in (panel, other))
    differs = before != after
    inside = start // CHUNK * CHUNK <= row < stop
    np.testing.assert_array_equal(differs, (np.arange(7) == stock) & inside)


def test_hashes_do_not_depend_on_what_else_there_is() -> None:
    """Other fields, later rows, other stocks and the order of the names do not matter; names, dates and lengths do."""
    panel = random_panel(100, 7, seed=1)
    want = PanelHashes(panel).of(["adj_close", "volume"], 20, 50)
    np.testing.assert_array_equal(PanelHashes(panel.rows(0, 50)).of(["volume", "adj_close"], 20, 50), want)
    some = panel.columns(np.arange(7) % 2 == 0)
    np.testing.assert_array_equal(PanelHashes(some).of(["adj_close", "volume"], 20, 50), want[::2])
    hashes = PanelHashes(panel.with_fields({"x": panel["adj_close"]}))
    assert (hashes.of(["x", "volume"], 20, 50) != want).all()
    assert (hashes.of(["adj_close", "volume"], 20, 51) != want).all()
    assert len(np.unique(want)) == 7


def frames() -> list[pl.DataFrame]:
    """Return parts of a long frame, one of them empty."""
    whole = random_panel(30, 6).select(["adj_close", "volume"]).to_frame()
    return [whole[:50], whole[:0], whole[50:]]


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_streamed_files_hold_the_whole_frame(tmp_path: Path, ending: str) -> None:
    """Parts written one after the other read back as one frame, with the types of the frame."""
    file = tmp_path / f"x{ending}"
    whole = pl.concat(frames())
    assert write_frames(file, frames()) == whole.height
    if ending == ".parquet":
        back = pl.read_parquet(file)
    else:
        back = pl.read_csv(file, try_parse_dates=True, schema_overrides=whole.schema)
    assert back.equals(whole)
    assert back.schema == whole.schema
    assert [item.name for item in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_an_interrupted_stream_leaves_no_file(tmp_path: Path, ending: str) -> None:
    """When the parts end in an error there is no file, and one that was there stays as it was."""

    def broken():
        yield frames()[0]
        raise KeyboardInterrupt

    file = tmp_path / f"x{ending}"
    with pytest.raises(KeyboardInterrupt):
        write_frames(file, broken())
    assert not list(tmp_path.iterdir())
    write_frames(file, frames())
    before = file.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_frames(file, broken())
    assert file.read_bytes() == before
    with pytest.raises(UsageError, match="not .pkl"):
        write_frames(tmp_path / "x.pkl", frames())


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the file is left out, and the message says what to do."""

    def full(self, frame):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("alphaloom.data.long_frame._Csv.write", full)
    with pytest.raises(RunError, match="No space left on device. Make room"):
        write_frames(tmp_path / "x.csv", frames())
    assert not list(tmp_path.iterdir())
