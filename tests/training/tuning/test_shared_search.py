"""A search whose candidates several processes know: through PostgreSQL, and through a journal file."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from postgresql import postgresql
from tuned import cut, make_experiment
from tuned import make_inputs as inputs_of

from alphaloom.executors.storage import FolderStorage
from alphaloom.training.inputs import Given
from alphaloom.training.rolling import run_rolling
from alphaloom.training.tuning.proposals import open_study
from alphaloom.training.tuning.search import tune

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database():
    """Return the address of a database."""
    with postgresql() as address:
        yield address


def settings(result):
    """Return what was tried."""
    return [[(c["settings"], c["values"]) for c in item.candidates] for item in result.tuned]


def test_a_database_keeps_the_same_search(database, tmp_path):
    """The same candidates as with a journal file; and all of them, with their folds, are in the database."""
    found = {}
    for name, storage in (("journal", None), ("database", database)):
        experiment = make_experiment(storage=storage)
        found[name] = run_rolling(experiment, cut(experiment.inputs), tmp_path / name, threads=1)
    assert settings(found["database"]) == settings(found["journal"])
    kept = optuna.storages.RDBStorage(database)
    studies = kept.get_all_studies()
    assert len(studies) == len(found["database"].tuned)
    for study in studies:
        item = next(i for i in found["database"].tuned if study.study_name.startswith(i.window))
        trials = kept.get_all_trials(study._study_id)
        assert [list(t.intermediate_values.values()) for t in trials] == [c["values"] for c in item.candidates[1:]]


def test_an_empty_database_is_opened_by_many_at_once(database):
    """Each makes Optuna's tables that another is making; all find them."""
    psycopg = pytest.importorskip("psycopg")
    together, count = threading.Barrier(4), 3
    addresses = [database.replace("/postgres", f"/empty{k}") for k in range(count)]
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as connection:
        for k in range(count):
            connection.execute(f"create database empty{k}")

    def opened(_):
        found = []
        for address in addresses:
            together.wait(60)
            found.append(open_study(address, FolderStorage("unused"), "one", "maximize")._study_id)
        return found

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(opened, range(4))) == [[1] * count] * 4


def search_alone(folder, storage, count):
    """Search the first window of the small market, in a process of its own, with a folder of its own."""
    experiment = make_experiment(inputs_of(), storage=storage, trials=count)
    windows = cut(experiment.inputs)
    job = tune(
        experiment.search(windows[0], "ridge", windows, 1),
        Given(experiment.inputs),
        FolderStorage(folder),
        FolderStorage(folder),
        None,
    )
    tasks = next(job)
    try:
        while True:
            outcomes = [
                type("Outcome", (), {"failure": None, "value": task.call(**task.arguments), "task": task})()
                for task in tasks
            ]
            tasks = job.send(outcomes)
    except StopIteration as end:
        return [c["settings"]["penalty"] for c in end.value.candidates]


@pytest.mark.parametrize("kind", ["database", "journal"])
def test_processes_share_one_search(kind, tmp_path, request):
    """Three at once on one search: each trial is told once, none is lost, and together they stop at the count."""
    storage = request.getfixturevalue("database") if kind == "database" else str(tmp_path / "journal.log")
    count = 16
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        work = [(tmp_path / f"{kind}-{k}", storage, count) for k in range(3)]
        found = pool.starmap(search_alone, work)
    if kind == "database":
        kept = optuna.storages.RDBStorage(storage)
    else:
        kept = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))
    study = max(kept.get_all_studies(), key=lambda item: len(kept.get_all_trials(item._study_id)))
    trials = kept.get_all_trials(study._study_id)
    assert sorted(trial.number for trial in trials) == list(range(len(trials)))
    assert {trial.state for trial in trials} <= {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    assert count - 1 <= len(trials) <= count - 1 + 2  # the others may have begun one when the last was told
    tried = {trial.params["penalty"] for trial in trials}
    for own in found:
        assert set(own[1:]) <= tried
        assert len(own) >= count
