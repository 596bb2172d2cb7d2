"""Records of searches for settings, as `tuning.json` holds them, of models whose best settings are known."""

import numpy as np

from alphaloom.training.tuning.scan import narrow
from alphaloom.training.tuning.space import Range

FOLDS, DATES = 6, 12
SPACE = {
    "learning_rate": Range(low=0.001, high=0.1, log=True),
    "max_depth": Range(low=1, high=8, integer=True),
    "booster": Range(values=("gbtree", "dart")),
    "hidden": Range(values=(32, 64, 128, 256)),
}
OWN = {"learning_rate": 0.05, "max_depth": 5, "booster": "gbtree", "hidden": 64}


def make_searches(model, starts, *, objective="rank_ic", seed=0, trials=9):
    """Return one record a start of a window; the first one scanned. `hidden` makes no difference and is dropped."""
    rng = np.random.default_rng(seed)
    space, records = None, []
    for start in starts:
        record = make_search(rng, model, start, objective, space, trials)
        space = {path: Range.parse(span) for path, span in record["space"].items()}
        records.append(record)
    return records


def make_search(rng, model, start, objective, space, trials):
    """Return the record of one window; `space` of None has it scanned."""
    sign = 1.0 if objective == "rank_ic" else -1.0
    shared = rng.normal(0.05, 0.04, FOLDS)
    own = _candidate(rng, "recipe", OWN if space is None else {path: OWN[path] for path in space}, shared, sign)
    scans = []
    if space is None:
        space, scans = _scan(rng, shared, sign)
    tried = [own]
    for k in range(1, trials):
        settings = {path: span.points(50)[rng.integers(len(span.points(50)))] for path, span in space.items()}
        item = _candidate(rng, "warm start" if k == 1 else "search", settings, shared, sign)
        if k % 4 == 3:
            cut = {key: item[key][:3] for key in ("values", "daily")}
            item |= {**cut, "state": "pruned", "mean": float(np.mean(cut["values"]))}
        tried.append(item)
    complete = [item for item in tried if item["state"] == "complete"]
    return {
        "key": "0",
        "window": start[:7],
        "model": model,
        "objective": objective,
        "folds": FOLDS,
        "best": max(complete, key=lambda item: sign * item["mean"]),
        "candidates": tried,
        "failed": [
            {"origin": "search", "settings": {"max_depth": 8}, "state": "diverged", "message": "the loss is not finite"}
        ],
        "scan": scans,
        "space": {path: span.dump() for path, span in space.items()},
        "seconds": 93.5,
        "reads_until": start,
        "test_start": start,
    }


def _worth(settings):
    rate = settings.get("learning_rate", 0.05)
    return (
        -0.01 * np.log10(rate / 0.01) ** 2
        - 0.001 * (settings.get("max_depth", 5) - 4) ** 2
        - 0.01 * (settings.get("booster") == "dart")
    )


def _candidate(rng, origin, settings, shared, sign):
    daily = shared[:, None] + _worth(settings) + rng.normal(0, 0.01, (FOLDS, DATES))
    daily = sign * daily + (0.9 if sign < 0 else 0)
    values = daily.mean(axis=1)
    return {
        "origin": origin,
        "settings": dict(settings),
        "model": {"name": "made", **settings},
        "values": values.tolist(),
        "daily": daily.tolist(),
        "mean": float(values.mean()),
        "state": "complete",
        "seconds": 2.5,
        "reads_until": "2018-12-31",
    }


def _scan(rng, shared, sign):
    spans, scans = dict(SPACE), []
    for round_ in (1, 2):
        for path, span in list(spans.items()):
            points = span.points(6)
            made = [_candidate(rng, f"{path} {value}", OWN | {path: value}, shared, sign) for value in points]
            values = sign * np.array([item["daily"] for item in made]).reshape(len(points), -1)
            if path == "hidden":  # exactly as good everywhere, whatever the noise
                values = np.repeat(values[:1], len(points), axis=0)
                made = [item | {key: made[0][key] for key in ("values", "daily", "mean")} for item in made]
            kept, p = narrow(span, points, values, 0.1)
            there = [{"value": value, **item} for value, item in zip(points, made, strict=True)]
            scans.append(
                {"setting": path, "round": round_, "p": p, "own": OWN[path], "points": there}
                | {"kept": None if kept is None else kept.dump()}
            )
            if kept is None and round_ == 1:
                del spans[path]
            elif kept is not None:
                spans[path] = kept
    return spans, scans
