"""Fitted models on planted samples, as methods of interpretation are given them."""

import numpy as np
from learnable import planted

from alphaloom.interpretation.base import Subject, rank_correlation
from alphaloom.models.base import FitContext, models
from alphaloom.panel import as_date
from alphaloom.training.fit import fit_model
from alphaloom.training.samples import Samples


def quiet(done, total):
    """Tell nothing."""


def subject(settings, *, kind="linear", data=None, repeats=1, labels=False, F=6, **shape) -> Subject:
    """Return a model fitted on planted samples with its test days; only the first three features matter (linear)."""
    data = data or planted(kind, F=F, **shape)
    names = tuple(f"f{k}" for k in range(data.train.n_features))
    fits = tuple(
        fit_model(models.parse(settings), data.train, data.valid, context=FitContext(seed, 1, names))
        for seed in range(repeats)
    )
    test = data.test
    empty = np.full(test.label.shape, np.nan, dtype=np.float32)
    return Subject(
        model=fits[0].model.name,
        window="w0",
        fits=fits,
        samples=Samples(test.block, empty, test.member, test.rows),
        dates=as_date("2020-01-02") + 7 * np.arange(test.rows.size),
        correlation=rank_correlation(test.block, test.member, test.rows),
        label=test.label[test.rows] if labels else None,
    )


def framed(method, given: Subject):
    """Return the method's tables as they are kept: with model and window in front."""
    import polars as pl

    made = method.explain(given, quiet)
    front = (pl.lit(given.model).alias("model"), pl.lit(given.window).alias("window"))
    return {name: frame.with_columns(*front) for name, frame in made.items()}
