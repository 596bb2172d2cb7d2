"""Optuna's studies: where they are kept, what they propose, and what they are told."""

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from alphaloom.errors import SettingError
from alphaloom.executors.storage import Storage
from alphaloom.training.fits import task_seed

if TYPE_CHECKING:
    import optuna

TABLE_TRIES = 8
"""Processes that open an empty database at once make the same tables; who comes second starts over, this often."""


def open_study(
    place: str | None, storage: Storage, name: str, direction: Literal["maximize", "minimize"]
) -> "optuna.Study":
    """Return the study of one search, with what an earlier process left in it.

    Args:
        place: address of a database, path of a journal file, or None for one beside the results.
        storage: of the results.
        name: of the study.
        direction: which way is better.

    Raises:
        SettingError: the database cannot be reached, or its driver is not installed.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=_optuna_storage(place, storage), study_name=name, direction=direction, load_if_exists=True
    )
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if place is None or _is_gone(trial.user_attrs.get("driver")):  # results have one driver at a time
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def sampler(seed: int, number: int, trials: int) -> "optuna.samplers.BaseSampler":
    """Return a sampler whose proposal depends on the candidates before it and nothing else."""
    import optuna

    return optuna.samplers.TPESampler(
        seed=task_seed(seed, "proposal", number),
        n_startup_trials=min(10, max(3, trials // 3)),
        constant_liar=True,
    )


def ended(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    """Return the trials that count: complete, pruned, and those that failed by themselves."""
    from optuna.trial import TrialState

    every = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return [trial for trial in every if trial.state != TrialState.FAIL or "unfit" in trial.user_attrs]


def tell(study: "optuna.Study", trial: "optuna.Trial", item: dict[str, Any] | None) -> None:
    """Tell the study what became of a trial; None for one that could not be fitted."""
    from optuna.trial import TrialState

    if item is None:
        trial.set_user_attr("unfit", True)
        study.tell(trial, state=TrialState.FAIL)
        return
    trial.set_user_attr("tried", json.dumps(item))
    for fold, value in enumerate(item["values"]):
        trial.report(value, fold)
    if item["state"] == "complete":
        study.tell(trial, item["mean"])
    else:
        study.tell(trial, state=TrialState.PRUNED)


def this_process() -> str:
    """Return what tells this process from others: machine and number."""
    return f"{socket.gethostname()} {os.getpid()}"


def _optuna_storage(place: str | None, storage: Storage) -> "optuna.storages.BaseStorage":
    """Return the storage of Optuna's studies.

    Raises:
        SettingError: the database cannot be reached, or its driver is not installed.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    if place is None or "://" not in place:
        file = storage.work("optuna") / "journal.log" if place is None else Path(place)
        file.parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.JournalStorage(JournalFileBackend(str(file)))
    from sqlalchemy.exc import SQLAlchemyError

    try:
        for _ in range(TABLE_TRIES - 1):
            try:
                return optuna.storages.RDBStorage(place)
            except SQLAlchemyError as error:
                if "already exists" not in str(error):
                    raise
        return optuna.storages.RDBStorage(place)
    except ModuleNotFoundError as error:
        raise SettingError(
            f"tuning.storage: {error}; pip install 'alphaloom[postgresql]' for PostgreSQL, or leave it out for a "
            "journal file."
        ) from error
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0]
        raise SettingError(f"tuning.storage: the database cannot be reached: {reason}") from error


def _is_gone(driver: str | None) -> bool:
    """Return whether the process that asked for a trial has ended, as far as this machine can tell."""
    host, _, pid = (driver or "").rpartition(" ")
    if host != socket.gethostname() or not pid.isdigit():
        return False  # of another machine, or only just begun
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return int(pid) == os.getpid()
