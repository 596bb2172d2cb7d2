"""What the searches for settings found, as numbers: one record a window and model (`tuning.json` of a run)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from alphaloom.typing import Doubles

Record = Mapping[str, Any]


def by_model(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records by model, each in the order given."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record["model"], []).append(record)
    return found


def sign(record: Record) -> float:
    """Return 1 where a greater objective is better, else -1."""
    return 1.0 if record["objective"] == "rank_ic" else -1.0


def settings_of(records: Iterable[Record]) -> list[str]:
    """Return the settings searched in any of the windows; none where the scan left all as the recipe has them."""
    return list(dict.fromkeys(path for record in records for path in record["space"]))


def recipe_candidate(record: Record) -> Mapping[str, Any] | None:
    """Return the candidate with the recipe's own settings; None where it could not be fitted."""
    own: Iterable[Mapping[str, Any]] = (item for item in record["candidates"] if item["origin"] == "recipe")
    return next((item for item in own if item["state"] == "complete"), None)


def search_numbers(record: Record) -> dict[str, Any]:
    """Return a search in short.

    Returns:
        `window, model, objective, folds, test_start, reads_until, seconds`; `settings`, the best ones; `origin` of
        these; `mean` of the best over folds with its standard error `se`; `own`, the mean of the recipe's settings;
        `difference`, best less own fold by fold, and `left_out`, the same on each fold with the best chosen on the
        others, both with `_se` and None without a fit of the recipe's settings; numbers of candidates `complete`,
        `pruned` (or out of time) and `failed` (those of the scan among the last).

        Errors are the deviation over folds by the root of their number.
    """
    best, own = record["best"], recipe_candidate(record)
    mean, se = _mean(np.array(best["values"]))
    states = [item["state"] for item in record["candidates"]]
    difference: tuple[float | None, float | None] = (None, None)
    left_out = difference
    if own is not None:
        difference = _mean(np.array(best["values"]) - own["values"])
        left_out = _mean(_left_out(record, own))
    return {
        **{key: record[key] for key in ("window", "model", "objective", "folds", "test_start", "reads_until")},
        "settings": {path: best["settings"][path] for path in record["space"]},
        "origin": best["origin"],
        "mean": mean,
        "se": se,
        "own": None if own is None else own["mean"],
        "difference": difference[0],
        "difference_se": difference[1],
        "left_out": left_out[0],
        "left_out_se": left_out[1],
        "complete": states.count("complete"),
        "pruned": states.count("pruned") + states.count("late"),
        "failed": len(record["failed"]),
        "seconds": record["seconds"],
    }


def _left_out(record: Record, own: Mapping[str, Any]) -> Doubles:
    """Return, for each fold, the candidate that is best on the other folds less the recipe's own on that fold."""
    values = np.array([item["values"] for item in record["candidates"] if item["state"] == "complete"])
    others = sign(record) * (values.sum(axis=1, keepdims=True) - values)
    return np.asarray(values[others.argmax(axis=0), np.arange(values.shape[1])] - own["values"])


def gains(numbers: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]] | None:
    """Return the means over windows of `difference` and `left_out` of one model, each with a standard error.

    Windows share most of their training dates, so that the error of the mean is taken to be as large as that of a
    window: the mean of the windows' errors. None where no window has a fit of the recipe's settings.
    """
    known = [item for item in numbers if item["difference"] is not None]
    if not known:
        return None
    return {
        key: (float(np.mean([item[key] for item in known])), float(np.mean([item[f"{key}_se"] for item in known])))
        for key in ("difference", "left_out")
    }


def search_frame(records: Sequence[Record], windows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a window of one model: `search_numbers`, and the fits that followed.

    Each setting's best value stands as text in a column `setting PATH`, null in windows that do not search it.

    Args:
        records: of one model.
        windows: a study's table of fits; the means over repeats of in- and out-of-sample RankIC and MSE are joined,
            those that the table has, and `difference_rank_ic`, out of sample less in sample.
    """
    rows = []
    for record in records:
        numbers = search_numbers(record)
        best = numbers.pop("settings")
        chosen = {f"setting {path}": shown(best[path]) if path in best else None for path in settings_of(records)}
        rows.append(numbers | chosen)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    measured = ["in_sample_rank_ic", "out_of_sample_rank_ic", "in_sample_mse", "out_of_sample_mse"]
    known = [name for name in measured if name in windows.columns]
    if known and {"window", "model"} <= set(windows.columns):
        means = windows.group_by("window", "model").agg(pl.col(known).cast(pl.Float64).fill_nan(None).mean())
        frame = frame.join(means, on=["window", "model"], how="left", maintain_order="left")
    if {"in_sample_rank_ic", "out_of_sample_rank_ic"} <= set(frame.columns):
        difference = pl.col("out_of_sample_rank_ic") - pl.col("in_sample_rank_ic")
        frame = frame.with_columns(difference.alias("difference_rank_ic"))
    return frame


def scan_frame(record: Record) -> pl.DataFrame:
    """Return what the scan of a window found, one row a setting and round in the order tried.

    Columns: `setting, round, own` (the recipe's value), `low, high` (first and last value tried), `best_value`, its
    `best_mean` and the `worst_mean` of the objective, `p` of Friedman's test that all are equal, and `kept`, the part
    that is searched on (null where the values make no difference). Settings without a fitted value are absent.
    """
    rows = []
    for item in record["scan"]:
        points = sorted(item["points"], key=lambda point: -sign(record) * point["mean"])
        if points:
            rows.append(
                {
                    **{key: item[key] for key in ("setting", "round", "p")},
                    "own": shown(item["own"]),
                    "low": shown(item["points"][0]["value"]),
                    "high": shown(item["points"][-1]["value"]),
                    "best_value": shown(points[0]["value"]),
                    "best_mean": points[0]["mean"],
                    "worst_mean": points[-1]["mean"],
                    "kept": None if item["kept"] is None else " to ".join(map(shown, ends(item["kept"]))),
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def ends(span: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the first and last value of a range as a record holds it."""
    values = span.get("values")
    return (values[0], values[-1]) if values else (span["low"], span["high"])


def is_number(value: Any) -> bool:
    """Return whether a setting's value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """Return a setting's value in few characters: numbers with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _mean(values: Doubles) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))
