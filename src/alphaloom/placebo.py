"""Placebo: the same training on labels that mean nothing, and how often it comes to as much."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import UsageError
from alphaloom.kernels.cross_rank import rank_ic
from alphaloom.losses.base import RETURN
from alphaloom.preparation import load_market, make_experiment, prepare
from alphaloom.recipe import Recipe
from alphaloom.report.files import write_text
from alphaloom.report.page import put_audit
from alphaloom.report.runs import RunFolder
from alphaloom.report.sections_study import audit_section
from alphaloom.spec import fingerprint
from alphaloom.stages import headline
from alphaloom.training.ensemble import EnsembleSettings, ensemble_scores
from alphaloom.training.rolling import Experiment, run_rolling
from alphaloom.training.splits.base import Window
from alphaloom.typing import Array, Floats, Ints

Kind = Literal["names", "dates"]
KINDS: Mapping[str, str] = {
    "names": "every stock gets another stock's labels, the same one on all dates: labels keep their persistence",
    "dates": "the labels of each date are dealt out anew among its stocks: nothing persists",
}
FILE = "placebo.json"
"""Results by kind, in a run's folder."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Placebo:
    """What the run's training comes to on its own labels, and on labels that mean nothing.

    RankIC is that of the traded scores against what the models were fitted to, the mean over all tested dates.
    """

    kind: str
    observed: float
    placebos: tuple[float, ...]

    @property
    def p(self) -> float:
        """The chance of at least the observed RankIC where there is nothing to learn: `(1 + count) / (1 + repeats)`."""
        reached = sum(value >= self.observed for value in self.placebos)
        return (1 + reached) / (1 + len(self.placebos))

    def sentence(self) -> str:
        """Return the result in words."""
        values = np.array(self.placebos)
        mean, most = values.mean(), values.max()
        return (
            f"RankIC {self.observed:.4f} against what the models were fitted to; {values.size} trainings on labels "
            f"permuted over {self.kind} came to {mean:.4f} on average, {most:.4f} at most: p {self.p:.3f}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        values = np.array(self.placebos)
        return {
            "kind": self.kind,
            "words": self.sentence(),
            "meaning": KINDS[self.kind],
            "rank_ic": self.observed,
            "placebos": list(self.placebos),
            "placebo_mean": float(values.mean()),
            "placebo_deviation": float(values.std(ddof=1)) if values.size > 1 else None,
            "p": self.p,
        }


def run_placebo(
    run: Path,
    store: Store,
    *,
    kind: Kind = "names",
    repeats: int = 20,
    threads: int = 1,
    progress: Progress | None = None,
) -> Placebo:
    """Fit a finished run's models again on permuted labels and compare; `placebo.json` is left in the run.

    Every window is trained and tested as in the run, with the same features, transforms and seeds. A repeat that was
    finished is not computed again; an interrupted one goes on from its finished fits, which are removed at its end.

    Args:
        run: folder of the run.
        store: the data that it was made from.
        kind: what is permuted (`KINDS`).
        repeats: how often; p is at least `1 / (1 + repeats)`.
        threads: for the models' fits.
        progress: told what is being worked on.

    Raises:
        UsageError: no finished run, another store, or no such kind.

    Source: Ojala and Garriga (2010), Permutation tests for studying classifier performance, test 1; over names to keep
    what persists.
    """
    if kind not in KINDS:
        raise UsageError(f"There is no placebo of kind {kind!r}; choose {' or '.join(KINDS)}.")
    if repeats < 1:
        raise UsageError(f"repeats is {repeats}; at least 1 is needed.")
    folder = RunFolder.existing(run)
    recipe = Recipe.parse(yaml.safe_load(folder.read_text("recipe.yaml")), where="recipe.yaml")
    data_hash = store.fingerprint()
    if folder.state()["data_hash"] != data_hash:
        raise UsageError(
            f"{run} was made from other data (hash {folder.state()['data_hash']}, this store {data_hash})."
        )
    tell = progress or (lambda *_: None)
    tell("features", 0, 1)
    market, _ = build_universe(recipe.universe, load_market(recipe, store))
    prepared = prepare(recipe, market, threads=threads)
    windows = recipe.windows.windows(prepared.market.dates, prepared.rows, prepared.ends)
    experiment = make_experiment(recipe, prepared, data_hash)
    observed = _rank_ic(experiment, windows, folder.models, recipe.ensemble, threads)
    values = []
    for k in range(repeats):
        tell(f"placebo over {kind}", k, repeats)
        home = folder.path / "placebo" / kind / f"{k:03d}"
        values.append(_repeat(permuted(experiment, kind, [recipe.seed, k]), windows, home, recipe.ensemble, threads))
    found = Placebo(kind, observed, tuple(values))
    folder.write_json(FILE, {**(folder.find_json(FILE) or {}), kind: found.to_dict()})
    page = folder.path / "report.html"
    if page.is_file():
        put_audit(page, audit_section(folder.find_json("audit.json"), folder.read_json(FILE)))
    return found


def permuted(experiment: Experiment, kind: Kind, seed: list[int]) -> Experiment:
    """Return the experiment with permuted labels; returns that losses weigh by and further labels move with them."""
    given = experiment.inputs
    source = _sources(given.label, kind, np.random.default_rng([*seed, list(KINDS).index(kind)]))

    def moved(values: Floats) -> Floats:
        return np.take_along_axis(np.asarray(values), source, axis=1)

    inputs = replace(
        given,
        label=moved(given.label),
        further=tuple(moved(values) for values in given.further),
        extras={name: moved(values) if name == RETURN else values for name, values in given.extras.items()},
        key=fingerprint([given.key, kind, seed]),
    )
    return replace(experiment, inputs=inputs)


def _sources(label: Floats, kind: Kind, rng: np.random.Generator) -> Ints:
    """Return from which column each cell `[T, N]` gets its label."""
    T, N = label.shape
    if kind == "names":
        return np.broadcast_to(rng.permutation(N), (T, N))
    source: Array = np.broadcast_to(np.arange(N), (T, N)).copy()
    for t in range(T):
        known = np.flatnonzero(np.isfinite(label[t]))
        source[t, known] = rng.permutation(known)
    return source


def _repeat(
    experiment: Experiment, windows: list[Window], home: Path, ensemble: EnsembleSettings, threads: int
) -> float:
    file = home / "result.json"
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if kept["key"] == experiment.inputs.key:
            return float(kept["rank_ic"])
    value = _rank_ic(experiment, windows, home / "models", ensemble, threads)
    write_text(file, json.dumps({"key": experiment.inputs.key, "rank_ic": value}) + "\n")
    shutil.rmtree(home / "models")
    return value


def _rank_ic(
    experiment: Experiment, windows: list[Window], models: Path, ensemble: EnsembleSettings, threads: int
) -> float:
    trained = run_rolling(experiment, windows, models, threads=threads)
    scores = ensemble_scores(experiment, windows, trained, models, ensemble, threads=threads)
    rows = np.concatenate([window.test for window in windows])
    daily = rank_ic(scores[headline(scores)][rows], experiment.inputs.label[rows])[0]
    return float(np.nanmean(daily))
