"""Runs the fits of one or many experiments over the workers of an executor."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alphaloom.errors import RunError
from alphaloom.executors.base import Executor, Failure, Outcome
from alphaloom.executors.jobs import Standing, run_jobs
from alphaloom.executors.remote import storage_at
from alphaloom.executors.storage import FolderStorage, Storage
from alphaloom.training.inputs import STATES, Inputs, Stored, save_inputs
from alphaloom.training.rolling import Experiment, Log, Progress, RollingJobs, watch_tasks
from alphaloom.training.shared_rows import SHARED
from alphaloom.training.splits import Window
from alphaloom.training.tuning.search import RECORD

INPUTS = "inputs"
"""Folder of the arrays that fits read, beside the results; no longer needed when all are finished."""
FAILED = "failed"
"""Folder of the logs of tasks that failed."""


@dataclass(frozen=True, eq=False)
class Member:
    """One experiment among those that are run together."""

    rolling: RollingJobs
    folder: Path
    """Its folder of models on this machine."""
    source: Stored
    """What its fits read."""


class Spread:
    """Experiments whose fits share the workers of one executor, and the inputs that they have in common."""

    def __init__(self, executor: Executor, home: Path) -> None:
        """Keep the executor, and the folder in which all results lie unless the executor names a storage."""
        self._executor, self._home = executor, home.resolve()
        self.storage = self._storage("")
        self._inputs: list[str] = []

    def _storage(self, part: str) -> Storage:
        place, options = self._executor.storage, self._executor.storage_options
        if place is None:
            return FolderStorage(self._home / part if part else self._home)
        return storage_at(f"{place.rstrip('/')}/{part}".rstrip("/"), options)

    def add(self, experiment: Experiment, windows: Sequence[Window], folder: Path) -> Member:
        """Put an experiment's inputs where workers find them, once for all that have the same, and return its jobs.

        Args:
            experiment: what to fit.
            windows: its windows.
            folder: for its models, inside the home folder.
        """
        source = Stored(self.storage, self._stored(experiment.inputs))
        part = folder.resolve().relative_to(self._home).as_posix().removeprefix(".")
        rolling = RollingJobs(
            experiment, windows, self._storage(part), source, self._executor.cores, self.storage, part
        )
        return Member(rolling, folder, source)

    def _stored(self, inputs: Inputs) -> str:
        name = f"{INPUTS}/{inputs.arrays}"
        if name not in self._inputs:
            if self.storage.read(f"{name}/inputs.json") is None:
                with self.storage.new_folder(name) as aside:
                    save_inputs(inputs, aside)
            self._inputs.append(name)
        return name

    def run(self, members: Sequence[Member], progress: Progress | None = None, log: Log | None = None) -> list[Outcome]:
        """Run the fits that are not finished, bring their results to the members' folders, and return what failed.

        Raises:
            RunError: results cannot be written; what is finished is kept.
            UsageError: the executor cannot be had.
        """
        rolling = [member.rolling for member in members]
        jobs = [job for item in rolling for job in item.jobs()]
        tell = watch_tasks(rolling, progress, log)

        parts = {id(item.storage): item.name for item in rolling}

        def watch(standing: Standing, outcome: Outcome | None) -> None:
            if outcome is not None and outcome.failure is not None:
                self._keep_log(outcome, outcome.failure, parts.get(id(outcome.task.arguments.get("storage")), ""))
            tell(standing, outcome)

        with self._executor.open() as pool:
            failed = run_jobs(jobs, pool, watch)
        for member in members:
            self._bring_home(member)
        return failed

    def _keep_log(self, outcome: Outcome, failure: Failure, part: str) -> None:
        """Write what is known of a failed task, named by the run of a study that it is of, or a candidate's key."""
        words = [part.removesuffix("/models").removeprefix("points/"), outcome.task.name, (outcome.task.key or "")[:8]]
        name = re.sub(r"[^\w.,-]+", "_", " ".join(word for word in words if word))
        head = f"{outcome.task.name}\n{failure.message}\n{outcome.attempts} attempts, the last one on {outcome.place}\n"
        FolderStorage(self._home).write(f"{FAILED}/{name}.log", f"{head}\n{failure.log}\n".encode())

    def _bring_home(self, member: Member) -> None:
        """Copy results from a storage elsewhere to the member's folder."""
        there, here = member.rolling.storage, FolderStorage(member.folder.resolve())
        if isinstance(there, FolderStorage) and there.root.resolve() == here.root:
            return
        for fit in member.rolling.finished():
            with here.new_folder(fit.folder) as aside:
                shutil.copytree(there.fetch(fit.folder), aside, dirs_exist_ok=True)
        for search in {fit.window.name: fit for fit in member.rolling.finished()}.values():
            self._copy(there, f"{search.window.name}/{STATES}", member.folder)
        for tuned in member.rolling.tuned:
            self._copy(there, f"{tuned.window}/{tuned.name}-tuning/{RECORD}", member.folder)

    @staticmethod
    def _copy(there: Storage, name: str, folder: Path) -> None:
        content = there.read(name)
        if content is not None:
            FolderStorage(folder).write(name, content)

    def forget_inputs(self) -> None:
        """Remove what fits read and what searches shared, when none is left to be made."""
        for name in [*self._inputs, INPUTS, SHARED]:
            self.storage.remove(name)


def failures(outcomes: Sequence[Outcome]) -> RunError:
    """Return the error that names the tasks that failed."""
    first = outcomes[0]
    assert first.failure is not None
    others = f"; and {len(outcomes) - 1} more" if len(outcomes) > 1 else ""
    error = RunError(
        f"{len(outcomes)} of the tasks failed after {first.attempts} attempts: {first.task.name} "
        f"({first.failure.message}){others}. Their logs are in the folder `failed`. What is finished is kept: the same "
        "command tries the others again."
    )
    error.add_note(first.failure.log)
    return error
