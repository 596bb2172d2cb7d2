"""What each objective of the tree libraries finds of a weak planted signal, with normal and with heavy-tailed noise.

Rows of 150 stocks a day with 20 features, four of which drive the label by a nonlinear signal; labels are standardised
on each day. Fits stop early on RankIC; scores are judged on other days. Every objective sees the same rows.
"""

import argparse

import numpy as np

from alphaloom.losses.validation import DailyRankIC, highest
from alphaloom.models.base import FitContext, Rows, models
from benchmarks.record import save

STOCKS, FEATURES = 150, 20
CASES = [
    *(("lightgbm", {"objective": name}) for name in ("mse", "ic")),
    ("lightgbm", {"objective": "ic", "softness": 1e-6}),
    *(("lightgbm", {"objective": name}) for name in ("rank_ic", "ndcg")),
    *(("xgboost", {"objective": name}) for name in ("mse", "ic", "rank_ic", "ndcg")),
    *(("catboost", {"objective": name}) for name in ("mse", "demeaned_mse", "ndcg")),
]


def sample(days: int, strength: float, tails: float, seed: int) -> Rows:
    """Return rows whose label holds a signal of this strength among noise of Student's t with `tails` freedoms."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((days * STOCKS, FEATURES)).astype(np.float32)
    signal = x[:, 0] * (x[:, 1] > 0) + 0.5 * np.sin(2 * x[:, 2]) + 0.3 * x[:, 3]
    noise = rng.standard_t(tails, days * STOCKS) / np.sqrt(tails / (tails - 2))
    label = (strength * signal / signal.std() + noise).reshape(days, STOCKS)
    label = (label - label.mean(axis=1, keepdims=True)) / label.std(axis=1, keepdims=True)
    return Rows(x, label.ravel().astype(np.float32), np.arange(days + 1) * STOCKS)


def measures(
    library: str, settings: dict[str, object], tails: float, strength: float, seed: int
) -> tuple[float, float]:
    """Return out-of-sample RankIC, and the mean label of the tenth of stocks with the highest scores."""
    train, valid, test = (sample(days, strength, tails, 3 * seed + k) for k, days in enumerate((200, 50, 100)))
    common = {"name": library, "n_estimators": 150, "learning_rate": 0.05, "select_on": "rank_ic"}
    model = models.parse(common | {"early_stopping_rounds": 20} | settings)
    context = FitContext(seed, 1, tuple(f"f{k}" for k in range(FEATURES)))
    score = model.fit(train, valid, context).predict(test.x)
    daily = np.split(score, test.days)
    labels = np.split(test.y, test.days)
    size = STOCKS // 10
    top = float(np.mean([highest(s, size) @ y / size for s, y in zip(daily, labels, strict=True)]))
    return DailyRankIC(test.y, test.offsets)(score), top


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strength", type=float, default=0.1, help="deviation of the signal in those of the noise")
    args = parser.parse_args(arguments)
    found = {
        (library, str(settings), tails): np.array(
            [measures(library, settings, tails, args.strength, seed) for seed in range(args.seeds)]
        )
        for tails in (30.0, 2.5)
        for library, settings in CASES
    }
    rows = []
    for library, settings in CASES:
        row: dict[str, object] = {"library": library, "objective": ", ".join(map(str, settings.values()))}
        for tails, name in ((30.0, "normal"), (2.5, "heavy tails")):
            own = found[library, str(settings), tails]
            gap = own[:, 0] - found[library, str({"objective": "mse"}), tails][:, 0]
            error = gap.std(ddof=1) / np.sqrt(gap.size)
            row[f"RankIC, {name}"] = f"{own[:, 0].mean():.4f}"
            row[f"less mse, {name}"] = f"{gap.mean():+.4f} ({error:.4f})"
        row["top tenth, heavy tails"] = f"{found[library, str(settings), 2.5][:, 1].mean():.3f}"
        rows.append(row)
    brackets = "in brackets the standard error of the difference"
    shape = f"200 days of {STOCKS} stocks to train on, 50 to stop on, 100 to judge"
    notes = [
        f"Means over {args.seeds} markets; {brackets}. Top tenth: mean label, in deviations of the day.",
        f"{shape}; signal {args.strength:g} noise deviations. `ic, 1e-06` is the bare correlation.",
    ]
    save("tree_planted", "Objectives of trees on a planted signal", rows, {"seeds": args.seeds}, notes)
    return 0
