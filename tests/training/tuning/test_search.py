"""Searches: what they read, that they can be interrupted, that nothing is done twice, and where Optuna keeps them."""

import json
from dataclasses import replace

import numpy as np
import optuna
import pytest
from numpy.testing import assert_array_equal
from optuna.trial import TrialState
from tuned import RIDGE, T, cut, make_experiment, make_inputs

from alphaloom.errors import RunError, SettingError, UsageError
from alphaloom.executors.base import executors
from alphaloom.executors.jobs import run_jobs
from alphaloom.executors.storage import FolderStorage
from alphaloom.models.base import models
from alphaloom.training import rolling
from alphaloom.training.inputs import Given
from alphaloom.training.rolling import RollingJobs, run_rolling, unfinished
from alphaloom.training.tuning import search as search_module
from alphaloom.training.tuning.proposals import open_study
from alphaloom.training.tuning.settings import Tuning


def run(folder, experiment=None, **tuning):
    """Return the result of a run with a search in each window."""
    experiment = experiment or make_experiment(**tuning)
    return run_rolling(experiment, cut(experiment.inputs), folder, threads=1)


def what_counts(result):
    """Return what a search found, without how long it took."""
    return [
        (item.window, item.model.describe(), [(c["origin"], c["settings"], c["values"]) for c in item.candidates])
        for item in result.tuned
    ]


def test_the_best_candidate_is_fitted_on_the_whole_window(tmp_path):
    """The greatest mean over folds; the recipe's own settings come first; later windows begin with the last best."""
    found = run(tmp_path)
    assert [item.window for item in found.tuned] == found.windows["window"].to_list()
    for k, item in enumerate(found.tuned):
        tried = item.candidates
        best = max((c for c in tried if c["state"] == "complete"), key=lambda c: c["mean"])
        assert item.record["best"] == best
        assert item.model.penalty == best["settings"]["penalty"]
        assert tried[0]["origin"] == "recipe"
        assert len(tried) == 6
        fitted = json.loads((tmp_path / item.window / "ridge-s0" / "fitted" / "fitted.json").read_text())
        assert fitted["model"]["penalty"] == item.model.penalty
        if k:
            own = [c for c in found.tuned[k - 1].candidates if c["origin"] != "recipe" and c["state"] == "complete"]
            last = sorted(own, key=lambda c: -c["mean"])[:2]
            warm = [c["settings"] for c in tried if c["origin"] == "warm start"]
            assert warm == [c["settings"] for c in last]


def test_mse_is_made_small(tmp_path):
    """The other objective has the other direction."""
    for item in run(tmp_path, objective="mse").tuned:
        means = [c["mean"] for c in item.candidates if c["state"] == "complete"]
        assert item.record["best"]["mean"] == min(means)


def test_later_data_change_no_search(tmp_path):
    """Features, labels and members from a window's first test date on have no say in it, bit for bit."""
    inputs = make_inputs()
    windows = cut(inputs)
    before = run(tmp_path / "a", make_experiment(inputs, ("ridge", "lightgbm"), spaces=BOTH))
    for k, window in enumerate(windows):
        start = int(window.test[0])
        rng = np.random.default_rng(1)
        block, label, member = inputs.block.copy(), inputs.label.copy(), inputs.panel.universe.copy()
        block[start:] = rng.standard_normal(block[start:].shape)
        label[start - 2 :] = rng.standard_normal(label[start - 2 :].shape)  # a label reads two rows ahead
        member[start:] = ~member[start:]
        panel = replace(inputs.panel, universe=member)
        spoilt = replace(inputs, panel=panel, block=block, label=label, key="spoilt")
        after = run(tmp_path / f"b{k}", make_experiment(spoilt, ("ridge", "lightgbm"), spaces=BOTH))
        known = {item.window for item in before.tuned[: 2 * (k + 1)]}
        wanted = [item for item in what_counts(before) if item[0] <= window.name]
        assert wanted == [item for item in what_counts(after) if item[0] <= window.name]
        assert known


BOTH = {"ridge": RIDGE, "lightgbm": {"num_leaves": {"low": 2, "high": 15, "integer": True}}}


def test_what_was_read_is_written_down(tmp_path):
    """The last day that any fold reads lies before the first test date."""
    for item in run(tmp_path).tuned:
        assert item.record["reads_until"] < item.record["test_start"]
        assert item.record["reads_until"] == max(c["reads_until"] for c in item.candidates)


class StopError(Exception):
    """An interruption."""


@pytest.mark.parametrize("after", [0, 1, 4, 9, 13])
def test_an_interrupted_search_goes_on_to_the_same_end(after, tmp_path, monkeypatch):
    """Nothing that was finished is done again, and the end is that of a search that ran through."""
    whole = run(tmp_path / "whole", scan={"points": 4, "rounds": 2, "level": 0.99})
    calls = []
    real = search_module.run_candidate

    def counted(source, storage, candidate):
        if len(calls) == after:
            raise StopError
        calls.append(candidate.key(source.get()))
        return real(source, storage, candidate)

    monkeypatch.setattr(search_module, "run_candidate", counted)
    with pytest.raises(StopError):
        run(tmp_path / "part", scan={"points": 4, "rounds": 2, "level": 0.99})
    after = -1  # no further interruption
    again = run(tmp_path / "part", scan={"points": 4, "rounds": 2, "level": 0.99})
    assert what_counts(again) == what_counts(whole)
    assert len(calls) == len(set(calls))
    assert_array_equal(again.scores["ridge"], whole.scores["ridge"])


def test_a_finished_search_is_not_begun_again(tmp_path, monkeypatch):
    """Only the fits are read."""
    first = run(tmp_path)
    monkeypatch.setattr(search_module, "run_candidate", lambda **_: pytest.fail("a candidate was tried again"))
    again = run(tmp_path)
    assert again.reused == first.windows.height
    assert what_counts(again) == what_counts(first)
    experiment = make_experiment()
    assert unfinished(experiment, cut(experiment.inputs), tmp_path) == (0, first.windows.height)
    assert unfinished(experiment, cut(experiment.inputs), tmp_path / "new")[0] == first.windows.height


def test_candidates_side_by_side_change_only_the_order_of_learning(tmp_path):
    """Three at once: as many candidates, and each set knows those before it alone."""
    found = run(tmp_path, at_once=3, trials=8)
    assert {len(item.candidates) for item in found.tuned} == {8}


def test_time_ends_a_search(tmp_path, monkeypatch):
    """No candidate is begun after it; each knows what is left, but for the recipe's own settings, always tried."""
    left = []

    def timed(**given):
        left.append(given["candidate"].seconds)
        return real(**given) | {"seconds": 10.0}

    real = search_module.run_candidate
    monkeypatch.setattr(search_module, "run_candidate", timed)
    found = run(tmp_path, trials=50, time_limit=25)
    assert {len(item.candidates) for item in found.tuned} == {3}
    assert left == [None, 15.0, 5.0] * len(found.tuned)


def test_a_search_out_of_time_keeps_what_it_saw(tmp_path, monkeypatch):
    """Candidates that end early for want of time stand in the record, and are never chosen."""
    real = search_module.run_candidate

    def hurried(**given):
        if given["candidate"].seconds is None:
            return real(**given)
        return real(**given | {"candidate": replace(given["candidate"], seconds=0.0)})

    monkeypatch.setattr(search_module, "run_candidate", hurried)
    found = run(tmp_path, trials=3, time_limit=3600)
    for item in found.tuned:
        assert [tried["state"] for tried in item.candidates] == ["complete", "late", "late"]
        assert item.record["best"]["origin"] == "recipe"


def test_a_candidate_that_workers_lost_is_tried_again(tmp_path, monkeypatch):
    """Without memory for it the search stops and says so; the same command then goes on to the undisturbed end."""
    whole = run(tmp_path / "whole")
    real, seen = search_module.run_candidate, []

    def exhausted(source, storage, candidate):
        seen.append(candidate.name)
        if candidate.name.endswith("candidate 3"):
            raise MemoryError("cannot allocate")
        return real(source, storage, candidate)

    def by_tasks():
        experiment = make_experiment()
        jobs = RollingJobs(
            experiment, cut(experiment.inputs), FolderStorage(tmp_path / "part"), Given(experiment.inputs), 1
        )
        with executors.parse("inline").open() as pool:
            return jobs, run_jobs(jobs.jobs(), pool)

    monkeypatch.setattr(search_module, "run_candidate", exhausted)
    jobs, failed = by_tasks()
    assert len(seen) == 2 + 3
    assert "candidate 3" in failed[-1].failure.message
    assert "cannot allocate" in failed[-1].failure.message
    assert not list((tmp_path / "part").rglob("tuning.json"))
    monkeypatch.setattr(search_module, "run_candidate", real)
    jobs, failed = by_tasks()
    assert not failed
    assert what_counts(jobs.result()) == what_counts(whole)


def test_proposals_of_a_command_that_is_gone_are_made_again(tmp_path):
    """Also when it ran on another machine: results have one driver at a time, a database may have several."""
    for place, state in ((None, TrialState.FAIL), (str(tmp_path / "journal"), TrialState.RUNNING)):
        study = open_study(place, FolderStorage(tmp_path), "s", "maximize")
        study.ask().set_user_attr("driver", "another-machine 1")
        assert open_study(place, FolderStorage(tmp_path), "s", "maximize").trials[0].state == state


def test_what_is_prepared_bounds_what_is_searched():
    """Steps beyond the recipe's longest are refused before any work, as are other things to read."""
    model = models.parse({"name": "gru", "steps": 5})
    tuning = Tuning.parse({"preset": None, "spaces": {"gru": {"steps": [5, 20]}}})
    with pytest.raises(ValueError, match="steps = 20 makes gru read more"):
        tuning.check({"gru": model})
    tuning.check({"gru": model, "longer": models.parse({"name": "rnn", "steps": 20})})
    tuning = Tuning.parse({"preset": None, "spaces": {"gru": {"select_on": ["rank_ic", "sharpe"]}}})
    with pytest.raises((ValueError, SettingError), match="select_on"):
        tuning.check({"gru": model})


def test_candidates_that_diverge_are_set_aside(tmp_path, monkeypatch):
    """They are named with the reason, and never chosen; a search without any other fails with it."""

    def fail(source, storage, candidate):
        if candidate.model.penalty != 1.0:
            return {"state": "diverged", "message": "the loss is not finite", "values": [], "daily": []}
        return real(source, storage, candidate)

    real = search_module.run_candidate
    monkeypatch.setattr(search_module, "run_candidate", fail)
    experiment = make_experiment()
    own = experiment.models["ridge"].penalty
    if own != 1.0:
        experiment = replace(experiment, models={"ridge": type(experiment.models["ridge"])(penalty=1.0)})
    found = run(tmp_path, experiment)
    assert {item.model.penalty for item in found.tuned} == {1.0}
    assert {len(item.record["failed"]) for item in found.tuned} == {5}
    monkeypatch.setattr(
        search_module, "run_candidate", lambda **_: {"state": "diverged", "message": "not finite", "daily": []}
    )
    with pytest.raises(RunError, match="not finite"):
        run(tmp_path / "none")


def test_the_scan_leaves_out_what_makes_no_difference(tmp_path):
    """A penalty so small that no value of it changes the fit stays as the recipe has it; nothing is searched."""
    idle = {"penalty": {"low": 1e-12, "high": 1e-11, "log": True}}
    found = run(tmp_path, spaces={"ridge": idle}, scan={"points": 3, "rounds": 1}).tuned
    assert found[0].record["scan"][0]["kept"] is None
    assert [len(item.candidates) for item in found] == [1] * len(found)
    assert not found[1].record["scan"]


def test_optuna_keeps_the_search_in_its_journal(tmp_path):
    """Every candidate but the recipe's own, with its folds' values, for Optuna's own tools."""
    found = run(tmp_path)
    file = tmp_path / ".optuna.work" / "journal.log"
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
    studies = storage.get_all_studies()
    assert len(studies) == len(found.tuned)
    for study in studies:
        trials = storage.get_all_trials(study._study_id)
        item = next(item for item in found.tuned if study.study_name.startswith(item.window))
        assert [t.params for t in trials] == [c["settings"] for c in item.candidates[1:]]
        assert [list(t.intermediate_values.values()) for t in trials] == [c["values"] for c in item.candidates[1:]]


def test_wrong_databases_are_named(tmp_path):
    """What is not reached, and what is not known."""
    with pytest.raises(SettingError, match="cannot be reached"):
        run(tmp_path, storage="postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2")


def test_no_search_under_torchrun(tmp_path, monkeypatch):
    """It is refused with what to do."""

    class Two:
        size, is_first = 2, True

    monkeypatch.setattr(rolling, "joined", Two)
    with pytest.raises(UsageError, match="torchrun"):
        run(tmp_path)
    assert T == 200
