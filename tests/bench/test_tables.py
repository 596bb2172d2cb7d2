"""Statistics of a speed table, worked out by hand."""

import math

import polars as pl
import pytest

from alphaloom.bench.grid import Grid, base_model, cells
from alphaloom.bench.tables import SCHEMA, markdown, reading, speed_row, speed_table, speed_ups

GRID = Grid(sizes=("small",), steps=(5,), rows=(64, 128), repeats=3, epochs=2, max_steps=4)
CELLS = cells(base_model(None, None), GRID)


def record(seconds, **facts):
    """Return what is kept of a cell whose fits took so long."""
    fits = [{"seconds": s, "setup_s": 0.5, "cpu_s": s / 2, "waited_share": 0.0, "allocated_mb": None} for s in seconds]
    made = {"error": None, "fits": fits, "measured": "2026-01-02T03:04:05Z", "batches": 4, "epoch_rows": 256}
    return made | {"loader_s": 0.1, "parameters": 9, "ran_in": "float32", "warmup_s": 1.0, "resident_mb": 100.0} | facts


@pytest.fixture
def table():
    """Four cells: bfloat16 surely faster, then within the spread of float32's fits."""
    made = [record([1, 2, 3]), record([0.4, 0.5, 0.6]), record([1, 2, 3]), record([2, 1.5, 1.0])]
    return speed_table([speed_row(cell, GRID, item) for cell, item in zip(CELLS, made, strict=True)])


def test_statistics_of_the_fits(table):
    """Mean, deviation with n - 1, extremes; samples a second over all epochs; the loader's share of all epochs."""
    row = table.row(0, named=True)
    assert (row["seconds_mean"], row["seconds_sd"], row["seconds_min"], row["seconds_max"]) == (2, 1, 1, 3)
    assert row["rows_per_s"] == 256 * 2 / 2
    assert row["loader_share"] == pytest.approx(0.1 * 2 / 2)
    assert (row["cpu_s"], row["waited_share"], row["batches"], row["gflops"]) == (1, 0, 4, None)
    assert table.schema == SCHEMA


def test_one_fit_has_no_deviation():
    """One fit says nothing of its spread."""
    row = speed_row(CELLS[0], GRID, record([1.5]))
    assert row["seconds_sd"] is None
    assert row["seconds_mean"] == 1.5


def test_arithmetic_against_the_peak():
    """Operations of a row times rows a second, over the fastest product; on a CPU by processor seconds."""
    made = record([4.0, 4.0], flops_per_row=4e9, peak_gflops=2048.0)
    row = speed_row(CELLS[0], GRID, made)
    assert row["gflops"] == pytest.approx(4 * 256 * 2 / 2)
    assert row["peak_share"] == pytest.approx(0.5)
    for fit in made["fits"]:
        fit["allocated_mb"] = 7.0
    row = speed_row(CELLS[0], GRID, made)
    assert (row["gflops"], row["allocated_mb"]) == (pytest.approx(4 * 256 * 2 / 4), 7.0)


def test_speed_ups_of_means_and_extremes(table):
    """The ratio is that of the means, its bounds those of the slowest over the fastest fit."""
    pairs = speed_ups(table)
    first, second = pairs.to_dicts()
    assert (first["rows"], first["precision"]) == (64, "bfloat16")
    assert first["ratio"] == pytest.approx(4)
    assert first["low"] == pytest.approx(1 / 0.6)
    assert first["high"] == pytest.approx(3 / 0.4)
    assert second["low"] == pytest.approx(0.5)


def test_reading_counts_what_is_sure(table):
    """A cell within the spread counts neither as faster nor as slower; the fastest batch is named."""
    first, second = reading(table)
    assert "faster than float32 in 1 of 2 pairs of cells and slower in 0" in first
    assert "1.33 to 4.00 times" in first
    assert "fastest with 64 rows a batch in bfloat16, 1,024 samples a second" in second


def test_disturbed_cells_are_compared_by_processor_seconds(table):
    """Where a fit waited for a core its seconds are not compared, and the reader is told how many cells it concerns."""
    made = table.with_columns(
        pl.when(pl.col("rows") == 64).then(pl.Series([0.4, 0.0, 0.0, 0.0])).otherwise(0.0).alias("waited_share")
    )
    assert speed_ups(made)["is_disturbed"].to_list() == [True, False]
    assert speed_ups(made)["ratio_cpu"].to_list() == pytest.approx([4, 2 / 1.5])
    sentences = reading(made)
    assert "in 0 of 1 pair of cells and slower in 0; it trains 1.33 times as fast" in sentences[0]
    assert "By processor seconds bfloat16 trains 4.00 times as fast as float32 in the 1 pair" in sentences[1]
    assert "fastest with 64 rows a batch in bfloat16, 2,048 samples a processor second" in sentences[2]
    assert "1 of 4 cells waited for a core for more than 5% of their time, 40% at most" in sentences[-1]


def test_networks_without_sizes_are_paired():
    """A missing size equals a missing size."""
    every = cells(base_model("gru", None), Grid(steps=(2,), rows=(24,)))
    made = speed_table([speed_row(cell, GRID, record([k + 1.0])) for k, cell in enumerate(every)])
    assert speed_ups(made)["ratio"].to_list() == [0.5]


def test_failed_cells_stay_in_the_table(table):
    """A failed cell has its reason and no figures, pairs with nothing, and is told."""
    failed = speed_row(CELLS[0], GRID, {"error": "out of memory | x", "measured": "2026-01-02T03:04:05Z"})
    made = pl.concat([speed_table([failed]), table[1:]])
    assert speed_ups(made)["rows"].to_list() == [128]
    assert reading(made)[-1] == "1 of 4 cells failed; the table says why."
    lines = markdown(made).split("\n")
    assert "out of memory \\| x" in lines[2]
    assert len(lines) == 2 + 4 + 1


def test_markdown_shows_what_there_is(table):
    """Columns without any value are left out; numbers stand right; shares are percentages."""
    head, rule, first, *_ = markdown(table).split("\n")
    assert "GPU MB" not in head
    assert "failed" not in head
    assert rule.startswith("|---|--:|")
    assert "| 2.000 | 1.000 | 1.000 | 3.000 |" in first
    cells_of = dict(zip(head.split("|"), first.split("|"), strict=True))
    assert cells_of[" loader % "].strip() == "10.0"


def test_all_cells_without_float32_have_no_pairs(table):
    """Without float32 there is nothing to compare with."""
    alone = table.filter(pl.col("precision") == "bfloat16")
    assert speed_ups(alone).is_empty()
    assert not any("float32" in sentence for sentence in reading(alone))
    assert math.isfinite(alone["rows_per_s"].sum())
