"""What tasks of the executors' tests call: functions of a module, so that worker processes find them."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from alphaloom.errors import DataError, SettingError
from alphaloom.executors.attempt import THREAD_VARIABLES


def double(x: float, seconds: float = 0.0) -> float:
    """Return twice the number, after a while."""
    time.sleep(seconds)
    return 2 * x


def nth_time(folder: Path, name: str) -> int:
    """Return how often this was called with the name, this time included."""
    folder.mkdir(exist_ok=True)
    for n in range(1, 1000):
        try:
            (folder / f"{name}.{n}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return n
    raise AssertionError


def calls(folder: Path, name: str) -> int:
    """Return how often `nth_time` was called with the name."""
    return len(list(folder.glob(f"{name}.*")))


def fail_until(folder: Path, name: str, success: int) -> str:
    """Fail until it is called that often."""
    n = nth_time(folder, name)
    if n < success:
        raise ValueError(f"attempt {n} came to nothing")
    return f"attempt {n}"


def speak_and_fail(lines: int = 3) -> None:
    """Print to both streams, then fail deep in a call."""
    for k in range(lines):
        print(f"epoch {k}")
    print("loss is nan", file=sys.stderr)
    _divide(1, 0)


def _divide(a: float, b: float) -> float:
    return a / b


def refuse(folder: Path, name: str) -> None:
    """Raise an error of alphaloom's own."""
    nth_time(folder, name)
    raise SettingError("windows.valid_share 2 is above 1")


def leave(folder: Path, name: str) -> None:
    """Ask the process to exit, as libraries should not."""
    nth_time(folder, name)
    sys.exit("licence expired")


def raise_of(code: int, wrapped: bool = False) -> None:
    """Raise an error of the system, or one of alphaloom's that it is the cause of."""
    error = OSError(code, os.strerror(code), "results/model.bin")
    if wrapped:
        raise DataError("The model cannot be written") from error
    raise error


def disk_full(name: str) -> None:
    """Raise what writing to a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)


def kill_itself(folder: Path, name: str, times: int, number: int = signal.SIGKILL) -> int:
    """End this process by a signal, so many times; then return the number of calls."""
    n = nth_time(folder, name)
    print(f"{name}: call {n}")
    if n <= times:
        os.kill(os.getpid(), number)
        time.sleep(60)
    return n


def exit_at_once(code: int) -> None:
    """End this process without a word."""
    os._exit(code)


def counted(folder: Path, name: str, seconds: float = 0.0) -> str:
    """Count the call, and return its name after a while."""
    nth_time(folder, name)
    time.sleep(seconds)
    return name


def wait_with_child(folder: Path, name: str, seconds: float = 600) -> None:
    """Start a process of its own, note both numbers, and wait."""
    with subprocess.Popen(["sleep", str(seconds)]) as child:
        aside = folder / f".{name}"
        aside.write_text(f"{os.getpid()} {child.pid}")
        aside.rename(folder / name)
        child.wait()


def surroundings() -> dict[str, object]:
    """Return what a task finds around it."""
    return {
        "pid": os.getpid(),
        "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "numpy": "numpy" in sys.modules,
        "alive": sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("Pytest")),
    }


def unfit_value() -> object:
    """Return what cannot be pickled."""
    return threading.Lock()


def until(condition, seconds: float = 60.0) -> bool:
    """Return whether the condition holds before the time is over."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be noticed by its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def on_node(folder: Path, name: str, seconds: float = 0.0) -> str:
    """Note on which node of a Ray cluster this runs, and return it after a while."""
    import ray

    node = ray.util.get_node_ip_address()
    nth_time(folder, f"{name}@{node}")
    time.sleep(seconds)
    return str(node)


def note_pid(folder: Path, name: str, seconds: float) -> str:
    """Note this process, and return the name after a while."""
    aside = folder / f".{name}"
    aside.write_text(str(os.getpid()))
    aside.rename(folder / name)
    time.sleep(seconds)
    return name
