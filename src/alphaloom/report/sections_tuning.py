"""The section on the search for settings: what was tried, what was chosen in each window, and what it bought."""

from collections.abc import Sequence

import polars as pl

from alphaloom.report import figures_tuning
from alphaloom.report.content import (
    Block,
    Chart,
    Column,
    Section,
    Text,
    count,
    number,
    probability,
    table,
    text,
)
from alphaloom.report.tuning import (
    Record,
    by_model,
    ends,
    gains,
    scan_frame,
    search_frame,
    search_numbers,
    settings_of,
    shown,
)

OBJECTIVES = {"rank_ic": "RankIC", "mse": "MSE"}
MOST_ROWS = 12
"""Longer tables that only tell how a search went are folded."""
MOST_BESIDE = 8
"""Charts of more windows take the whole width."""

FIRST = Column("test_start", "Tested from", text, numeric=False)
FITS = (
    Column("in_sample_rank_ic", "RankIC in", number(4), "on the dates trained on"),
    Column("out_of_sample_rank_ic", "RankIC out", number(4), "on the dates tested on"),
    Column("difference_rank_ic", "Out less in", number(4), "RankIC out of sample less in sample"),
    Column("in_sample_mse", "MSE in", number(5)),
    Column("out_of_sample_mse", "MSE out", number(5)),
)
SCANS = (
    Column("setting", "Setting", text, numeric=False),
    Column("round", "Round", count),
    Column("own", "Recipe", text, "the recipe's own value"),
    Column("low", "Tried from", text),
    Column("high", "to", text),
    Column("best_value", "Best value", text),
    Column("best_mean", "Best", number(4), "mean objective over folds"),
    Column("worst_mean", "Worst", number(4), "mean objective over folds"),
    Column("p", "p", probability, "Friedman's test over the tested dates that all values are equal"),
    Column("kept", "Searched on", text, "none: the values make no difference, and nothing is narrowed", numeric=False),
)
FAILED = (
    Column("window", "Window", text, numeric=False),
    Column("model", "Model", text, numeric=False),
    Column("origin", "What", text, numeric=False),
    Column("settings", "Settings", text, numeric=False),
    Column("state", "State", text, numeric=False),
    Column("message", "Reason", text, numeric=False),
)


def tuning_section(records: Sequence[Record], windows: pl.DataFrame) -> Section:
    """Return what the searches found, model by model.

    Args:
        records: of the searches that there were, windows in order.
        windows: the study's table of fits, for what the best settings came to.
    """
    blocks: list[Block] = []
    for model, own in by_model(records).items():
        blocks += _model_blocks(model, own, windows)
    rows = [
        {"window": record["window"], "model": record["model"], **item, "settings": _written(item["settings"])}
        for record in records
        for item in record["failed"]
    ]
    if rows:
        blocks.append(table("Candidates without a result", pl.DataFrame(rows), FAILED, is_folded=True))
    lead = "Searched in each window on its training dates alone; every candidate is in its folder, as tuning.json."
    return Section("tuning", "Tuning", lead, blocks)


def _model_blocks(model: str, records: Sequence[Record], windows: pl.DataFrame) -> list[Block]:
    frame = search_frame(records, windows)
    paths = settings_of(records)
    chosen = [Column(f"setting {path}", path, text) for path in paths]
    measure = _measure(records[0])
    blocks: list[Block] = [
        Text(bought(model, records)),
        table(f"Settings and results: {model}", frame, [FIRST, *chosen, measure[0], *FITS]),
    ]
    if any(len(record["candidates"]) > 1 for record in records):
        blocks.append(_search_chart(model, records, is_half=bool(paths) and 1 < len(records) <= MOST_BESIDE))
    if paths and len(records) > 1:
        blocks.append(_chosen_chart(model, records))
    columns = [FIRST, *measure, Column("complete", "Complete", count, "candidates scored on every fold"), *EFFORT]
    is_long = len(records) > MOST_ROWS
    blocks.append(table(f"Searches: {model}", frame, columns, is_folded=is_long))
    return [*blocks, *scan_blocks(model, records[0])]


def _search_chart(model: str, records: Sequence[Record], *, is_half: bool) -> Chart:
    note = (
        "Lines: the best so far, early windows red, late ones blue. Mean over folds less that of the recipe's own "
        "settings; better is up."
    )
    return Chart(f"Candidates by window: {model}", figures_tuning.search_lines(records), note, 320, is_half=is_half)


def _chosen_chart(model: str, records: Sequence[Record]) -> Chart:
    note = "Orange at the lower, blue at the upper end of the range searched: one colour in a row is a stable choice."
    height = max(200, 110 + 34 * len(settings_of(records)))
    is_half = len(records) <= MOST_BESIDE
    return Chart(f"Settings chosen: {model}", figures_tuning.chosen_heat(records), note, height, is_half=is_half)


EFFORT = (
    Column("pruned", "Given up", count, "candidates that the pruner or the time limit stopped before their last fold"),
    Column("failed", "Failed", count, "candidates that could not be fitted"),
    Column("seconds", "Seconds", number(0), "of all candidates, wherever they ran"),
    Column("reads_until", "Reads until", text, "the last day that a label of the folds read", numeric=False),
)


def _measure(record: Record) -> tuple[Column, ...]:
    """Return the columns of what was compared, in the objective's own unit."""
    name, form = OBJECTIVES[record["objective"]], number(4 if record["objective"] == "rank_ic" else 5)
    return (
        Column("mean", f"{name} CV", form, "of the best settings, mean over the folds of cross-validation"),
        Column("se", "± se", form, "standard error over folds"),
        Column("own", "Recipe", form, "of the recipe's own settings"),
        Column("difference", "Best less recipe", form, "fold by fold; flattered, since the best was chosen on it"),
        Column("difference_se", "± se", form, "standard error over folds"),
        Column("left_out", "Left out", form, "the same on each fold, with the best chosen on the other folds"),
        Column("left_out_se", "± se", form, "standard error over folds"),
    )


def bought(model: str, records: Sequence[Record]) -> str:
    """Return in words what the searches of one model bought in cross-validation, and what to make of it."""
    if not settings_of(records):
        return f"{model}: no setting made a difference in the scan; all are as the recipe has them."
    objective = records[0]["objective"]
    found = gains([search_numbers(record) for record in records])
    if found is None:
        return (
            f"{model}: the recipe's own settings could not be fitted; there is nothing to compare the best ones with."
        )
    form = number(4 if objective == "rank_ic" else 5)
    (best, best_se), (left, left_se) = (found[key] for key in ("difference", "left_out"))
    less = "" if objective == "rank_ic" else " (less is better)"
    return (
        f"{model} (windows: {count(len(records))}): {OBJECTIVES[objective]} in cross-validation{less} of the best "
        f"settings less the recipe's own is {form(best)} (standard error {form(best_se)}), which is flattered because "
        f"the best was chosen on it; on folds left out of choosing it is {form(left)} ({form(left_se)}). Whether "
        "tuning pays out of sample is told by comparing this run with one without it."
    )


def scan_blocks(model: str, record: Record) -> list[Block]:
    """Return table and charts of what a window's scan of single settings found; none without one."""
    frame = scan_frame(record)
    if not frame.height:
        return []
    note = (
        "One setting at a time on the first window, the others as the recipe has them. Bands in the charts: a standard "
        "error over dates, without what all values share."
    )
    blocks: list[Block] = [table(f"Scan of single settings: {model}", frame, SCANS, note=note)]
    for path in frame["setting"].unique(maintain_order=True):
        figure = figures_tuning.scan_lines(record, path)
        blocks.append(Chart(f"Scan of {path}: {model}", figure, _scan_note(record, path), 250, is_half=True))
    return blocks


def _scan_note(record: Record, path: str) -> str:
    item = next(item for item in record["scan"] if item["setting"] == path)
    if item["p"] is None:
        return f"All values come to the same; left at {shown(item['own'])}."
    if path not in record["space"]:
        return f"p {probability(item['p'])}: the values make no difference; left at {shown(item['own'])}."
    low, high = map(shown, ends(record["space"][path]))
    return f"p {probability(item['p'])}: searched from {low} to {high}."


def _written(settings: Record) -> str:
    return ", ".join(f"{path} {shown(value)}" for path, value in settings.items())
