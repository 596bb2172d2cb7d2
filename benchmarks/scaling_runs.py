"""Runs of the main job on simulated markets, of which every stage is measured: CPU seconds, memory, disk."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alphaloom import pipeline, preparation, stages
from alphaloom.bench.machine import resident_mb
from alphaloom.data.load import load_panel
from alphaloom.data.simulate import SimulatedMarket, simulate
from alphaloom.data.store import Store
from alphaloom.recipe import Recipe
from alphaloom.report.study import StudyReport
from alphaloom.training import rolling
from alphaloom.training.fits import Fit
from alphaloom.training.tuning import search
from alphaloom.training.tuning.trial import Candidate
from benchmarks.meter import measured

STEPS, EPOCHS = 5, 2
"""Of the GRU."""


@dataclass(frozen=True)
class Case:
    """One market, and the job that is run on it."""

    stocks: int
    years: int
    features: str
    """One family."""
    trees: int
    first_test: str
    """First month of testing."""
    last_test: str
    """Month in which the last window begins."""
    hidden: int = 32
    steps: int = STEPS
    trials: int = 0
    """Candidates of a search for LightGBM's learning rate; 0 tunes nothing."""
    ridges: int = 0
    """Ridge regressions beside the other models."""


def trees(count: int) -> dict[str, Any]:
    """Return settings of a tree library without early stopping, so that sizes alone say how much there is to do."""
    return {"n_estimators": count, "early_stopping_rounds": 0}


def network(hidden: int, steps: int) -> dict[str, Any]:
    """Return settings of a GRU that trains for all its epochs."""
    optimisation = {"epochs": EPOCHS, "patience": EPOCHS, "rows_per_step": 1024}
    return {"steps": steps, "hidden": hidden, "optimisation": optimisation}


def recipe_of(case: Case) -> Recipe:
    """Return the recipe, with every stage."""
    ridges = [{"name": "ridge", "penalty": 10.0 * (k + 1)} for k in range(case.ridges)]
    tuning = {"preset": None, "spaces": {"lightgbm": {"learning_rate": {"low": 0.01, "high": 0.1}}}}
    return Recipe.parse(
        {
            "name": "scaling",
            "universe": [{"name": "listed", "days": 60}, "not_suspended", "not_locked"],
            "features": [case.features],
            "transforms": [
                {"name": "mad_clip", "k": 5},
                {"name": "industry_fill", "fallback": "cross_section"},
                {"name": "neutralise", "industry": True, "regressors": ["log_cap"]},
                {"name": "zscore", "clip": 5},
                {"name": "fill", "by": "constant", "value": 0},
            ],
            "label": {"name": "forward_return", "horizon": 5, "entry_lag": 1, "price": "vwap"},
            "label_transforms": ["rank_gauss"],
            "schedule": "weekly",
            "windows": {"train_months": 24, "test_months": 6, "valid_share": 0.2}
            | {"first_test": case.first_test, "last_test": case.last_test},
            "models": [
                {"name": "lightgbm"} | trees(case.trees),
                {"name": "xgboost"} | trees(case.trees),
                {"name": "gru"} | network(case.hidden, case.steps),
                *ridges,
            ],
            **({"tuning": tuning | {"scan": None, "trials": case.trials, "pruner": "none"}} if case.trials else {}),
            "interpretation": [],
            "horizons": {"periods": [1, 4], "price": "vwap", "lag": 1},
            "risk": {"styles": ["size", "beta", "residual_volatility", "liquidity"], "benchmark": "SH000905"}
            | {"model": "cne5"},
            "portfolios": [
                {"name": "linear_programme", "style_limit": 0.5, "industry_limit": 0.5, "num_stock": 30}
                | {"turnover_limit": 0.5},
                {"name": "topk", "k": 30},
            ],
            "backtest": {"capital": 20000000, "price": "vwap"},
        },
        where="scaling",
    )


def make_store(folder: Path, stocks: int, years: int) -> None:
    """Simulate a market, and bring its fields into the form that runs map."""
    store = simulate(SimulatedMarket(stocks=stocks, years=years), folder)
    for family in ("alpha158", "factors"):
        case = Case(stocks, years, family, 1, "2018-01", "2018-01")
        load_panel(store, list(preparation.needed_fields(recipe_of(case), store)))


Measurement = dict[str, Any]
"""`stage`, `cpu`, `peak_mb` above what the process held, `held_mb` when it began, and the sizes of what was done."""


def run_case(store: str, case: Case, out: str) -> list[Measurement]:
    """Run the job, and return what each stage took, each fit by itself, and the whole."""
    recipe, found = recipe_of(case), list[Measurement]()
    with ExitStack() as stack:
        for owner, name, sizes in WATCHED:
            stack.enter_context(_watched(owner, name, sizes, found))
        with measured() as whole:
            pipeline.run(recipe, Store(Path(store)), Path(out), threads=1)
    begun: set[str] = set()
    for item in found:
        item["first"] = item["stage"] not in begun  # it imports a library; the first candidate bins all windows' rows
        begun.add(item["stage"])
    disk = sum(file.stat().st_size for file in Path(out).rglob("*") if file.is_file()) / 1e6
    report = (Path(out) / "report.html").stat().st_size / 1e6
    absolute = max(item["held_mb"] + item["peak_mb"] for item in found)
    prepared = next(item for item in found if item["stage"] == "features")
    prepared["family"] = case.features
    sizes = {"T": prepared["T"], "N": prepared["N"], "F": prepared["F"], "M": 3 + case.ridges}
    facts = {"stage": "whole run", "cpu": whole.cpu, "peak_mb": whole.peak_mb, "held_mb": 0.0, "absolute_mb": absolute}
    return [*found, facts | sizes | {"disk_mb": disk, "report_mb": report, "case": asdict(case)}]


@contextmanager
def _watched(
    owner: Any, name: str, sizes: Callable[[tuple[Any, ...], Any], Mapping[str, Any]], found: list[Measurement]
) -> Iterator[None]:
    own = getattr(owner, name)

    def call(*given: Any, **named: Any) -> Any:
        held, _ = resident_mb()
        with measured() as taken:
            value = own(*given, **named)
        arguments = (*given, *named.values())
        found.append({"cpu": taken.cpu, "peak_mb": taken.peak_mb, "held_mb": held, **sizes(arguments, value)})
        return value

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, own)


def _block(stage: str) -> Callable[[tuple[Any, ...], Any], Mapping[str, Any]]:
    def sizes(_: tuple[Any, ...], value: Any) -> Mapping[str, Any]:
        block = value[1] if isinstance(value, tuple) else value
        T, N, F = block.shape
        return {"stage": stage if F > 1 else "label", "T": T, "N": N, "F": F}

    return sizes


def _panel(
    stage: str, of: Callable[[tuple[Any, ...], Any], Any]
) -> Callable[[tuple[Any, ...], Any], Mapping[str, Any]]:
    def sizes(arguments: tuple[Any, ...], value: Any) -> Mapping[str, Any]:
        T, N = of(arguments, value).shape
        return {"stage": stage, "T": T, "N": N}

    return sizes


def _fit(arguments: tuple[Any, ...], _: Any) -> Mapping[str, Any]:
    source, _storage, fit = arguments
    assert isinstance(fit, Fit)
    inputs, window, model = source.get(), fit.window, fit.model
    common = _rows(inputs, window.train, "R") | _rows(inputs, window.valid, "V") | _rows(inputs, window.test, "Q")
    own = {name: getattr(model, name) for name in ("n_estimators", "hidden", "steps") if hasattr(model, name)}
    return {"stage": type(model).name, "F": inputs.block.shape[2], **common, **own, "epochs": EPOCHS}


def _candidate(arguments: tuple[Any, ...], _: Any) -> Mapping[str, Any]:
    source, _storage, candidate = arguments
    assert isinstance(candidate, Candidate)
    inputs = source.get()
    counts = [
        _rows(inputs, fold.train, "R") | _rows(inputs, fold.valid, "V") | _rows(inputs, fold.test, "Q")
        for fold in candidate.folds
    ]
    total = {key: sum(item[key] for item in counts) for key in ("R", "V", "Q")}
    model: Any = candidate.model
    first, last = candidate.span
    spanned = _rows(inputs, inputs.rows[(inputs.rows >= first) & (inputs.rows <= last)], "spanned")
    sizes = {"F": inputs.block.shape[2], "folds": len(counts), "n_estimators": model.n_estimators, **spanned}
    return {"stage": "candidate", **sizes, **total}


def _rows(inputs: Any, dates: Any, name: str) -> dict[str, int]:
    return {name: int(inputs.panel.universe[dates].sum())}


def _trade(stage: str, T_of: Callable[[tuple[Any, ...]], int]) -> Callable[[tuple[Any, ...], Any], Mapping[str, Any]]:
    return lambda arguments, _: {"stage": stage, "N": arguments[1].shape[1], "T": T_of(arguments)}


WATCHED: tuple[tuple[Any, str, Callable[[tuple[Any, ...], Any], Mapping[str, Any]]], ...] = (
    (pipeline, "build_universe", _panel("universe", lambda arguments, _: arguments[1])),
    (preparation, "compute_block", _block("features")),
    (preparation, "apply_cross_sectional", _block("transforms")),
    (pipeline, "risk_inputs", _panel("risk", lambda arguments, _: arguments[1])),
    (rolling, "run_fit", _fit),
    (search, "run_candidate", _candidate),
    (pipeline, "ensemble_scores", lambda _, value: {"stage": "ensemble", **_scored(value)}),
    (pipeline, "judge", lambda arguments, _: {"stage": "evaluation", **_scored(arguments[2])}),
    (stages, "build_grid", _trade("portfolios", lambda arguments: int(arguments[2].size))),
    (stages, "backtest", _trade("backtest", lambda arguments: int(arguments[1].shape[0]))),
    (pipeline, "write_report", lambda arguments, _: {"stage": "report", **_reported(arguments[0])}),
)
"""Functions of the main path, and how to tell the sizes of what they were given or gave."""


def _reported(study: StudyReport) -> dict[str, int]:
    days = max((result.nav.height for result in study.portfolios.values()), default=0)
    return {"M": len(study.signals), "T": days}


def _scored(scores: Mapping[str, Any]) -> dict[str, int]:
    first = next(iter(scores.values()))
    return {"M": len(scores), "T": len(stages.tested_rows(first)), "N": first.shape[1]}
