"""The table of training speed on disk: one page with figures, Markdown, JSON and Parquet."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from alphaloom.bench.machine import machine_words
from alphaloom.bench.tables import SHOWN, cell_text, fits_words, markdown, reading, shown_columns, speed_ups
from alphaloom.bench.train import Speeds
from alphaloom.report.content import Chart, Code, Figure, Page, Section, Table, Text, count, number
from alphaloom.report.files import write_frame, write_text
from alphaloom.report.page import render
from alphaloom.report.theme import GREY, SERIES, new_figure, use_log_axis

MEANINGS = {
    "seconds_mean": "mean of the fits: batches, steps and checks of all epochs",
    "seconds_sd": "standard deviation of the fits, with n - 1",
    "cpu_s": "processor seconds of a fit, all threads, its setup included; they depend less on what else runs",
    "rows_per_s": "training samples a second, at the mean",
    "loader_share": "gathering the same batches without a step, as a share of the mean",
    "resident_mb": "most resident memory of the process",
    "fit_mb": "most resident memory less what was there before the first fit",
    "allocated_mb": "most memory allocated on the GPU, the panel there included",
    "warmup_s": "a fit of one step before the others, not part of them",
    "waited_share": "of a fit's time the main thread was ready but had no core, because others used the machine",
    "gflops": "products of matrices, 1e9 operations a second; on a CPU a processor second",
    "peak_share": "of the fastest product of two large matrices in this precision",
}
RATIOS = {"ratio": "", "ratio_cpu": " by processor seconds"}
"""What a ratio is of, where it is not plain seconds."""
DASHES = {"float32": "dot", "bfloat16": "solid", "float16": "dash", "auto": "dashdot"}


def write_speeds(speeds: Speeds, out: Path) -> list[Path]:
    """Write `speed.html`, `speed.md`, `speed.json` and `speed.parquet` into `out`; return their paths."""
    files = [out / f"speed.{ending}" for ending in ("html", "md", "json", "parquet")]
    write_text(files[0], render(speed_page(speeds)))
    write_text(files[1], speed_markdown(speeds))
    write_text(files[2], json.dumps(speeds.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_frame(files[3], speeds.table)
    return files


def speed_markdown(speeds: Speeds) -> str:
    """Return the table, what it shows and what it holds for."""
    lines = [f"# {_title(speeds)}", "", markdown(speeds.table)]
    lines += [f"- {sentence}" for sentence in (*reading(speeds.table), *_method(speeds))]
    return "\n".join(lines) + "\n"


def speed_page(speeds: Speeds) -> Page:
    """Return the page: samples a second, half precision against float32, memory, the table."""
    table = speeds.table
    first, *rest = reading(table)
    best = table.sort("rows_per_s", descending=True, nulls_last=True).row(0, named=True)
    failed = table["error"].is_not_null().sum()
    figures = [
        Figure("Fastest", f"{count(best['rows_per_s'])} /s", _cell_words(best)),
        Figure("Cells", count(table.height), f"{failed} failed" if failed else "all measured"),
        Figure("Fits a cell", count(speeds.job.grid.repeats), fits_words(speeds.job.grid)),
        Figure(
            "Most memory", f"{number(2)(max(table['resident_mb'].drop_nulls()) / 1000)} GB", "resident, one process"
        ),
        Figure("Threads", count(speeds.job.threads), f"of {speeds.job.machine['cores']} cores"),
    ]
    sections = [_speed(table), *_precision(table), _memory(table), _table(table), _how(speeds)]
    return Page(
        title=_title(speeds),
        subtitle=machine_words(speeds.job.machine),
        grade="plain",
        verdict=first,
        findings=rest,
        figures=figures,
        sections=sections,
        footer={"measured": _day(table)},
    )


def _speed(table: pl.DataFrame) -> Section:
    lead = "Training samples (stock and day) a second, from the fastest to the slowest fit; higher is better."
    charts = [
        Chart(f"Samples a second, {_steps(steps)}", _lines(part, "rows_per_s"), is_half=True)
        for steps, part in _by_steps(table)
    ]
    return Section("speed", "Speed", lead, charts)


def _precision(table: pl.DataFrame) -> list[Section]:
    pairs = speed_ups(table)
    if pairs.is_empty():
        return []
    lead = "How many times as fast as in float32; the bars' ends are those of the slowest over the fastest fit."
    by = ["ratio", *(["ratio_cpu"] if pairs["is_disturbed"].any() else [])]
    charts = [
        Chart(
            f"{precision} against float32{RATIOS[key]}, {_steps(steps)}", _ratios(part, key), height=300, is_half=True
        )
        for (precision,), of_one in pairs.group_by("precision", maintain_order=True)
        for key in by
        for steps, part in _by_steps(of_one)
    ]
    return [Section("precision", "Half precision", lead, charts)]


def _memory(table: pl.DataFrame) -> Section:
    key = "allocated_mb" if table["allocated_mb"].is_not_null().any() else "fit_mb"
    lead = f"{SHOWN[key][0]}: {MEANINGS[key]}." if key == "allocated_mb" else f"In MB: {MEANINGS[key]}."
    charts = [
        Chart(f"Memory, {_steps(steps)}", _lines(part, key), height=300, is_half=True)
        for steps, part in _by_steps(table)
    ]
    return Section("memory", "Memory", lead, charts)


def _table(table: pl.DataFrame) -> Section:
    keys = shown_columns(table)
    rows = [[cell_text(key, row[key]) or "–" for key in keys] for row in table.iter_rows(named=True)]
    numeric = [SHOWN[key][1] is not None for key in keys]
    heads = [SHOWN[key][0] for key in keys]
    whole = Table("", heads, rows, numeric, [MEANINGS.get(key, "") for key in keys])
    return Section("table", "All cells", "One row a cell, in the order of measuring.", [whole])


def _how(speeds: Speeds) -> Section:
    facts = json.dumps({key: value for key, value in speeds.to_dict().items() if key != "cells"}, indent=1)
    return Section(
        "method",
        "How it was measured",
        "Every cell in a process of its own.",
        [Text(" ".join(_method(speeds))), Code("Machine, samples and settings", facts)],
    )


def _method(speeds: Speeds) -> list[str]:
    grid = speeds.job.grid
    some = (
        f"An epoch is cut to {grid.max_steps:,} batches of rows drawn from all days; seconds are of those alone."
        if grid.max_steps
        else "Epochs are whole."
    )
    return [
        f"{speeds.job.source.words()}.",
        f"{some} A cell is {fits_words(grid)} without validation, after one fit of a single step that does not count.",
        "Seconds are those of the epochs; the digests and pairs made before the first batch are not in them.",
        f"{machine_words(speeds.job.machine)}; load {_loads(speeds.table)} when the cells began; {_day(speeds.table)}.",
    ]


def _lines(part: pl.DataFrame, key: str) -> Any:
    """Return a line for each size and precision against the rows of a batch."""
    from plotly import graph_objects as go

    traces = []
    sizes = part["size"].unique(maintain_order=True).to_list()
    for (size, precision), line in part.group_by("size", "precision", maintain_order=True):
        values = line[key].to_list()
        reach: dict[str, Any] = {}
        if key == "rows_per_s":
            reach = {"error_y": _reach(line)}
        traces.append(
            go.Scatter(
                x=[f"{rows:,}" for rows in line["rows"]],
                y=values,
                name=f"{size} {precision}" if size else str(precision),
                mode="lines+markers",
                line={"color": SERIES[sizes.index(size) % len(SERIES)], "dash": DASHES[str(precision)], "width": 2},
                **reach,
            )
        )
    figure = new_figure(traces, x="rows a batch", y_format=",.4~r", xaxis_type="category")
    return use_log_axis(figure, part[key].drop_nulls().to_numpy())


def _reach(line: pl.DataFrame) -> dict[str, Any]:
    """Return how far the fastest and the slowest fit lie from the mean, in samples a second."""
    mean, at_mean = line["rows_per_s"], line["seconds_mean"]
    above = mean * at_mean / line["seconds_min"] - mean
    below = mean - mean * at_mean / line["seconds_max"]
    return {"type": "data", "symmetric": False, "array": above.to_list(), "arrayminus": below.to_list(), "thickness": 1}


def _ratios(part: pl.DataFrame, key: str) -> Any:
    """Return bars of the ratios by seconds, with the extremes of the fits, or by processor seconds."""
    from plotly import graph_objects as go

    traces = []
    for k, ((size,), bars) in enumerate(part.group_by("size", maintain_order=True)):
        reach = {
            "type": "data",
            "visible": key == "ratio",
            "symmetric": False,
            "array": (bars["high"] - bars["ratio"]).to_list(),
            "arrayminus": (bars["ratio"] - bars["low"]).to_list(),
            "color": GREY,
            "thickness": 1.2,
        }
        traces.append(
            go.Bar(
                x=[f"{rows:,}" for rows in bars["rows"]],
                y=bars[key].to_list(),
                error_y=reach,
                name=str(size) if size else "",
                marker={"color": SERIES[k % len(SERIES)]},
                showlegend=bool(size),
            )
        )
    figure = new_figure(traces, x="rows a batch", y_format=".2f", xaxis_type="category")
    figure.add_hline(y=1, line={"color": GREY, "dash": "dot", "width": 1.4})
    return figure


def _by_steps(table: pl.DataFrame) -> Sequence[tuple[int, pl.DataFrame]]:
    return [(int(key[0]), part) for key, part in table.group_by("steps", maintain_order=True)]


def _steps(steps: int) -> str:
    return f"{steps} step{'s' if steps != 1 else ''}"


def _cell_words(row: dict[str, Any]) -> str:
    size = f"{row['size']}, " if row["size"] else ""
    return f"{size}{_steps(row['steps'])}, {row['rows']:,} rows, {row['precision']}"


def _title(speeds: Speeds) -> str:
    return f"Speed of training: {speeds.table['model'][0]}"


def _day(table: pl.DataFrame) -> str:
    return str(table["measured"].max())[:10]


def _loads(table: pl.DataFrame) -> str:
    loads = table["load_1min"].drop_nulls().to_list()
    return f"{min(loads):g} to {max(loads):g}" if loads else "unknown"
