"""A driver in a process of its own, to be killed: `executor_driver.py FOLDER SETTINGS` runs tasks that never end."""

import json
import os
import subprocess
import sys
from pathlib import Path

from executor_tasks import wait_with_child

from alphaloom.executors.base import Task, executors


def start(folder: Path, settings: dict[str, object]) -> subprocess.Popen[str]:
    """Return the driver's process; its tasks note their process and its child in the folder."""
    words = [sys.executable, __file__, str(folder), json.dumps(settings)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def noted(folder: Path) -> list[int]:
    """Return the processes of the tasks that began, and their children."""
    return [int(pid) for file in folder.glob("task-*") for pid in file.read_text().split()]


def main(folder: Path, settings: dict[str, object]) -> None:
    """Run two tasks that never end."""
    try:
        with executors.parse(settings).open() as pool:
            for k in range(2):
                pool.submit(Task(f"task-{k}", wait_with_child, {"folder": folder, "name": f"task-{k}"}))
            print(pool.next())
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
