"""What a run's models learned: methods of interpretation on its stored fits, each result kept beside them."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import DataError, SettingError, UsageError, unknown_name
from alphaloom.interpretation import days
from alphaloom.interpretation.base import Interpretation, Method, Subject, methods, rank_correlation
from alphaloom.preparation import Prepared, load_market, prepare
from alphaloom.recipe import Recipe
from alphaloom.report.runs import RunFolder
from alphaloom.spec import fingerprint
from alphaloom.training.code import code_hash
from alphaloom.training.fit import Fitted, load_fitted
from alphaloom.training.inputs import STATES, traded
from alphaloom.training.samples import Samples
from alphaloom.transforms.chain import apply_chain, load_states, split_chain
from alphaloom.typing import Dates, Doubles, Floats, Ints

FOLDER, KEYS = "interpretation", "interpretation/keys.json"
CORRELATED_DATES = 24
"""Test dates, evenly spaced, from which correlations between features are taken."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was found, method by method, and what could not be asked."""

    found: tuple[Interpretation, ...]
    notes: tuple[str, ...] = ()
    computed: int = 0
    """Windows of a model that a method was run on."""
    reused: int = 0
    """Windows of a model whose result lay in the run's folder."""
    discarded: tuple[str, ...] = ()
    """What lay there of other settings, code or fits and is gone, a sentence a method."""


def explain(
    run: Path,
    store: Store,
    asked: Sequence[Any] = (),
    *,
    model: str | None = None,
    window: str | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Explanation:
    """Return what the methods tell of a finished run's models; nothing is fitted, and what is kept is not redone.

    Args:
        run: folder of the run.
        store: the data that the run was made from.
        asked: methods by name or as `{name: ..., setting: ...}`; none takes every one that suits the models.
        model: one of the run's models; None takes all.
        window: one of the run's windows; None takes all.
        threads: for scoring.
        progress: told what is being worked on.

    Raises:
        UsageError: no finished run; no such model, window or method; or a method that suits none of the models.
        DataError: the store does not hold the data of the run.
    """
    folder = RunFolder.existing(run)
    recipe = Recipe.parse(yaml.safe_load(folder.read_text("recipe.yaml")), where="recipe.yaml")
    names = _one_of("model", model, recipe.model_names(), run)
    windows = _one_of("window", window, folder.windows(), run)
    chosen = [methods.parse(item, "--method") for item in asked]

    def prepared() -> Prepared:
        if progress:
            progress("features", 0, 1)
        market, _ = build_universe(recipe.universe, load_market(recipe, store))
        return prepare(recipe, market, threads=threads)

    work = _Explainer(folder, recipe, prepared, threads, progress)
    made = work.run(chosen or [cls() for cls in methods], names, windows, strict=bool(chosen))
    return replace(made, notes=(*made.notes, *work.coverage(made.found)))


def interpret(
    recipe: Recipe, prepared: Prepared, folder: RunFolder, *, threads: int, progress: Progress | None = None
) -> Explanation:
    """Return what the recipe's methods tell of a run's models, and whatever `explain` left there and is still true.

    A method of the recipe that suits none of the models is told in the notes: it may not end a run after its training.
    """
    work = _Explainer(folder, recipe, lambda: prepared, threads, progress)
    names = recipe.model_names()
    windows = folder.windows()
    cheap = [cls() for cls in methods if cls.is_cheap]
    made = work.run(cheap if recipe.interpretation is None else recipe.interpretation, names, windows, strict=False)
    known = {item.method.name for item in made.found}
    kept = [work.kept(name) for name in work.keys if name not in known]
    found = (*made.found, *(item for item in kept if item))
    notes = () if recipe.interpretation is None else made.notes
    return replace(made, found=found, notes=(*notes, *work.coverage(found)))


def _one_of(kind: str, name: str | None, allowed: Sequence[str], run: Path) -> list[str]:
    if name is not None and name not in allowed:
        raise unknown_name(kind, name, allowed, f"run {run}")
    return list(allowed) if name is None else [name]


@dataclass(eq=False)
class _Explainer:
    """Runs methods on the fits of one run, keeps what they return, and knows what is kept."""

    folder: RunFolder
    recipe: Recipe
    prepare: Callable[[], Prepared]
    threads: int
    progress: Progress | None
    known: dict[tuple[str, str], str | None] = field(default_factory=dict)
    """Keys of units, by method and unit: they stand for files that do not change while this one lives."""

    def run(
        self, asked: Sequence[Method], names: Sequence[str], windows: Sequence[str], *, strict: bool
    ) -> Explanation:
        """Return what the methods tell; with `strict` a method that suits none of the models is an error."""
        found, notes, gone, computed, reused = [], [], [], 0, 0
        for method in asked:
            able = {name: method.lacking(self.fits(name, windows[0])[0]) for name in names}
            suited = [name for name in names if not able[name]]
            if not suited:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in able.items())
                if strict:
                    raise UsageError(f"The method {method.name} suits no model asked for. {reasons}.")
                notes.append(f"{method.name} was left out. {reasons}.")
                continue
            units = [(name, window) for name in suited for window in windows]
            fresh = self._fresh(method)
            lacking = [unit for unit in units if _unit(*unit) not in fresh]
            gone += self._lost(method, {*fresh, *(_unit(*unit) for unit in units)}) if lacking else []
            for k, (name, window) in enumerate(lacking):
                self._explain(method, name, window, f" ({k + 1}/{len(lacking)})")
            computed, reused = computed + len(lacking), reused + len(units) - len(lacking)
            found.append(self._read(method, units))
        return Explanation(tuple(found), tuple(notes), computed, reused, tuple(gone))

    def _lost(self, method: Method, stay: Collection[str]) -> list[str]:
        """Return a sentence on what is kept of a method beside the units that stay; the next `_keep` drops it."""
        lost = [unit for unit in self.keys.get(method.name, {"units": {}})["units"] if unit not in stay]
        why = "they were of other settings, code or fits"
        return [f"Results of {method.name} for {', '.join(lost)} were discarded: {why}."] if lost else []

    def coverage(self, found: Sequence[Interpretation]) -> list[str]:
        """Return a sentence on each model and method whose results do not cover every window of the run."""
        total = len(self.folder.windows())
        notes = []
        for item in found:
            for model in item.models():
                own = item.main.filter(pl.col("model") == model)["window"].unique(maintain_order=True).to_list()
                if len(own) < total:
                    notes.append(f"{item.method.name} of {model}: {len(own)} of {total} windows ({', '.join(own)}).")
        return notes

    @property
    def keys(self) -> dict[str, Any]:
        """What is kept: settings of each method, and the key of every unit."""
        file = self.folder.path / KEYS
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}

    def kept(self, name: str) -> Interpretation | None:
        """Return what is kept of a method as far as its fits are the present ones; None when nothing is.

        Settings that the method no longer has were another method's: nothing is kept of this one.
        """
        if name not in methods:
            return None
        try:
            method = methods.parse(self.keys[name]["settings"])
        except SettingError:
            return None
        models = self.recipe.model_names()
        units = [unit for unit in (tuple(text.split("/", 1)) for text in self._fresh(method)) if unit[0] in models]
        return self._read(method, units) if units else None

    def fits(self, name: str, window: str) -> tuple[Fitted, ...]:
        """Return the repeats of one model on one window."""
        homes = self._tasks(name, window)
        return tuple(load_fitted(home / "fitted", threads=self.threads) for home in homes)

    def _tasks(self, name: str, window: str) -> list[Path]:
        return [self.folder.models / window / f"{name}-s{k}" for k in range(self.recipe.repeats)]

    def _key(self, method: Method, unit: str) -> str | None:
        """Return what a result depends on: method, its code and the keys of the fits; None when a fit is absent."""
        place = (method.name, unit)
        if place not in self.known:
            self.known[place] = self._made_key(method, *unit.split("/", 1))
        return self.known[place]

    def _made_key(self, method: Method, name: str, window: str) -> str | None:
        files = [home / "task.json" for home in self._tasks(name, window)]
        if not all(file.is_file() for file in files):
            return None
        keys = [json.loads(file.read_text(encoding="utf-8"))["key"] for file in files]
        return fingerprint([method.describe(), code_hash([method], Path(days.__file__)), keys])

    def _fresh(self, method: Method) -> list[str]:
        """Return the units whose kept result is what the method would give again."""
        units = self.keys.get(method.name, {"units": {}})["units"]
        return [text for text, key in units.items() if key == self._key(method, text)]

    def _read(self, method: Method, units: Sequence[Sequence[str]]) -> Interpretation:
        wanted = pl.DataFrame(list(units), schema={"model": pl.String, "window": pl.String}, orient="row")
        frames = {}
        for table in type(method).tables:
            frame = self.folder.read_frame(f"{FOLDER}/{table}.parquet")
            frames[table] = wanted.join(frame, on=["model", "window"], how="inner", maintain_order="left_right")
        return Interpretation(method, frames)

    def _explain(self, method: Method, name: str, window: str, count: str) -> None:
        """Run a method on one model and window, and keep what it returns."""
        subject = self._subject(method, name, window)

        def tell(done: int, total: int) -> None:
            if self.progress:
                self.progress(f"{method.name} {name} {window}{count}", done, total)

        self._keep(method, name, window, method.explain(subject, tell))

    def _keep(self, method: Method, name: str, window: str, made: dict[str, pl.DataFrame]) -> None:
        unit = _unit(name, window)
        others = {text: self._key(method, text) for text in self._fresh(method) if text != unit}
        place = pl.col("model") + "/" + pl.col("window")
        for table in type(method).tables:
            own = made[table].with_columns(pl.lit(name).alias("model"), pl.lit(window).alias("window"))
            parts = [own.select("model", "window", *made[table].columns)]
            if others:
                before = self.folder.read_frame(f"{FOLDER}/{table}.parquet")
                parts.insert(0, before.filter(place.is_in(list(others))))
            self.folder.write_frame(f"{FOLDER}/{table}.parquet", pl.concat(parts, how="diagonal_relaxed"))
        units = others | {unit: self._key(method, unit)}
        self.folder.write_json(KEYS, self.keys | {method.name: {"settings": method.describe(), "units": units}})

    @cached_property
    def prepared(self) -> Prepared:
        """Features, labels and universe of the whole run; made when the first method needs them."""
        return self.prepare()

    @cached_property
    def tested(self) -> Ints:
        """Rows of all test dates of the run."""
        first = self.recipe.model_names()[0]
        homes = self.folder.windows()
        return np.unique(np.concatenate([self._rows(first, window) for window in homes]))

    @cached_property
    def correlation(self) -> Doubles:
        """Mean rank correlation of every two features over the test dates."""
        part = np.unique(np.linspace(0, self.tested.size - 1, CORRELATED_DATES).round().astype(np.int64))
        return rank_correlation(self.prepared.block, self.prepared.market.universe, self.tested[part])

    def _stored(self, name: str, window: str) -> pl.DataFrame:
        return pl.read_parquet(self._tasks(name, window)[0] / "scores.parquet")

    def _rows(self, name: str, window: str) -> Ints:
        """Return the rows of the dates that a model was tested on.

        Raises:
            DataError: the store lacks one of them.
        """
        dates = self.prepared.market.dates
        tested: Dates = self._stored(name, window)["date"].unique().sort().to_numpy().astype("datetime64[D]")
        absent = tested[~np.isin(tested, dates)]
        if absent.size:
            raise DataError(f"The run was tested on {absent[0]}, which is no trading day of the store: {OTHER_DATA}")
        return np.searchsorted(dates, tested).astype(np.int64)

    def _subject(self, method: Method, name: str, window: str) -> Subject:
        """Return one model on one window's test dates, transformed and scored as `predict` does."""
        prepared, fits = self.prepared, self.fits(name, window)
        rows = self._rows(name, window)
        model = fits[0].model
        first = max(0, int(rows[0]) - (model.steps - 1) * model.stride)
        stop = int(rows[-1]) + 1
        part, block = prepared.market.rows(first, stop), prepared.block[first:stop]
        _, fitted = split_chain(self.recipe.transforms)
        if fitted:
            block = apply_chain(fitted, load_states(self.folder.models / window / STATES, fitted), block, part)
        empty = np.full(part.shape, np.nan, dtype=np.float32)
        samples = Samples(
            np.ascontiguousarray(block), empty, part.universe, rows - first, dates=part.dates, traded=traded(part)
        )
        self._check(name, window, fits[0], samples, prepared.market.symbols)
        return Subject(
            model=name,
            window=window,
            fits=fits,
            samples=samples,
            dates=prepared.market.dates[rows],
            correlation=self.correlation,
            label=prepared.target[rows] if method.reads_labels else None,
            overlap=self._overlap(rows),
            seed=self.recipe.seed,
            threads=self.threads,
        )

    def _check(self, name: str, window: str, fit: Fitted, samples: Samples, symbols: Any) -> None:
        """Refuse a store whose data give other scores on the first test date than the run has.

        Raises:
            DataError: they do.
        """
        made: Floats = fit.predict(samples.subset(samples.rows[:1]))[0]
        day = self._stored(name, window).sort("date")
        day = day.filter(pl.col("date") == day["date"][0])
        own = dict(day.select("symbol", "score").iter_rows())
        there = {str(symbols[n]): float(made[n]) for n in np.flatnonzero(~np.isnan(made))}
        spread = float(np.std(list(own.values()))) or 1.0
        if own.keys() != there.keys() or max(abs(own[s] - there[s]) for s in own) > 1e-3 * spread:
            raise DataError(f"{name} on window {window} scores {day['date'][0]} otherwise than the run: {OTHER_DATA}")

    def _overlap(self, rows: Ints) -> int:
        """Return how many neighbouring dates' labels share returns, at most: of the label that is judged, the first."""
        dates = self.prepared.market.dates
        ends = self.recipe.label.ends(dates)
        entries = self.recipe.label.entries(dates)
        entries = np.where(entries[rows] < 0, dates.size, entries[rows])
        later = np.searchsorted(entries, ends[rows], side="left") - np.arange(rows.size)
        return max(1, int(later.max(initial=1)))


OTHER_DATA = "it does not hold the data of the run, or the code has changed. Run `alphaloom run` again."


def _unit(model: str, window: str) -> str:
    return f"{model}/{window}"
