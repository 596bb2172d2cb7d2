"""A small market on which searches can be tried: daily samples with a linear signal."""

import numpy as np
from panels import business_days

from alphaloom.models.base import models
from alphaloom.panel import Panel
from alphaloom.training.inputs import Inputs
from alphaloom.training.rolling import Experiment
from alphaloom.training.splits import Calendar
from alphaloom.training.tuning.settings import Tuning

T, N, F = 200, 30, 5
RIDGE = {"penalty": {"low": 1e-3, "high": 1e6, "log": True}}


def make_inputs(seed=0, *, key="k"):
    """Return daily samples whose label, read two rows ahead, depends on two of five features."""
    rng = np.random.default_rng(seed)
    block = rng.standard_normal((T, N, F)).astype(np.float32)
    label = (0.3 * block[:, :, 0] - 0.2 * block[:, :, 1] + rng.standard_normal((T, N))).astype(np.float32)
    block[rng.random(block.shape) < 0.02] = np.nan
    label[rng.random(label.shape) < 0.05] = np.nan
    panel = Panel(business_days(T), np.array([f"S{n:02d}" for n in range(N)]), rng.random((T, N)) < 0.95, {})
    ends = np.minimum(np.arange(T) + 2, T)
    return Inputs(panel, tuple("abcde"), block, label, (), np.arange(T), ends, key=key)


def make_experiment(inputs=None, names=("ridge",), **tuning):
    """Return an experiment whose models are searched for."""
    chosen = {name: models.parse(SMALL.get(name, name)) for name in names}
    settings = {"trials": 6, "folds": 3, "scan": None, "spaces": {"ridge": RIDGE}, **tuning}
    spaces = {kind: space for kind, space in settings["spaces"].items() if kind in names}
    return Experiment(inputs or make_inputs(), chosen, 1, 7, Tuning.parse(settings | {"spaces": spaces}))


def cut(inputs, **settings):
    """Return windows of three months of training and two of testing."""
    split = Calendar(**{"train_months": 3, "test_months": 2, "valid_share": 0.2, **settings})
    return split.windows(inputs.panel.dates, inputs.rows, inputs.ends)


SMALL = {
    "lightgbm": {"name": "lightgbm", "n_estimators": 12, "min_data_in_leaf": 20, "num_leaves": 7},
    "xgboost": {"name": "xgboost", "n_estimators": 12, "min_child_weight": 20, "max_depth": 3},
    "gru": {"name": "gru", "steps": 2, "hidden": 4, "layers": 1, "optimisation": {"epochs": 2, "days_per_step": 8}},
}
