"""What was measured, as a table: statistics over the fits of a cell, half precision against float32, Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from alphaloom.bench.grid import Cell, Grid

SCHEMA: dict[str, Any] = {
    "model": pl.String,
    "size": pl.String,
    "steps": pl.Int64,
    "rows": pl.Int64,
    "precision": pl.String,
    "repeats": pl.Int64,
    "epochs": pl.Int64,
    "batches": pl.Int64,
    "epoch_rows": pl.Int64,
    "seconds_mean": pl.Float64,
    "seconds_sd": pl.Float64,
    "seconds_min": pl.Float64,
    "seconds_max": pl.Float64,
    "cpu_s": pl.Float64,
    "rows_per_s": pl.Float64,
    "loader_share": pl.Float64,
    "setup_s": pl.Float64,
    "warmup_s": pl.Float64,
    "resident_mb": pl.Float64,
    "fit_mb": pl.Float64,
    "allocated_mb": pl.Float64,
    "parameters": pl.Int64,
    "ran_in": pl.String,
    "waited_share": pl.Float64,
    "load_1min": pl.Float64,
    "gflops": pl.Float64,
    "peak_gflops": pl.Float64,
    "peak_share": pl.Float64,
    "error": pl.String,
    "measured": pl.String,
}
"""Columns of the table.

`seconds_*`: a fit's epochs (sd with n - 1, None of one fit). `cpu_s`: processor seconds of a fit, setup included.
`rows_per_s`: training samples a second at the mean. `loader_share`: gathering the batches alone, over the mean.
`resident_mb`: most memory of the process, `fit_mb` of it since the samples lay there; `allocated_mb`: most on the GPU.
`waited_share`: most of a fit's time that went by waiting for a core that others used. `gflops`: products of matrices,
in 1e9 operations a second (on a CPU a processor second), `peak_share` of the fastest."""
SHOWN: dict[str, tuple[str, int | None]] = {
    "size": ("size", None),
    "steps": ("steps", 0),
    "rows": ("rows a batch", 0),
    "precision": ("precision", None),
    "seconds_mean": ("seconds", 3),
    "seconds_sd": ("sd", 3),
    "seconds_min": ("min", 3),
    "seconds_max": ("max", 3),
    "cpu_s": ("CPU s", 3),
    "rows_per_s": ("samples/s", 0),
    "loader_share": ("loader %", 1),
    "resident_mb": ("resident MB", 0),
    "fit_mb": ("of that the fit", 0),
    "allocated_mb": ("GPU MB", 0),
    "warmup_s": ("warm-up s", 2),
    "waited_share": ("waited %", 0),
    "gflops": ("GFLOP/s", 0),
    "peak_share": ("% of peak", 0),
    "error": ("failed", None),
}
"""Columns that people are shown, with their headings and decimals; those without any value are left out."""
PERCENT = {"loader_share", "peak_share", "waited_share"}
DISTURBED = 0.05
"""Share of a fit's time spent waiting for a core from which its seconds say more of the others than of the training."""


def speed_row(cell: Cell, grid: Grid, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of one cell: statistics of its fits, or the reason why there are none."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA)
    row |= {
        "model": cell.model.name,
        "size": cell.size,
        "steps": cell.steps,
        "rows": cell.rows,
        "precision": cell.precision,
        "repeats": grid.repeats,
        "epochs": grid.epochs,
        "error": record["error"],
        "measured": record["measured"],
    }
    if record["error"]:
        return row
    fits = record["fits"]
    seconds = [fit["seconds"] for fit in fits]
    mean = statistics.fmean(seconds)
    row |= {key: record.get(key) for key in SCHEMA if key in record}
    row |= {
        "seconds_mean": mean,
        "seconds_sd": statistics.stdev(seconds) if len(seconds) > 1 else None,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "rows_per_s": record["epoch_rows"] * grid.epochs / mean,
        "loader_share": record["loader_s"] * grid.epochs / mean,
        **{key: statistics.fmean(fit[key] for fit in fits) for key in ("setup_s", "cpu_s")},
        "waited_share": max((fit["waited_share"] for fit in fits if fit["waited_share"] is not None), default=None),
        "allocated_mb": max((fit["allocated_mb"] for fit in fits if fit["allocated_mb"] is not None), default=None),
    }
    if "flops_per_row" in record:
        read = record["epoch_rows"] * grid.epochs
        seconds_used = mean if row["allocated_mb"] is not None else row["cpu_s"]
        row["gflops"] = record["flops_per_row"] * read / seconds_used / 1e9
        row["peak_share"] = row["gflops"] / record["peak_gflops"]
    return row


def speed_table(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the rows as a frame with all columns of `SCHEMA`."""
    return pl.DataFrame(list(rows), schema=SCHEMA)


def speed_ups(table: pl.DataFrame) -> pl.DataFrame:
    """Return how many times as fast other precisions are as float32: `model, size, steps, rows, precision, ratio, ...`.

    `ratio` is that of the means; `low` and `high` are those of the extremes: the slowest fit of the one over the
    fastest of the other. Where `low` is above 1, every fit was faster than every one in float32. `ratio_cpu` is that of
    the processor seconds; `is_disturbed` where a fit of either waited for a core.
    """
    axes = ["model", "size", "steps", "rows"]
    columns = ["seconds_mean", "seconds_min", "seconds_max", "cpu_s", "waited_share"]
    measured = table.filter(pl.col("error").is_null())
    whole = measured.filter(pl.col("precision") == "float32").select(*axes, *columns)
    other = measured.filter(pl.col("precision") != "float32").select(*axes, "precision", *columns)
    paired = other.join(whole, on=axes, suffix="_whole", nulls_equal=True, maintain_order="left")
    return paired.select(
        *axes,
        "precision",
        (pl.col("seconds_mean_whole") / pl.col("seconds_mean")).alias("ratio"),
        (pl.col("seconds_min_whole") / pl.col("seconds_max")).alias("low"),
        (pl.col("seconds_max_whole") / pl.col("seconds_min")).alias("high"),
        (pl.col("cpu_s_whole") / pl.col("cpu_s")).alias("ratio_cpu"),
        (pl.max_horizontal("waited_share", "waited_share_whole").fill_null(0) > DISTURBED).alias("is_disturbed"),
    )


def reading(table: pl.DataFrame) -> list[str]:
    """Return what the table shows, a sentence each: half precision against float32, and the fastest batch of each size.

    "Faster" and "slower" are said where every fit was. Where others used the machine the seconds are not compared but
    the processor seconds.
    """
    measured = table.filter(pl.col("error").is_null())
    disturbed = measured.filter(pl.col("waited_share") > DISTURBED)
    sentences = []
    for (precision,), part in speed_ups(table).group_by("precision", maintain_order=True):
        sentences += _against_float32(str(precision), part)
    for (model, size, steps), part in measured.group_by("model", "size", "steps", maintain_order=True):
        sentences.append(f"{_name(model, size)}, {steps} step{'s' if steps != 1 else ''}: {_fastest(part)}.")
    if disturbed.height:
        sentences.append(
            f"Others used the machine: {disturbed.height} of {measured.height} cells waited for a core for more than "
            f"{DISTURBED:.0%} of their time, {max(disturbed['waited_share']):.0%} at most. Their seconds are too long, "
            "and samples a second too few; measure them again when it is quiet."
        )
    failed = table.height - measured.height
    if failed:
        sentences.append(f"{failed} of {table.height} cells failed; the table says why.")
    return sentences


def _fastest(part: pl.DataFrame) -> str:
    """Return which batch and precision are fastest, by processor seconds where a cell of them was disturbed."""
    is_disturbed = (part["waited_share"].fill_null(0) > DISTURBED).any()
    rate = pl.col("epoch_rows") * pl.col("epochs") / pl.col("cpu_s") if is_disturbed else pl.col("rows_per_s")
    best = part.with_columns(rate.alias("rate")).sort("rate", descending=True).row(0, named=True)
    unit = "a processor second" if is_disturbed else "a second"
    return f"fastest with {best['rows']:,} rows a batch in {best['precision']}, {best['rate']:,.0f} samples {unit}"


def _against_float32(precision: str, pairs: pl.DataFrame) -> list[str]:
    quiet, busy = pairs.filter(~pl.col("is_disturbed")), pairs.filter("is_disturbed")
    sentences = []
    if quiet.height:
        faster, slower = quiet.filter(pl.col("low") > 1).height, quiet.filter(pl.col("high") < 1).height
        sentences.append(
            f"{precision} is faster than float32 in {faster} of {_pairs(quiet.height)} and slower in {slower}; "
            f"it trains {_from_to(quiet['ratio'])} times as fast."
        )
    if busy.height:
        sentences.append(
            f"By processor seconds {precision} trains {_from_to(busy['ratio_cpu'])} times as fast as float32 in the "
            f"{_pairs(busy.height)} whose seconds others disturbed."
        )
    return sentences


def markdown(table: pl.DataFrame) -> str:
    """Return the table for people, as Markdown."""
    shown = shown_columns(table)
    numeric = [SHOWN[key][1] is not None for key in shown]
    lines = [
        _line([SHOWN[key][0] for key in shown]),
        "|" + "|".join("--:" if right else "---" for right in numeric) + "|",
    ]
    lines += [_line([cell_text(key, row[key]) for key in shown]) for row in table.iter_rows(named=True)]
    return "\n".join(lines) + "\n"


def fits_words(grid: Grid) -> str:
    """Return how many fits of how many epochs a cell has."""
    fits = "1 fit" if grid.repeats == 1 else f"{grid.repeats} fits"
    return f"{fits} of {grid.epochs} epoch{'s' if grid.epochs > 1 else ''}"


def shown_columns(table: pl.DataFrame) -> list[str]:
    """Return the columns that people are shown: those of `SHOWN` with any value."""
    return [key for key in SHOWN if table[key].is_not_null().any()]


def cell_text(key: str, value: Any) -> str:
    """Return one value of a shown column as text; empty where there is none."""
    digits = SHOWN[key][1]
    if value is None:
        return ""
    if digits is None:
        return str(value)
    return f"{100 * value if key in PERCENT else value:,.{digits}f}"


def _name(model: str, size: str | None) -> str:
    return f"{model} {size}" if size else model


def _pairs(number: int) -> str:
    return f"{number} pair{'s' if number != 1 else ''} of cells"


def _from_to(values: pl.Series) -> str:
    low, high = (f"{end(values.to_list()):.2f}" for end in (min, max))
    return low if low == high else f"{low} to {high}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"
