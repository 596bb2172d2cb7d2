"""What fits read: market, features, labels and sample dates of a recipe, and the experiment that they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alphaloom import __version__
from alphaloom.backtest.run import required_fields as backtest_fields
from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_panel
from alphaloom.data.store import Store
from alphaloom.data.universe.build import required_fields as universe_fields
from alphaloom.errors import DataError
from alphaloom.executors.machine import memory_gb
from alphaloom.features.compute import compute_block, max_lookback
from alphaloom.features.compute import required_fields as feature_fields
from alphaloom.losses.base import RETURN
from alphaloom.panel import Panel
from alphaloom.portfolio.build import required_fields as portfolio_fields
from alphaloom.recipe import Recipe
from alphaloom.risk_inputs import risk_fields
from alphaloom.spec import Component, fingerprint
from alphaloom.training.code import code_hash
from alphaloom.training.inputs import Inputs
from alphaloom.training.rolling import Experiment
from alphaloom.training.splits import sample_rows
from alphaloom.transforms.chain import apply_cross_sectional, split_chain
from alphaloom.transforms.chain import required_fields as transform_fields
from alphaloom.typing import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything before training, on one pair of axes.

    `block [T, N, F]`: features after the leading cross-sectional transforms. `label [T, N]`: the raw label;
    `target [T, N]`: what models fit, `further` what networks learn beside it. `rows`: sample dates. `ends [T]`: last
    row that each label reads.
    """

    market: Panel
    """The part of the market on whose axes all of this stands: dates with their history, stocks ever a member."""
    features: tuple[str, ...]
    block: Floats
    label: Floats
    target: Floats
    rows: Ints
    ends: Ints
    first: int
    """Row of the whole market at which this part begins."""
    columns: Bools
    """Which of the whole market's stocks it holds."""
    further: tuple[Floats, ...] = ()

    def on_market(self, values: Floats) -> Floats:
        """Return values `[T, N]` of this part on the whole market's axes, NaN elsewhere."""
        out = np.full((self.first + values.shape[0], self.columns.size), np.nan, dtype=np.float32)
        out[self.first :, self.columns] = values
        return out


def load_market(recipe: Recipe, store: Store, *, until: object = None) -> Panel:
    """Return the panel with every field that the recipe's stages read, from the store's first date on.

    Fields lie on disk and are mapped, so dates before the recipe's start cost nothing; they give windows their
    history.

    Raises:
        MissingFieldError: a field needs a column that the store lacks; the message says which stage needs it.
    """
    end = until if until is not None else recipe.data.end
    needed = needed_fields(recipe, store)
    return load_panel(store, list(needed), end=end, needed_by=needed)


def needed_fields(recipe: Recipe, store: Store) -> dict[str, str]:
    """Return the fields that a recipe's stages read, and the first that needs each."""
    needed: dict[str, str] = {}
    for who, fields in (
        ("the features", feature_fields(recipe.features)),
        ("the transforms", transform_fields((*recipe.transforms, *recipe.label_transforms))),
        ("the label", [f for item in recipe.every_label for f in item.required]),
        ("the windows of several steps", ["is_suspended"] if any(m.steps > 1 for m in recipe.models) else []),
        ("the losses", [name for name in _fit_extras(recipe) if name != RETURN]),
        ("the universe rules", universe_fields(recipe.universe)),
        ("the horizons", [f"adj_{recipe.horizons.price}"]),
        *risk_fields(recipe.risk, available_fields(store)).items(),
        ("the portfolios", [f for item in recipe.portfolios for f in portfolio_fields(item)]),
        ("the backtest", backtest_fields(recipe.backtest) if recipe.portfolios else []),
    ):
        for name in fields:
            needed.setdefault(name, who)
    return needed


def _fit_extras(recipe: Recipe) -> list[str]:
    """Return what the models' losses and stopping rules read beside features and label, each name once."""
    return list(dict.fromkeys(name for model in recipe.models for name in model.extras))


@dataclass(frozen=True, eq=False)
class SamplePlan:
    """Which dates are samples, on the market's part that begins at row `first`; nothing is computed for it."""

    first: int
    """Row of the whole market at which the part begins: far enough back for all inputs."""
    reach: int
    """How many rows before a sample date its features, the models' steps and its labels read."""
    rows: Ints
    """Sample dates, rows of the part."""
    entries: Ints
    """First row after it that some label of each row reads `[T]`; -1 where there is none."""
    ends: Ints
    """Last row that some label of each row reads `[T]`."""


def sample_plan(recipe: Recipe, market: Panel) -> SamplePlan:
    """Return the sample dates of a recipe and the spans of their labels.

    Raises:
        DataError: no date from the recipe's start on, or inputs longer than the data.
    """
    start = _start(recipe, market)
    back = reach(recipe, market)
    first = max(0, start - back)
    history, dates = _history(recipe), market.dates[first:]
    # Counted from the recipe's first date: how far back models look must not move the dates of `every N`.
    rows = sample_rows(market.dates[start:], recipe.schedule) + start - first
    rows = rows[(rows >= history) & market.universe[first + rows].any(axis=1)]
    entries = np.min([item.entries(dates) for item in recipe.every_label], axis=0)
    ends = np.max([item.ends(dates) for item in recipe.every_label], axis=0)
    return SamplePlan(first, back, rows, entries, ends)


def prepare(recipe: Recipe, market: Panel, *, threads: int, only: int | None = None) -> Prepared:
    """Return features, labels and sample dates from the recipe's first date on, with the history that inputs need.

    Args:
        recipe: the experiment.
        market: the market with the recipe's universe.
        threads: threads for the transforms.
        only: row of one single date to score; labels are then left empty.
    """
    if only is None:
        plan = sample_plan(recipe, market)
        first, rows, ends = plan.first, plan.rows, plan.ends
    else:
        first = max(0, only - _reach(recipe, market, []))
        rows = np.array([only - first])
        ends = np.full(market.dates.size - first, market.dates.size - first)
    columns = np.asarray(market.universe[first:].any(axis=0))
    part = market.rows(first, market.dates.size).columns(columns)
    names, block = feature_block(recipe, part, threads=threads)
    label = target = np.full(part.shape, np.nan, dtype=np.float32)
    further: tuple[Floats, ...] = ()
    if only is None:
        label = recipe.label.compute(part)
        target = target_of(recipe, label, part)
        further = tuple(target_of(recipe, item.compute(part), part) for item in recipe.further_labels)
    return Prepared(part, names, block, label, target, rows, ends, first, columns, further)


def feature_block(
    recipe: Recipe, part: Panel, *, threads: int, may_be_empty: bool = False
) -> tuple[tuple[str, ...], Floats]:
    """Return names and values `[T, N, F]` of the features after the leading cross-sectional transforms.

    Raises:
        DataError: the block is larger than this machine's memory; nothing was computed.
    """
    _require_memory(recipe, part)
    names, block = compute_block(recipe.features, part, may_be_empty=may_be_empty)
    leading, _ = split_chain(recipe.transforms)
    # The block of a large market is many gigabytes: it is rewritten where it lies unless a family shares its memory.
    owned = block.flags.writeable and block.flags.c_contiguous
    return tuple(names), apply_cross_sectional(leading, block, part, in_place=owned, threads=threads)


def _require_memory(recipe: Recipe, part: Panel) -> None:
    T, N = part.shape
    F = sum(len(family.columns()) for family in recipe.features)
    needs, has = 4 * T * N * F / 1e9, memory_gb()
    if needs > has:
        raise DataError(
            f"The features take {needs:,.0f} GB of memory ({T:,} dates x {N:,} stocks x {F:,} features, 4 bytes each), "
            f"but this machine has {has:,.0f} GB. Set data.start later, narrow the universe (index members, least "
            "amount), name fewer features, or use a machine with more memory."
        )


def reach(recipe: Recipe, market: Panel) -> int:
    """Return how many rows before a sample date the features, the models' steps and the labels read."""
    return _reach(recipe, market, [item.lookback for item in recipe.every_label])


def _start(recipe: Recipe, market: Panel) -> int:
    start = market.span(recipe.data.start)[0]
    if start >= market.dates.size:
        raise DataError(f"data.start is {recipe.data.start}, after the last trading day loaded, {market.dates[-1]}.")
    return start


def _history(recipe: Recipe) -> int:
    return max((model.steps - 1) * model.stride for model in recipe.models)


def _reach(recipe: Recipe, market: Panel, lookbacks: Sequence[int]) -> int:
    """Return how many rows before a date its inputs read, with labels of these look-backs."""
    history = _history(recipe)
    if history >= market.dates.size:
        raise DataError(
            f"A model's input is longer than the data: its steps reach {history} trading days back, the store has "
            f"{market.dates.size}. Lessen steps or stride, or load earlier dates."
        )
    return history + max(max_lookback(recipe.features), *lookbacks, 0)


def target_of(recipe: Recipe, label: Floats, part: Panel) -> Floats:
    """Return what models fit `[T, N]`: the members' labels after the recipe's transforms."""
    target = np.where(part.universe, label, np.float32(np.nan))
    return apply_cross_sectional(recipe.label_transforms, target[:, :, None], part)[:, :, 0]


def make_experiment(recipe: Recipe, prepared: Prepared, data_hash: str) -> Experiment:
    """Return what the rolling runner needs, keyed by the data and every setting before the models."""
    settings = recipe.part(
        "data", "universe", "features", "transforms", "label", "further_labels", "label_transforms", "schedule"
    )
    _, fitted = split_chain(recipe.transforms)
    inputs = Inputs(
        panel=prepared.market,
        features=prepared.features,
        block=prepared.block,
        label=prepared.target,
        transforms=tuple(fitted),
        rows=prepared.rows,
        ends=prepared.ends,
        key=fingerprint([data_hash, settings, __version__, code_hash(_computing(recipe), Path(__file__))]),
        extras={name: prepared.label if name == RETURN else prepared.market[name] for name in _fit_extras(recipe)},
        further=prepared.further,
    )
    models = dict(zip(recipe.model_names(), recipe.models, strict=True))
    return Experiment(inputs, models, recipe.repeats, recipe.seed, recipe.tuning)


def _computing(recipe: Recipe) -> list[Component]:
    """Return the components that scores depend on."""
    return [
        *recipe.universe,
        *recipe.features,
        *recipe.transforms,
        recipe.label,
        *recipe.further_labels,
        *recipe.label_transforms,
        *recipe.models,
    ]
