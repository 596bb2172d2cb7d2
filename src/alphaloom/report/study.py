"""What a report is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from alphaloom.backtest.result import BacktestResult
from alphaloom.errors import UsageError, unknown_name
from alphaloom.evaluation.signal import SignalReport
from alphaloom.interpretation.base import Interpretation


@dataclass(frozen=True, eq=False)
class StudyReport:
    """Results of one study, ready to be shown. Tables may be empty; then their section is left out.

    Attributes:
        title, description, market: what was studied, in words.
        signals: by model name.
        headline: which of them is traded.
        windows: one row a window and model: `window, model, train_start, train_end, valid_start, test_start, test_end,
            n_train, n_test_days, purged, in_sample_rank_ic, out_of_sample_rank_ic, in_sample_mse, out_of_sample_mse,
            best_iteration, seconds`; columns that a study lacks are left out of the page.
        paths: `model, path, n, rank_ic, ir, t`: each model along each backtest path, where a split has several.
        curves: `window, model, epoch, train_loss, valid_loss, valid_rank_ic`.
        tuned: records of the searches for settings, one a window and model (`tuning.json` of each).
        importance: `model, feature, importance` (share of the model's total).
        interpretations: what methods of interpretation told of the models, one item a method.
        not_interpreted: a sentence for each method that was asked for and suits no model.
        universe: `date, candidates`, one column a rule with how many it removed, `left`.
        portfolios: by name.
        decisions: notes on each portfolio's decisions, by its name: `date`, `excess_LIMIT` where a limit gave way.
        audit: the look-ahead audit as plain data (`audit.json` of a run); None when it was not made.
        placebos: the placebos as plain data (`placebo.json` of a run); None when there are none.
        layers: names of the portfolios of each layered test, best group first.
        provenance: data hash, recipe (text under `recipe`), seed, versions, timings: nested plain data.
        trains_on_future: whether models were fitted on later dates than those they are judged on; every number of
        theirs
            is then marked as leaked.
        backtest_days: trading days a year by which the portfolios were annualised; the signal's when None.
    """

    title: str
    description: str
    market: str
    signals: Mapping[str, SignalReport]
    headline: str
    windows: pl.DataFrame = field(default_factory=pl.DataFrame)
    paths: pl.DataFrame = field(default_factory=pl.DataFrame)
    curves: pl.DataFrame = field(default_factory=pl.DataFrame)
    tuned: Sequence[Mapping[str, Any]] = ()
    importance: pl.DataFrame = field(default_factory=pl.DataFrame)
    interpretations: Sequence[Interpretation] = ()
    not_interpreted: Sequence[str] = ()
    universe: pl.DataFrame = field(default_factory=pl.DataFrame)
    portfolios: Mapping[str, BacktestResult] = field(default_factory=dict)
    decisions: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    audit: Mapping[str, Any] | None = None
    placebos: Mapping[str, Any] | None = None
    layers: Sequence[Sequence[str]] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    backtest_days: float | None = None
    trains_on_future: bool = False

    def __post_init__(self) -> None:
        if not self.signals:
            raise UsageError("A study report needs at least one signal.")
        if self.headline not in self.signals:
            raise unknown_name("signal", self.headline, self.signals, "headline of the study report")

    @property
    def signal(self) -> SignalReport:
        """Return the traded signal."""
        return self.signals[self.headline]

    @property
    def shown_portfolios(self) -> dict[str, BacktestResult]:
        """Return the portfolios shown one by one: of a layered test the best group alone."""
        beside = {name for names in self.layers for name in names[1:]}
        return {name: result for name, result in self.portfolios.items() if name not in beside}

    @property
    def annual_days(self) -> int:
        """Return the trading days a year by which the traded signal was annualised."""
        return self.signal.settings.annual_days

    @property
    def portfolio_days(self) -> float:
        """Return the trading days a year by which the portfolios were annualised."""
        return self.annual_days if self.backtest_days is None else self.backtest_days
