"""Where tasks run, and where their results lie. An executor is one file in this folder."""

from alphaloom.executors.base import Executor, Failure, Outcome, Pool, Task, executors
from alphaloom.executors.jobs import Job, Standing, Watch, run_jobs
from alphaloom.executors.remote import ObjectStorage, storage_at
from alphaloom.executors.storage import FolderStorage, Storage

__all__ = [
    "Executor",
    "Failure",
    "FolderStorage",
    "Job",
    "ObjectStorage",
    "Outcome",
    "Pool",
    "Standing",
    "Storage",
    "Task",
    "Watch",
    "executors",
    "run_jobs",
    "storage_at",
]
