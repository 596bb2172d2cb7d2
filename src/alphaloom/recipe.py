"""Recipe: one typed, frozen record of an experiment; YAML in, resolved YAML and hash out."""

import copy
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, model_validator

from alphaloom.backtest.settings import BacktestSettings
from alphaloom.data.universe.base import UniverseRule
from alphaloom.data.universe.base import universe_rules as universe_rule_registry
from alphaloom.errors import SettingError, UsageError, did_you_mean, unknown_name
from alphaloom.evaluation.settings import EvaluationSettings
from alphaloom.executors.base import Executor, executors
from alphaloom.features.base import FeatureFamily
from alphaloom.features.base import features as feature_registry
from alphaloom.interpretation.base import Method
from alphaloom.interpretation.base import methods as method_registry
from alphaloom.labels.base import Label
from alphaloom.labels.base import labels as label_registry
from alphaloom.models.base import Model, Network
from alphaloom.models.base import models as model_registry
from alphaloom.portfolio.base import Construction
from alphaloom.portfolio.base import constructions as construction_registry
from alphaloom.risk.base import Style
from alphaloom.risk.base import styles as style_registry
from alphaloom.risk.estimator import RiskEstimator, risk_models
from alphaloom.spec import DayText, Spec, distinct, fingerprint, with_value
from alphaloom.training.ensemble import EnsembleSettings
from alphaloom.training.splits import Calendar, Split
from alphaloom.training.splits import splits as split_registry
from alphaloom.training.tuning.settings import Tuning
from alphaloom.transforms.base import Transform
from alphaloom.transforms.base import transforms as transform_registry


def _calendar_unless_named(windows: Any) -> Any:
    return {"name": Calendar.name, **windows} if isinstance(windows, dict) else windows


class DataSettings(Spec):
    """Which dates of the store are used."""

    start: DayText | None = None
    """First day, ISO; by default the store's first."""
    end: DayText | None = None
    """Last day, ISO; by default the store's last."""


class RiskSettings(Spec):
    """Style exposures and the benchmark that limits and returns are measured against."""

    styles: tuple[Annotated[Style, style_registry], ...] = ()
    """Styles to compute; empty for none. Needed by constructions that limit exposures."""
    benchmark: str | None = None
    """Index symbol whose members and returns are the benchmark; none for an absolute portfolio."""
    unknown_weights: Literal["refuse", "float_cap", "log_cap", "equal"] = "refuse"
    """Benchmark weights on dates when the store knows members but not all weights: an error, or a stand-in."""
    model: Annotated[RiskEstimator, risk_models] | None = None
    """Risk model, fitted on all of the market's dates up to each decision, for constructions that forecast variance
    (risk aversion, tracking error, alpha by volatility)."""


class HorizonSettings(Spec):
    """Which returns scores are judged against."""

    periods: tuple[Annotated[int, Field(ge=1)], ...] = (1, 4)
    """Decisions ahead; with a weekly schedule, weeks."""
    price: Literal["open", "close", "vwap"] = "open"
    """Price at which positions are entered and left, adjusted."""
    lag: Annotated[int, Field(ge=0)] = 1
    """Trading days from a decision to its fill."""


class Recipe(Spec):
    """One experiment, from the universe to the backtest. Fields stand in the order in which the data flow."""

    name: str
    """Short name; appears in reports and run lists."""
    description: str = ""
    """One or two sentences for the report."""
    seed: int = 777
    """Seed of everything random."""
    data: DataSettings = DataSettings()
    """Dates."""
    universe: tuple[Annotated[UniverseRule, universe_rule_registry], ...] = ()
    """Rules that say which stocks may be held or learned from; applied in order."""
    features: tuple[Annotated[FeatureFamily, feature_registry], ...] = Field(min_length=1)
    """Feature families."""
    transforms: tuple[Annotated[Transform, transform_registry], ...] = ()
    """Feature transforms, in order; fitted ones are fitted on each training window alone."""
    label: Annotated[Label, label_registry]
    """What the models learn to predict."""
    further_labels: tuple[Annotated[Label, label_registry], ...] = ()
    """Labels that networks learn beside it, each by an output of its own (trees learn the first alone); scores are
    forecasts of the first label. Windows are purged by the longest."""
    label_transforms: tuple[Annotated[Transform, transform_registry], ...] = ()
    """Transforms of the label, each date alone."""
    schedule: str = "weekly"
    """Sample and decision dates: `daily`, `weekly`, `monthly` or `every N`."""
    windows: Annotated[Split, split_registry, BeforeValidator(_calendar_unless_named)] = Calendar()
    """Training, validation and test windows; `calendar` unless another split is named."""
    models: tuple[Annotated[Model, model_registry], ...] = Field(min_length=1)
    """Models; with several, what `ensemble` makes of their scores is traded."""
    tuning: Tuning | None = None
    """How the models' settings are searched for in each window; null takes them as they are."""
    repeats: Annotated[int, Field(ge=1)] = 1
    """Fits of each model with different seeds; their scores are averaged."""
    ensemble: EnsembleSettings = EnsembleSettings()
    """How the scores of several models and windows become one."""
    interpretation: tuple[Annotated[Method, method_registry], ...] | None = None
    """Methods that tell what the models learned, each for the models that it suits; null takes those that cost next to
    nothing where a model has them (attention, gate, parameters), [] none."""
    horizons: HorizonSettings = HorizonSettings()
    """What scores are judged against."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How scores are judged."""
    risk: RiskSettings = RiskSettings()
    """Styles and benchmark."""
    portfolios: tuple[Annotated[Construction, construction_registry], ...] = ()
    """Constructions; the first is the headline one."""
    rebalance: Annotated[int, Field(ge=1)] = 1
    """Portfolios are decided on the first tested date and on every so many-th after it: with `schedule: every 5`, 2
    means every ten trading days, while models learn from, and scores are judged on, every fifth."""
    backtest: BacktestSettings = BacktestSettings()
    """Costs, fills and market rules."""
    executor: Annotated[Executor, executors] | None = None
    """Where fits run; null in this process, one after another. Results do not depend on it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for transform in self.label_transforms:
            if transform.is_fitted:
                raise ValueError(
                    f"label_transforms: {transform.name!r} is fitted on a window; labels take transforms of one date, "
                    "such as zscore or rank_gauss"
                )
        networks = [model for model in self.models if isinstance(model, Network)]
        if self.further_labels and any(network.loss.uses_return for network in networks):
            raise ValueError("further_labels: a loss weighs by the raw return of the first label; take another loss")
        if self.tuning is not None:
            self.tuning.check(dict(zip(self.model_names(), self.models, strict=True)))
            if self.windows.trains_on_future:
                raise ValueError(
                    f"tuning goes by earlier dates, but the split {self.windows.name!r} fits on later ones too: set "
                    "windows.name to calendar, or leave tuning out"
                )
        self.ensemble.check(self.model_names(), self.windows.valid_share)
        if self.windows.trains_on_future and self.ensemble.windows > 1:
            raise ValueError(
                f"ensemble.windows must be 1 with the split {self.windows.name!r}: fits of other windows were made on "
                f"the "
                "dates that they would score"
            )
        if any(portfolio.uses_risk for portfolio in self.portfolios) and not self.risk.styles:
            raise ValueError("risk.styles is empty, but a portfolio limits style exposures; list the styles to compute")
        if any(portfolio.uses_forecast for portfolio in self.portfolios) and self.risk.model is None:
            raise ValueError(
                "risk.model is empty, but a portfolio forecasts its variance; set it to cne5 or another one"
            )
        return self

    def model_names(self) -> list[str]:
        """Return a distinct name for each model: `gru`, and `gru-2` for a second one of that kind."""
        return distinct([type(item).name for item in self.models])

    @property
    def every_label(self) -> tuple[Label, ...]:
        """The label and the further ones."""
        return (self.label, *self.further_labels)

    def portfolio_names(self) -> list[str]:
        """Return a distinct name for each portfolio, in order: the construction's label, numbered where it recurs."""
        return distinct([item.label for item in self.portfolios])

    def part(self, *names: str) -> str:
        """Return the fingerprint of these parts alone: what a stage's result depends on."""
        data = self.dump()
        return fingerprint({name: data[name] for name in names})

    def fingerprint(self) -> str:
        """Return the hash of all settings but those of the machine."""
        return fingerprint({key: value for key, value in self.dump().items() if key != "executor"})

    def to_yaml(self) -> str:
        """Return the resolved recipe, every default spelt out."""
        return yaml.safe_dump(self.dump(), sort_keys=False, allow_unicode=True)


def read_recipe(path: str | Path, *, scale: str | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a YAML file, or of a shipped recipe's name, with one scale and overrides applied.

    A file may hold `scales: {small: {...}}`: settings laid over the others with `--scale small`; `full` is the file as
    it stands. Overrides are `a.b=c`, the value read as YAML; a number steps into a list (`models.0.epochs=5`).

    Raises:
        SettingError: not YAML, an unknown setting, scale or path of an override; nothing was run.
    """
    file = find_recipe(path)
    return parse_recipe(file.read_text(encoding="utf-8"), file.name, scale=scale, overrides=overrides)


def parse_recipe(source: str, where: str, *, scale: str | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a YAML text, as `read_recipe` does; errors call it `where`."""
    data = parse_settings(source, where)
    scales = data.pop("scales", {}) or {}
    if scale is not None and scale != "full":
        if scale not in scales:
            raise unknown_name("scale", scale, ["full", *scales], where)
        data = overlay(data, scales[scale])
    for text in overrides:
        data = override(data, text)
    return Recipe.parse(data, where="recipe")


def find_recipe(path: str | Path) -> Path:
    """Return the file of a recipe given by path or by the name of a shipped one.

    Raises:
        UsageError: neither exists; the message lists the shipped recipes.
    """
    file = Path(path)
    if file.is_file():
        return file
    shipped = shipped_recipes()
    if file.stem in shipped and (file.parent == Path() or file.parent.name == "recipes"):
        return shipped[file.stem]
    raise UsageError(
        f"There is no recipe file {str(path)!r}, and no shipped recipe of that name."
        f"{did_you_mean(file.stem, shipped)} Shipped: {', '.join(sorted(shipped)) or 'none'}."
    )


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with the program, by name."""
    return shipped_files("")


def shipped_files(folder: str) -> dict[str, Path]:
    """Return the YAML files that come with the program in a folder of its recipes, by name."""
    installed = Path(str(files("alphaloom"))) / "recipes"
    checkout = Path(__file__).resolve().parents[2] / "recipes"
    home = installed if installed.is_dir() else checkout
    return {file.stem: file for file in sorted((home / folder).glob("*.yaml"))}


def read_settings(file: Path) -> dict[str, Any]:
    """Return the settings of a YAML file as plain data.

    Raises:
        SettingError: it is no YAML, or holds no settings.
    """
    return parse_settings(file.read_text(encoding="utf-8"), file.name)


def parse_settings(source: str, where: str) -> dict[str, Any]:
    """Return the settings of a YAML text as plain data, as `read_settings` does; errors call it `where`."""
    try:
        data = yaml.safe_load(source)
    except yaml.YAMLError as error:
        raise SettingError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise SettingError(f"{where} must hold settings (key: value lines), not {type(data).__name__}.")
    return data


def overlay(data: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `data` with `over` laid on top: mappings merge, everything else is replaced."""
    out = dict(copy.deepcopy(dict(data)))
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = overlay(out[key], value)
        else:
            out[key] = copy.deepcopy(value)
    return out


def override(data: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return `data` with `a.b=c` applied.

    Raises:
        SettingError: no `=`, an empty path, or a path that steps into a value that has no parts.
    """
    path, equals, raw = text.partition("=")
    if not equals:
        raise SettingError(f"--set {text!r}: write it as setting.part=value, for example models.0.epochs=5.")
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError:
        raise SettingError(f"--set {text!r}: {raw!r} is not a YAML value.") from None
    return with_value(data, path.strip(), value, where=f"--set {text!r}")
