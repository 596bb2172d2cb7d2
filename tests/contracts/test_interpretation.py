"""What every registered method of interpretation promises, whoever wrote it."""

import hashlib

import numpy as np
import polars as pl
import pytest
from subjects import framed, quiet, subject

from alphaloom.errors import SettingError
from alphaloom.interpretation.base import Interpretation, methods
from alphaloom.report.sections_interpretation import interpretation_section

SUBJECTS = {
    "lightgbm": {"name": "lightgbm", "n_estimators": 10, "min_data_in_leaf": 20},
    "alstm": {"name": "alstm", "steps": 3, "hidden": 4, "optimisation": {"epochs": 1}},
    "gate": {
        "name": "master",
        "steps": 2,
        "d_model": 8,
        "gate": "market",
        "market_features": 2,
        "optimisation": {"epochs": 1},
    },
}


@pytest.fixture(scope="module")
def subjects():
    """Return one fitted model of each form."""
    return {name: subject(settings, D=40, N=30, labels=True) for name, settings in SUBJECTS.items()}


def suited(subjects, method):
    """Return the subjects that a method explains; those without labels unless it reads them."""
    from dataclasses import replace

    able = [item for item in subjects.values() if not method.lacking(item.fits[0])]
    return able if method.reads_labels else [replace(item, label=None) for item in able]


@pytest.mark.parametrize("name", methods.names())
def test_defaults_and_round_trip(name):
    """A method is made without settings; its description makes an equal one; a misspelt setting is refused."""
    method = methods.parse(name)
    assert methods.parse(method.describe()) == method
    with pytest.raises(SettingError, match="unknown setting"):
        methods.parse({"name": name, "repeets": 3})


@pytest.mark.parametrize("name", methods.names())
def test_models_that_do_not_suit_are_told_why(name, subjects):
    """The reason is a few words, or nothing at all."""
    for item in subjects.values():
        reason = methods.parse(name).lacking(item.fits[0])
        assert isinstance(reason, str)
        assert not reason.endswith(".")


@pytest.mark.parametrize("name", methods.names())
def test_tables_are_those_announced_and_the_same_again(name, subjects):
    """Tables have the announced names and rows of test dates alone, are equal when made again; inputs are untouched."""
    method = methods.parse(name)
    for item in suited(subjects, method):
        before = hashlib.sha256(item.samples.block.tobytes()).hexdigest()
        made = method.explain(item, quiet)
        assert tuple(made) == type(method).tables
        assert hashlib.sha256(item.samples.block.tobytes()).hexdigest() == before
        again = method.explain(item, quiet)
        for table, frame in made.items():
            assert not {"model", "window"} & set(frame.columns)
            assert frame.equals(again[table])
            if "date" in frame.columns:
                assert set(frame["date"]) <= set(pl.Series(item.dates).cast(pl.Date))


@pytest.mark.parametrize("name", methods.names())
def test_nothing_after_the_test_dates_is_read(name, subjects):
    """Other values on rows after the last test date, and on rows that no window reaches, change nothing."""
    from dataclasses import replace

    method = methods.parse(name)
    for item in suited(subjects, method):
        some = replace(item, samples=item.samples.subset(item.samples.rows[:3]), dates=item.dates[:3])
        some = replace(some, label=None if item.label is None else item.label[:3])
        block = item.samples.block.copy()
        reach = (item.fits[0].model.steps - 1) * item.fits[0].model.stride
        block[: some.samples.rows[0] - reach] = 99.0
        block[some.samples.rows[-1] + 1 :] = np.nan
        changed = replace(some, samples=replace(some.samples, block=block))
        for table, frame in method.explain(some, quiet).items():
            assert frame.equals(method.explain(changed, quiet)[table])


@pytest.mark.parametrize("name", methods.names())
def test_summary_and_section_stand_for_any_number_of_windows(name, subjects):
    """The summary begins with `model`; the report has a block for each model that was explained."""
    method = methods.parse(name)
    for item in suited(subjects, method):
        one = framed(method, item)
        two = {table: pl.concat([f, f.with_columns(pl.lit("w1").alias("window"))]) for table, f in one.items()}
        summary = method.summary(two)
        assert summary.columns[0] == "model"
        assert summary.height == method.summary(one).height
        assert interpretation_section([Interpretation(method, two)], ["A note."]).blocks
