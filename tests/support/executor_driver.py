"""A driver in a process of its own: `executor_driver.py FOLDER SETTINGS SECONDS` runs two tasks of that length."""

import json
import os
import subprocess
import sys
from pathlib import Path

from executor_tasks import note_pid, wait_with_child

from alphaloom.errors import AlphaloomError
from alphaloom.executors.base import Task, executors


def start(folder: Path, settings: dict[str, object], seconds: float | None = None) -> subprocess.Popen[str]:
    """Return the driver's process; its tasks note theirs in the folder. Without a length they wait for a child's end,
    and note it too.
    """
    words = [sys.executable, __file__, str(folder), json.dumps(settings), json.dumps(seconds)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def noted(folder: Path) -> list[int]:
    """Return the processes of the tasks that began, and their children."""
    return [int(pid) for file in folder.glob("task-*") for pid in file.read_text().split()]


def main(folder: Path, settings: dict[str, object], seconds: float | None) -> None:
    """Run the tasks and print what they return, in the order of their names."""
    call, more = (wait_with_child, {}) if seconds is None else (note_pid, {"seconds": seconds})
    try:
        with executors.parse(settings).open() as pool:
            for k in range(2):
                pool.submit(Task(f"task-{k}", call, {"folder": folder, "name": f"task-{k}", **more}))
            print(sorted(pool.next().value for _ in range(2)))
    except AlphaloomError as error:
        print(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3]))
