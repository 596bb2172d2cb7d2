"""How the settings of models are searched for."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alphaloom.models.base import Estimator, Model, models
from alphaloom.spec import Spec
from alphaloom.training.tuning.space import Space, preset, presets, setting, with_settings


class Scan(Spec):
    """What is tried one setting at a time before the search, on the first window alone.

    Each setting takes evenly spaced values over its range, the others as the recipe has them. A setting whose values
    make no difference stays as the recipe has it; the range of another is narrowed to the values that are not clearly
    worse than the best, with their neighbours, and that again.

    Source: seed 001 section 3.1.2, which leaves open what counts as a difference.
    """

    points: Annotated[int, Field(ge=3, le=100)] = 10
    """Values of each setting."""
    rounds: Annotated[int, Field(ge=1, le=5)] = 2
    """How often a range is gone over, each time between the ends that the one before left."""
    time_limit: Annotated[float, Field(gt=0)] | None = None
    """Seconds, for each model, after which no further setting is gone over; those left keep their whole range."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """A setting makes a difference if Friedman's test over the tested dates rejects at this level that all values of it
    are equal; dates are blocks, so that what all values share on a date cancels."""


class Tuning(Spec):
    """How the settings of models are searched for in each window, on its training dates alone.

    Each candidate is fitted on the earlier dates of every fold, stopped early on their tail, and scored on the fold's
    later dates. The best by the mean over folds is fitted on the whole window. Candidates are proposed by Optuna's TPE
    from those that ended before, by a seed of their own: an interrupted search goes on to the same end, and a number of
    workers changes nothing, unless `time_limit` cuts it short.
    """

    preset: str | None = "semiannual"
    """Search spaces that come with the program, by kind of model; None for none."""
    spaces: Mapping[str, Space] = Field(default_factory=dict)
    """Search spaces by kind of model; they replace the preset's for that kind."""
    objective: Literal["rank_ic", "mse"] = "rank_ic"
    """What is compared: the mean over a fold's dates of RankIC (greatest), or the squared error of the transformed
    label (least)."""
    folds: Annotated[int, Field(ge=2, le=50)] | None = None
    """Folds of time-series cross-validation: the dates are cut into one part more, and each part after the first is
    scored by fits on all parts before it. None takes 10 for trees and linear models and 5 for networks (seed 001)."""
    valid_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of a fold's training dates, the latest ones, that serve early stopping."""
    embargo: Annotated[int, Field(ge=0)] = 0
    """Trading days left out before a fold's validation and test dates, on top of the purge."""
    scan: Scan | None = Scan()
    """What is tried one setting at a time, before; None goes over the whole ranges."""
    trials: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Candidates of each window and model, the recipe's own settings and warm starts among them."""
    at_once: Annotated[int, Field(ge=1, le=1000)] = 1
    """Candidates that are proposed together, to run side by side; each set knows those before it."""
    time_limit: Annotated[float, Field(gt=0)] | None = None
    """Seconds of each window and model after which no further candidate is begun, and those under way end with their
    fold; the scan and the recipe's own settings are not cut short. It is the time that candidates take, wherever they
    run. Results then depend on the machine."""
    warm_start: Annotated[int, Field(ge=0, le=100)] = 2
    """How many of the best candidates of the window before are tried first."""
    pruner: Literal["wilcoxon", "median", "none"] = "wilcoxon"
    """Which candidates are given up before their last fold: those that a Wilcoxon test over folds says are worse than
    the best (Optuna's `WilcoxonPruner`), or those below the median after the same folds."""
    storage: str | None = None
    """Where Optuna keeps its studies: None in a journal file beside the results, or the address of a database that
    several machines write to, `postgresql+psycopg://...`. A path of its own is taken for a journal file."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.preset is not None and self.preset not in presets():
            raise ValueError(f"there is no preset of search spaces {self.preset!r}; there are {', '.join(presets())}")
        if self.valid_share == 0 and self.pruner == "wilcoxon" and (self.folds or 5) < 3:
            raise ValueError("the Wilcoxon test needs three folds: set pruner to median or none, or more folds")
        return self

    def space(self, model: Model) -> Space:
        """Return the search space of a model; empty when there is none of its kind."""
        kind = type(model).name
        if kind in self.spaces:
            return self.spaces[kind]
        return preset(self.preset).get(kind, {}) if self.preset is not None else {}

    def folds_of(self, model: Model) -> int:
        """Return the number of folds for a model."""
        return self.folds or (10 if isinstance(model, Estimator) else 5)

    def check(self, given: Mapping[str, Model]) -> None:
        """Refuse spaces that the recipe's models do not take, before any work.

        Raises:
            ValueError: a space for a kind of model that the recipe does not have, or none at all.
            SettingError: a setting that the model has not, or a value that it does not take.
        """
        kinds = {type(model).name for model in given.values()}
        unused = [kind for kind in self.spaces if kind not in kinds]
        if unused:
            known = "" if unused[0] in models else f"; there is no such model, but {', '.join(models.names())}"
            raise ValueError(f"tuning.spaces names {unused[0]!r}, which the recipe does not fit{known}")
        if not any(self.space(model) for model in given.values()):
            raise ValueError(
                f"tuning: there is no search space for any of {', '.join(sorted(kinds))}; give one in tuning.spaces"
            )
        history = max((model.steps - 1) * model.stride for model in given.values())
        extras = {name for model in given.values() for name in model.extras}
        for name, model in given.items():
            for path, span in self.space(model).items():
                setting(model, path)
                for value in span.values or span.points(2):
                    tried = with_settings(model, {path: value})
                    if (tried.steps - 1) * tried.stride > history or not extras.issuperset(tried.extras):
                        raise ValueError(
                            f"tuning: {path} = {value} makes {name} read more than any model of the recipe does, which "
                            f"is what is prepared; give the recipe's own {name} the greatest {path} that is searched"
                        )
